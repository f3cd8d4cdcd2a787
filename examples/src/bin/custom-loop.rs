//! The core in your own event loop: an echo server over `mio`, many connections on one thread, no async.
//!
//! Run: `cargo run --release --bin custom-loop -- 127.0.0.1:9002`
//! See: `listening on ws://127.0.0.1:9002`; then connect with the `client` example. The numbered comments are the steps of
//! docs/embedding.md.

use std::collections::HashMap;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use sansws_core::config::Config;
use sansws_core::connection::endpoint::EndpointEvent;
use sansws_core::connection::{Endpoint, SendProgress, TransportAction};
use sansws_core::handshake::AcceptOptions;
use sansws_core::message::{Assembly, Payload};
use sansws_core::time::{Deadlines, Instant};

/// The token of the listener; those of connections start at 1.
const LISTENER: Token = Token(0);

/// Maximum number of bytes of one read.
const READ: usize = 64 << 10;

/// Capacity of a fresh buffer for output.
const WRITE: usize = 16 << 10;

/// Rounds of reading and writing after which the next connection has its turn.
const ROUNDS: usize = 8;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:9002");
    let listener = TcpListener::bind(address.parse().map_err(io::Error::other)?)?;
    println!("listening on ws://{}", listener.local_addr()?);
    Loop::new(listener)?.run()
}

/// The loop: a poll, a clock, and all connections.
struct Loop {
    listener: TcpListener,
    poll: Poll,
    clock: Clock,
    config: Arc<Config>,
    peers: HashMap<Token, Peer>,
    deadlines: Deadlines<Token>,
    next: usize,
    buffers: Buffers,
    /// Connections that have more to do after their turn.
    again: Vec<Token>,
}

/// State that a connection needs only during its turn; the loop has one for all.
struct Buffers {
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Loop {
    fn new(mut listener: TcpListener) -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry();
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            listener,
            poll,
            clock: Clock::start(),
            config: Arc::new(sansws_examples::config(true)),
            peers: HashMap::new(),
            deadlines: Deadlines::default(),
            next: 1,
            buffers: Buffers {
                input: vec![0; READ],
                output: Vec::with_capacity(WRITE),
            },
            again: Vec::new(),
        })
    }

    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            // 5. Sleep until a socket is ready, or a deadline may have passed.
            let now = self.clock.now();
            let next = self.deadlines.next();
            let mut wait = next.map(|at| at.since(now) + Duration::from_millis(1));
            if !self.again.is_empty() {
                wait = Some(Duration::ZERO);
            }
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let now = self.clock.now();
            for token in mem::take(&mut self.again) {
                self.turn(token, now, false);
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept(now)?;
                } else {
                    self.turn(event.token(), now, event.is_readable());
                }
            }
            while let Some(token) = self.deadlines.pop(now) {
                if let Some(peer) = self.peers.get_mut(&token) {
                    peer.tick(now);
                }
                self.turn(token, now, false);
            }
        }
    }

    fn accept(&mut self, now: Instant) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    eprintln!("accepting failed: {error}");
                    return Ok(());
                }
            };
            stream.set_nodelay(true)?;
            let token = Token(self.next);
            self.next += 1;
            let both = Interest::READABLE | Interest::WRITABLE;
            let registry = self.poll.registry();
            registry.register(&mut stream, token, both)?;
            let peer = Peer::new(stream, &self.config, now);
            self.deadlines.set(token, peer.endpoint.deadline());
            self.peers.insert(token, peer);
        }
    }

    /// One connection's turn: reads, answers, writes.
    fn turn(&mut self, token: Token, now: Instant, readable: bool) {
        let Some(peer) = self.peers.get_mut(&token) else {
            return;
        };
        // The poll reports each readiness once: remember it until a read would block.
        peer.readable |= readable;
        match peer.turn(now, &mut self.buffers) {
            Turn::Waits => {}
            Turn::Again => self.again.push(token),
            // 6c. Over: dropping the socket closes it.
            Turn::Over => {
                self.deadlines.remove(&token);
                self.peers.remove(&token);
                return;
            }
        }
        self.deadlines.set(token, peer.endpoint.deadline());
    }
}

/// The result of a turn.
enum Turn {
    /// The connection waits for its socket or its deadline.
    Waits,
    /// The connection could go on at once.
    Again,
    Over,
}

/// A connection, and its state between two turns.
struct Peer {
    stream: TcpStream,
    endpoint: Endpoint,
    assembly: Assembly,
    /// Bytes that were read but not consumed: part of a head or of a frame's header, or, if `held`, whole messages.
    kept: Vec<u8>,
    /// Receiving has stopped until the peer reads its output.
    held: bool,
    readable: bool,
    shut: bool,
}

impl Peer {
    fn new(stream: TcpStream, config: &Arc<Config>, now: Instant) -> Self {
        Self {
            stream,
            endpoint: Endpoint::server(Arc::clone(config), now),
            assembly: Assembly::default(),
            kept: Vec::new(),
            held: false,
            readable: false,
            shut: false,
        }
    }

    /// Does all that can be done now.
    fn turn(&mut self, now: Instant, buffers: &mut Buffers) -> Turn {
        // Output gathers in a buffer of the loop.
        let lent = mem::take(&mut buffers.output);
        buffers.output = self.endpoint.lend(lent).unwrap_or_default();
        let turn = self.rounds(now, &mut buffers.input);
        if let Some(buffer) = self.endpoint.reclaim() {
            buffers.output = buffer;
        }
        if buffers.output.capacity() == 0 {
            buffers.output.reserve(WRITE);
        }
        if !matches!(turn, Turn::Again) {
            self.endpoint.release();
            self.assembly.release();
        }
        turn
    }

    fn rounds(&mut self, now: Instant, buffer: &mut [u8]) -> Turn {
        for _ in 0..ROUNDS {
            // 4. Write first: unsent output decides whether to go on reading.
            self.write(now);
            match self.endpoint.transport_action() {
                TransportAction::Keep => {}
                // Input may follow: shut down only the writing side of TCP.
                TransportAction::Shutdown if self.shut => {}
                TransportAction::Shutdown => {
                    self.shut = true;
                    let _ = self.stream.shutdown(Shutdown::Write);
                }
                // 6a. Once everything that has arrived is read, a TCP socket may be closed.
                TransportAction::Close if self.readable => {}
                TransportAction::Close | TransportAction::Drop => return Turn::Over,
            }
            if !self.endpoint.wants_input() || !(self.held || self.readable) {
                return Turn::Waits;
            }
            // 1. Read: kept bytes come first, and new ones after them. Kept messages are shorter than the buffer: there is room.
            let kept = mem::take(&mut self.kept);
            let (front, room) = buffer.split_at_mut(kept.len());
            front.copy_from_slice(&kept);
            let arrived = if mem::take(&mut self.held) {
                0
            } else {
                self.read(room)
            };
            let bytes = buffer.get_mut(..kept.len() + arrived);
            self.receive(now, bytes.unwrap_or_default());
        }
        Turn::Again
    }

    /// Reads; returns 0 if nothing has arrived, or nothing ever will.
    fn read(&mut self, room: &mut [u8]) -> usize {
        match self.stream.read(room) {
            Ok(count) if count > 0 => return count,
            Err(error) if error.kind() == ErrorKind::Interrupted => return 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // 6b. Input ended: the normal end after the closing handshake, 1006 before it. It takes effect after kept input.
            Ok(_) | Err(_) => self.endpoint.end_of_input(),
        }
        self.readable = false;
        0
    }

    /// Receives whole events until the peer must first read its output; keeps the rest.
    fn receive(&mut self, now: Instant, mut bytes: &mut [u8]) {
        let endpoint = &mut self.endpoint;
        while endpoint.wants_input() {
            let step = match endpoint.receive(now, bytes, &mut self.assembly) {
                Ok(step) => step,
                // The answer to the peer, if any, is queued; discard the input.
                Err(error) => {
                    eprintln!("{error}");
                    return;
                }
            };
            let (consumed, more) = (step.consumed, step.event.is_some());
            // The event borrows the bytes and the assembly, not the endpoint: the answer can be sent while it is held.
            let answered = match step.event {
                // 2. The opening handshake: accept every valid request. `refuse` would send our own response.
                Some(EndpointEvent::Request(request)) => {
                    if let Err(error) = endpoint.accept(now, &request, AcceptOptions::default()) {
                        eprintln!("{error}");
                    }
                    Ok(())
                }
                // 3. Messages.
                Some(EndpointEvent::Text(text)) => endpoint.send_payload(Payload::Text(text)),
                Some(EndpointEvent::Binary(binary)) => {
                    endpoint.send_payload(Payload::Binary(binary))
                }
                // Pings and the Close frame have been answered already; the other events are for a client, or for `receive_piece`.
                Some(EndpointEvent::Ping(_) | EndpointEvent::Pong(_) | EndpointEvent::Close(_)) => {
                    Ok(())
                }
                Some(
                    EndpointEvent::Open(_) | EndpointEvent::Refused(_) | EndpointEvent::Piece(_),
                )
                | None => Ok(()),
            };
            // Never full: nothing is received above the high-water mark, which is below the limit of the queue.
            if let Err(error) = answered {
                eprintln!("{error}");
            }
            bytes = bytes.get_mut(consumed..).unwrap_or_default();
            if !more {
                break;
            }
        }
        self.held = !bytes.is_empty() && !endpoint.wants_input();
        self.kept = bytes.into();
    }

    /// Writes queued output, as far as the socket takes it.
    fn write(&mut self, now: Instant) {
        loop {
            let mut slices: [&[u8]; 16] = [&[]; 16];
            let filled = self.endpoint.transmit(&mut slices);
            if filled == 0 {
                return;
            }
            let slices = slices.map(IoSlice::new);
            let slices = slices.get(..filled).unwrap_or_default();
            match self.stream.write_vectored(slices) {
                Ok(count) => self.endpoint.transmitted(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The peer may have sent more than was read: go on reading.
                Err(_) => return self.endpoint.end_of_output(now),
            }
        }
    }

    /// 5. Handles time: refuses late requests, pings, and gives up on dead peers; slow readers are kept.
    fn tick(&mut self, now: Instant) {
        let progress = send_progress(&self.stream);
        while self.endpoint.tick_with(now, progress).is_some() {}
    }
}

/// Returns how much of the output the peer has taken, as Linux reports since version 4.6; see `fills_tcp_info`.
#[cfg(target_os = "linux")]
fn send_progress(stream: &TcpStream) -> Option<SendProgress> {
    use nix::sys::socket::{getsockopt, sockopt::GetStruct};
    use sansws_core::connection::TCP_INFO;

    type Info = [u8; TCP_INFO];

    #[derive(Clone, Copy, Debug)]
    struct TcpInfo;

    nix::getsockopt_impl!(
        TcpInfo,
        libc::IPPROTO_TCP,
        libc::TCP_INFO,
        Info,
        GetStruct<Info>
    );

    SendProgress::from_tcp_info(&getsockopt(stream, TcpInfo).ok()?)
}

/// Returns `None` elsewhere: progress is then judged by what our kernel takes.
#[cfg(not(target_os = "linux"))]
fn send_progress(_: &TcpStream) -> Option<SendProgress> {
    None
}

/// Returns the time as the core needs it: microseconds since a fixed moment.
struct Clock(std::time::Instant);

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the loop reads the clock, the core never does"
    )]
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.0.elapsed()
    }
}
