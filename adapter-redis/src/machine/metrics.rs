//! Counters of the backplane.
//! Plain values.

/// Counters of the link to Redis, since the process started.
///
/// For an example see [`Status`](crate::Status), whose method `metrics` returns it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Connections that were made.
    pub connects: u64,
    /// Connections that were lost.
    pub disconnects: u64,
    /// Requests that were sent.
    pub requests: u64,
    /// Requests that Redis refused.
    pub refused: u64,
    /// Messages that were sent for publication.
    pub published: u64,
    /// Steps that published them: messages that arrive while a step is in flight share the next one.
    pub batches: u64,
    /// Messages that may or may not have been published, because the connection was lost meanwhile.
    pub uncertain: u64,
    /// Messages that were received.
    pub received: u64,
    /// Received messages that were framed, each once, however many nodes and members receive it.
    pub encodes: u64,
    /// Received messages that were compressed.
    pub deflates: u64,
    /// Received payloads that were skipped because a newer server wrote them.
    pub unknown: u64,
    /// Received payloads that were malformed.
    pub malformed: u64,
    /// Times that a node was cleared after its lease had ended; each is cleared twice, a lease apart.
    pub swept: u64,
    /// Times that a node of this process was given up although it was running.
    pub given_up: u64,
}
