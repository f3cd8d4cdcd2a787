//! The core alone in a loop of one's own: an echo server over `mio`, many connections on one thread, no async.
//!
//! Run: `cargo run --release --bin custom-loop -- 127.0.0.1:9002`
//! See: `listening on ws://127.0.0.1:9002`; then connect with the `client` example. The numbered comments are the steps of
//! "Embed the core" in ARCHITECTURE.md.

use std::collections::HashMap;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use sansws_core::config::Config;
use sansws_core::connection::endpoint::Event;
use sansws_core::connection::{Endpoint, SendProgress, TransportAction};
use sansws_core::handshake::AcceptOptions;
use sansws_core::message::{Assembly, Payload};
use sansws_core::time::{Deadlines, Instant};

/// The token of the listener; connections count from 1.
const LISTENER: Token = Token(0);

/// What one read may bring.
const READ: usize = 64 << 10;

/// Capacity of a fresh buffer for output.
const WRITE: usize = 16 << 10;

/// Rounds of reading and writing after which it is the next connection's turn.
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
    /// Who has more to do, though its turn is over.
    again: Vec<Token>,
}

/// What a connection needs during its turn only; the loop has one for all.
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
        // The poll tells each readiness once: it is remembered until a read says otherwise.
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

/// What came of a turn.
enum Turn {
    /// It waits for its socket or its deadline.
    Waits,
    /// It could go on at once.
    Again,
    Over,
}

/// One connection, and what it keeps between two turns.
struct Peer {
    stream: TcpStream,
    endpoint: Endpoint,
    assembly: Assembly,
    /// Octets that were read and not consumed: part of a head, or of a frame's header; or, when `held`, whole messages.
    kept: Vec<u8>,
    /// Receiving stopped, since the peer must first take what it is owed.
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

    /// Does what can be done now.
    fn turn(&mut self, now: Instant, buffers: &mut Buffers) -> Turn {
        // Output gathers in a buffer of the loop's.
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
            // 4. Write first: what is unsent decides whether to read on.
            self.write(now);
            match self.endpoint.transport_action() {
                TransportAction::Keep => {}
                // 6a. All is said, on a server: TCP ends by the writing side only.
                TransportAction::Shutdown if self.shut => {}
                TransportAction::Shutdown => {
                    self.shut = true;
                    let _ = self.stream.shutdown(Shutdown::Write);
                }
                TransportAction::Drop => return Turn::Over,
            }
            if !self.endpoint.wants_input() || !(self.held || self.readable) {
                return Turn::Waits;
            }
            // 1. Read: what was kept, and what arrives behind it. Kept messages are shorter than the buffer: there is room.
            let kept = mem::take(&mut self.kept);
            let (front, room) = buffer.split_at_mut(kept.len());
            front.copy_from_slice(&kept);
            let arrived = if mem::take(&mut self.held) {
                0
            } else {
                self.read(room)
            };
            let octets = buffer.get_mut(..kept.len() + arrived);
            self.receive(now, octets.unwrap_or_default());
        }
        Turn::Again
    }

    /// Reads; 0 when nothing has arrived, or never will.
    fn read(&mut self, room: &mut [u8]) -> usize {
        match self.stream.read(room) {
            Ok(count) if count > 0 => return count,
            Err(error) if error.kind() == ErrorKind::Interrupted => return 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // 6b. Input ended: the normal end after the closing handshake, 1006 before it. It takes effect behind what is kept.
            Ok(_) | Err(_) => self.endpoint.end_of_input(),
        }
        self.readable = false;
        0
    }

    /// Receives what is whole, until the peer must first take what it is owed; keeps the rest.
    fn receive(&mut self, now: Instant, mut octets: &mut [u8]) {
        let endpoint = &mut self.endpoint;
        while endpoint.wants_input() {
            let step = match endpoint.receive(now, octets, &mut self.assembly) {
                Ok(step) => step,
                // What there is to say to the peer is queued; the input is thrown away.
                Err(error) => {
                    eprintln!("{error}");
                    return;
                }
            };
            let (consumed, more) = (step.consumed, step.event.is_some());
            // The event borrows the octets and the assembly, not the endpoint: the answer is sent while it is held.
            let answered = match step.event {
                // 2. The opening handshake: whoever asks well is let in. `refuse` would send a response of ours.
                Some(Event::Request(request)) => {
                    endpoint.accept(now, &request, AcceptOptions::default())
                }
                // 3. Messages.
                Some(Event::Text(text)) => endpoint.send_payload(Payload::Text(text)),
                Some(Event::Binary(binary)) => endpoint.send_payload(Payload::Binary(binary)),
                // Pings and the Close frame are answered already; the others are for a client, or for `receive_piece`.
                Some(Event::Ping(_) | Event::Pong(_) | Event::Close(_)) => Ok(()),
                Some(Event::Open(_) | Event::Refused(_) | Event::Piece(_)) | None => Ok(()),
            };
            // Never full: nothing is received above the high-water mark, which lies below the limit on the queue.
            if let Err(misuse) = answered {
                eprintln!("{misuse}");
            }
            octets = octets.get_mut(consumed..).unwrap_or_default();
            if !more {
                break;
            }
        }
        self.held = !octets.is_empty() && !endpoint.wants_input();
        self.kept = octets.into();
    }

    /// Writes what is queued, as far as the socket takes it.
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
                // The peer may have said more than was read: reading goes on.
                Err(_) => return self.endpoint.end_of_output(now),
            }
        }
    }

    /// 5. Minds the clock: refuses who is late, pings, gives up on the dead, which a slow reader is not.
    fn tick(&mut self, now: Instant) {
        let progress = send_progress(&self.stream);
        while self.endpoint.tick_with(now, progress).is_some() {}
    }
}

/// How far the peer has taken what was written, as Linux tells since version 4.6; see `fills_tcp_info`.
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

/// Elsewhere what our kernel has taken stands for it.
#[cfg(not(target_os = "linux"))]
fn send_progress(_: &TcpStream) -> Option<SendProgress> {
    None
}

/// Time as the core wants it: microseconds since a moment of our own.
struct Clock(std::time::Instant);

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the loop has the clock, the core has none"
    )]
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.0.elapsed()
    }
}
