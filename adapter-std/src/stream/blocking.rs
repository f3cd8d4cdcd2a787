//! A stream whose calls block: for the protocol that follows a WebSocket.
//! Knows no WebSocket.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use super::{ByteStream, Stream};
use crate::poll::{Interest, wait};

/// A [`Stream`] as `Read` and `Write`, over TLS too: for the protocol that follows a WebSocket.
///
/// Its calls wait without a deadline.
///
/// ```
/// use std::io::{Read, Write};
/// use sansws_std::{Result, WebSocket};
///
/// /// Agrees on a protocol of lines, and goes on with it.
/// fn leave(mut socket: WebSocket) -> Result {
///     socket.send_text("lines, please")?;
///     let _agreed = socket.receive_text()?;
///     let Ok((stream, unread)) = socket.into_inner() else {
///         return Err("a server drives it".into());
///     };
///     let mut stream = stream.into_blocking();
///     stream.write_all(b"hello\n")?;
///     let mut answer = unread; // the first bytes may have arrived already
///     stream.read_to_end(&mut answer)?;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct BlockingStream(Stream);

impl BlockingStream {
    pub(super) const fn new(stream: Stream) -> Self {
        Self(stream)
    }

    /// Returns the stream.
    pub const fn get_ref(&self) -> &Stream {
        &self.0
    }

    /// Returns the stream, whose calls do not block.
    pub fn into_inner(self) -> Stream {
        self.0
    }

    /// Ends the output: TLS says so, and TCP. Reading goes on.
    ///
    /// # Errors
    /// Those of the system.
    pub fn shutdown_write(&mut self) -> io::Result<()> {
        self.repeat(Interest::WRITE, ByteStream::shut_down)
    }

    /// Repeats a call until it no longer would block.
    fn repeat<R>(
        &mut self,
        interest: Interest,
        mut call: impl FnMut(&mut Stream) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            if let Some(done) = unless_blocked(call(&mut self.0))? {
                return Ok(done);
            }
            // TLS may have something to say while it is read, and what was written before may be on its way.
            let is_stuck = unless_blocked(self.0.flush_all())?.is_none();
            let interest = Interest {
                write: interest.write || is_stuck,
                ..interest
            };
            wait(&[(self.0.socket().source(), interest)], None)?;
        }
    }
}

/// Returns `None` for a call that would have blocked.
fn unless_blocked<R>(result: io::Result<R>) -> io::Result<Option<R>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
        Ok(done) => Ok(Some(done)),
    }
}

impl Read for BlockingStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.repeat(Interest::READ, |stream| stream.read_some(into))
    }
}

impl Write for BlockingStream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(from)])
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        self.repeat(Interest::WRITE, |stream| stream.write_some(from))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.repeat(Interest::WRITE, ByteStream::flush_all)
    }
}
