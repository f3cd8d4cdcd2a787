//! One way of a byte link: delay, chopping, a bounded buffer.
//! It does what TCP does to a stream.
//! Knows no protocol.

use std::collections::VecDeque;

use sansws_core::time::{Duration, Instant};

use crate::random::Random;
use crate::setup::SLOWEST;

/// Octets that fit between a writer and a reader that reads nothing.
const CAPACITY: usize = 4 << 10;

#[derive(Debug)]
pub struct Pipe {
    random: Random,
    flying: VecDeque<(Instant, Vec<u8>)>,
    ready: Vec<u8>,
    held: usize,
    last: Instant,
    ended: bool,
    /// It swallows all that still fits, and nothing arrives.
    pub dead: bool,
}

impl Pipe {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            flying: VecDeque::new(),
            ready: Vec::new(),
            held: 0,
            last: Instant::ZERO,
            ended: false,
            dead: false,
        }
    }

    /// Takes what fits; says how much that was.
    pub fn write(&mut self, now: Instant, bytes: &[u8]) -> usize {
        let length = bytes.len().min(CAPACITY - self.held);
        let mut rest = &bytes[..length];
        while !rest.is_empty() {
            let most = if self.random.one_in(8) { 5 } else { 1_400 };
            let (piece, after) =
                rest.split_at((1 + self.random.below(most) as usize).min(rest.len()));
            let delay = Duration::from_micros(self.random.between(50, SLOWEST));
            self.last = self.last.max(now + delay);
            self.flying.push_back((self.last, piece.to_vec()));
            rest = after;
        }
        self.held += length;
        length
    }

    /// No more will be written.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// When something arrives.
    pub fn due(&self) -> Option<Instant> {
        self.flying
            .front()
            .filter(|_| !self.dead)
            .map(|(at, _)| *at)
    }

    /// Moves what has arrived by now into `into`.
    pub fn read(&mut self, now: Instant, into: &mut Vec<u8>) {
        while let Some((at, _)) = self.flying.front()
            && *at <= now
            && !self.dead
            && let Some((_, bytes)) = self.flying.pop_front()
        {
            self.ready.extend(bytes);
        }
        self.held -= self.ready.len();
        into.append(&mut self.ready);
    }

    /// Notes what has arrived by now, and leaves it there: its reader is stalled.
    pub fn arrive(&mut self, now: Instant) {
        while let Some((at, _)) = self.flying.front()
            && *at <= now
            && !self.dead
            && let Some((_, bytes)) = self.flying.pop_front()
        {
            self.ready.extend(bytes);
        }
    }

    /// Whether all has been read, and nothing follows.
    pub fn is_over(&self) -> bool {
        self.ended && self.flying.is_empty() && self.ready.is_empty() && !self.dead
    }
}
