//! One group as it lies in Redis: its numbers, what is kept, ids, presence.
//! No RFC.
//! Knows no connection: what is to be sent is handed out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use sansws_core::hub::{HistoryOptions, Position, Present};
use sansws_redis::request::{Entry, Mark, Name, Reply, Seat};
use sansws_redis::wire;

/// For how long an id is remembered, in microseconds.
const REMEMBERED: u64 = 300_000_000;

#[derive(Clone, Debug)]
pub struct Group {
    pub position: Position,
    /// When the last message that has a number was published.
    pub time: u64,
    /// The fence of the server when it was looked at last.
    pub fence: String,
    stream: VecDeque<Entry>,
    /// The number of the last message that is not kept.
    floor: u64,
    ids: BTreeMap<Name, (u64, Position)>,
    version: u64,
    users: BTreeMap<Name, BTreeMap<Seat, Option<Name>>>,
}

impl Group {
    pub const fn new(epoch: u64, fence: String) -> Self {
        Self {
            position: Position { epoch, offset: 0 },
            time: 0,
            fence,
            stream: VecDeque::new(),
            floor: 0,
            ids: BTreeMap::new(),
            version: 0,
            users: BTreeMap::new(),
        }
    }

    /// Whether what stands here is not what somebody saw.
    pub fn contradicts(&self, ours: Mark) -> bool {
        let (offset, top) = (ours.position.offset, self.position.offset);
        if ours.position.epoch != self.position.epoch || offset == 0 {
            return false;
        }
        if offset >= top {
            return offset > top || ours.time != self.time;
        }
        let reaches = self.stream.front().is_some_and(|first| first.offset <= offset);
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
        if message.first().is_some_and(|flags| flags & wire::UNSAVED != 0) {
            return;
        }
        self.position.offset += 1;
        self.time = time;
        let Some(keep) = keep else {
            self.stream.clear();
            self.floor = self.position.offset;
            return;
        };
        self.stream.push_back(Entry {
            offset: self.position.offset,
            time,
            message: message.to_vec(),
        });
        while self.stream.len() > keep.messages.max(1)
            || (self.octets() > keep.octets && self.stream.len() > 1)
        {
            if let Some(oldest) = self.stream.pop_front() {
                self.floor = oldest.offset;
            }
        }
    }

    pub fn octets(&self) -> usize {
        self.stream.iter().map(|entry| entry.message.len()).sum()
    }

    /// What was published since a number, the newest `limit` of it; nothing, if it stands in another numbering.
    pub fn read(
        &self,
        now: u64,
        keep: Option<&HistoryOptions>,
        since: Option<Position>,
        limit: usize,
    ) -> Reply {
        let age = keep.map_or(0, |keep| keep.age.as_micros() as u64);
        let old = |entry: &&Entry| entry.time + age <= now;
        let floor = self.stream.iter().take_while(old).last();
        let floor = match keep {
            Some(_) => floor.map_or(self.floor, |last| last.offset),
            None => self.position.offset,
        };
        let since = since.map_or(u64::MAX, |since| since.offset).max(floor);
        let mut entries: Vec<Entry> = self.stream.iter().rev().cloned().collect();
        entries.retain(|entry| entry.offset > since);
        entries.truncate(limit);
        entries.reverse();
        Reply::Kept {
            position: Some(self.position),
            floor,
            entries,
        }
    }

    pub fn presence(&self, members: bool) -> Reply {
        let member = |(user, seats): (&Name, &BTreeMap<_, Option<Name>>)| Present {
            user: Arc::clone(user),
            metadata: seats.values().next().cloned().flatten(),
        };
        let members = if members {
            self.users.iter().map(member).collect()
        } else {
            Vec::new()
        };
        Reply::Presence {
            version: self.version,
            count: self.users.len(),
            members,
        }
    }

    /// The names of who is there.
    pub fn users(&self) -> Vec<Name> {
        self.users.keys().cloned().collect()
    }

    pub const fn version(&self) -> u64 {
        self.version
    }

    pub fn sits(&self, seat: Seat) -> bool {
        self.users.values().any(|seats| seats.contains_key(&seat))
    }

    /// Users are there, on a seat; what is to be told.
    pub fn enter(&mut self, seat: Seat, users: Vec<Present>) -> Option<Vec<u8>> {
        let mut joined = Vec::new();
        for present in users {
            let seats = self.users.entry(Arc::clone(&present.user)).or_default();
            if seats.is_empty() {
                joined.push(present.clone());
            }
            seats.insert(seat, present.metadata);
        }
        self.changed(&joined, &[])
    }

    /// Users, or all, are there no more on a seat; what is to be told.
    pub fn exit(&mut self, seat: Seat, users: Option<&[Name]>) -> Option<Vec<u8>> {
        let all = self.users();
        let mut left = Vec::new();
        for user in users.unwrap_or(&all) {
            if let Some(seats) = self.users.get_mut(user)
                && seats.remove(&seat).is_some()
                && seats.is_empty()
            {
                self.users.remove(user);
                left.push(Arc::clone(user));
            }
        }
        self.changed(&[], &left)
    }

    fn changed(&mut self, joined: &[Present], left: &[Name]) -> Option<Vec<u8>> {
        if joined.is_empty() && left.is_empty() {
            return None;
        }
        self.version += 1;
        Some(wire::presence(self.version, self.users.len(), joined, left))
    }
}
