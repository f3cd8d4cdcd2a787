//! The streams under a connection: sockets that this crate waits for, and any other stream of bytes.
//! Knows no WebSocket.

mod blocking;
mod socket;
#[cfg(feature = "tls")]
mod tls;

pub use blocking::BlockingStream;
pub use socket::Socket;
pub(crate) use socket::time_left;
#[cfg(feature = "tls")]
pub(crate) use tls::{accept, connect};

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::Arc;

#[cfg(feature = "tls")]
use sansws_common::Error;

#[cfg(feature = "tls")]
use tls::TlsStream;

/// A stream of bytes in both directions.
///
/// Every `Read + Write` is one. Its calls may block, and it may fail with [`WouldBlock`](io::ErrorKind::WouldBlock) instead. Only a
/// [`Stream`] of this crate can be waited for with a deadline.
///
/// ```
/// use std::os::unix::net::UnixStream;
/// use std::thread;
/// use sansws_std::{ConnectOptions, Result, accept, connect_over};
///
/// # fn main() -> Result {
/// // Any `Read + Write`, such as a pipe, a serial line, or your own TLS.
/// let (ours, theirs) = UnixStream::pair()?;
/// let server = thread::spawn(move || -> Result {
///     Ok(accept(theirs, Default::default())?.accept()?.send_text("hello")?)
/// });
/// let url = "ws://localhost/";
/// let mut socket = connect_over(ours, url, ConnectOptions::default())?;
/// assert_eq!(socket.receive_text()?.as_deref(), Some("hello"));
/// server.join().expect("the server does not panic")?;
/// # Ok(())
/// # }
/// ```
pub trait ByteStream {
    /// Reads into `into`; returns 0 at the end of input.
    #[doc(hidden)]
    fn read_some(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// Writes from the front of `from`, and returns the number of bytes taken.
    #[doc(hidden)]
    fn write_some(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Sends data that was written but is still buffered.
    #[doc(hidden)]
    fn flush_all(&mut self) -> io::Result<()>;

    /// Shuts down the writing side; reading goes on.
    #[doc(hidden)]
    fn shut_down(&mut self) -> io::Result<()> {
        self.flush_all()
    }

    /// Returns whether dropping it closes it in order, if all input was read: TLS sends `close_notify` first.
    #[doc(hidden)]
    fn closes_when_dropped(&self) -> bool {
        false
    }

    /// Returns whether the stream has output of its own, such as TLS alerts.
    #[doc(hidden)]
    fn has_unsent(&self) -> bool {
        false
    }

    /// Returns whether the last read took everything that had arrived.
    #[doc(hidden)]
    fn is_drained(&self) -> bool {
        false
    }

    /// Returns the socket that can be waited for.
    #[doc(hidden)]
    fn socket(&self) -> Option<&Arc<Socket>> {
        None
    }
}

impl<S: Read + Write> ByteStream for S {
    fn read_some(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.read(into)
    }

    fn write_some(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        match from {
            [one] => self.write(one),
            many => self.write_vectored(many),
        }
    }

    fn flush_all(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// A stream of a server or a client: TCP, a Unix socket, TLS over either.
///
/// Its socket does not block: calls of a connection wait for it with a deadline, and hold no lock meanwhile.
///
/// ```
/// use std::os::unix::net::UnixStream;
/// use sansws_std::{Socket, Stream};
///
/// let (ours, _theirs) = UnixStream::pair()?;
/// let stream = Stream::unix(ours)?;
/// assert!(matches!(stream.socket(), Socket::Unix(_)));
/// assert_eq!((stream.peer_addr(), stream.is_secure()), (None, false));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Stream {
    socket: Arc<Socket>,
    #[cfg(feature = "tls")]
    tls: Option<Box<TlsStream>>,
    /// The last read took everything.
    drained: bool,
}

impl Stream {
    /// Takes a TCP connection, and sets `TCP_NODELAY`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn tcp(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        Self::new(Socket::Tcp(socket))
    }

    /// Takes a connection over a Unix socket.
    ///
    /// # Errors
    /// Those of the system.
    #[cfg(unix)]
    pub fn unix(socket: UnixStream) -> io::Result<Self> {
        Self::new(Socket::Unix(socket))
    }

    fn new(socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: Arc::new(socket),
            #[cfg(feature = "tls")]
            tls: None,
            drained: false,
        })
    }

    /// Adds TLS, inside what there is.
    #[cfg(feature = "tls")]
    pub(crate) fn secured(
        mut self,
        shake_hands: impl FnOnce(&Socket, Option<Box<TlsStream>>) -> Result<TlsStream, Error>,
    ) -> Result<Self, Error> {
        let tls = shake_hands(&self.socket, self.tls.take())?;
        self.tls = Some(Box::new(tls));
        Ok(self)
    }

    /// Returns whether it uses TLS.
    pub const fn is_secure(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// Returns its socket. It does not block: reading or writing it directly would tear frames.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Returns the TLS connection: the peer's certificates, the protocol version.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<&rustls::Connection> {
        self.tls.as_ref().map(|tls| tls.connection())
    }

    /// Returns the address of the peer; a Unix socket has none.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match &*self.socket {
            Socket::Tcp(socket) => socket.peer_addr().ok(),
            #[cfg(unix)]
            Socket::Unix(_) => None,
        }
    }

    /// Returns the stream as `Read` and `Write`.
    pub const fn into_blocking(self) -> BlockingStream {
        BlockingStream::new(self)
    }

    /// Returns the socket, which blocks again; `None` while another handle shares it. The state of TLS is lost:
    /// [`into_blocking`](Self::into_blocking) keeps it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn into_socket(self) -> io::Result<Option<Socket>> {
        let Some(socket) = Arc::into_inner(self.socket) else {
            return Ok(None);
        };
        socket.set_nonblocking(false)?;
        Ok(Some(socket))
    }
}

impl ByteStream for Stream {
    fn read_some(&mut self, into: &mut [u8]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return tls.read(&*self.socket, into);
        }
        let read = self.socket.read(into);
        self.drained = matches!(read, Ok(count) if count > 0 && count < into.len());
        read
    }

    fn write_some(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return tls.write(&*self.socket, from);
        }
        self.socket.write(from)
    }

    fn flush_all(&mut self) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return tls.flush(&*self.socket);
        }
        Ok(())
    }

    fn shut_down(&mut self) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            tls.close(&*self.socket)?;
        }
        self.socket.shutdown(Shutdown::Write)
    }

    fn closes_when_dropped(&self) -> bool {
        !self.is_secure()
    }

    fn has_unsent(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.has_unsent();
        }
        false
    }

    fn is_drained(&self) -> bool {
        self.drained
    }

    fn socket(&self) -> Option<&Arc<Socket>> {
        Some(&self.socket)
    }
}
