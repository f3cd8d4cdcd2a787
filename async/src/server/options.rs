//! What a caller may set on a server, the same for every adapter.
//! RFC 6455 section 4.2.
//! Plain data.

use std::sync::Arc;

use crate::server::connect_info::ConnectInfo;
use crate::server::scope::{Head, Scope};
use crate::socket::policy::ConnectionPolicy;
use sansws_core::config::Config;
use sansws_core::http::forwarded;
use sansws_core::http::forwarded::Trusted;
use sansws_core::time::Instant;

/// How to serve.
#[derive(Clone, Debug)]
#[must_use]
pub struct ServerOptions {
    /// Limits, times, compression.
    pub config: Arc<Config>,
    /// Maximum number of connections at once, those in their handshake counted; default 16 384. Beyond it: 503 for a few at once, and
    /// a closed socket for the others.
    pub max_connections: usize,
    /// What holds for each connection, unless a router or a route says otherwise.
    pub policy: ConnectionPolicy,
    /// Proxies whose word about clients is believed; by default none.
    pub trusted: Trusted,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            config: Arc::default(),
            max_connections: 16_384,
            policy: ConnectionPolicy::default(),
            trusted: Trusted::default(),
        }
    }
}

impl ServerOptions {
    /// Sets limits, times and compression.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// Sets how many connections are let in at once.
    pub const fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = most;
        self
    }

    /// Sets what holds for each connection.
    pub fn policy(mut self, policy: ConnectionPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Believes what these proxies say about clients in `Forwarded` and `X-Forwarded-For` (RFC 7239).
    pub fn trusted(mut self, proxies: Trusted) -> Self {
        self.trusted = proxies;
        self
    }

    /// What is known of a request on a connection, now.
    pub(crate) fn scope(&self, head: Head, arrival: &ConnectInfo, now: Instant) -> Scope {
        let mut scope = Scope::new(head, arrival.peer, arrival.secure.then_some(true), now);
        if let Some(peer) = arrival.peer {
            let found = forwarded::client(&scope.fields, peer.ip(), &self.trusted);
            scope.forward(found, peer);
        }
        scope
    }
}
