//! What carries the bytes of one connection: the border between this crate and a runtime's sockets.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use sansws_core::connection::SendProgress;
use sansws_core::time::Instant;

/// A byte stream with a clock and an alarm, over which a connection is driven.
///
/// `poll_read` and `poll_write` register the waker of the context when they are pending, each for itself, the newest only:
/// what sockets of tokio and smol do. The clock decides whether a deadline has passed, the alarm only wakes.
pub trait Transport {
    /// Reads into `into`; 0 is the end of input.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes from the front of `from`, and says how much.
    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[IoSlice<'_>])
    -> Poll<io::Result<usize>>;

    /// Sends what was written but is still buffered, as under TLS.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the writing side; reading goes on.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// How far the peer has taken what was written, if the operating system tells. Asked before a silent peer is judged, not for
    /// each write.
    fn send_progress(&self) -> Option<SendProgress> {
        None
    }

    /// What time it is. The epoch is the adapter's.
    fn now(&self) -> Instant;

    /// Sets the one alarm, in place of the one before.
    fn set_alarm(&mut self, at: Instant);

    /// Ready once the alarm's moment has passed. Never called before an alarm is set.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}
