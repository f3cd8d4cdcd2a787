//! The transport of one connection: the border between this crate and a runtime's sockets.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use sansws_core::connection::SendProgress;
use sansws_core::time::Instant;

/// A byte stream with a clock and an alarm, over which a connection is driven.
///
/// `poll_read` and `poll_write` register the context's waker when they are pending, separately, and only the newest, as sockets of tokio
/// and smol do. The clock decides whether a deadline has passed; the alarm only wakes.
pub trait Transport {
    /// Reads into `into`; returns 0 at the end of input.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes from the front of `from`, and returns how much.
    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[IoSlice<'_>])
    -> Poll<io::Result<usize>>;

    /// Sends data that was written but is still buffered, as under TLS.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Shuts down the writing side; reading goes on.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Returns how much of the output the peer has taken, if the operating system tells. Called before a silent peer is judged, not for
    /// each write.
    fn send_progress(&self) -> Option<SendProgress> {
        None
    }

    /// Returns the current time. The adapter chooses the epoch.
    fn now(&self) -> Instant;

    /// Sets the only alarm, replacing an earlier one.
    fn set_alarm(&mut self, at: Instant);

    /// Is ready once the alarm's time has passed. Never called before an alarm is set.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}
