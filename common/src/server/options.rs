//! The options of a server, shared by all adapters.
//! RFC 6455 section 4.2.
//! Plain data.

use std::sync::Arc;

use crate::server::connect_info::ConnectInfo;
use crate::server::policy::ConnectionPolicy;
use crate::server::scope::{Head, Scope};
use sansws_core::config::Config;
use sansws_core::http::forwarded;
use sansws_core::http::forwarded::Trusted;
use sansws_core::time::Instant;

/// Options of a server.
///
/// `H` refers to a hub; an adapter chooses it.
///
/// ```
/// use sansws_common::{ConnectionPolicy, ServerOptions};
/// use sansws_core::config::{Config, Limits};
/// use sansws_core::handshake::OriginPolicy;
/// use sansws_core::http::forwarded::Trusted;
/// # type NoHub = std::convert::Infallible;
///
/// let limits = Limits { message: 64 << 10, ..Limits::default() };
/// let options = ServerOptions::<NoHub>::default()
///     .config(Config { limits, ..Config::default() })
///     .max_connections(50_000)
///     .policy(ConnectionPolicy::default().origin(OriginPolicy::list(["https://example.org"])?))
///     .trusted(Trusted::new(["10.0.0.0/8"])?);
/// assert_eq!(options.config.limits.message, 65_536);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ServerOptions<H> {
    /// Limits, timeouts, compression.
    pub config: Arc<Config>,
    /// Maximum number of connections at once, including those in their handshake; default 16 384. Beyond it, a few at a time get 503,
    /// and the sockets of the others are closed.
    pub max_connections: usize,
    /// The policy of each connection, unless a router or a route has its own.
    pub policy: ConnectionPolicy<H>,
    /// Proxies that are trusted to report clients; default none.
    pub trusted: Trusted,
}

impl<H> Default for ServerOptions<H> {
    fn default() -> Self {
        Self {
            config: Arc::default(),
            max_connections: 16_384,
            policy: ConnectionPolicy::default(),
            trusted: Trusted::default(),
        }
    }
}

impl<H> ServerOptions<H> {
    /// Sets limits, timeouts and compression.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// Sets the maximum number of connections.
    pub const fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = most;
        self
    }

    /// Sets the policy of each connection.
    pub fn policy(mut self, policy: ConnectionPolicy<H>) -> Self {
        self.policy = policy;
        self
    }

    /// Trusts these proxies to report clients in `Forwarded` and `X-Forwarded-For` (RFC 7239).
    pub fn trusted(mut self, proxies: Trusted) -> Self {
        self.trusted = proxies;
        self
    }

    /// Collects what is known about a request on a connection.
    #[doc(hidden)]
    pub fn scope(&self, head: Head, arrival: &ConnectInfo, now: Instant) -> Scope {
        let mut scope = Scope::new(head, arrival.peer, arrival.secure.then_some(true), now);
        if let Some(peer) = arrival.peer {
            let found = forwarded::client(&scope.fields, peer.ip(), &self.trusted);
            scope.forward(found, peer);
        }
        scope
    }
}
