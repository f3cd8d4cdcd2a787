//! The least that a fan-out can cost: one thread, one loop, one vectored write
//! of all messages that were read together, for each connection.
//!
//! It speaks only as much WebSocket as the load does: whole, short, masked data
//! frames in, and no closing handshake.

use std::io::{ErrorKind, IoSlice, Read, Result, Write};
use std::net::TcpListener;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};

use crate::load::accept_key;
use crate::runtime::ServeResult;
use crate::scenario::Mode;

const LISTENER: Token = Token(usize::MAX);

/// A connection that owes more octets than this misses what is published.
const BEHIND: usize = 64 << 10;

pub(super) fn serve(listener: TcpListener, _: Mode) -> ServeResult {
    listener.set_nonblocking(true)?;
    let mut listener = mio::net::TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut frames = Vec::new();
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, poll.registry(), &mut connections)?;
                continue;
            }
            let Some(slot) = connections.get_mut(event.token().0) else {
                continue;
            };
            let Some(connection) = slot else { continue };
            let alive = connection
                .flush()
                .and_then(|()| connection.read(&mut buffer, &mut frames));
            if !matches!(alive, Ok(true)) {
                *slot = None;
            }
            publish(&mut connections, &mut frames);
        }
    }
}

fn accept(
    listener: &mio::net::TcpListener,
    registry: &Registry,
    connections: &mut Vec<Option<Connection>>,
) -> Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        registry.register(
            &mut stream,
            Token(connections.len()),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        connections.push(Some(Connection {
            stream,
            open: false,
            input: Vec::new(),
            owed: Vec::new(),
        }));
    }
}

/// Writes the frames, and forgets them.
fn publish(connections: &mut [Option<Connection>], frames: &mut Vec<Vec<u8>>) {
    if frames.is_empty() {
        return;
    }
    let slices: Vec<_> = frames.iter().map(|frame| IoSlice::new(frame)).collect();
    for slot in connections {
        if let Some(connection) = slot
            && connection.open
            && connection.write(&slices).is_err()
        {
            *slot = None;
        }
    }
    drop(slices);
    frames.clear();
}

struct Connection {
    stream: TcpStream,
    /// Whether the handshake is done.
    open: bool,
    /// Bytes that were read, of an incomplete frame.
    input: Vec<u8>,
    /// Bytes that the socket did not take.
    owed: Vec<u8>,
}

impl Connection {
    fn write(&mut self, slices: &[IoSlice<'_>]) -> Result<()> {
        let mut taken = 0;
        if self.owed.is_empty() {
            match self.stream.write_vectored(slices) {
                Ok(count) => taken = count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        } else if self.owed.len() > BEHIND {
            return Ok(());
        }
        for slice in slices {
            let skipped = taken.min(slice.len());
            taken -= skipped;
            self.owed.extend_from_slice(&slice[skipped..]);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        while !self.owed.is_empty() {
            match self.stream.write(&self.owed) {
                Ok(count) => drop(self.owed.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there, and adds what is to be published; false at the end.
    fn read(&mut self, buffer: &mut [u8], frames: &mut Vec<Vec<u8>>) -> Result<bool> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            };
            self.input.extend_from_slice(&buffer[..count]);
            if !self.open {
                self.shake_hands()?;
            }
            if self.open {
                while let Some((frame, used)) = parse(&self.input) {
                    frames.push(frame);
                    self.input.drain(..used);
                }
            }
            // A short read has emptied the socket.
            if count < buffer.len() {
                if self.input.is_empty() {
                    self.input = Vec::new();
                }
                return Ok(true);
            }
        }
    }

    /// Answers the request once it is whole.
    fn shake_hands(&mut self) -> Result<()> {
        let Some(head) = self.input.strip_suffix(b"\r\n\r\n") else {
            return Ok(());
        };
        let head = String::from_utf8_lossy(head);
        let key = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
            .map_or("", |(_, value)| value);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\n\
             Upgrade: websocket\r\n\
             Connection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            accept_key(key)
        );
        self.input.clear();
        self.open = true;
        self.stream.write_all(answer.as_bytes())
    }
}

/// A frame as it goes out, and how many octets it had when it came.
fn parse(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let [first, second, rest @ ..] = input else {
        return None;
    };
    let length = usize::from(second & 0x7f);
    let (mask, rest) = rest.split_at_checked(4)?;
    let payload = rest.get(..length)?;
    let mut frame = vec![*first, second & 0x7f];
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
    Some((frame, 6 + length))
}
