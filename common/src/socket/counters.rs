//! The traffic of a connection, in numbers.

/// The traffic of a connection.
///
/// ```
/// use sansws_common::Counters;
///
/// fn log(counters: &Counters) -> String { // of `WebSocket::counters`
///     format!("{} messages received, {} sent", counters.received, counters.sent)
/// }
///
/// assert_eq!(log(&Counters::default()), "0 messages received, 0 sent");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Messages received; one received in chunks counts once.
    pub received: u64,
    /// Messages sent.
    pub sent: u64,
    /// Bytes read from the transport, including headers and control frames.
    pub bytes_received: u64,
    /// Bytes written to the transport.
    pub bytes_sent: u64,
    /// Received messages that were dropped because they exceeded the rate limits.
    pub dropped: u64,
}
