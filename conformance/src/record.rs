//! The transcript of a case: what went over the wire, when, and what it meant.
//! Knows no verdict. It is bounded, whatever a peer sends.

use std::time::Duration;

use crate::frame::{Frame, Read, opcode};

/// Most lines that are kept of a case.
const MOST: usize = 100;

/// Maximum number of bytes that are kept of a payload.
const HEAD: usize = 64;

/// Maximum number of bytes that are kept of an HTTP head.
const TEXT: usize = 2048;

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The suite.
    Suite,
    /// The peer under test.
    Peer,
}

/// A line of the transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Since the connection was made.
    pub at: Duration,
    /// Who did it.
    pub who: Who,
    /// What it was.
    pub what: What,
}

/// What a line is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A frame: what it is, the octets of its header, the first octets of its payload (unmasked), the payload's length.
    Frame {
        /// In words.
        says: String,
        /// As on the wire.
        header: Vec<u8>,
        /// Its beginning, unmasked.
        payload: Vec<u8>,
        /// The whole length of the payload.
        length: usize,
    },
    /// The head of a request or a response, or a part of one.
    Http(String),
    /// Octets that are no frame.
    Octets {
        /// Their beginning.
        octets: Vec<u8>,
        /// How many there were.
        length: usize,
    },
    /// Anything else: an end of TCP, a pause, a verdict on the way.
    Note(String),
}

/// A transcript, and counts of what went each way.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The lines that were kept.
    pub lines: Vec<Line>,
    /// Lines that were not kept.
    pub left_out: u64,
    /// Octets that were sent.
    pub sent: u64,
    /// Octets that were received.
    pub received: u64,
    /// Frames that were sent, by opcode.
    pub sent_frames: [u64; 16],
    /// Frames that were received, by opcode.
    pub received_frames: [u64; 16],
}

impl Record {
    /// Whether another line would be kept.
    pub fn is_open(&self) -> bool {
        self.lines.len() < MOST
    }

    fn push(&mut self, at: Duration, who: Who, what: impl FnOnce() -> What) {
        if self.is_open() {
            self.lines.push(Line {
                at,
                who,
                what: what(),
            });
        } else {
            self.left_out += 1;
        }
    }

    /// A frame that the suite sends; `octets` is all of it.
    pub fn sends(&mut self, at: Duration, frame: &Frame, octets: &[u8]) {
        if let Some(count) = self.sent_frames.get_mut(usize::from(frame.opcode & 15)) {
            *count += 1;
        }
        self.push(at, Who::Suite, || What::Frame {
            says: says(
                frame.fin,
                frame.rsv,
                frame.opcode,
                octets.get(1).is_some_and(|b| b & 128 != 0),
                &frame.payload,
            ),
            header: start(octets, octets.len() - frame.payload.len()),
            payload: start(&frame.payload, HEAD),
            length: frame.payload.len(),
        });
    }

    /// A frame that the peer sent.
    pub fn receives(&mut self, at: Duration, frame: &Read) {
        if let Some(count) = self.received_frames.get_mut(usize::from(frame.opcode)) {
            *count += 1;
        }
        self.push(at, Who::Peer, || What::Frame {
            says: says(
                frame.fin,
                frame.rsv,
                frame.opcode,
                frame.key.is_some(),
                &frame.payload,
            ),
            header: frame.header.clone(),
            payload: start(&frame.payload, HEAD),
            length: frame.payload.len(),
        });
    }

    /// The head of a request or a response.
    pub fn http(&mut self, at: Duration, who: Who, octets: &[u8]) {
        self.push(at, who, || {
            What::Http(String::from_utf8_lossy(&start(octets, TEXT)).into_owned())
        });
    }

    /// Octets that are no frame.
    pub fn octets(&mut self, at: Duration, who: Who, octets: &[u8]) {
        self.push(at, who, || What::Octets {
            octets: start(octets, HEAD),
            length: octets.len(),
        });
    }

    /// A remark.
    pub fn note(&mut self, at: Duration, who: Who, note: impl Into<String>) {
        let note = note.into();
        // The end of a case is always told.
        if !self.is_open() {
            self.lines.pop();
            self.left_out += 1;
        }
        self.lines.push(Line {
            at,
            who,
            what: What::Note(note),
        });
    }
}

fn start(octets: &[u8], most: usize) -> Vec<u8> {
    octets.get(..most).unwrap_or(octets).to_vec()
}

/// A frame in words, such as `TEXT, FIN 0, RSV 4, masked`.
fn says(fin: bool, rsv: u8, code: u8, masked: bool, payload: &[u8]) -> String {
    let mut text = match code {
        opcode::CONTINUATION => "CONTINUATION".into(),
        opcode::TEXT => "TEXT".into(),
        opcode::BINARY => "BINARY".into(),
        opcode::CLOSE => match payload {
            [high, low, ..] => format!("CLOSE {}", u16::from_be_bytes([*high, *low])),
            _ => "CLOSE".into(),
        },
        opcode::PING => "PING".into(),
        opcode::PONG => "PONG".into(),
        other => format!("OPCODE {other}"),
    };
    if !fin {
        text.push_str(", FIN 0");
    }
    if rsv != 0 {
        text.push_str(&format!(", RSV {rsv}"));
    }
    text.push_str(if masked { ", masked" } else { ", unmasked" });
    text
}
