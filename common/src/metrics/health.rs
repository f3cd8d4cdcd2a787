//! The health of a server: whether it should get new clients.
//! RFC 9110 sections 15.3.1 (200) and 15.6.4 (503).
//! Knows the handle and the hub, but no path: the application chooses the page.

use crate::metrics::{BackplaneState, HubMetrics};
use crate::server::handle::ServerHandle;
use sansws_core::http::Response;

/// The status of a server.
///
/// For an example see [`Health`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The server serves normally.
    Up,
    /// The server serves its clients, but something is wrong.
    Degraded,
    /// The server is shutting down.
    Draining,
}

impl Status {
    /// Returns a single word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Draining => "draining",
        }
    }
}

/// The health of a server, with the reason.
///
/// ```
/// use sansws_common::{ServerHandle, Status};
///
/// let handle = ServerHandle::new(1);
/// let health = handle.health(None);
/// assert_eq!((health.status, health.response().status), (Status::Up, 200));
///
/// let _only_one = handle.enter();
/// let health = handle.health(None);
/// assert_eq!(health.status.as_str(), "degraded");
/// assert_eq!(health.reason, "the server is full");
/// // A page answers with it, so that a balancer sends clients elsewhere.
/// assert_eq!(health.response().status, 503);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The status.
    pub status: Status,
    /// The reason, as a sentence.
    pub reason: &'static str,
    /// The state of the hub's backplane; `None` without a hub.
    pub backplane: Option<BackplaneState>,
    /// The number of connections.
    pub connections: usize,
    /// The maximum number of connections.
    pub connections_max: usize,
}

impl ServerHandle {
    /// Returns whether a server with this handle, whose connections use that hub, should get new clients.
    pub fn health(&self, hub: Option<&HubMetrics>) -> Health {
        let (connections, connections_max) = (self.open(), self.most());
        let backplane = hub.map(|hub| hub.backplane);
        let (status, reason) = if self.is_closing() {
            (Status::Draining, "the server shuts down")
        } else if backplane == Some(BackplaneState::Down) {
            (Status::Degraded, "the backplane is down")
        } else if connections >= connections_max {
            (Status::Degraded, "the server is full")
        } else {
            (Status::Up, "the server serves")
        };
        Health {
            status,
            reason,
            backplane,
            connections,
            connections_max,
        }
    }
}

impl Health {
    /// Returns it as JSON: 200 when it is up, otherwise 503.
    pub fn response(&self) -> Response {
        let Self {
            status,
            reason,
            backplane,
            connections,
            connections_max,
        } = self;
        let code = if *status == Status::Up { 200 } else { 503 };
        let backplane = backplane.map_or("none", BackplaneState::as_str);
        // None of these texts needs escaping.
        let body = format!(
            "{{\"status\":\"{}\",\"reason\":\"{reason}\",\"backplane\":\"{backplane}\",\
            \"connections\":{connections},\"connections_max\":{connections_max}}}\n",
            status.as_str(),
        );
        Response::bytes(code, "application/json", body).with("Cache-Control", "no-store")
    }
}
