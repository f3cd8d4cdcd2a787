//! The core alone in a loop of one's own: an echo server over `mio`, many connections on one thread, no async.
//!
//! Run: `cargo run --release --bin custom-loop -- 127.0.0.1:9002`
//! See: `listening on ws://127.0.0.1:9002`; then connect with the `client` example. The numbered comments are the steps of
//! "Embed the core" in ARCHITECTURE.md.

use std::collections::HashMap;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use sansws_core::config::Config;
use sansws_core::connection::{After, Connection, Event};
use sansws_core::handshake::{Accept, Refusal, ServerHandshake};
use sansws_core::message::{Assembly, Payload};
use sansws_core::time::Instant;

/// The token of the listener; connections count from 1.
const LISTENER: Token = Token(0);

/// What one read may bring; the buffer is the loop's, not a connection's.
const READ: usize = 64 << 10;

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
    next: usize,
    buffer: Vec<u8>,
    /// Who has more to do, though its turn is over.
    again: Vec<Token>,
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
            next: 1,
            buffer: vec![0; READ],
            again: Vec::new(),
        })
    }

    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            // 5. Sleep until a socket is ready, or the next deadline.
            let now = self.clock.now();
            let next = self.peers.values().filter_map(Peer::deadline).min();
            let mut wait = next.map(|at| at.since(now) + Duration::from_millis(1));
            if !self.again.is_empty() {
                wait = Some(Duration::ZERO);
            }
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let now = self.clock.now();
            for token in std::mem::take(&mut self.again) {
                self.turn(token, now, false);
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept(now)?;
                } else {
                    self.turn(event.token(), now, event.is_readable());
                }
            }
            let expired = |peer: &Peer| peer.deadline().is_some_and(|at| at <= now);
            let expired = self.peers.iter().filter(|(_, peer)| expired(peer));
            for token in expired.map(|(token, _)| *token).collect::<Vec<_>>() {
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
            self.peers
                .insert(token, Peer::new(stream, &self.config, now));
        }
    }

    /// One connection's turn: reads, answers, writes.
    fn turn(&mut self, token: Token, now: Instant, readable: bool) {
        let Some(peer) = self.peers.get_mut(&token) else {
            return;
        };
        // The poll tells each readiness once: it is remembered until a read says otherwise.
        peer.readable |= readable;
        match peer.turn(now, &mut self.buffer) {
            Ok(Turn::Waits) => {}
            Ok(Turn::Again) => self.again.push(token),
            // 6c. Over: dropping the socket closes it.
            Ok(Turn::Over) | Err(_) => drop(self.peers.remove(&token)),
        }
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
    stage: Stage,
    /// Octets that were read and not consumed: part of a head, or of a frame's header; or, when `held`, whole messages.
    kept: Vec<u8>,
    /// Receiving stopped, since the peer must first take what it is owed.
    held: bool,
    readable: bool,
    shut: bool,
}

enum Stage {
    Opening(ServerHandshake, Arc<Config>, Instant),
    /// An HTTP answer, as far as it is not written; then the connection ends.
    Refused(Vec<u8>, Instant),
    Open(Box<Connection>, Assembly),
}

impl Peer {
    fn new(stream: TcpStream, config: &Arc<Config>, now: Instant) -> Self {
        let handshake = ServerHandshake::new(Arc::clone(config));
        let until = now + config.timeouts.handshake.unwrap_or(Duration::from_secs(10));
        Self {
            stream,
            stage: Stage::Opening(handshake, Arc::clone(config), until),
            kept: Vec::new(),
            held: false,
            readable: false,
            shut: false,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Opening(_, _, until) | Stage::Refused(_, until) => Some(*until),
            Stage::Open(connection, _) => connection.deadline(),
        }
    }

    /// Does what can be done now.
    fn turn(&mut self, now: Instant, buffer: &mut [u8]) -> io::Result<Turn> {
        self.tick(now);
        for _ in 0..ROUNDS {
            // 4. Write first: what is unsent decides whether to read on.
            self.write()?;
            if self.is_over(now) {
                return Ok(Turn::Over);
            }
            if !self.wants_input() || !(self.held || self.readable) {
                return Ok(Turn::Waits);
            }
            // 1. Read: what was kept, and what arrives behind it. Kept messages are shorter than the buffer: there is room.
            let kept = std::mem::take(&mut self.kept);
            let (front, room) = buffer.split_at_mut(kept.len());
            front.copy_from_slice(&kept);
            let arrived = if std::mem::take(&mut self.held) {
                0
            } else {
                self.read(room)?
            };
            self.receive(
                now,
                buffer.get_mut(..kept.len() + arrived).unwrap_or_default(),
            )?;
        }
        Ok(Turn::Again)
    }

    /// Reads; 0 when nothing has arrived, or never will.
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(room) {
            Ok(0) => {
                self.readable = false;
                self.end_of_input();
                Ok(0)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(0)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            read => read,
        }
    }

    /// Hands octets to the machine whose turn it is; keeps what it did not consume.
    fn receive(&mut self, now: Instant, mut octets: &mut [u8]) -> io::Result<()> {
        // 2. The opening handshake.
        if let Stage::Opening(handshake, config, _) = &mut self.stage {
            match handshake.receive(octets) {
                Ok(None) => {}
                Ok(Some((request, length))) => {
                    let accepted = request.accept(config, Accept::default());
                    let (response, agreement) = accepted.map_err(io::Error::other)?;
                    // The socket is fresh: the response fits its send buffer.
                    self.stream.write_all(&response)?;
                    let connection = Connection::server(Arc::clone(config), &agreement, now);
                    self.stage = Stage::Open(Box::new(connection), Assembly::default());
                    // What follows the head belongs to the connection.
                    octets = octets.get_mut(length..).unwrap_or_default();
                }
                Err(refusal) => self.refuse(refusal, now),
            }
        }
        // 3. Messages, one at a time, until more octets are needed.
        if let Stage::Open(connection, assembly) = &mut self.stage {
            octets = receive_messages(connection, assembly, now, octets);
            self.held = !octets.is_empty() && !connection.wants_input();
        }
        // Who was refused is not listened to.
        if !matches!(self.stage, Stage::Refused(..)) {
            self.kept = octets.into();
        }
        Ok(())
    }

    fn wants_input(&self) -> bool {
        match &self.stage {
            Stage::Open(connection, _) => connection.wants_input(),
            Stage::Opening(..) | Stage::Refused(..) => true,
        }
    }

    /// Writes what is queued, as far as the socket takes it. Ends the writing side when it is time.
    fn write(&mut self) -> io::Result<()> {
        loop {
            let written = match &mut self.stage {
                Stage::Opening(..) => return Ok(()),
                Stage::Refused(answer, _) if answer.is_empty() => break,
                Stage::Refused(answer, _) => self.stream.write(answer),
                Stage::Open(connection, _) => {
                    let mut slices: [&[u8]; 16] = [&[]; 16];
                    let filled = connection.transmit(&mut slices);
                    if filled == 0 {
                        break;
                    }
                    let slices = slices.map(IoSlice::new);
                    let slices = slices.get(..filled).unwrap_or_default();
                    self.stream.write_vectored(slices)
                }
            };
            match (written, &mut self.stage) {
                (Ok(count), Stage::Open(connection, _)) => connection.transmitted(count),
                (Ok(count), Stage::Refused(answer, _)) => drop(answer.drain(..count)),
                (Ok(_), Stage::Opening(..)) => {}
                (Err(error), _) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                (Err(error), _) if error.kind() == ErrorKind::Interrupted => {}
                (Err(error), _) => return Err(error),
            }
        }
        // 6a. Both Close frames are exchanged, or an answer is out: the server ends TCP first, by its writing side only.
        let ending = match &self.stage {
            Stage::Opening(..) => false,
            Stage::Refused(..) => true,
            Stage::Open(connection, _) => connection.after() == After::Shutdown,
        };
        if ending && !self.shut {
            self.shut = true;
            self.stream.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    fn refuse(&mut self, refusal: Refusal, now: Instant) {
        let mut answer = Vec::new();
        // Ours to choose and always valid; were it not, the connection would end without an answer.
        let _ = refusal.response().write(&mut answer);
        self.stage = Stage::Refused(answer, now + Duration::from_secs(5));
    }

    /// 6b. Input ended: the normal end after the closing handshake, 1006 before it.
    fn end_of_input(&mut self) {
        match &mut self.stage {
            Stage::Open(connection, _) => connection.end_of_input(),
            Stage::Opening(_, _, until) | Stage::Refused(_, until) => *until = Instant::ZERO,
        }
    }

    /// 5. Minds the clock: pings, gives up.
    fn tick(&mut self, now: Instant) {
        match &mut self.stage {
            Stage::Open(connection, _) => drop(connection.tick(now)),
            Stage::Opening(_, _, until) if *until <= now => self.refuse(Refusal::Timeout, now),
            Stage::Opening(..) | Stage::Refused(..) => {}
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        match &self.stage {
            Stage::Open(connection, _) => connection.after() == After::Drop,
            Stage::Opening(_, _, until) | Stage::Refused(_, until) => *until <= now,
        }
    }
}

/// Answers messages that are whole, until the peer must first take what it is owed; gives the rest of the octets back.
fn receive_messages<'b>(
    connection: &mut Connection,
    assembly: &mut Assembly,
    now: Instant,
    mut octets: &'b mut [u8],
) -> &'b mut [u8] {
    while connection.wants_input() {
        let step = match connection.receive(now, octets, assembly) {
            Ok(step) => step,
            // The Close frame that says why is queued; the input is thrown away.
            Err(violation) => {
                eprintln!("{violation}");
                return &mut [];
            }
        };
        let (consumed, more) = (step.consumed, step.event.is_some());
        let echoed = match step.event {
            Some(Event::Text(text)) => connection.send_payload(Payload::Text(text)),
            Some(Event::Binary(binary)) => connection.send_payload(Payload::Binary(binary)),
            // Pings and the Close frame are answered already.
            Some(Event::Ping(_) | Event::Pong(_) | Event::Close(_) | Event::Piece(_)) | None => {
                Ok(())
            }
        };
        // Never full: nothing is received above the high-water mark, which lies below the limit on the queue.
        if let Err(misuse) = echoed {
            eprintln!("{misuse}");
        }
        octets = octets.get_mut(consumed..).unwrap_or_default();
        if !more {
            break;
        }
    }
    octets
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
