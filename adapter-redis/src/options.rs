//! How Redis is reached, and how a hub is set that is linked through it.
//! Plain data.

use core::fmt;
use std::sync::Arc;

use sansws_core::hub::HubOptions;
use sansws_core::policy::Backoff;
use sansws_core::time::Duration;
use thiserror::Error;

/// What keeps groups and carries what is published.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Server {
    /// One server: `redis://[user:password@]host[:port][/db]`, `rediss://` for TLS, `unix:///path`.
    One(String),
    /// Whichever server is the master of this name, as these Sentinels say.
    Sentinel {
        /// URLs of Sentinels. A user and a password in the first are used with all of them. Where it is `rediss://` the master is
        /// reached by TLS too.
        sentinels: Vec<String>,
        /// The name of the master.
        master: String,
        /// The user and the password for the master, if it has some.
        credentials: Option<(String, String)>,
    },
    /// A cluster, of which these are some nodes.
    Cluster(Vec<String>),
}

impl Server {
    /// The URLs to begin with.
    pub(crate) fn urls(&self) -> &[String] {
        match self {
            Self::One(url) => core::slice::from_ref(url),
            Self::Sentinel { sentinels, .. } => sentinels,
            Self::Cluster(urls) => urls,
        }
    }
}

impl fmt::Debug for Server {
    /// Shows no password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<_> = self
            .urls()
            .iter()
            .map(|url| without_password(url))
            .collect();
        match self {
            Self::One(_) => f.debug_tuple("One").field(&urls).finish(),
            Self::Sentinel { master, .. } => f
                .debug_struct("Sentinel")
                .field("sentinels", &urls)
                .field("master", master)
                .finish_non_exhaustive(),
            Self::Cluster(_) => f.debug_tuple("Cluster").field(&urls).finish(),
        }
    }
}

/// A URL without its user and password.
fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            let (scheme, rest) = (url.get(..scheme), url.get(at..));
            format!(
                "{}://…{}",
                scheme.unwrap_or_default(),
                rest.unwrap_or_default()
            )
        }
        _ => url.to_owned(),
    }
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
    /// Certificates for `rediss://`.
    pub tls: Tls,
}

/// Certificates for TLS to Redis, all in PEM. They take effect with `rediss://` URLs, which need the feature `tokio-tls` or `smol-tls`.
///
/// TLS is done by rustls. Where the process has no default
/// [`CryptoProvider`](https://docs.rs/rustls/latest/rustls/crypto/struct.CryptoProvider.html), ring becomes it.
#[derive(Clone, Default)]
#[must_use]
pub struct Tls {
    /// Certificates of authorities that are trusted instead of the system's; default: the system's.
    pub roots: Option<Vec<u8>>,
    /// A chain of certificates and its private key, for servers that ask clients for one (`tls-auth-clients yes`).
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    /// Trusts these certificates of authorities (PEM) instead of the system's.
    pub fn roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Presents a chain of certificates, whose private key is `key` (both PEM).
    pub fn identity(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some((chain.into(), key.into()));
        self
    }

    pub(crate) const fn is_default(&self) -> bool {
        self.roots.is_none() && self.identity.is_none()
    }
}

impl fmt::Debug for Tls {
    /// Shows no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("roots", &self.roots.is_some())
            .field("identity", &self.identity.is_some())
            .finish()
    }
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
            tls: Tls::default(),
        }
    }

    /// Sets the certificates for `rediss://`.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
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
    #[error("a prefix must have 1 to 64 bytes, without `{{`, `}}` and control characters")]
    BadPrefix,
    /// A URL is none of Redis.
    #[error("not a Redis URL: {0}")]
    BadUrl(Arc<redis::RedisError>),
    /// A certificate or a key can't be read.
    #[error("TLS to Redis: {0}")]
    BadTls(Arc<redis::RedisError>),
    /// A list of Sentinels or of nodes of a cluster is empty.
    #[error("no Redis URL is set")]
    NoUrl,
    /// Certificates were given for a connection that is not encrypted.
    #[error("certificates are set, but the URL is not `rediss://`")]
    NoTls,
    /// No lease: who was on a server that crashed would be present for ever.
    #[error("the hub has no lease: create its options with `sansws_redis::hub_options`")]
    NoLease,
    /// Nothing can be done in no time.
    #[error("the timeout is zero")]
    NoTime,
    /// The `redis` crate can use one runtime in a process, and another was chosen before.
    #[error("this process already uses Redis on another runtime")]
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
