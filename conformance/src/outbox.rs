//! Output, in the chunks in which it is to be written.
//! RFC 6455 section 5.3 for the keys: here they need not be unpredictable, and the seed of a run determines them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::frame::{Coding, Frame, Masking, continuation, frame, opcode};
use crate::record::Record;
use crate::script::Chop;
use crate::setting::Random;

/// Bytes that wait to be written.
#[derive(Debug)]
pub struct Outbox {
    pieces: VecDeque<Piece>,
    /// The state of the generator of keys; `None` on the server's side, which does not mask.
    keys: Option<Random>,
    /// Payload bytes that a header announced and that are not queued yet.
    owed: u64,
}

#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    /// The number of bytes written.
    at: usize,
    /// The number of bytes to write at a time.
    size: usize,
}

impl Outbox {
    /// Creates an empty one; with a seed for keys on the client's side, which masks.
    pub fn new(seed: Option<u64>) -> Self {
        Self {
            pieces: VecDeque::new(),
            keys: seed.map(Random),
            owed: 0,
        }
    }

    fn key(&mut self) -> Option<[u8; 4]> {
        let [a, b, c, d, ..] = self.keys.as_mut()?.next().to_be_bytes();
        Some([a, b, c, d])
    }

    /// Queues frames.
    pub fn frames(&mut self, now: Duration, frames: &[Frame], chop: Chop, record: &mut Record) {
        let mut bytes = Vec::new();
        for frame in frames {
            let key = self.key();
            let start = bytes.len();
            frame.write(key, &mut bytes);
            let length = frame.payload.len() as u64;
            self.owed += frame.claim.unwrap_or(length).saturating_sub(length);
            record.sends(now, frame, bytes.get(start..).unwrap_or_default());
            if chop == Chop::Frames {
                self.bytes(std::mem::take(&mut bytes), Chop::Whole);
            }
        }
        self.bytes(bytes, chop);
    }

    /// Queues a message whose payload is given as sent on the wire, in fragments.
    pub fn message(
        &mut self,
        now: Duration,
        text: bool,
        rsv: u8,
        payload: &[u8],
        fragment: Option<usize>,
        record: &mut Record,
    ) {
        let size = fragment.unwrap_or(usize::MAX).max(1);
        let mut parts = payload.chunks(size).peekable();
        let first = parts.next().unwrap_or_default();
        let code = if text { opcode::TEXT } else { opcode::BINARY };
        let mut bytes = Vec::with_capacity(payload.len() + 14);
        let mut one = |part: Frame, keys: &mut Self, bytes: &mut Vec<u8>| {
            let key = keys.key();
            let start = bytes.len();
            part.write(key, bytes);
            record.sends(now, &part, bytes.get(start..).unwrap_or_default());
        };
        let mut begin = Frame {
            fin: parts.peek().is_none(),
            rsv,
            opcode: code,
            payload: first.to_vec(),
            masking: Masking::ByRole,
            coding: Coding::Minimal,
            claim: None,
        };
        if payload.is_empty() {
            begin = frame(code, "").rsv(rsv);
        }
        one(begin, self, &mut bytes);
        while let Some(part) = parts.next() {
            let mut next = continuation(part);
            next.fin = parts.peek().is_none();
            one(next, self, &mut bytes);
        }
        self.bytes(bytes, Chop::Whole);
    }

    /// Queues bytes that are not a frame.
    pub fn raw(&mut self, bytes: Vec<u8>, chop: Chop) {
        self.owed = self.owed.saturating_sub(bytes.len() as u64);
        self.bytes(bytes, chop);
    }

    /// Returns whether a frame has started but not ended: nothing may come between.
    pub const fn is_inside(&self) -> bool {
        self.owed > 0
    }

    /// Queues bytes.
    pub fn bytes(&mut self, bytes: Vec<u8>, chop: Chop) {
        if bytes.is_empty() {
            return;
        }
        let size = match chop {
            Chop::Whole | Chop::Frames => bytes.len(),
            Chop::Bytes(size) => size.max(1),
        };
        self.pieces.push_back(Piece { bytes, at: 0, size });
    }

    /// Returns the bytes of the next write.
    pub fn first(&self) -> Option<&[u8]> {
        let piece = self.pieces.front()?;
        let end = (piece.at / piece.size + 1)
            .saturating_mul(piece.size)
            .min(piece.bytes.len());
        piece.bytes.get(piece.at..end)
    }

    /// Reports that so many bytes were written. Returns whether nothing is left.
    pub fn written(&mut self, count: usize) -> bool {
        if let Some(piece) = self.pieces.front_mut() {
            piece.at += count;
            if piece.at >= piece.bytes.len() {
                self.pieces.pop_front();
            }
        }
        self.pieces.is_empty()
    }

    /// Returns whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Discards everything.
    pub fn clear(&mut self) {
        self.pieces.clear();
    }
}
