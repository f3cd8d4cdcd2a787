//! Whether a server is fit to be sent clients.
//! RFC 9110 sections 15.3.1 (200) and 15.6.4 (503).
//! Knows what the door and the hub say, and no path: which page tells it is the application's.

use crate::hub::{BackplaneState, HubMetrics};
use crate::server::handle::ServerHandle;
use sansws_core::http::Response;

/// How a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It serves.
    Up,
    /// It serves whom it has, and something is wrong.
    Degraded,
    /// It shuts down.
    Draining,
}

impl Status {
    /// As one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Draining => "draining",
        }
    }
}

/// How a server is, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// How it is.
    pub status: Status,
    /// Why, as a sentence.
    pub reason: &'static str,
    /// What links its hub with others; `None` without a hub.
    pub backplane: Option<BackplaneState>,
    /// Connections that are in.
    pub connections: usize,
    /// How many may be in.
    pub connections_max: usize,
}

impl ServerHandle {
    /// Whether new clients are well served here, by a server behind this door whose connections use that hub.
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
    /// As JSON: 200 when it is up, else 503.
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
        // No word of these needs an escape.
        let body = format!(
            "{{\"status\":\"{}\",\"reason\":\"{reason}\",\"backplane\":\"{backplane}\",\
            \"connections\":{connections},\"connections_max\":{connections_max}}}\n",
            status.as_str(),
        );
        Response::octets(code, "application/json", body).with("Cache-Control", "no-store")
    }
}
