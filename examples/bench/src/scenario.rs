//! What is asked of every server.

use serde::Serialize;

/// The kind of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
}

/// What the connections do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Shape {
    /// Each message comes back on its connection.
    Echo,
    /// One message comes back on each connection, then all rest.
    Idle,
    /// One connection sends, all receive; measured while all of them read, and
    /// while one in a hundred does not.
    FanOut,
    /// Each connection is in three groups and sends one message, then all rest.
    Groups,
}

/// One load.
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
    pub(crate) shape: Shape,
    /// Whether it runs only when it is named: it takes long, or much memory.
    pub(crate) on_request: bool,
}

impl Scenario {
    /// How many connections do not read, for each time that this is measured in
    /// one round.
    pub(crate) fn stalled(&self) -> Vec<usize> {
        match self.shape {
            Shape::FanOut => vec![0, self.connections / 100],
            Shape::Echo | Shape::Idle | Shape::Groups => vec![0],
        }
    }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "small",
        kind: Kind::Text,
        size: 16,
        connections: 10,
        in_flight: 64,
        shape: Shape::Echo,
        on_request: false,
    },
    Scenario {
        name: "lone",
        kind: Kind::Text,
        size: 125,
        connections: 100,
        in_flight: 1,
        shape: Shape::Echo,
        on_request: false,
    },
    Scenario {
        name: "medium",
        kind: Kind::Binary,
        size: 4 << 10,
        connections: 10,
        in_flight: 16,
        shape: Shape::Echo,
        on_request: false,
    },
    Scenario {
        name: "tiny",
        kind: Kind::Text,
        size: 5,
        connections: 1000,
        in_flight: 1,
        shape: Shape::Echo,
        on_request: false,
    },
    Scenario {
        name: "bulk",
        kind: Kind::Binary,
        size: 64 << 10,
        connections: 10,
        in_flight: 4,
        shape: Shape::Echo,
        on_request: false,
    },
    Scenario {
        name: "large",
        kind: Kind::Binary,
        size: 1 << 20,
        connections: 4,
        in_flight: 1,
        shape: Shape::Echo,
        on_request: false,
    },
    Scenario {
        name: "idle",
        kind: Kind::Text,
        size: 64,
        connections: 5000,
        in_flight: 1,
        shape: Shape::Idle,
        on_request: false,
    },
    Scenario {
        name: "crowd",
        kind: Kind::Text,
        size: 64,
        connections: 15_000,
        in_flight: 1,
        shape: Shape::Idle,
        on_request: true,
    },
    Scenario {
        name: "fanout",
        kind: Kind::Text,
        size: 125,
        connections: 1000,
        in_flight: 4,
        shape: Shape::FanOut,
        on_request: true,
    },
    Scenario {
        name: "fanout-10k",
        kind: Kind::Text,
        size: 125,
        connections: 10_000,
        in_flight: 4,
        shape: Shape::FanOut,
        on_request: true,
    },
    Scenario {
        name: "groups",
        kind: Kind::Text,
        size: 64,
        connections: 15_000,
        in_flight: 1,
        shape: Shape::Groups,
        on_request: true,
    },
];
