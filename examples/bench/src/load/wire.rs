//! What goes over the wire: masked frames out, bare frames back.

use anyhow::{Result, ensure};
use fastrand::Rng;

use crate::peers::Wire;
use crate::scenario::{Kind, Scenario};

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const CONTINUATION: u8 = 0;

fn opcode(kind: Kind) -> u8 {
    match kind {
        Kind::Text => 1,
        Kind::Binary => 2,
    }
}

/// The messages of one write.
#[derive(Debug)]
pub(super) struct Batch {
    /// As they are sent.
    pub(super) output: Vec<u8>,
    /// The bare payloads, one after another.
    pub(super) payload: Vec<u8>,
}

impl Batch {
    pub(super) fn new(wire: Wire, scenario: &Scenario, rng: &mut Rng) -> Self {
        let payload: Vec<u8> = (0..scenario.size * scenario.in_flight)
            .map(|_| match scenario.kind {
                Kind::Text => rng.u8(b' '..=b'~'),
                Kind::Binary => rng.u8(..),
            })
            .collect();
        let output = match wire {
            Wire::Tcp => payload.clone(),
            Wire::WebSocket => payload
                .chunks(scenario.size)
                .flat_map(|message| masked_frame(scenario.kind, message, rng))
                .collect(),
        };
        Self { output, payload }
    }
}

/// A message in one frame, as a server sends it.
pub(super) fn bare_frame(kind: Kind, message: &[u8]) -> Vec<u8> {
    let mut frame = frame_header(kind, message.len(), 0);
    frame.extend(message);
    frame
}

fn frame_header(kind: Kind, length: usize, masked: u8) -> Vec<u8> {
    let mut frame = vec![FIN | opcode(kind)];
    match length {
        0..=125 => frame.push(masked | length as u8),
        126..=0xffff => {
            frame.push(masked | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        _ => {
            frame.push(masked | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame
}

fn masked_frame(kind: Kind, message: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut frame = frame_header(kind, message.len(), MASKED);
    let mask = rng.u32(..).to_be_bytes();
    frame.extend(mask);
    frame.extend(
        message
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// Follows the echo of a batch through its frames.
#[derive(Debug)]
pub(super) struct Echo {
    wire: Wire,
    opcode: u8,
    size: usize,
    /// Payload octets of a batch, and how many are back.
    total: usize,
    back: usize,
    /// The header being read.
    header: [u8; 10],
    filled: usize,
    /// Payload octets that the frame at hand still lacks.
    left: usize,
    last_frame: bool,
    in_message: bool,
}

impl Echo {
    pub(super) fn new(wire: Wire, scenario: &Scenario) -> Self {
        Self {
            wire,
            opcode: opcode(scenario.kind),
            size: scenario.size,
            total: scenario.size * scenario.in_flight,
            back: 0,
            header: [0; 10],
            filled: 0,
            left: 0,
            last_frame: false,
            in_message: false,
        }
    }

    /// Takes what was read; true when it is the end of the batch. The payload
    /// is compared only if what it should be is given.
    pub(super) fn take(&mut self, mut input: &[u8], expected: Option<&[u8]>) -> Result<bool> {
        if self.wire == Wire::Tcp {
            self.payload(input, expected)?;
            return Ok(self.batch_ends());
        }
        loop {
            let (payload, rest) = input.split_at(self.left.min(input.len()));
            self.payload(payload, expected)?;
            self.left -= payload.len();
            input = rest;
            if self.left > 0 {
                return Ok(false);
            }
            if self.in_message && self.last_frame {
                ensure!(
                    self.back.is_multiple_of(self.size),
                    "a message of another length"
                );
                self.in_message = false;
            }
            if !self.in_message && self.back == self.total {
                ensure!(input.is_empty(), "more came back than was sent");
                return Ok(self.batch_ends());
            }
            match self.header(input)? {
                Some(rest) => input = rest,
                None => return Ok(false),
            }
        }
    }

    fn payload(&mut self, payload: &[u8], expected: Option<&[u8]>) -> Result<()> {
        let end = self.back + payload.len();
        ensure!(end <= self.total, "more came back than was sent");
        if let Some(expected) = expected {
            ensure!(
                payload == &expected[self.back..end],
                "another content came back"
            );
        }
        self.back = end;
        Ok(())
    }

    fn batch_ends(&mut self) -> bool {
        let ends = self.back == self.total;
        if ends {
            self.back = 0;
        }
        ends
    }

    /// Reads a frame header; what follows it, or nothing if it is not whole.
    fn header<'a>(&mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>> {
        let mut input = input;
        loop {
            let wanted = if self.filled < 2 {
                2
            } else {
                header_length(self.header[1])
            };
            if self.filled == wanted {
                break;
            }
            let (part, rest) = input.split_at(input.len().min(wanted - self.filled));
            if part.is_empty() {
                return Ok(None);
            }
            self.header[self.filled..][..part.len()].copy_from_slice(part);
            self.filled += part.len();
            input = rest;
        }
        self.filled = 0;
        let [first, second, ..] = self.header;
        let opcode = if self.in_message {
            CONTINUATION
        } else {
            self.opcode
        };
        ensure!(
            first & !FIN == opcode,
            "an unexpected frame, it starts with {first:#04x}"
        );
        ensure!(second & MASKED == 0, "a masked frame from a server");
        self.left = match second {
            126 => usize::from(u16::from_be_bytes([self.header[2], self.header[3]])),
            127 => {
                let [_, _, length @ ..] = self.header;
                usize::try_from(u64::from_be_bytes(length))?
            }
            length => usize::from(length),
        };
        self.last_frame = first & FIN != 0;
        self.in_message = true;
        Ok(Some(input))
    }
}

fn header_length(second: u8) -> usize {
    match second & !MASKED {
        126 => 4,
        127 => 10,
        _ => 2,
    }
}
