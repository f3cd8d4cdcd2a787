//! Plain TCP echo on one loop over epoll: the least that an echo costs.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::TcpListener;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::TCP_BUFFER;
use crate::runtime::ServeResult;
use crate::scenario::Mode;

const LISTENER: Token = Token(usize::MAX);

pub(super) fn serve(listener: TcpListener, _: Mode) -> ServeResult {
    listener.set_nonblocking(true)?;
    let mut listener = mio::net::TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    let registry = poll.registry().try_clone()?;
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; TCP_BUFFER];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let both = Interest::READABLE | Interest::WRITABLE;
                    registry.register(&mut stream, Token(connections.len()), both)?;
                    let owed = Vec::new();
                    connections.push(Some(Connection { stream, owed }));
                }
                continue;
            }
            let Some(slot) = connections.get_mut(event.token().0) else {
                continue;
            };
            let Some(connection) = slot else { continue };
            if !matches!(connection.turn(&mut buffer), Ok(true)) {
                *slot = None;
            }
        }
    }
}

/// A connection, and what it was not sent back yet.
struct Connection {
    stream: TcpStream,
    owed: Vec<u8>,
}

impl Connection {
    /// Echoes until the socket has no more, or takes no more. Returns whether it goes on.
    fn turn(&mut self, buffer: &mut [u8]) -> Result<bool> {
        loop {
            while !self.owed.is_empty() {
                match self.stream.write(&self.owed) {
                    Ok(count) => drop(self.owed.drain(..count)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                    Err(error) => return Err(error),
                }
            }
            let count = match self.stream.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            };
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                match self.stream.write(rest) {
                    Ok(written) => rest = &rest[written..],
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.owed.extend_from_slice(rest);
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            // A short read means that nothing is left.
            if count < buffer.len() && self.owed.is_empty() {
                return Ok(true);
            }
        }
    }
}
