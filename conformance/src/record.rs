//! The transcript of a case: the data sent and received, with times and meanings.
//! Knows no verdict. Its size is bounded, whatever a peer sends.

use std::time::Duration;

use crate::frame::{Frame, Read, opcode};

/// Maximum number of lines that are kept per case.
const MOST: usize = 100;

/// Maximum number of bytes that are kept of a payload.
const HEAD: usize = 64;

/// Maximum number of bytes that are kept of an HTTP head.
const TEXT: usize = 2048;

/// The side that acted.
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
    /// The time since the connection was made.
    pub at: Duration,
    /// The side that acted.
    pub who: Who,
    /// The event.
    pub what: What,
}

/// The content of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A frame: its description, the bytes of its header, the first bytes of its payload (unmasked), the payload's length.
    Frame {
        /// A description.
        says: String,
        /// The bytes on the wire.
        header: Vec<u8>,
        /// The beginning of the payload, unmasked.
        payload: Vec<u8>,
        /// The length of the whole payload.
        length: usize,
    },
    /// The head of a request or a response, or a part of one.
    Http(String),
    /// Bytes that are not a frame.
    Bytes {
        /// Their beginning.
        bytes: Vec<u8>,
        /// Their number.
        length: usize,
    },
    /// Anything else: an end of TCP, a pause, a verdict on the way.
    Note(String),
}

/// A transcript, and counters for both directions.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The kept lines.
    pub lines: Vec<Line>,
    /// The number of lines that were not kept.
    pub left_out: u64,
    /// The number of bytes sent.
    pub sent: u64,
    /// The number of bytes received.
    pub received: u64,
    /// Frames that were sent, by opcode.
    pub sent_frames: [u64; 16],
    /// Frames that were received, by opcode.
    pub received_frames: [u64; 16],
}

impl Record {
    /// Returns whether another line would be kept.
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

    /// Records a frame that the suite sends; `bytes` is all of it.
    pub fn sends(&mut self, at: Duration, frame: &Frame, bytes: &[u8]) {
        if let Some(count) = self.sent_frames.get_mut(usize::from(frame.opcode & 15)) {
            *count += 1;
        }
        self.push(at, Who::Suite, || What::Frame {
            says: says(
                frame.fin,
                frame.rsv,
                frame.opcode,
                bytes.get(1).is_some_and(|b| b & 128 != 0),
                &frame.payload,
            ),
            header: start(bytes, bytes.len() - frame.payload.len()),
            payload: start(&frame.payload, HEAD),
            length: frame.payload.len(),
        });
    }

    /// Records a frame that the peer sent.
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

    /// Records the head of a request or a response.
    pub fn http(&mut self, at: Duration, who: Who, bytes: &[u8]) {
        self.push(at, who, || {
            What::Http(String::from_utf8_lossy(&start(bytes, TEXT)).into_owned())
        });
    }

    /// Records a frame of HTTP/2, or the fields of a head, as text.
    pub fn http2(&mut self, at: Duration, who: Who, says: String) {
        self.push(at, who, || What::Http(says));
    }

    /// Records bytes that are not a frame.
    pub fn bytes(&mut self, at: Duration, who: Who, bytes: &[u8]) {
        self.push(at, who, || What::Bytes {
            bytes: start(bytes, HEAD),
            length: bytes.len(),
        });
    }

    /// Records a remark.
    pub fn note(&mut self, at: Duration, who: Who, note: impl Into<String>) {
        let note = note.into();
        // The end of a case is always recorded.
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

fn start(bytes: &[u8], most: usize) -> Vec<u8> {
    bytes.get(..most).unwrap_or(bytes).to_vec()
}

/// Describes a frame, such as `TEXT, FIN 0, RSV 4, masked`.
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
