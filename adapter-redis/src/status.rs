//! The status of the link.

use core::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use sansws_core::time::Instant;

use crate::machine::Metrics;

/// Whether Redis can be reached.
///
/// For an example see [`Status`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Redis has not been reached yet.
    Connecting,
    /// The nodes are linked.
    Up {
        /// Since when.
        since: Instant,
    },
    /// Each node serves only its own connections.
    Down {
        /// Since when.
        since: Instant,
        /// Attempts to connect since then.
        attempts: u32,
        /// The last error.
        reason: String,
    },
    /// The link was ended by this process: by [`Status::close`], or because [`Redis::run`](crate::Redis::run) was dropped.
    Closed,
}

/// The status of a link; clones share it.
///
/// ```
/// # #[cfg(feature = "tokio")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sansws_core::hub::HubOptions;
/// use sansws_redis::{Redis, RedisOptions, Runtime, State, hub_options};
/// use sansws_tokio::Hub;
///
/// let (_hub, link) = Hub::linked(hub_options(HubOptions::default()));
/// let options = RedisOptions::one("redis://127.0.0.1:6379", "chat");
/// let redis = Redis::new(link, Runtime::Tokio, options)?;
/// let status = redis.status(); // for health checks and metrics, while `redis.run()` runs
/// match status.state() {
///     State::Down { attempts, reason, .. } => println!("{attempts} attempts: {reason}"),
///     state => println!("{state:?}"),
/// }
/// assert!(!status.is_up());
/// assert!(status.to_prometheus().contains("\nsansws_redis_up 0\n"));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "tokio"))]
/// # fn main() {}
/// ```
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

    /// Returns whether Redis can be reached.
    pub fn state(&self) -> State {
        self.lock().state.clone()
    }

    /// Returns whether the nodes are linked, for health checks.
    pub fn is_up(&self) -> bool {
        matches!(self.lock().state, State::Up { .. })
    }

    /// Returns the counters of the link.
    pub fn metrics(&self) -> Metrics {
        self.lock().metrics
    }

    /// Ends the link in order: other servers learn that the users here are gone, and [`Redis::run`](crate::Redis::run) returns.
    pub fn close(&self) {
        let waker = {
            let mut shared = self.lock();
            shared.closing = true;
            shared.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Returns the metrics as text for Prometheus (exposition format 0.0.4).
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
            "Whether the link to Redis is up.",
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
                "Messages sent for publication.",
                metrics.published,
            ),
            (
                "batches_total",
                "Steps that published messages.",
                metrics.batches,
            ),
            (
                "uncertain_total",
                "Messages that may or may not have been published.",
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
                "Received messages that were compressed.",
                metrics.deflates,
            ),
            (
                "unknown_total",
                "Received payloads that a newer server wrote.",
                metrics.unknown,
            ),
            (
                "malformed_total",
                "Received payloads that were malformed.",
                metrics.malformed,
            ),
            (
                "swept_total",
                "Times that crashed nodes were cleared, each twice.",
                metrics.swept,
            ),
            (
                "given_up_total",
                "Times that a running node was given up.",
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

    /// Returns whether the link is to end; otherwise the waker is woken when it is.
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
