//! How the link is, for whoever wants to know.

use core::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use sansws_core::time::Instant;

use crate::machine::Metrics;

/// Whether Redis can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It has not been reached yet.
    Connecting,
    /// The nodes are linked.
    Up {
        /// Since when.
        since: Instant,
    },
    /// Each node serves its own.
    Down {
        /// Since when.
        since: Instant,
        /// Attempts to connect since then.
        attempts: u32,
        /// What was wrong last.
        reason: String,
    },
    /// The link was ended from here: by [`Status::close`], or since [`Redis::run`](crate::Redis::run) was dropped.
    Closed,
}

/// What is known of a link; clones show the same one.
#[derive(Clone, Debug)]
pub struct Status {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    state: State,
    metrics: Metrics,
    closing: bool,
    waker: Option<Waker>,
}

impl Status {
    pub(crate) fn new() -> Self {
        let shared = Shared {
            state: State::Connecting,
            metrics: Metrics::default(),
            closing: false,
            waker: None,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether Redis can be reached.
    pub fn state(&self) -> State {
        self.lock().state.clone()
    }

    /// Whether the nodes are linked: what a health check asks.
    pub fn is_up(&self) -> bool {
        matches!(self.lock().state, State::Up { .. })
    }

    /// What the link has done.
    pub fn metrics(&self) -> Metrics {
        self.lock().metrics
    }

    /// Ends the link in order: the others hear that who is here goes, and [`Redis::run`](crate::Redis::run) returns.
    pub fn close(&self) {
        let waker = {
            let mut shared = self.lock();
            shared.closing = true;
            shared.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// As text for Prometheus (exposition format 0.0.4).
    pub fn to_prometheus(&self) -> String {
        let (up, metrics) = (self.is_up(), self.metrics());
        let mut out = String::new();
        let mut put = |name: &str, kind: &str, help: &str, value: u64| {
            let _ = writeln!(
                out,
                "# HELP sansws_redis_{name} {help}\n# TYPE sansws_redis_{name} {kind}\nsansws_redis_{name} {value}"
            );
        };
        put(
            "up",
            "gauge",
            "Whether the link to Redis is there.",
            u64::from(up),
        );
        for (name, help, value) in [
            (
                "connects_total",
                "Connections that were made.",
                metrics.connects,
            ),
            (
                "disconnects_total",
                "Connections that were lost.",
                metrics.disconnects,
            ),
            (
                "requests_total",
                "Requests that were sent.",
                metrics.requests,
            ),
            (
                "refused_total",
                "Requests that Redis refused.",
                metrics.refused,
            ),
            (
                "published_total",
                "Messages sent to be published.",
                metrics.published,
            ),
            (
                "batches_total",
                "Steps in which they were published.",
                metrics.batches,
            ),
            (
                "uncertain_total",
                "Messages of which nobody knows whether they were published.",
                metrics.uncertain,
            ),
            (
                "received_total",
                "Messages that were received.",
                metrics.received,
            ),
            (
                "encodes_total",
                "Received messages that were framed.",
                metrics.encodes,
            ),
            (
                "deflates_total",
                "How often they were compressed.",
                metrics.deflates,
            ),
            (
                "unknown_total",
                "What was received and a newer server wrote.",
                metrics.unknown,
            ),
            (
                "malformed_total",
                "What was received and malformed.",
                metrics.malformed,
            ),
            (
                "swept_total",
                "How often crashed nodes were cleared away: each twice.",
                metrics.swept,
            ),
            (
                "given_up_total",
                "How often a node was given up though it was there.",
                metrics.given_up,
            ),
        ] {
            put(name, "counter", help, value);
        }
        out
    }

    pub(crate) fn note(&self, metrics: Metrics) {
        self.lock().metrics = metrics;
    }

    pub(crate) fn set(&self, state: State) {
        self.lock().state = state;
    }

    /// Whether it is to end; else the waker is woken when it is.
    pub(crate) fn is_closing(&self, waker: &Waker) -> bool {
        let mut shared = self.lock();
        if !shared.closing
            && !shared
                .waker
                .as_ref()
                .is_some_and(|known| known.will_wake(waker))
        {
            shared.waker = Some(waker.clone());
        }
        shared.closing
    }
}
