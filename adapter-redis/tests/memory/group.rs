//! One group as it lies in Redis: its numbers, what is kept, and ids.
//! Knows no connection and no presence.

use std::collections::{BTreeMap, VecDeque};

use sansws_core::hub::{HistoryOptions, Position};
use sansws_redis::request::{Entry, Mark, Name, Reply};
use sansws_redis::wire;

/// For how long an id is remembered, in microseconds.
const REMEMBERED: u64 = 300_000_000;

#[derive(Clone, Debug)]
pub struct Group {
    pub position: Position,
    /// When the last message that has a number was published, or the group began.
    pub time: u64,
    /// When the last message without a number was published that somebody watched.
    pub unnumbered: u64,
    /// The fence of the server when it was asked for over a new connection last.
    pub fence: String,
    stream: VecDeque<Entry>,
    ids: BTreeMap<Name, (u64, Position)>,
}

impl Group {
    pub const fn new(epoch: u64, time: u64) -> Self {
        Self {
            position: Position { epoch, offset: 0 },
            time,
            unnumbered: 0,
            fence: String::new(),
            stream: VecDeque::new(),
            ids: BTreeMap::new(),
        }
    }

    /// Another epoch begins; the numbers go on.
    pub const fn begin(&mut self, epoch: u64) {
        self.position.epoch = epoch;
    }

    /// Whether what stands here is not what somebody saw.
    pub fn contradicts(&self, ours: Mark) -> bool {
        let (offset, top) = (ours.position.offset, self.position.offset);
        if ours.position.epoch != self.position.epoch || offset == 0 {
            return ours.position.epoch > self.position.epoch;
        }
        if offset >= top {
            return offset > top || ours.time != self.time;
        }
        let reaches = self.stream.len() as u64 > top - offset;
        let same = |entry: &Entry| entry.offset == offset && entry.time == ours.time;
        reaches && !self.stream.iter().any(same)
    }

    /// Where the message with an id stands.
    pub fn find(&self, now: u64, id: &Name) -> Option<Position> {
        let (until, position) = self.ids.get(id)?;
        (*until > now).then_some(*position)
    }

    /// Remembers the id of the last message.
    pub fn note(&mut self, now: u64, id: Name) {
        self.ids.insert(id, (now + REMEMBERED, self.position));
    }

    /// Numbers and keeps a message.
    pub fn push(&mut self, time: u64, message: &[u8], keep: Option<&HistoryOptions>) {
        if message
            .first()
            .is_some_and(|flags| flags & wire::UNSAVED != 0)
        {
            return;
        }
        self.position.offset += 1;
        self.time = time;
        let Some(keep) = keep else {
            self.stream.clear();
            return;
        };
        self.stream.push_back(Entry {
            offset: self.position.offset,
            time,
            message: message.to_vec(),
        });
        while self.stream.len() > keep.messages.max(1)
            || (self.bytes() > keep.bytes && self.stream.len() > 1)
        {
            self.stream.pop_front();
        }
    }

    /// Drops what is kept.
    pub fn remove_history(&mut self) {
        self.stream.clear();
    }

    /// Each message with its length before it.
    pub fn bytes(&self) -> usize {
        self.stream
            .iter()
            .map(|entry| entry.message.len() + 4)
            .sum()
    }

    /// Returns the publications since a position, or all, the newest `limit` of them; expired ones are dropped.
    pub fn read(
        &mut self,
        now: u64,
        keep: Option<&HistoryOptions>,
        since: Option<Position>,
        limit: usize,
    ) -> Reply {
        let top = self.position;
        let is_there = |since: Position| since.epoch == top.epoch && since.offset < top.offset;
        let mut entries = Vec::new();
        let mut floor = top.offset;
        if let Some(keep) = keep
            && since.is_none_or(is_there)
        {
            let age = keep.age.as_micros() as u64;
            self.stream.retain(|entry| entry.time + age >= now);
            floor = top.offset - self.stream.len() as u64;
            let since = since.map_or(0, |since| since.offset);
            entries.extend(self.stream.iter().rev().cloned());
            entries.retain(|entry: &Entry| entry.offset > since);
            entries.truncate(limit);
            entries.reverse();
        }
        Reply::Kept {
            position: Some(top),
            floor,
            entries,
        }
    }
}
