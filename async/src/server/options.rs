//! The options of a server, shared by all adapters.
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

/// Options of a server.
#[derive(Clone, Debug)]
#[must_use]
pub struct ServerOptions {
    /// Limits, timeouts, compression.
    pub config: Arc<Config>,
    /// Maximum number of connections at once, including those in their handshake; default 16 384. Beyond it, a few at a time get 503,
    /// and the sockets of the others are closed.
    pub max_connections: usize,
    /// The policy of each connection, unless a router or a route has its own.
    pub policy: ConnectionPolicy,
    /// Proxies that are trusted to report clients; default none.
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
    pub fn policy(mut self, policy: ConnectionPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Trusts these proxies to report clients in `Forwarded` and `X-Forwarded-For` (RFC 7239).
    pub fn trusted(mut self, proxies: Trusted) -> Self {
        self.trusted = proxies;
        self
    }

    /// Collects what is known about a request on a connection.
    pub(crate) fn scope(&self, head: Head, arrival: &ConnectInfo, now: Instant) -> Scope {
        let mut scope = Scope::new(head, arrival.peer, arrival.secure.then_some(true), now);
        if let Some(peer) = arrival.peer {
            let found = forwarded::client(&scope.fields, peer.ip(), &self.trusted);
            scope.forward(found, peer);
        }
        scope
    }
}

/// The policy of the connections of a server, a router or a route. A field that is `None` is inherited: a route's policy overrides its
/// router's, which overrides that of the enclosing router, which overrides the server's.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ConnectionPolicy {
    /// Limits, timeouts, compression.
    pub config: Option<Arc<Config>>,
    /// Maximum lifetime of a connection; it is then closed with 1001. `None`: no limit.
    pub lifetime: Option<Duration>,
    /// Which pages may connect. If `None` everywhere: those of the same host. See [`OriginPolicy`].
    pub origin: Option<OriginPolicy>,
    /// Limits on the messages of a connection. If `None` everywhere: unlimited.
    pub traffic: Option<TrafficLimits>,
    /// The hub whose groups a connection can join. If `None` everywhere: no hub.
    pub hub: Option<HubRef>,
}

impl ConnectionPolicy {
    /// Sets limits, timeouts and compression, such as heartbeats, idle time, maximum message length.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = Some(config.into());
        self
    }

    /// Sets the maximum lifetime of a connection.
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Sets which pages may connect.
    pub fn origin(mut self, origin: OriginPolicy) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Sets the limits on the messages of a connection.
    pub fn traffic(mut self, traffic: TrafficLimits) -> Self {
        self.traffic = Some(traffic);
        self
    }

    /// Sets the hub whose groups a connection can join.
    pub fn hub(mut self, hub: impl Into<HubRef>) -> Self {
        self.hub = Some(hub.into());
        self
    }

    /// Returns whether nothing is set.
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

    /// Inherits fields that are not set here.
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

    /// Returns whether a request is admitted. A page of another host may read, but opens no WebSocket and posts nothing, because it
    /// would do so with the cookies of its visitor.
    pub(crate) fn check(&self, scope: &Scope) -> Result<(), Response> {
        // RFC 9110 9.2.1: those are safe
        if !scope.is_websocket() && matches!(scope.method.as_str(), "GET" | "HEAD" | "OPTIONS") {
            return Ok(());
        }
        self.check_origin(scope, scope.known_secure())
    }

    /// Returns whether the requesting page may connect; the error is the response, and is logged at WARN. `secure`: whether it uses
    /// TLS, if known.
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
