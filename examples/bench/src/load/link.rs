//! The transport of a client: TCP, or TLS over it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::tls;

/// Before and after the opening handshake: a stream that blocks, and one that
/// does not.
#[derive(Debug)]
pub(super) enum Link<S: Read + Write> {
    Plain(S),
    Tls(Box<StreamOwned<ClientConnection, S>>),
}

impl Link<TcpStream> {
    pub(super) fn new(stream: TcpStream, tls: Option<&Arc<ClientConfig>>) -> Result<Self> {
        let Some(config) = tls else {
            return Ok(Self::Plain(stream));
        };
        let name = ServerName::try_from(tls::NAME).context("a wrong name")?;
        let connection = ClientConnection::new(Arc::clone(config), name)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, stream))))
    }

    pub(super) fn nonblocking(self) -> Result<Link<mio::net::TcpStream>> {
        let convert = |stream: TcpStream| {
            stream.set_nonblocking(true)?;
            io::Result::Ok(mio::net::TcpStream::from_std(stream))
        };
        Ok(match self {
            Self::Plain(stream) => Link::Plain(convert(stream)?),
            Self::Tls(stream) => {
                let (connection, stream) = stream.into_parts();
                Link::Tls(Box::new(StreamOwned::new(connection, convert(stream)?)))
            }
        })
    }
}

impl<S: Read + Write> Link<S> {
    pub(super) fn stream(&mut self) -> &mut S {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &mut stream.sock,
        }
    }

    /// Whether a read that does not fill the buffer has emptied the socket.
    pub(super) fn empties(&self) -> bool {
        matches!(self, Self::Plain(_))
    }
}

impl<S: Read + Write> Read for Link<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl<S: Read + Write> Write for Link<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
