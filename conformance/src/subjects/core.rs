//! `sansws-core` alone, as an echo endpoint of either role.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sansws_core::config::{Config, Deflate, Limits};
use sansws_core::connection::{Connection, Event, TransportAction};
use sansws_core::handshake::{
    AcceptOptions, ClientHandshake, ClientOptions, ServerAnswer, ServerHandshake,
};
use sansws_core::http::Url;
use sansws_core::message::Assembly;
use sansws_core::random::Seed;
use sansws_core::time::Instant;

use crate::run::memory::Subject;
use crate::script::Peer;

/// The configuration of the suite's echo endpoints.
pub fn config() -> Config {
    Config {
        limits: Limits {
            frame: 64 << 20,
            message: 64 << 20,
            fragments: 1 << 20,
            ..Limits::default()
        },
        deflate: Some(Deflate {
            own_takeover: true,
            peer_takeover: true,
            threshold: 0,
            ..Deflate::default()
        }),
        ..Config::default()
    }
}

#[derive(Debug)]
enum State {
    Server(ServerHandshake),
    Client(ClientHandshake),
    Open(Connection),
    Ended,
}

/// An echo endpoint of core.
#[derive(Debug)]
pub struct Core {
    config: Arc<Config>,
    state: State,
    input: Vec<u8>,
    output: Vec<u8>,
    assembly: Assembly,
    input_ended: bool,
}

fn instant(now: Duration) -> Instant {
    Instant::from_micros(u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}

impl Core {
    /// The peer of that role. A client has sent its request.
    pub fn new(peer: Peer) -> Self {
        let config = Arc::new(config());
        let mut output = Vec::new();
        let state = match peer {
            Peer::Server => State::Server(ServerHandshake::new(Arc::clone(&config))),
            Peer::Client => {
                let url: Option<Url> = "ws://memory:9001/".parse().ok();
                let options = ClientOptions::default();
                let handshake = url.and_then(|url| {
                    ClientHandshake::new(&config, &url, options, seed().nonce()).ok()
                });
                handshake.map_or(State::Ended, |handshake| {
                    output.extend_from_slice(handshake.request());
                    State::Client(handshake)
                })
            }
        };
        Self {
            config,
            state,
            input: Vec::new(),
            output,
            assembly: Assembly::default(),
            input_ended: false,
        }
    }

    fn go_on(&mut self, now: Duration) {
        if let Some(next) = self.open(now) {
            self.state = next;
        }
        let State::Open(connection) = &mut self.state else {
            return;
        };
        while connection.wants_input() && connection.has_room() {
            let (consumed, more) =
                match connection.receive(instant(now), &mut self.input, &mut self.assembly) {
                    Ok(step) => {
                        match step.event {
                            Some(Event::Text(text)) => drop(connection.send_text(text)),
                            Some(Event::Binary(bytes)) => drop(connection.send_binary(bytes)),
                            _ => {}
                        }
                        (step.consumed, step.event.is_some())
                    }
                    Err(_) => (self.input.len(), false),
                };
            self.input.drain(..consumed);
            if !more {
                break;
            }
        }
    }

    /// The handshake: the state that follows it, once it does.
    fn open(&mut self, now: Duration) -> Option<State> {
        match &mut self.state {
            State::Server(handshake) => match handshake.receive(&self.input) {
                Ok(None) => self.input_ended.then_some(State::Ended),
                Ok(Some((request, length))) => {
                    self.input.drain(..length);
                    let (response, agreement) = request
                        .accept(&self.config, AcceptOptions::default())
                        .ok()?;
                    self.output.extend(response);
                    Some(State::Open(Connection::server(
                        Arc::clone(&self.config),
                        &agreement,
                        instant(now),
                    )))
                }
                Err(refusal) => {
                    let _ = refusal.response().write(&mut self.output);
                    Some(State::Ended)
                }
            },
            State::Client(handshake) => match handshake.receive(&self.input, self.input_ended) {
                Ok(None) => None,
                Ok(Some((ServerAnswer::Open(opened), length))) => {
                    self.input.drain(..length);
                    let config = Arc::clone(&self.config);
                    Some(State::Open(Connection::client(
                        config,
                        &opened.agreement,
                        seed(),
                        instant(now),
                    )))
                }
                Ok(Some(_)) | Err(_) => Some(State::Ended),
            },
            State::Open(_) | State::Ended => None,
        }
    }
}

/// A seed that differs for each connection of the process.
fn seed() -> Seed {
    static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
    let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let mut seed = [42; 32];
    for (to, from) in seed.iter_mut().zip(number.to_be_bytes()) {
        *to = from;
    }
    Seed::new(seed)
}

impl Subject for Core {
    fn receive(&mut self, now: Duration, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.go_on(now);
    }

    fn end_of_input(&mut self, now: Duration) {
        self.input_ended = true;
        self.go_on(now);
        if let State::Open(connection) = &mut self.state {
            connection.end_of_input();
        }
    }

    fn output(&mut self, now: Duration) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.output);
        loop {
            let State::Open(connection) = &mut self.state else {
                return all;
            };
            let before = all.len();
            let mut slices: [&[u8]; 8] = [&[]; 8];
            let filled = connection.transmit(&mut slices);
            for slice in slices.iter().take(filled) {
                all.extend_from_slice(slice);
            }
            if all.len() == before {
                return all;
            }
            connection.transmitted(all.len() - before);
            // Input that was not read while much was unsent.
            self.go_on(now);
        }
    }

    fn has_ended(&self) -> bool {
        match &self.state {
            State::Ended => true,
            State::Open(connection) => {
                !connection.has_output() && connection.transport_action() != TransportAction::Keep
            }
            State::Server(_) | State::Client(_) => false,
        }
    }

    fn wants_input(&self) -> bool {
        match &self.state {
            State::Open(connection) => connection.wants_input(),
            State::Server(_) | State::Client(_) | State::Ended => true,
        }
    }

    fn deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Open(connection) => connection
                .deadline()
                .map(|at| Duration::from_micros(at.as_micros())),
            State::Server(_) | State::Client(_) | State::Ended => None,
        }
    }

    fn tick(&mut self, now: Duration) {
        if let State::Open(connection) = &mut self.state
            && connection.deadline().is_some_and(|at| at <= instant(now))
        {
            while connection.tick(instant(now)).is_some() {}
        }
    }
}
