//! Reading from the connections that are ready, before writing to them.
//! A message that comes alone costs less this way than in a turn of its own, presumably because the code of reading and that of writing do not
//! drive each other out of the processor's cache. Knows neither frames nor sockets.

use sansws_core::connection::Connection;
use sansws_core::time::{Duration, Instant};

use super::peer::{Peer, Stage};
use super::{Loop, WRITE};

/// Maximum number of connections whose output waits for that of others.
const CONNECTIONS: usize = 64;

/// Maximum number of bytes of output that wait on one connection: more is written at once.
const BYTES: usize = WRITE;

/// How long output waits at most, except for a callback that takes longer.
const WAIT: Duration = Duration::from_micros(200);

/// A callback that takes so long has held up the output of others.
const SLOW: Duration = Duration::from_millis(1);

/// Number of turns of the loop after a slow callback in which each connection writes before the next one is called back.
const CAUTIOUS: u32 = 1_000;

/// The connections that have read, and are to write.
#[derive(Default)]
pub(super) struct Batch {
    slots: Vec<usize>,
    /// When the first began to read.
    since: Instant,
    /// Number of turns of the loop until output may wait again.
    cautious: u32,
}

impl Batch {
    /// Counts a turn of the loop.
    pub(super) const fn note_turn(&mut self) {
        self.cautious = self.cautious.saturating_sub(1);
    }
}

impl Peer {
    /// Returns whether its turn begins by reading, and may be interrupted then.
    fn reads_first(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
            && self.flags.readable
            && !self.flags.held
            && !self.has_unsent()
            && self.wants_input()
    }

    /// Returns whether nothing is left of its turn but to write a little. A Close frame does not wait: time runs for its answer.
    fn has_little_to_write(&self) -> bool {
        let is_little =
            |connection: &Connection| connection.is_open() && connection.queued() <= BYTES;
        !self.flags.readable && !self.flags.ended && self.connection().is_some_and(is_little)
    }
}

impl Loop {
    /// The turn of a connection whose socket is ready. If it comes to reading alone, the rest is left to [`write_batch`](Self::write_batch).
    pub(super) fn turn_in_batch(&mut self, slot: usize) {
        let began = self.now;
        let peer = self.peers.get(slot);
        if self.batch.cautious == 0 && peer.is_some_and(|peer| peer.reads_first()) {
            self.begin_turn(slot);
        } else {
            self.turn(slot);
        }
        if self.now.since(began) >= SLOW {
            self.batch.cautious = CAUTIOUS;
        }
        let batch = &self.batch;
        let is_due = batch.cautious > 0
            || batch.slots.len() >= CONNECTIONS
            || self.now.since(batch.since) >= WAIT;
        if is_due {
            self.write_batch();
        }
    }

    /// Reads, and puts off the rest of the turn if it is short.
    fn begin_turn(&mut self, slot: usize) {
        let began = self.now;
        self.current = Some(slot);
        self.lend(slot);
        self.receive(slot);
        self.current = None;
        let peer = self.peers.get_mut(slot);
        if let Some(peer) = peer.filter(|peer| peer.has_little_to_write()) {
            if !std::mem::replace(&mut peer.flags.batched, true) {
                if self.batch.slots.is_empty() {
                    self.batch.since = began;
                }
                self.batch.slots.push(slot);
            }
        } else {
            self.take_turn(slot);
            self.arm(slot);
        }
        self.measure(slot, began);
    }

    /// Continues the turns of connections that have read.
    pub(super) fn write_batch(&mut self) {
        if self.batch.slots.is_empty() {
            return;
        }
        let mut slots = std::mem::take(&mut self.batch.slots);
        for slot in slots.drain(..) {
            let Some(peer) = self.peers.get_mut(slot) else {
                continue;
            };
            if !std::mem::take(&mut peer.flags.batched) {
                continue;
            }
            if peer.flags.owed || peer.flags.ended || peer.is_ending() {
                // It is called back once more.
                self.now = crate::clock::now();
                self.turn(slot);
            } else {
                self.current = Some(slot);
                self.rounds(slot);
                self.current = None;
                self.arm(slot);
            }
        }
        // No connection has come into it meanwhile.
        self.batch.slots = slots;
        self.now = crate::clock::now();
    }
}
