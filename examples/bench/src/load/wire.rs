//! The bytes on the wire: masked frames out, unmasked frames back.

use anyhow::{Result, ensure};
use fastrand::Rng;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use crate::peers::Wire;
use crate::scenario::{Kind, Mode, Scenario};

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const COMPRESSED: u8 = 0x40;

/// The end of a message in the compressor, which is not sent (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
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
        let count = scenario.size * scenario.in_flight;
        let payload: Vec<u8> = if scenario.mode.deflates() {
            records(count, rng)
        } else {
            (0..count)
                .map(|_| match scenario.kind {
                    Kind::Text => rng.u8(b' '..=b'~'),
                    Kind::Binary => rng.u8(..),
                })
                .collect()
        };
        let output = match wire {
            Wire::Tcp => payload.clone(),
            Wire::WebSocket => payload
                .chunks(scenario.size)
                .flat_map(|message| {
                    if scenario.mode.deflates() {
                        let first = FIN | COMPRESSED | opcode(scenario.kind);
                        masked_frame(first, &deflated(message), rng)
                    } else {
                        masked_frame(FIN | opcode(scenario.kind), message, rng)
                    }
                })
                .collect(),
        };
        Self { output, payload }
    }
}

/// Lines of JSON, as applications send them.
fn records(count: usize, rng: &mut Rng) -> Vec<u8> {
    let mut lines = String::new();
    while lines.len() < count {
        let kind = ["join", "leave", "move", "trade"][rng.usize(..4)];
        let (id, x, y) = (rng.u32(..100_000), rng.u32(..1000), rng.u32(..1000));
        lines += &format!("{{\"type\":\"{kind}\",\"player\":{id},\"position\":[{x},{y}]}}\n");
    }
    lines.truncate(count);
    lines.into_bytes()
}

/// A message that refers to none before it, so that it can be sent again.
fn deflated(message: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(message.len() * 2 + 64);
    // It cannot fail: there is room.
    Compress::new(Compression::default(), false)
        .compress_vec(message, &mut output, FlushCompress::Sync)
        .ok();
    output.truncate(output.len() - TAIL.len());
    output
}

/// A message in one frame, as a server sends it.
pub(super) fn bare_frame(kind: Kind, message: &[u8]) -> Vec<u8> {
    let mut frame = frame_header(FIN | opcode(kind), message.len(), 0);
    frame.extend(message);
    frame
}

fn frame_header(first: u8, length: usize, masked: u8) -> Vec<u8> {
    let mut frame = vec![first];
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

fn masked_frame(first: u8, message: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut frame = frame_header(first, message.len(), MASKED);
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
    /// Where messages may be compressed, what they unpack to is only looked at
    /// if it is compared.
    packed: Option<Packed>,
}

/// A compressed message, and what unpacks it.
#[derive(Debug)]
struct Packed {
    inflater: Decompress,
    takeover: bool,
    compressed: bool,
    payload: Vec<u8>,
}

impl Packed {
    fn new(mode: Mode) -> Option<Self> {
        mode.deflates().then(|| Self {
            inflater: Decompress::new(false),
            takeover: mode == Mode::Takeover,
            compressed: false,
            payload: Vec::new(),
        })
    }

    fn unpack(&mut self, size: usize) -> Result<Vec<u8>> {
        let mut payload = std::mem::take(&mut self.payload);
        if !self.compressed {
            return Ok(payload);
        }
        payload.extend(TAIL);
        let mut message = Vec::with_capacity(size + 1);
        self.inflater
            .decompress_vec(&payload, &mut message, FlushDecompress::Sync)?;
        if !self.takeover {
            self.inflater.reset(false);
        }
        Ok(message)
    }
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
            packed: Packed::new(scenario.mode).filter(|_| wire == Wire::WebSocket),
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
                self.unpack(expected)?;
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

    /// Ends a message that may be compressed.
    fn unpack(&mut self, expected: Option<&[u8]>) -> Result<()> {
        let Some(packed) = &mut self.packed else {
            return Ok(());
        };
        let end = self.back + self.size;
        ensure!(end <= self.total, "more came back than was sent");
        if let Some(expected) = expected {
            ensure!(
                packed.unpack(self.size)? == expected[self.back..end],
                "another content came back"
            );
        }
        self.back = end;
        Ok(())
    }

    fn payload(&mut self, payload: &[u8], expected: Option<&[u8]>) -> Result<()> {
        if let Some(packed) = &mut self.packed {
            if expected.is_some() {
                packed.payload.extend(payload);
            }
            return Ok(());
        }
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
        let compressed = match &mut self.packed {
            Some(packed) if !self.in_message => {
                packed.compressed = first & COMPRESSED != 0;
                first & COMPRESSED
            }
            _ => 0,
        };
        ensure!(
            first & !FIN == opcode | compressed,
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
