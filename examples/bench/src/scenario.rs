//! What is asked of every server.

use serde::Serialize;

/// The kind of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
}

/// One shape of load.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    #[serde(skip)]
    pub(crate) kind: Kind,
    /// Octets in a message.
    pub(crate) size: usize,
    pub(crate) connections: usize,
    /// Messages sent in one write; the next go when all of them are back.
    pub(crate) in_flight: usize,
    /// Measures memory instead of time.
    pub(crate) idle: bool,
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "small",
        kind: Kind::Text,
        size: 16,
        connections: 10,
        in_flight: 64,
        idle: false,
    },
    Scenario {
        name: "lone",
        kind: Kind::Text,
        size: 125,
        connections: 100,
        in_flight: 1,
        idle: false,
    },
    Scenario {
        name: "medium",
        kind: Kind::Binary,
        size: 4 << 10,
        connections: 10,
        in_flight: 16,
        idle: false,
    },
    Scenario {
        name: "large",
        kind: Kind::Binary,
        size: 1 << 20,
        connections: 4,
        in_flight: 1,
        idle: false,
    },
    Scenario {
        name: "idle",
        kind: Kind::Text,
        size: 64,
        connections: 5000,
        in_flight: 1,
        idle: true,
    },
    Scenario {
        name: "crowd",
        kind: Kind::Text,
        size: 64,
        connections: 15_000,
        in_flight: 1,
        idle: true,
    },
];
