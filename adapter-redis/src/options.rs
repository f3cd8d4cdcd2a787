//! How Redis is reached, and how a hub is set that is linked through it.
//! No RFC.
//! Plain data.

use std::sync::Arc;

use sansws_core::hub::HubOptions;
use sansws_core::policy::Backoff;
use sansws_core::time::Duration;
use thiserror::Error;

/// What keeps groups and carries what is published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Server {
    /// One server: `redis://[user:password@]host[:port][/db]`, `rediss://` for TLS, `unix:///path`.
    One(String),
    /// Whichever server is the master of this name, as these Sentinels say.
    Sentinel {
        /// URLs of Sentinels.
        sentinels: Vec<String>,
        /// The name of the master.
        master: String,
        /// The user and the password for the master, if it has some.
        credentials: Option<(String, String)>,
    },
    /// A cluster, of which these are some nodes.
    Cluster(Vec<String>),
}

/// Settings of the link.
#[derive(Clone, Debug)]
#[must_use]
pub struct RedisOptions {
    /// What is spoken to.
    pub server: Server,
    /// What all keys and channels begin with: servers that share it are one. 1 to 64 octets, without `{`, `}` and control characters.
    pub prefix: String,
    /// Whether what is published to a group stays on its shard (`SPUBLISH`): needs Redis 7. Default: with a cluster. All servers that
    /// share a prefix must agree.
    pub sharded: bool,
    /// For how long Redis may take to accept a connection, and to answer; default 5 s. Beyond it the connection counts as lost.
    pub timeout: Duration,
    /// The waits between attempts to connect; default from 100 ms to 5 s, with full jitter.
    pub backoff: Backoff,
    /// Octets that Redis may send ahead of what is taken; default 64 MiB. Beyond it the connection is given up, and what was missed is
    /// read again.
    pub max_ahead: usize,
}

impl RedisOptions {
    /// Default settings. There is no default for the prefix: two applications that share a Redis must not hear each other.
    pub fn new(server: Server, prefix: impl Into<String>) -> Self {
        Self {
            sharded: matches!(server, Server::Cluster(_)),
            server,
            prefix: prefix.into(),
            timeout: Duration::from_secs(5),
            backoff: Backoff {
                base: Duration::from_millis(100),
                most: Duration::from_secs(5),
            },
            max_ahead: 64 << 20,
        }
    }

    /// One server.
    pub fn one(url: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self::new(Server::One(url.into()), prefix)
    }

    /// A cluster.
    pub fn cluster<U: Into<String>>(
        urls: impl IntoIterator<Item = U>,
        prefix: impl Into<String>,
    ) -> Self {
        let urls = urls.into_iter().map(Into::into).collect();
        Self::new(Server::Cluster(urls), prefix)
    }

    pub(crate) fn check(&self) -> Result<(), SetupError> {
        let prefix = &self.prefix;
        let is_bad = |c: char| c.is_control() || c == '{' || c == '}';
        if prefix.is_empty() || prefix.len() > 64 || prefix.contains(is_bad) {
            return Err(SetupError::BadPrefix);
        }
        if self.timeout.is_zero() {
            return Err(SetupError::NoTime);
        }
        Ok(())
    }
}

/// Why a link can't be made of these settings.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A prefix is empty, too long, or would break the slots of a cluster.
    #[error("a prefix has 1 to 64 octets, without `{{`, `}}` and control characters")]
    BadPrefix,
    /// A URL is none of Redis.
    #[error("not a URL of Redis: {0}")]
    BadUrl(Arc<redis::RedisError>),
    /// No lease: who was on a server that crashed would be present for ever.
    #[error("the hub has no lease: make its options with `sansws_redis::hub_options`")]
    NoLease,
    /// Nothing can be done in no time.
    #[error("the timeout is zero")]
    NoTime,
    /// The `redis` crate can use one runtime in a process, and another was chosen before.
    #[error("Redis is spoken to on another runtime in this process already")]
    OtherRuntime,
}

/// The lease of [`hub_options`].
pub const LEASE: Duration = Duration::from_secs(15);

/// How often [`hub_options`] has positions compared.
pub const CHECK: Duration = Duration::from_secs(30);

/// Options for a hub that is linked with others: where they are not set, a lease of 15 s, so that who was on a server that crashed is gone
/// then, and a comparison of positions every 30 s, which finds a loss that no later message shows.
pub fn hub_options(mut options: HubOptions) -> HubOptions {
    options.lease.get_or_insert(LEASE);
    options.check.get_or_insert(CHECK);
    options
}
