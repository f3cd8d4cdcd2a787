//! Sockets without TLS, and waiting for them.
//! Knows no WebSocket.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use sansws_common::Error;
use sansws_core::connection::SendProgress;
use sansws_core::time::Instant;

use crate::clock::now;
use crate::poll::{AsSource, Interest, Source, wait};

/// A connected socket, without TLS.
///
/// For an example see [`Stream`](super::Stream).
#[derive(Debug)]
#[non_exhaustive]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Socket {
    pub(super) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => (&mut &*socket).read(into),
            #[cfg(unix)]
            Self::Unix(socket) => (&mut &*socket).read(into),
        }
    }

    pub(super) fn write(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => write(socket, from),
            #[cfg(unix)]
            Self::Unix(socket) => write(socket, from),
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.shutdown(how),
            #[cfg(unix)]
            Self::Unix(socket) => socket.shutdown(how),
        }
    }

    pub(super) fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nonblocking(on),
            #[cfg(unix)]
            Self::Unix(socket) => socket.set_nonblocking(on),
        }
    }

    /// Returns what a wait needs.
    pub(crate) fn source(&self) -> Source<'_> {
        match self {
            #[cfg(unix)]
            Self::Tcp(socket) => socket.as_fd(),
            #[cfg(windows)]
            Self::Tcp(socket) => socket.as_socket(),
            #[cfg(unix)]
            Self::Unix(socket) => socket.as_fd(),
        }
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// [`Error::ConnectTimeout`] at the deadline.
    pub(crate) fn wait_until(
        &self,
        interest: Interest,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        wait(&[(self.source(), interest)], time_left(deadline)?)?;
        Ok(())
    }

    /// Returns how much of the output the peer has taken, if the operating system tells.
    pub(crate) fn send_progress(&self) -> Option<SendProgress> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Tcp(socket) => sansws_common::progress::send_progress(socket),
            _ => None,
        }
    }
}

/// Writes slices, a single one by the cheaper call.
fn write(mut socket: impl Write, from: &[IoSlice<'_>]) -> io::Result<usize> {
    match from {
        [one] => socket.write(one),
        many => socket.write_vectored(many),
    }
}

/// Returns the time until the deadline.
///
/// # Errors
/// [`Error::ConnectTimeout`] when there is none left.
pub(crate) fn time_left(deadline: Option<Instant>) -> Result<Option<Duration>, Error> {
    match deadline.map(|deadline| deadline.since(now())) {
        Some(left) if left.is_zero() => Err(Error::ConnectTimeout(None)),
        left => Ok(left),
    }
}

impl Read for &Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Socket::read(self, into)
    }
}

impl Write for &Socket {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        Socket::write(self, &[IoSlice::new(from)])
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        Socket::write(self, from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
