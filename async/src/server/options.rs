//! What a caller may set on a server, the same for every adapter.
//! RFC 6455 section 4.2.
//! Plain data.

use std::sync::Arc;

use crate::hub::HubRef;
use crate::server::request_loop::ConnectInfo;
use crate::server::scope::{Head, Scope};
use sansws_core::config::Config;
use sansws_core::handshake::OriginPolicy;
use sansws_core::http::forwarded;
use sansws_core::http::forwarded::Trusted;
use sansws_core::http::{RequestHead, Response};
use sansws_core::policy::TrafficLimits;
use sansws_core::time::{Duration, Instant};

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

/// What holds for the connections of a server, a router or a route. What is `None` is inherited: a route's policy wins over its
/// router's, that over the router around it, that over the server's.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ConnectionPolicy {
    /// Limits, times, compression.
    pub config: Option<Arc<Config>>,
    /// Longest life of a connection; then it is closed with 1001. `None`: no limit.
    pub lifetime: Option<Duration>,
    /// Which pages may connect. `None` everywhere: those of the same host. See [`OriginPolicy`].
    pub origin: Option<OriginPolicy>,
    /// What a connection may send. `None` everywhere: all it wants.
    pub traffic: Option<TrafficLimits>,
    /// The hub whose groups a connection can join. `None` everywhere: it can join none.
    pub hub: Option<HubRef>,
}

impl ConnectionPolicy {
    /// Sets limits, times and compression: heartbeats, idle time, longest message.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = Some(config.into());
        self
    }

    /// Sets the longest life of a connection.
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Sets which pages may connect.
    pub fn origin(mut self, origin: OriginPolicy) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Sets what a connection may send.
    pub fn traffic(mut self, traffic: TrafficLimits) -> Self {
        self.traffic = Some(traffic);
        self
    }

    /// Sets the hub whose groups a connection can join.
    pub fn hub(mut self, hub: impl Into<HubRef>) -> Self {
        self.hub = Some(hub.into());
        self
    }

    /// Whether nothing is said here.
    pub(crate) const fn is_silent(&self) -> bool {
        matches!(
            self,
            Self {
                config: None,
                lifetime: None,
                origin: None,
                traffic: None,
                hub: None,
            }
        )
    }

    /// Takes over what is not said here.
    pub(crate) fn inherit(&mut self, outer: &Self) {
        let Self {
            config,
            lifetime,
            origin,
            traffic,
            hub,
        } = self;
        *hub = hub.take().or_else(|| outer.hub.clone());
        *origin = origin.take().or_else(|| outer.origin.clone());
        *traffic = traffic.take().or_else(|| outer.traffic.clone());
        *config = config.take().or_else(|| outer.config.clone());
        *lifetime = lifetime.or(outer.lifetime);
    }

    /// Whether a request may come in. A page of another host may look, but it opens no WebSocket and posts nothing: it would do so
    /// with the cookies of whoever looks at it.
    pub(crate) fn check(&self, scope: &Scope) -> Result<(), Response> {
        // RFC 9110 9.2.1: those are safe
        if !scope.is_websocket() && matches!(scope.method.as_str(), "GET" | "HEAD" | "OPTIONS") {
            return Ok(());
        }
        self.check_origin(scope, scope.known_secure())
    }

    /// Whether the page that asks may connect; the error is the answer, and is logged at WARN. `secure`: whether it came over TLS, if
    /// that is known.
    pub fn check_origin(&self, head: &RequestHead, secure: Option<bool>) -> Result<(), Response> {
        let (same_host, origins) = (OriginPolicy::same_host(), head.fields.all("origin"));
        let policy = self.origin.as_ref().unwrap_or(&same_host);
        let host = head.host();
        policy.check(origins, host, secure).map_err(|error| {
            let origin = head.fields.get("origin").unwrap_or_default().escape_ascii();
            tracing::warn!(%error, %origin, %host, "an origin was refused");
            let text = format!("{error}: the page is of `{origin}`, the server is `{host}`\n");
            Response::text(403, text)
        })
    }
}
