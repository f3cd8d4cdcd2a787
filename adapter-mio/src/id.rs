//! Names of connections and timers, which stay valid after their ends: they then refer to nothing.

/// Identifies a connection among all loops of a process, for as long as the process runs.
///
/// ```
/// use std::collections::HashMap;
/// use sansws_mio::{ConnectionId, Loop};
///
/// /// Players by their names, for messages to one of them from anywhere on the loop.
/// struct Players(HashMap<String, ConnectionId>);
///
/// impl Players {
///     fn whisper(&self, within: &mut Loop, name: &str, text: &str) -> bool {
///         self.0.get(name).is_some_and(|id| within.send(*id, text).is_accepted())
///     }
/// }
/// ```
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
///
/// ```
/// use std::time::Duration;
/// use sansws_mio::EventLoop;
///
/// # fn main() -> sansws_mio::Result {
/// let mut event_loop = EventLoop::new()?;
/// let within = event_loop.context();
/// let late = within.after(Duration::ZERO, |_| panic!("it was cancelled"));
/// within.cancel(late);
/// within.after(Duration::ZERO, |within| within.stop());
/// event_loop.run()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId {
    pub(crate) slot: u32,
    pub(crate) serial: u64,
}
