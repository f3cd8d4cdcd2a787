//! The metrics of a hub, over all nodes of a process.
//! Plain values; `sansws_core::hub` counts.

use sansws_core::hub::{BrokerCounters, Snapshot};
use sansws_core::internal::{Exposition, Kind};

/// The metrics of a hub, summed over all nodes of the process.
///
/// ```
/// use sansws_common::{BackplaneState, HubMetrics};
///
/// let metrics = HubMetrics::default(); // or `hub.metrics()`
/// assert_eq!(metrics.backplane, BackplaneState::Alone);
/// assert!(metrics.to_prometheus().contains("\nsansws_hub_backplane_up 1\n"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubMetrics {
    /// The number of nodes in the process.
    pub nodes: usize,
    /// The metrics of the nodes.
    pub hub: Snapshot,
    /// The metrics of the broker within the process.
    pub broker: BrokerCounters,
    /// The number of bytes that all histories hold.
    pub history_bytes: usize,
    /// The state of the backplane.
    pub backplane: BackplaneState,
    /// The number of envelopes and notices that panicked.
    pub callback_panics: u64,
}

/// The state of a hub's backplane.
///
/// For an example see [`HubMetrics`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BackplaneState {
    /// None: the hub is alone.
    #[default]
    Alone,
    /// All nodes of the process are linked with the other processes.
    Up,
    /// Some node is not: messages published there reach only that node.
    Down,
}

impl BackplaneState {
    /// Returns a single word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl HubMetrics {
    /// Returns the metrics as text for Prometheus (exposition format 0.0.4).
    pub fn to_prometheus(&self) -> String {
        let mut out = Exposition::default();
        let mut gauge = |name, help, value| out.one(Kind::Gauge, name, help, value);
        gauge("hub_nodes", "Nodes of the process.", self.nodes);
        let help = "Bytes that all histories hold.";
        gauge("hub_history_bytes", help, self.history_bytes);
        let help = "0 while a node of the process cannot reach the other processes.";
        let up = usize::from(self.backplane != BackplaneState::Down);
        gauge("hub_backplane_up", help, up);
        let help = "Envelopes and notices that panicked.";
        out.one(
            Kind::Counter,
            "hub_callback_panics",
            help,
            self.callback_panics,
        );
        self.hub.to_prometheus() + &self.broker.to_prometheus() + &out.into_text()
    }
}
