//! The policy of a connection: everything that holds for it beside the protocol.

use std::sync::Arc;

use sansws_core::config::Config;
use sansws_core::handshake::OriginPolicy;
use sansws_core::http::{RequestHead, Response};
use sansws_core::limits::TrafficLimits;
use sansws_core::time::Duration;

/// The policy of the connections of a server, a router or a route. A field that is `None` is inherited: a route's policy overrides its
/// router's, which overrides that of the enclosing router, which overrides the server's.
///
/// `H` refers to a hub; it is that of the adapter, or [`Infallible`](std::convert::Infallible) without groups.
///
/// ```
/// use std::time::Duration;
/// use sansws_common::ConnectionPolicy;
/// use sansws_core::http::{Headers, RequestHead};
/// use sansws_core::limits::{LimitAction, Rate, TrafficLimits};
///
/// let traffic = TrafficLimits {
///     messages: Some(Rate::per_second(20).burst(100)),
///     outcome: LimitAction::Delay,
///     ..TrafficLimits::default()
/// };
/// let policy = ConnectionPolicy::<std::convert::Infallible>::default()
///     .lifetime(Duration::from_secs(24 * 3600))
///     .traffic(traffic);
///
/// // Without an origin policy, only pages of the same host may connect.
/// let mut head = RequestHead { method: "GET".into(), target: "/".into(), fields: Headers::default() };
/// head.fields.push("Host", b"example.org");
/// head.fields.push("Origin", b"https://evil.example");
/// assert_eq!(policy.check_origin(&head, None).unwrap_err().status, 403);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ConnectionPolicy<H> {
    /// Limits, timeouts, compression.
    pub config: Option<Arc<Config>>,
    /// Maximum lifetime of a connection; it is then closed with 1001. `None`: no limit.
    pub lifetime: Option<Duration>,
    /// The pages that may connect. If `None` everywhere: those of the same host. See [`OriginPolicy`].
    pub origin: Option<OriginPolicy>,
    /// Limits on the messages of a connection. If `None` everywhere: unlimited.
    pub traffic: Option<TrafficLimits>,
    /// The hub whose groups a connection can join. If `None` everywhere: no hub.
    pub hub: Option<H>,
}

impl<H> Default for ConnectionPolicy<H> {
    fn default() -> Self {
        Self {
            config: None,
            lifetime: None,
            origin: None,
            traffic: None,
            hub: None,
        }
    }
}

impl<H: Clone> ConnectionPolicy<H> {
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
    pub fn hub(mut self, hub: impl Into<H>) -> Self {
        self.hub = Some(hub.into());
        self
    }

    /// Returns whether nothing is set.
    #[doc(hidden)]
    pub const fn is_silent(&self) -> bool {
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
    #[doc(hidden)]
    pub fn inherit(&mut self, outer: &Self) {
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

    /// Returns this policy with the fields that it inherits.
    #[doc(hidden)]
    #[must_use]
    pub fn under(&self, outer: &Self) -> Arc<Self> {
        let mut policy = self.clone();
        policy.inherit(outer);
        Arc::new(policy)
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
            let text = format!(
                "{error}: the page is of `{origin}`, the server is `{host}`; an `OriginPolicy` admits others\n"
            );
            Response::text(403, text)
        })
    }
}
