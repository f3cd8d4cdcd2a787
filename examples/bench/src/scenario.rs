//! The loads that every server gets.

use clap::ValueEnum;
use serde::Serialize;

/// The kind of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
}

/// The layers between messages and TCP, or the number of threads that serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    Plain,
    Tls,
    /// permessage-deflate, whose window outlives the message.
    Takeover,
    /// permessage-deflate, each message by itself.
    NoTakeover,
    /// Two threads in place of one.
    Threads,
}

impl Mode {
    /// Whether messages are compressed.
    pub(crate) fn deflates(self) -> bool {
        matches!(self, Self::Takeover | Self::NoTakeover)
    }
}

/// The pattern of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Shape {
    /// Each message comes back on its connection.
    Echo,
    /// One message comes back on each connection, then all rest.
    Idle,
    /// One connection after another: opened, one echo, closed.
    Life,
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
    pub(crate) mode: Mode,
    /// Whether it runs only when it is named: it takes long, or much memory.
    pub(crate) on_request: bool,
}

impl Scenario {
    /// The variants that are measured in one round.
    pub(crate) fn variants(&self) -> Vec<Variant> {
        let (mode, plain) = (
            self.mode,
            Variant {
                stalled: 0,
                mode: self.mode,
            },
        );
        match self.shape {
            Shape::FanOut => {
                let stalled = self.connections / 100;
                vec![plain, Variant { stalled, mode }]
            }
            // Two threads are compared with one.
            _ if mode == Mode::Threads => {
                let mode = Mode::Plain;
                vec![Variant { stalled: 0, mode }, plain]
            }
            Shape::Echo | Shape::Idle | Shape::Life | Shape::Groups => vec![plain],
        }
    }

    const fn new(name: &'static str, (kind, size): (Kind, usize), connections: usize) -> Self {
        Self {
            name,
            kind,
            size,
            connections,
            in_flight: 1,
            shape: Shape::Echo,
            mode: Mode::Plain,
            on_request: false,
        }
    }

    /// The scenario with another number of connections.
    pub(crate) const fn connections(self, connections: usize) -> Self {
        Self {
            connections,
            ..self
        }
    }

    const fn in_flight(self, in_flight: usize) -> Self {
        Self { in_flight, ..self }
    }

    const fn shape(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    const fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    const fn on_request(self) -> Self {
        Self {
            on_request: true,
            ..self
        }
    }
}

/// One way to measure a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Variant {
    /// Connections that do not read.
    pub(crate) stalled: usize,
    pub(crate) mode: Mode,
}

use Kind::{Binary, Text};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("small", (Text, 16), 10).in_flight(64),
    Scenario::new("lone", (Text, 125), 100),
    Scenario::new("medium", (Binary, 4 << 10), 10).in_flight(16),
    Scenario::new("tiny", (Text, 5), 1000),
    Scenario::new("bulk", (Binary, 64 << 10), 10).in_flight(4),
    Scenario::new("large", (Binary, 1 << 20), 4),
    Scenario::new("life", (Text, 16), 1).shape(Shape::Life),
    Scenario::new("idle", (Text, 64), 5000).shape(Shape::Idle),
    Scenario::new("tls", (Text, 125), 100).mode(Mode::Tls),
    Scenario::new("tls-idle", (Text, 64), 1000)
        .shape(Shape::Idle)
        .mode(Mode::Tls),
    Scenario::new("deflate", (Text, 512), 1000).mode(Mode::Takeover),
    Scenario::new("deflate-idle", (Text, 512), 1000)
        .shape(Shape::Idle)
        .mode(Mode::Takeover),
    Scenario::new("deflate-each", (Text, 1024), 10)
        .in_flight(4)
        .mode(Mode::NoTakeover),
    Scenario::new("threads", (Text, 125), 100)
        .mode(Mode::Threads)
        .on_request(),
    Scenario::new("crowd", (Text, 64), 15_000)
        .shape(Shape::Idle)
        .on_request(),
    Scenario::new("fanout", (Text, 125), 1000)
        .in_flight(4)
        .shape(Shape::FanOut)
        .on_request(),
    Scenario::new("fanout-10k", (Text, 125), 10_000)
        .in_flight(4)
        .shape(Shape::FanOut)
        .on_request(),
    Scenario::new("groups", (Text, 64), 15_000)
        .shape(Shape::Groups)
        .on_request(),
];
