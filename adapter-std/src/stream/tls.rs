//! TLS over a socket that does not block.
//! RFC 6455 section 4.1; rustls implements TLS.
//! Knows no WebSocket.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use sansws_common::Error;
use sansws_common::tls::{server_name, system_client};
use sansws_core::time::Instant;

use super::{Socket, Stream};
use crate::poll::Interest;

/// The state of TLS on one connection, perhaps inside the TLS of a proxy.
#[derive(Debug)]
pub(crate) struct TlsStream {
    connection: Connection,
    outer: Option<Box<Self>>,
}

/// What TLS reads from and writes to.
struct Below<'a> {
    socket: &'a Socket,
    outer: Option<&'a mut Box<TlsStream>>,
}

impl Read for Below<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.outer {
            Some(outer) => outer.read(self.socket, into),
            None => Read::read(&mut self.socket, into),
        }
    }
}

impl Write for Below<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(from)])
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.outer {
            Some(outer) => outer.write(self.socket, from),
            None => Write::write_vectored(&mut self.socket, from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.outer {
            Some(outer) => outer.flush(self.socket),
            None => Ok(()),
        }
    }
}

impl TlsStream {
    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    fn parts<'a>(&'a mut self, socket: &'a Socket) -> (&'a mut Connection, Below<'a>) {
        let outer = self.outer.as_mut();
        (&mut self.connection, Below { socket, outer })
    }

    /// Reads decrypted data; records that make none are processed on the way.
    pub(crate) fn read(&mut self, socket: &Socket, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            self.receive(socket)?;
        }
    }

    /// Reads and processes records. Returns the number of bytes read: 0 at the end of TCP.
    fn receive(&mut self, socket: &Socket) -> io::Result<usize> {
        let (connection, mut below) = self.parts(socket);
        let count = connection.read_tls(&mut below)?;
        if let Err(error) = connection.process_new_packets() {
            // The peer is told why.
            let _ = self.flush(socket);
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(count)
    }

    /// Encrypts data, and sends what the socket takes.
    pub(crate) fn write(&mut self, socket: &Socket, from: &[IoSlice<'_>]) -> io::Result<usize> {
        // What is left from before is first, so that little is buffered.
        self.flush(socket)?;
        let count = self.connection.writer().write_vectored(from)?;
        match self.flush(socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    pub(crate) fn flush(&mut self, socket: &Socket) -> io::Result<()> {
        let (connection, mut below) = self.parts(socket);
        while connection.wants_write() {
            connection.write_tls(&mut below)?;
        }
        below.flush()
    }

    /// Tells the peer that no more data follows.
    pub(crate) fn close(&mut self, socket: &Socket) -> io::Result<()> {
        self.connection.send_close_notify();
        self.flush(socket)
    }

    pub(crate) fn has_unsent(&self) -> bool {
        self.connection.wants_write() || self.outer.as_ref().is_some_and(|tls| tls.has_unsent())
    }

    /// Shakes hands until `deadline`.
    fn shake_hands(&mut self, socket: &Socket, deadline: Option<Instant>) -> Result<(), Error> {
        loop {
            if let Err(error) = self.flush(socket) {
                if error.kind() != io::ErrorKind::WouldBlock {
                    return Err(error.into());
                }
                socket.wait_until(Interest::WRITE, deadline)?;
                continue;
            }
            if !self.connection.is_handshaking() {
                return Ok(());
            }
            match self.receive(socket) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    socket.wait_until(Interest::READ, deadline)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Shakes hands with the server `host`, which must present a certificate for that name. Without a configuration, the roots of the system
/// are trusted.
pub(crate) fn connect(
    stream: Stream,
    host: &str,
    config: Option<&Arc<ClientConfig>>,
    deadline: Option<Instant>,
) -> Result<Stream, Error> {
    let config = match config {
        Some(config) => Arc::clone(config),
        None => system_client(None)?,
    };
    let connection = ClientConnection::new(config, server_name(host)?).map_err(Error::other)?;
    secure(stream, connection.into(), deadline)
}

/// Shakes hands with a client.
pub(crate) fn accept(
    stream: Stream,
    config: Arc<ServerConfig>,
    deadline: Option<Instant>,
) -> Result<Stream, Error> {
    let connection = ServerConnection::new(config).map_err(Error::other)?;
    secure(stream, connection.into(), deadline)
}

fn secure(
    stream: Stream,
    connection: Connection,
    deadline: Option<Instant>,
) -> Result<Stream, Error> {
    stream.secured(|socket, outer| {
        let mut tls = TlsStream { connection, outer };
        tls.shake_hands(socket, deadline)?;
        Ok(tls)
    })
}
