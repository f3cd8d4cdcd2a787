//! Settings of the connection to Redis, and of a hub that is linked through it.
//! Plain data.

use core::fmt;
use std::sync::Arc;

use redis::{ConnectionAddr, IntoConnectionInfo};
use sansws_core::dial::Backoff;
use sansws_core::hub::HubOptions;
use sansws_core::time::Duration;
use thiserror::Error;

/// The Redis or Valkey server, or servers, that link the hubs.
///
/// ```
/// use sansws_redis::{RedisOptions, Server};
///
/// let server = Server::Sentinel {
///     sentinels: vec!["redis://sentinel-1:26379".into(), "redis://sentinel-2:26379".into()],
///     master: "chat".into(),
///     credentials: Some(("chat".into(), "s3cret".into())),
/// };
/// let options = RedisOptions::new(server, "chat");
/// assert!(!format!("{options:?}").contains("s3cret")); // no log shows it
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Server {
    /// One server: `redis://[user:password@]host[:port][/db]`, `rediss://` for TLS, `unix:///path`.
    One(String),
    /// The current master of this name, as reported by these Sentinels.
    Sentinel {
        /// URLs of Sentinels. The user and password in the first one apply to all of them. If it is `rediss://`, the connection to
        /// the master uses TLS too.
        sentinels: Vec<String>,
        /// The name of the master.
        master: String,
        /// The user and password of the master, if it needs them.
        credentials: Option<(String, String)>,
    },
    /// A cluster, given by some of its nodes.
    Cluster(Vec<String>),
}

impl Server {
    /// Returns the URLs to start with.
    pub(crate) fn urls(&self) -> &[String] {
        match self {
            Self::One(url) => core::slice::from_ref(url),
            Self::Sentinel { sentinels, .. } => sentinels,
            Self::Cluster(urls) => urls,
        }
    }
}

impl fmt::Debug for Server {
    /// Prints no password.
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

/// Returns a URL without its user and password. In a text that is no Redis URL, the password may be anywhere.
fn without_password(url: &str) -> String {
    let Ok(info) = url.into_connection_info() else {
        return "not a Redis URL".into();
    };
    let settings = info.redis_settings();
    let has_user = settings.username().is_some() || settings.password().is_some();
    let (user, database) = (if has_user { "…@" } else { "" }, settings.db());
    match info.addr() {
        ConnectionAddr::Unix(path) => format!("unix://{user}{}", path.display()),
        ConnectionAddr::TcpTls { .. } => format!("rediss://{user}{}/{database}", info.addr()),
        _ => format!("redis://{user}{}/{database}", info.addr()),
    }
}

/// Settings of the link.
///
/// ```
/// use core::time::Duration;
/// use sansws_redis::RedisOptions;
///
/// let options = RedisOptions::cluster(["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"], "chat");
/// assert!(options.sharded);
/// let options = RedisOptions { timeout: Duration::from_secs(2), ..options };
/// assert_eq!(options.prefix, "chat");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RedisOptions {
    /// The server or servers to connect to.
    pub server: Server,
    /// The prefix of all keys and channels: servers that share it form one cluster. 1 to 64 bytes, without `{`, `}` and control
    /// characters.
    pub prefix: String,
    /// Whether messages of a group stay on its shard (`SPUBLISH`); needs Redis 7. Default: true for a cluster. All servers that share a
    /// prefix must agree.
    pub sharded: bool,
    /// How long Redis may take to accept a connection, and to answer; default 5 s. After that the connection counts as lost.
    pub timeout: Duration,
    /// The waits between connection attempts; default from 100 ms to 5 s, with full jitter.
    pub backoff: Backoff,
    /// Maximum number of bytes that Redis may send before they are processed; default 64 MiB. Beyond that the connection is dropped,
    /// and missed messages are read again. A single longer message is taken alone.
    pub max_ahead: usize,
    /// Certificates for `rediss://`.
    pub tls: Tls,
}

/// Certificates for TLS to Redis, all in PEM. They take effect with `rediss://` URLs, which need the feature `tokio-tls` or `smol-tls`.
///
/// TLS is done by rustls. Where the process has no default
/// [`CryptoProvider`](https://docs.rs/rustls/latest/rustls/crypto/struct.CryptoProvider.html), ring becomes it.
///
/// ```no_run
/// use sansws_redis::{RedisOptions, Tls};
///
/// # fn main() -> std::io::Result<()> {
/// let tls = Tls::default()
///     .roots(std::fs::read("authority.pem")?)
///     .identity(std::fs::read("chain.pem")?, std::fs::read("key.pem")?);
/// let options = RedisOptions::one("rediss://redis.example.org:6380", "chat").tls(tls);
/// # drop(options);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Tls {
    /// Certificates of the authorities to trust instead of the system's; default: the system's.
    pub roots: Option<Vec<u8>>,
    /// A certificate chain and its private key, for servers that require client certificates (`tls-auth-clients yes`).
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    /// Trusts these authorities (PEM) instead of the system's.
    pub fn roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Presents a certificate chain with the private key `key` (both PEM).
    pub fn identity(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some((chain.into(), key.into()));
        self
    }

    pub(crate) const fn is_default(&self) -> bool {
        self.roots.is_none() && self.identity.is_none()
    }
}

impl fmt::Debug for Tls {
    /// Prints no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("roots", &self.roots.is_some())
            .field("identity", &self.identity.is_some())
            .finish()
    }
}

impl RedisOptions {
    /// Returns default settings. The prefix has no default, because two applications that share a Redis must not receive each other's
    /// messages.
    pub fn new(server: Server, prefix: impl Into<String>) -> Self {
        Self {
            sharded: matches!(server, Server::Cluster(_)),
            server,
            prefix: prefix.into(),
            timeout: Duration::from_secs(5),
            backoff: Backoff {
                base: Duration::from_millis(100),
                max: Duration::from_secs(5),
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

    /// Returns settings for one server.
    pub fn one(url: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self::new(Server::One(url.into()), prefix)
    }

    /// Returns settings for a cluster.
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

/// Why a link cannot be created with these settings.
///
/// ```
/// # #[cfg(feature = "tokio")]
/// # {
/// use sansws_core::hub::HubOptions;
/// use sansws_redis::{Redis, RedisOptions, Runtime, SetupError, hub_options};
/// use sansws_tokio::Hub;
///
/// // Braces would break the slots of a cluster.
/// let (_hub, link) = Hub::linked(hub_options(HubOptions::default()));
/// let options = RedisOptions::one("redis://127.0.0.1:6379", "{chat}");
/// let error = Redis::new(link, Runtime::Tokio, options).unwrap_err();
/// assert!(matches!(error, SetupError::BadPrefix));
/// # }
/// ```
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The prefix is empty, too long, or would break the slots of a cluster.
    #[error("a prefix must have 1 to 64 bytes, without `{{`, `}}` and control characters")]
    BadPrefix,
    /// A URL is not a Redis URL.
    #[error("not a Redis URL: {0}{hint}", hint = hint(.0))]
    BadUrl(Arc<redis::RedisError>),
    /// A certificate or a key cannot be read.
    #[error("TLS to Redis: {0}")]
    BadTls(Arc<redis::RedisError>),
    /// A list of Sentinels or cluster nodes is empty.
    #[error("no Redis URL is set")]
    NoUrl,
    /// Certificates were given for an unencrypted connection.
    #[error("certificates are set, but the URL is not `rediss://`")]
    NoTls,
    /// The hub has no lease, or one of zero: users of a server that crashed would be present forever, or nobody ever.
    #[error(
        "the hub has no lease, or one of zero: create its options with `sansws_redis::hub_options`"
    )]
    NoLease,
    /// The timeout is zero.
    #[error("the timeout is zero")]
    NoTime,
    /// The `redis` crate supports one runtime per process, and another one was chosen before.
    #[error("this process already uses Redis on another runtime")]
    OtherRuntime,
}

/// Returns what to do about a URL that cannot be read.
fn hint(error: &redis::RedisError) -> &'static str {
    if error.to_string().contains("did not parse") {
        return "; `#`, `/`, `?` and `@` in a user or a password are `%23`, `%2F`, `%3F` and `%40`";
    }
    ""
}

/// The lease of [`hub_options`].
pub const LEASE: Duration = Duration::from_secs(15);

/// The default interval at which [`hub_options`] has positions compared.
pub const CHECK: Duration = Duration::from_secs(30);

/// Returns options for a hub that is linked with others. Where they are not set, it sets a lease of 15 s, after which the users of a server
/// that crashed are gone, and a comparison of positions every 30 s, which detects a loss that no later message reveals.
pub fn hub_options(mut options: HubOptions) -> HubOptions {
    options.lease.get_or_insert(LEASE);
    options.check.get_or_insert(CHECK);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_debug_text_has_a_password() {
        let cases = [
            ("redis://u:s3cret@h:1/2", "redis://…@h:1/2"),
            ("redis://:s3c@ret@h", "redis://…@h:6379/0"),
            ("redis://h?password=s3cret", "redis://h:6379/0"),
            (
                "unix:///run/redis?pass=s3cret&user=u",
                "unix://…@/run/redis",
            ),
            ("unix:///run/a@b?pass=s3cret", "unix://…@/run/a@b"),
            ("unix:///run/redis", "unix:///run/redis"),
            ("redis://u:s3cret", "not a Redis URL"),
            ("redis:/u:s3cret@h", "not a Redis URL"),
            ("u:s3cret@h:6379", "not a Redis URL"),
            ("redis://u:s3#cret@h", "not a Redis URL"),
            ("", "not a Redis URL"),
        ];
        for (url, want) in cases {
            assert_eq!(without_password(url), want, "{url}");
        }
        let parsed = "redis://u:s3#cret@h".into_connection_info();
        let error = SetupError::BadUrl(Arc::new(parsed.unwrap_err())).to_string();
        assert!(
            error.ends_with("are `%23`, `%2F`, `%3F` and `%40`"),
            "{error}"
        );
        let url = "unix:///run/redis?pass=s3cret".to_owned();
        let all = [
            Server::One(url.clone()),
            Server::Cluster(vec![url.clone()]),
            Server::Sentinel {
                sentinels: vec![url],
                master: "m".into(),
                credentials: Some(("u".into(), "s3cret".into())),
            },
        ];
        for server in all {
            let shown = format!("{:?}", RedisOptions::new(server, "p"));
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }
}
