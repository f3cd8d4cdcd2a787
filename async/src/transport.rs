//! The transport of one connection: the border between this crate and a runtime's sockets.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use sansws_core::connection::SendProgress;
use sansws_core::time::Instant;

/// A byte stream with a clock and an alarm, over which a connection is driven.
///
/// `poll_read` and `poll_write` register the context's waker when they are pending, separately, and only the newest, as sockets of tokio
/// and smol do. The clock decides whether a deadline has passed; the alarm only wakes.
///
/// Handlers that are generic over it run on each runtime, over each kind of stream, and in tests:
///
/// ```
/// use sansws_async::{Result, Transport, Upgrade};
///
/// async fn echo<T: Transport>(upgrade: Upgrade<T>) -> Result {
///     let mut socket = upgrade.accept().await?;
///     while let Some(message) = socket.receive().await? {
///         socket.send(message).await?;
///     }
///     Ok(())
/// }
/// # use sansws_async::test_kit::{MemoryTransport, TestServer};
/// # TestServer::over(echo, Default::default(), MemoryTransport::new).unwrap();
/// ```
pub trait Transport {
    /// Reads into `into`; returns 0 at the end of input.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Appends to `into`, within its spare capacity, of which there is some; returns 0 at the end of input. When it is pending or fails,
    /// nothing was appended.
    fn poll_append(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        append(into, |room| self.poll_read(cx, room))
    }

    /// Writes from the front of `from`, and returns how much.
    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[IoSlice<'_>])
    -> Poll<io::Result<usize>>;

    /// Sends data that was written but is still buffered, as under TLS.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Shuts down the writing side; reading goes on.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Returns whether dropping it closes it in order: its peer reads all that was written, and then the end of input. This is so for a socket of
    /// which all input was read, and not for a stream that buffers output itself. After the closing handshake, a server then drops it at once,
    /// and does not wait for the peer's end.
    fn closes_when_dropped(&self) -> bool {
        false
    }

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

/// Number of zeros to read into: a TLS record is no longer.
const ZEROS: usize = 16 << 10;

/// Appends what `read` stores in zeros: for streams that cannot read into memory that is not initialized.
pub(crate) fn append(
    into: &mut Vec<u8>,
    read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<usize>> {
    let start = into.len();
    into.resize(into.capacity().min(start + ZEROS), 0);
    let done = read(into.get_mut(start..).unwrap_or_default());
    let count = match &done {
        Poll::Ready(Ok(count)) => *count,
        Poll::Ready(Err(_)) | Poll::Pending => 0,
    };
    into.truncate(start + count);
    done
}
