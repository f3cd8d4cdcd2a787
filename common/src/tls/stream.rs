//! TLS over a socket that does not block.
//! RFC 6455 section 4.1; rustls implements TLS.
//! Knows no WebSocket, and waits for nothing.

use std::io::{self, IoSlice, Read, Write};

use rustls::Connection;

use super::explain;

/// The state of TLS on one connection, perhaps inside the TLS of a proxy. The socket is passed to each call.
#[derive(Debug)]
pub struct TlsStream {
    connection: Connection,
    outer: Option<Box<Self>>,
    /// Why nothing follows what was decrypted.
    failed: Option<io::Error>,
}

/// The stream under TLS.
struct Below<'a, S> {
    socket: &'a S,
    outer: Option<&'a mut Box<TlsStream>>,
}

impl<S> Read for Below<'_, S>
where
    for<'s> &'s S: Read + Write,
{
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.outer {
            Some(outer) => outer.read(self.socket, into),
            None => (&mut &*self.socket).read(into),
        }
    }
}

impl<S> Write for Below<'_, S>
where
    for<'s> &'s S: Read + Write,
{
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(from)])
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.outer {
            Some(outer) => outer.write(self.socket, from),
            None => (&mut &*self.socket).write_vectored(from),
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
    /// Starts TLS on a socket, or inside the TLS that it already has.
    pub const fn new(connection: Connection, outer: Option<Box<Self>>) -> Self {
        Self {
            connection,
            outer,
            failed: None,
        }
    }

    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    fn parts<'a, S>(&'a mut self, socket: &'a S) -> (&'a mut Connection, Below<'a, S>) {
        let outer = self.outer.as_mut();
        (&mut self.connection, Below { socket, outer })
    }

    /// Reads decrypted data; records that make none are processed on the way. An alert or a broken record ends what arrived before it, and does
    /// not undo that.
    pub fn read<S>(&mut self, socket: &S, into: &mut [u8]) -> io::Result<usize>
    where
        for<'s> &'s S: Read + Write,
    {
        loop {
            match self.connection.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            match self.receive(socket) {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    self.failed = Some(error);
                }
                received => drop(received?),
            }
        }
    }

    /// Reads and processes records. Returns the number of bytes read: 0 at the end of TCP.
    pub fn receive<S>(&mut self, socket: &S) -> io::Result<usize>
    where
        for<'s> &'s S: Read + Write,
    {
        let (connection, mut below) = self.parts(socket);
        let count = connection.read_tls(&mut below)?;
        let shakes_hands = connection.is_handshaking();
        if let Err(error) = connection.process_new_packets() {
            // The peer is told why.
            let _ = self.flush(socket);
            let error = io::Error::new(io::ErrorKind::InvalidData, error);
            return Err(if shakes_hands { explain(error) } else { error });
        }
        Ok(count)
    }

    /// Encrypts data, and sends what the socket takes.
    pub fn write<S>(&mut self, socket: &S, from: &[IoSlice<'_>]) -> io::Result<usize>
    where
        for<'s> &'s S: Read + Write,
    {
        // Earlier records go first, so that little is buffered.
        self.flush(socket)?;
        let count = self.connection.writer().write_vectored(from)?;
        match self.flush(socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    pub fn flush<S>(&mut self, socket: &S) -> io::Result<()>
    where
        for<'s> &'s S: Read + Write,
    {
        let (connection, mut below) = self.parts(socket);
        while connection.wants_write() {
            connection.write_tls(&mut below)?;
        }
        below.flush()
    }

    /// Tells the peer that no more data follows.
    pub fn close<S>(&mut self, socket: &S) -> io::Result<()>
    where
        for<'s> &'s S: Read + Write,
    {
        self.connection.send_close_notify();
        self.flush(socket)
    }

    pub fn has_unsent(&self) -> bool {
        self.connection.wants_write() || self.outer.as_ref().is_some_and(|tls| tls.has_unsent())
    }

    /// Goes on with the handshake; `true` once it is done.
    ///
    /// # Errors
    /// `WouldBlock` when the socket must be ready first: for writing if something is [unsent](Self::has_unsent), otherwise for reading.
    pub fn shake_hands<S>(&mut self, socket: &S) -> io::Result<()>
    where
        for<'s> &'s S: Read + Write,
    {
        loop {
            self.flush(socket)?;
            if !self.connection.is_handshaking() {
                return Ok(());
            }
            if self.receive(socket)? == 0 {
                return Err(explain(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}
