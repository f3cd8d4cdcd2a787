//! A slow, obvious reader of frames, and a way to run input to its end.

use std::sync::Arc;

use sansws_core::config::Config;
use sansws_core::connection::{Connection, Event};
use sansws_core::error::Violation;
use sansws_core::extension::deflate::Agreed;
use sansws_core::handshake::Agreement;
use sansws_core::message::{Assembly, Payload};
use sansws_core::random::Seed;
use sansws_core::time::Instant;

/// A frame, by a reader that shares nothing with the crate's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub fin: bool,
    pub rsv1: bool,
    pub opcode: u8,
    pub masked: bool,
    pub key: [u8; 4],
    pub payload: Vec<u8>,
}

/// Reads all whole frames.
pub fn frames(bytes: &[u8]) -> Vec<Frame> {
    let (mut all, mut at) = (Vec::new(), 0);
    while at + 2 <= bytes.len() {
        let (b0, b1) = (bytes[at], bytes[at + 1]);
        at += 2;
        let extra = match b1 & 127 {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mut length = usize::from(b1 & 127);
        if extra > 0 {
            length = bytes[at..at + extra]
                .iter()
                .fold(0, |n, byte| n << 8 | usize::from(*byte));
            at += extra;
        }
        let masked = b1 & 128 != 0;
        let mut key = [0; 4];
        if masked {
            key.copy_from_slice(&bytes[at..at + 4]);
            at += 4;
        }
        let payload = bytes[at..at + length]
            .iter()
            .enumerate()
            .map(|(i, byte)| byte ^ key[i % 4])
            .collect();
        at += length;
        all.push(Frame {
            fin: b0 & 128 != 0,
            rsv1: b0 & 64 != 0,
            opcode: b0 & 15,
            masked,
            key,
            payload,
        });
    }
    assert_eq!(at, bytes.len(), "half a frame in the output");
    all
}

/// Writes a frame as the peer would: masked for a server.
pub fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mut out = vec![first];
    let mask = if key.is_some() { 128 } else { 0 };
    match payload.len() {
        n @ 0..=125 => out.push(mask | n as u8),
        n @ 126..=65535 => {
            out.push(mask | 126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(mask | 127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    let key = match key {
        Some(key) => {
            out.extend_from_slice(&key);
            key
        }
        None => [0; 4],
    };
    out.extend(
        payload
            .iter()
            .enumerate()
            .map(|(i, byte)| byte ^ key[i % 4]),
    );
    out
}

/// An end of a connection with its buffers.
pub struct End {
    pub connection: Connection,
    pub assembly: Assembly,
    pub input: Vec<u8>,
    pub now: Instant,
    pub pieces: bool,
}

/// The events of some input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    Text(String),
    Binary(Vec<u8>),
    Piece(Vec<u8>, bool, bool),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Wrong(Violation),
}

impl End {
    pub fn new(server: bool, config: Config, deflate: Option<Agreed>) -> Self {
        let (config, agreement) = (
            Arc::new(config),
            Agreement {
                subprotocol: None,
                deflate,
            },
        );
        let now = Instant::from_micros(1_000_000);
        let connection = if server {
            Connection::server(config, &agreement, now)
        } else {
            Connection::client(config, &agreement, Seed::new([9; 32]), now)
        };
        Self {
            connection,
            assembly: Assembly::default(),
            input: Vec::new(),
            now,
            pieces: false,
        }
    }

    /// Gives it octets, and says what came of them.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Got> {
        self.input.extend_from_slice(bytes);
        let mut all = Vec::new();
        loop {
            let step = if self.pieces {
                self.connection
                    .receive_piece(self.now, &mut self.input, &mut self.assembly)
            } else {
                self.connection
                    .receive(self.now, &mut self.input, &mut self.assembly)
            };
            let (consumed, got) = match step {
                Ok(step) => (step.consumed, step.event.map(got)),
                Err(violation) => (self.input.len(), Some(Got::Wrong(violation))),
            };
            self.input.drain(..consumed);
            let Some(got) = got else { return all };
            all.push(got);
        }
    }

    /// All that it has to write.
    pub fn output(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut slices: [&[u8]; 4] = [&[]; 4];
            let filled = self.connection.transmit(&mut slices);
            if filled == 0 {
                return all;
            }
            let part = slices[..filled].concat();
            self.connection.transmitted(part.len());
            all.extend_from_slice(&part);
        }
    }
}

fn got(event: Event<'_>) -> Got {
    match event {
        Event::Text(text) => Got::Text(text.into()),
        Event::Binary(bytes) => Got::Binary(bytes.into()),
        Event::Piece(piece) => {
            if let Payload::Text(text) = piece.payload {
                assert!(std::str::from_utf8(text.as_bytes()).is_ok());
            }
            Got::Piece(piece.payload.as_bytes().into(), piece.first, piece.last)
        }
        Event::Ping(bytes) => Got::Ping(bytes.into()),
        Event::Pong(bytes) => Got::Pong(bytes.into()),
        Event::Close(close) => Got::Close(close.code.map(u16::from), close.reason.into()),
    }
}

/// permessage-deflate, as both ends may agree on it.
pub const TAKEOVER: Agreed = Agreed {
    own_takeover: true,
    peer_takeover: true,
    own_window_bits: 15,
    peer_window_bits: 15,
};
