//! What the backplane has done.
//! Plain values.

/// Counters of the link to Redis, since the process began.
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
    /// Messages that were sent to be published.
    pub published: u64,
    /// Steps in which they were published: what comes while one is on its way goes together.
    pub batches: u64,
    /// Messages of which nobody knows whether they were published: the connection was lost meanwhile.
    pub uncertain: u64,
    /// Messages that were received.
    pub received: u64,
    /// How often received messages were framed: once each, however many nodes and members receive them.
    pub encodes: u64,
    /// How often they were compressed.
    pub deflates: u64,
    /// What was received and not understood, since a newer server wrote it.
    pub unknown: u64,
    /// What was received and was malformed.
    pub malformed: u64,
    /// How often a node was cleared away after its lease had ended: each is so twice, a lease apart.
    pub swept: u64,
    /// How often a node of this process was given up though it was there.
    pub given_up: u64,
}
