//! A connected socket that does not block: TCP, a Unix socket, TLS over TCP.
//! Knows no WebSocket.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use rustix::buffer::spare_capacity;
use rustix::fd::AsFd;
use rustix::net::{RecvFlags, recv};
#[cfg(feature = "tls")]
use sansws_common::tls::stream::TlsStream;
use sansws_core::connection::SendProgress;

/// Length of a TLS record.
#[cfg(feature = "tls")]
const RECORD: usize = 16 << 10;

/// The stream of a connection.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: Socket,
    #[cfg(feature = "tls")]
    tls: Option<Box<TlsStream>>,
}

#[derive(Debug)]
enum Socket {
    /// Not connected yet.
    None,
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// The result of a read that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Number of bytes; 0 at the end of input.
    pub(crate) count: usize,
    /// Nothing more has arrived.
    pub(crate) drained: bool,
}

impl Stream {
    pub(crate) const fn unconnected() -> Self {
        Self::new(Socket::None)
    }

    pub(crate) const fn tcp(socket: TcpStream) -> Self {
        Self::new(Socket::Tcp(socket))
    }

    #[cfg(unix)]
    pub(crate) const fn unix(socket: UnixStream) -> Self {
        Self::new(Socket::Unix(socket))
    }

    const fn new(socket: Socket) -> Self {
        Self {
            socket,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Registers for everything that can happen.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match self.source() {
            Some(source) => source.register(registry, token, both),
            None => Err(unconnected()),
        }
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) {
        // Dropping the socket would do on most systems.
        if let Some(source) = self.source() {
            let _ = source.deregister(registry);
        }
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        match &mut self.socket {
            Socket::None => None,
            Socket::Tcp(socket) => Some(socket),
            #[cfg(unix)]
            Socket::Unix(socket) => Some(socket),
        }
    }

    #[cfg(feature = "tls")]
    pub(crate) const fn is_tcp(&self) -> bool {
        matches!(self.socket, Socket::Tcp(_))
    }

    /// Adds TLS, inside what there is.
    #[cfg(feature = "tls")]
    pub(crate) fn secure(&mut self, connection: rustls::Connection) {
        let outer = self.tls.take();
        self.tls = Some(Box::new(TlsStream::new(connection, outer)));
    }

    /// Returns the state of TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn tls(&self) -> Option<&rustls::Connection> {
        self.tls.as_ref().map(|tls| tls.connection())
    }

    /// Goes on with the TLS handshake, if there is TLS.
    ///
    /// # Errors
    /// `WouldBlock` when the socket must be ready first.
    #[cfg(feature = "tls")]
    pub(crate) fn shake_hands(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            return match &self.socket {
                Socket::None => return Err(unconnected()),
                Socket::Tcp(socket) => tls.shake_hands(socket),
                #[cfg(unix)]
                Socket::Unix(socket) => tls.shake_hands(socket),
            };
        }
        Ok(())
    }

    /// Reads once.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<Arrived> {
        let room = into.len();
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            let count = match &self.socket {
                Socket::None => return Err(unconnected()),
                Socket::Tcp(socket) => tls.read(socket, into)?,
                #[cfg(unix)]
                Socket::Unix(socket) => tls.read(socket, into)?,
            };
            // More may have been decrypted than there was room for.
            return Ok(Arrived {
                count,
                drained: false,
            });
        }
        let count = match &mut self.socket {
            Socket::None => return Err(unconnected()),
            Socket::Tcp(socket) => socket.read(into)?,
            #[cfg(unix)]
            Socket::Unix(socket) => socket.read(into)?,
        };
        // A stream that returned less than was asked for has no more; elsewhere than on Unix, only `WouldBlock` arms the event again.
        let drained = cfg!(unix) && count < room;
        Ok(Arrived { count, drained })
    }

    /// Appends to `into`, within its spare capacity.
    pub(crate) fn append(&mut self, into: &mut Vec<u8>) -> io::Result<Arrived> {
        let room = into.capacity() - into.len();
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            let start = into.len();
            into.resize(start + room.min(RECORD), 0);
            let read = self.read(into.get_mut(start..).unwrap_or_default());
            into.truncate(start + read.as_ref().map_or(0, |arrived| arrived.count));
            return read;
        }
        let (count, _) = match &self.socket {
            Socket::None => return Err(unconnected()),
            Socket::Tcp(socket) => socket.try_io(|| append(socket, into))?,
            #[cfg(unix)]
            Socket::Unix(socket) => socket.try_io(|| append(socket, into))?,
        };
        let drained = cfg!(unix) && count < room;
        Ok(Arrived { count, drained })
    }

    /// Writes; TLS may accept bytes that the socket does not take yet: see [`has_unsent`](Self::has_unsent).
    pub(crate) fn write(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return match &self.socket {
                Socket::None => return Err(unconnected()),
                Socket::Tcp(socket) => tls.write(socket, from),
                #[cfg(unix)]
                Socket::Unix(socket) => tls.write(socket, from),
            };
        }
        match &mut self.socket {
            Socket::None => Err(unconnected()),
            Socket::Tcp(socket) => write(socket, from),
            #[cfg(unix)]
            Socket::Unix(socket) => write(socket, from),
        }
    }

    /// Returns whether TLS holds bytes that were not sent.
    pub(crate) fn has_unsent(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.has_unsent();
        }
        false
    }

    /// Sends what TLS holds.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return match &self.socket {
                Socket::None => return Err(unconnected()),
                Socket::Tcp(socket) => tls.flush(socket),
                #[cfg(unix)]
                Socket::Unix(socket) => tls.flush(socket),
            };
        }
        Ok(())
    }

    /// Ends the writing side.
    ///
    /// # Errors
    /// `WouldBlock` when the `close_notify` of TLS could not be sent yet.
    pub(crate) fn shut_down(&mut self) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            match &self.socket {
                Socket::None => return Err(unconnected()),
                Socket::Tcp(socket) => tls.close(socket)?,
                #[cfg(unix)]
                Socket::Unix(socket) => tls.close(socket)?,
            }
        }
        match &self.socket {
            Socket::None => Err(unconnected()),
            Socket::Tcp(socket) => socket.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Socket::Unix(socket) => socket.shutdown(Shutdown::Write),
        }
    }

    /// Returns whether dropping it closes it in order, if all input was read: TLS sends `close_notify` first.
    #[cfg(feature = "tls")]
    pub(crate) const fn closes_when_dropped(&self) -> bool {
        self.tls.is_none()
    }

    /// Returns whether dropping it closes it in order, if all input was read.
    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "with TLS it is used")]
    pub(crate) const fn closes_when_dropped(&self) -> bool {
        true
    }

    /// Returns how much of the output the peer has taken, where the system tells.
    #[cfg(target_os = "linux")]
    pub(crate) fn send_progress(&self) -> Option<SendProgress> {
        match &self.socket {
            Socket::Tcp(socket) => sansws_common::progress::send_progress(socket),
            Socket::None | Socket::Unix(_) => None,
        }
    }

    /// Returns `None`: only Linux tells.
    #[cfg(not(target_os = "linux"))]
    pub(crate) const fn send_progress(&self) -> Option<SendProgress> {
        None
    }
}

fn append(socket: impl AsFd, into: &mut Vec<u8>) -> io::Result<(usize, usize)> {
    Ok(recv(socket, spare_capacity(into), RecvFlags::empty())?)
}

fn unconnected() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

fn write(socket: &mut impl Write, from: &[IoSlice<'_>]) -> io::Result<usize> {
    match from {
        [one] => socket.write(one),
        many => socket.write_vectored(many),
    }
}
