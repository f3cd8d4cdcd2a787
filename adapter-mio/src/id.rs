//! Names of connections and timers, which stay valid after their ends: they then refer to nothing.

/// Identifies a connection among all loops of a process, for as long as the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    /// The loop, in the order in which loops were made.
    pub(crate) home: u32,
    /// The place in the slab of the loop.
    pub(crate) slot: u32,
    /// Distinguishes connections that used one place after the other.
    pub(crate) serial: u64,
}

/// Identifies a timer of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId {
    pub(crate) slot: u32,
    pub(crate) serial: u64,
}
