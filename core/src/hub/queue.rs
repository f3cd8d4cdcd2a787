//! The queues of channels: each message is stored once, and each channel has a chain of references in order.
//! Knows no policy: it adds, takes and drops entries as requested.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use slab::Slab;

use super::Publication;
use super::callback::Notices;
use super::capacity::CapacityTracker;
use super::id::Name;
use super::notice::Notice;
use crate::message::PreparedMessage;
use crate::time::Instant;

/// No entry.
const NONE: u32 = u32::MAX;

/// The ends of one channel's chain. An empty one holds nothing in the store.
#[derive(Debug)]
pub(super) struct Chain {
    head: u32,
    tail: u32,
    /// Number of messages that count against the limits.
    messages: u32,
    /// Number of their bytes.
    bytes: usize,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            head: NONE,
            tail: NONE,
            messages: 0,
            bytes: 0,
        }
    }
}

impl Chain {
    pub(super) const fn is_empty(&self) -> bool {
        self.head == NONE
    }

    pub(super) const fn messages(&self) -> u32 {
        self.messages
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A queued entry, for one or many channels.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) content: Content,
    /// The group of the message, if it was published to one.
    pub(super) group: Option<Name>,
    pub(super) since: Instant,
    pub(super) expires: Option<Instant>,
    /// The number of references.
    waiting: u32,
    /// Its place in time order.
    serial: u64,
}

#[derive(Debug)]
pub(super) enum Content {
    Message {
        frame: PreparedMessage,
        publication: Option<Arc<Publication>>,
    },
    /// `count` messages of the group were dropped for this channel.
    Skipped {
        count: u64,
        /// How to format the notice; `None`: for a listener, unformatted.
        notices: Option<Notices>,
    },
}

impl Content {
    fn bytes(&self) -> usize {
        match self {
            Self::Message { frame, .. } => frame.payload().len(),
            Self::Skipped { .. } => 0,
        }
    }

    /// The number of messages.
    const fn count(&self) -> usize {
        match self {
            Self::Message { .. } => 1,
            Self::Skipped { .. } => 0,
        }
    }

    fn key(&self) -> Option<&Name> {
        match self {
            Self::Message { publication, .. } => publication.as_ref()?.key.as_ref(),
            Self::Skipped { .. } => None,
        }
    }
}

#[derive(Debug)]
struct Link {
    next: u32,
    entry: u32,
    /// Whether it counts against the limits: replayed messages do not.
    counts: bool,
}

/// All queued entries.
#[derive(Debug, Default)]
pub(super) struct Store {
    links: Slab<Link>,
    entries: Slab<Entry>,
    /// Entries in time order.
    order: BTreeMap<u64, u32>,
    next: u64,
    /// The number of bytes held, each message counted once.
    held: usize,
    /// The number of links so far.
    peak: CapacityTracker,
    /// The number of queued bytes, each reference counted.
    queued: usize,
    /// The number of queued messages, each reference counted.
    waiting: usize,
}

/// The action of a walk on a reference.
pub(super) enum Walk {
    Keep,
    Drop,
    Stop,
}

impl Store {
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    pub(super) const fn queued(&self) -> usize {
        self.queued
    }

    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn entry(&self, at: u32) -> Option<&Entry> {
        self.entries.get(at as usize)
    }

    /// Returns since when the oldest entry has been waiting.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let (_, at) = self.order.first_key_value()?;
        Some(self.entries.get(*at as usize)?.since)
    }

    /// Adds an entry. Without references, [`settle`](Self::settle) removes it again.
    pub(super) fn enter(
        &mut self,
        now: Instant,
        content: Content,
        group: Option<Name>,
        expires: Option<Instant>,
    ) -> u32 {
        self.held += content.bytes();
        let serial = self.next;
        self.next += 1;
        let at = self.entries.insert(Entry {
            content,
            group,
            since: now,
            expires,
            waiting: 0,
            serial,
        }) as u32;
        self.order.insert(serial, at);
        at
    }

    /// Removes an entry without references.
    pub(super) fn settle(&mut self, at: u32) {
        if self
            .entries
            .get(at as usize)
            .is_some_and(|entry| entry.waiting == 0)
        {
            let entry = self.entries.remove(at as usize);
            self.held -= entry.content.bytes();
            self.order.remove(&entry.serial);
        }
        if self.links.is_empty()
            && let Some(worth) = self.peak.emptied(self.links.capacity())
        {
            self.links = Slab::with_capacity(worth);
            self.entries.shrink_to_fit();
        }
    }

    /// Appends a reference to a channel's chain.
    #[inline]
    pub(super) fn append(&mut self, chain: &mut Chain, at: u32, counts: bool) {
        let Some(entry) = self.entries.get_mut(at as usize) else {
            return;
        };
        entry.waiting += 1;
        self.waiting += entry.content.count();
        let bytes = entry.content.bytes();
        let link = self.links.insert(Link {
            next: NONE,
            entry: at,
            counts,
        }) as u32;
        match self.links.get_mut(chain.tail as usize) {
            Some(tail) => tail.next = link,
            None => chain.head = link,
        }
        chain.tail = link;
        self.peak.see(self.links.len());
        self.queued += bytes;
        if counts {
            chain.messages += 1;
            chain.bytes += bytes;
        }
    }

    /// Returns the next entry of a channel.
    pub(super) fn front(&self, chain: &Chain) -> Option<&Entry> {
        let link = self.links.get(chain.head as usize)?;
        self.entries.get(link.entry as usize)
    }

    /// Returns the first message of a channel, skipping notices.
    pub(super) fn first_message(&self, chain: &Chain) -> Option<&Entry> {
        let mut at = chain.head;
        while let Some(link) = self.links.get(at as usize) {
            let entry = self.entries.get(link.entry as usize)?;
            if matches!(entry.content, Content::Message { .. }) {
                return Some(entry);
            }
            at = link.next;
        }
        None
    }

    /// Removes the first reference.
    pub(super) fn pop(&mut self, chain: &mut Chain) {
        self.unlink(chain, NONE, chain.head);
    }

    /// Removes a link, after `before`.
    fn unlink(&mut self, chain: &mut Chain, before: u32, link: u32) {
        let Some(gone) = self.links.try_remove(link as usize) else {
            return;
        };
        match self.links.get_mut(before as usize) {
            Some(before) => before.next = gone.next,
            None => chain.head = gone.next,
        }
        if chain.tail == link {
            chain.tail = before;
        }
        let Some(entry) = self.entries.get_mut(gone.entry as usize) else {
            return;
        };
        let bytes = entry.content.bytes();
        self.queued -= bytes;
        self.waiting -= entry.content.count();
        if gone.counts {
            chain.messages -= 1;
            chain.bytes -= bytes;
        }
        entry.waiting -= 1;
        if entry.waiting == 0 {
            self.settle(gone.entry);
        }
    }

    /// Walks along a chain, from the front; returns the number of dropped messages. With `noted`, it leaves a notice in place of each.
    pub(super) fn walk(
        &mut self,
        chain: &mut Chain,
        noted: Option<(Instant, &Notices)>,
        mut judge: impl FnMut(&Entry) -> Walk,
    ) -> u64 {
        let (mut before, mut at, mut dropped) = (NONE, chain.head, 0);
        while let Some(link) = self.links.get(at as usize) {
            let next = link.next;
            let Some(entry) = self.entries.get(link.entry as usize) else {
                break;
            };
            match judge(entry) {
                Walk::Keep => before = at,
                Walk::Stop => break,
                Walk::Drop => {
                    dropped += entry.content.count() as u64;
                    let (group, missing) = (entry.group.clone(), entry.stands_for());
                    self.unlink(chain, before, at);
                    if let (Some((now, notices)), Some(group)) = (noted, group)
                        && missing > 0
                    {
                        before = self.note(now, chain, before, &group, Some(notices), missing);
                    }
                }
            }
            at = next;
        }
        dropped
    }

    /// Drops all messages of a channel; returns their number.
    pub(super) fn clear(&mut self, chain: &mut Chain) -> u64 {
        self.walk(chain, None, |_| Walk::Drop)
    }

    /// Drops the messages of a group that are superseded by a newer one with their key, queued or equal to `key`; returns their number.
    pub(super) fn conflate(
        &mut self,
        chain: &mut Chain,
        noted: Option<(Instant, &Notices)>,
        group: &Name,
        key: Option<&Name>,
    ) -> u64 {
        // The last place of each key, found in a first walk.
        let mut last: BTreeMap<Name, u64> = BTreeMap::new();
        self.walk(chain, None, |entry| {
            if entry.group.as_ref() == Some(group)
                && let Some(key) = entry.content.key()
            {
                last.insert(Arc::clone(key), entry.serial);
            }
            Walk::Keep
        });
        if let Some(key) = key {
            last.insert(Arc::clone(key), u64::MAX);
        }
        self.walk(chain, noted, |entry| {
            let newer = entry.content.key().and_then(|key| last.get(key));
            if entry.group.as_ref() == Some(group) && newer.is_some_and(|at| *at > entry.serial) {
                Walk::Drop
            } else {
                Walk::Keep
            }
        })
    }

    /// Adds a notice at the end of a chain that messages of a group were dropped there.
    pub(super) fn note_skipped(
        &mut self,
        now: Instant,
        chain: &mut Chain,
        group: &Name,
        notices: Option<&Notices>,
        count: u64,
    ) {
        self.note(now, chain, chain.tail, group, notices, count);
    }

    /// Adds a notice after a link that messages of a group were dropped there; returns the link of the notice.
    fn note(
        &mut self,
        now: Instant,
        chain: &mut Chain,
        before: u32,
        group: &Name,
        notices: Option<&Notices>,
        count: u64,
    ) -> u32 {
        if let Some(link) = self.links.get(before as usize)
            && let Some(entry) = self.entries.get_mut(link.entry as usize)
            && entry.group.as_ref() == Some(group)
            && let Content::Skipped { count: noted, .. } = &mut entry.content
        {
            *noted += count;
            return before;
        }
        let content = Content::Skipped {
            count,
            notices: notices.cloned(),
        };
        let at = self.enter(now, content, Some(Arc::clone(group)), None);
        let mut note = Chain::default();
        self.append(&mut note, at, false);
        let next = match self.links.get_mut(before as usize) {
            Some(before) => core::mem::replace(&mut before.next, note.head),
            None => core::mem::replace(&mut chain.head, note.head),
        };
        if let Some(link) = self.links.get_mut(note.head as usize) {
            link.next = next;
        }
        if next == NONE {
            chain.tail = note.head;
        }
        note.head
    }
}

impl Entry {
    /// Returns how many messages the channel loses if it is dropped.
    pub(super) fn stands_for(&self) -> u64 {
        match &self.content {
            Content::Message { publication, .. } => {
                publication.as_ref().map_or(1, |one| one.stands_for)
            }
            Content::Skipped { .. } => 0,
        }
    }

    /// Returns its form for the channel: the frame, or the text of a notice.
    pub(super) fn frame(&self) -> Option<PreparedMessage> {
        match &self.content {
            Content::Message { frame, .. } => Some(frame.clone()),
            Content::Skipped { count, notices } => {
                let group = Arc::clone(self.group.as_ref()?);
                let notice = Notice::Skipped {
                    group,
                    count: *count,
                };
                let notices = notices.as_ref()?;
                Some(super::publication::prepare(&notices.word(&notice)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn put(store: &mut Store, chains: &mut [&mut Chain], text: &str) {
        let content = Content::Message {
            frame: PreparedMessage::new(text),
            publication: None,
        };
        let at = store.enter(Instant::ZERO, content, None, None);
        for chain in chains {
            store.append(chain, at, true);
        }
        store.settle(at);
    }

    fn take(store: &mut Store, chain: &mut Chain) -> Option<Vec<u8>> {
        let frame = store.front(chain)?.frame()?;
        store.pop(chain);
        Some(frame.payload().to_vec())
    }

    #[test]
    fn each_message_is_held_once_until_the_last_has_taken_it() {
        let (mut store, mut one, mut two) = (Store::default(), Chain::default(), Chain::default());
        put(&mut store, &mut [&mut one, &mut two], "first");
        put(&mut store, &mut [&mut one], "second");
        put(&mut store, &mut [], "nobody's");
        assert_eq!(
            (store.held(), store.queued(), store.entries.len()),
            (11, 16, 2)
        );
        assert_eq!((one.messages(), one.bytes()), (2, 11));
        assert_eq!(take(&mut store, &mut one).unwrap(), b"first");
        assert_eq!(take(&mut store, &mut one).unwrap(), b"second");
        assert_eq!(take(&mut store, &mut one), None);
        assert_eq!((store.held(), store.queued()), (5, 5));
        assert_eq!(store.clear(&mut two), 1);
        assert!(one.is_empty() && two.is_empty());
        assert_eq!(
            (store.held(), store.queued(), store.entries.len()),
            (0, 0, 0)
        );
        assert_eq!(store.oldest(), None);
    }

    #[test]
    fn a_walk_takes_out_the_first_the_last_and_those_between() {
        for gone in ["a", "b", "c", "abc", "ac"] {
            let (mut store, mut chain) = (Store::default(), Chain::default());
            for text in ["a", "b", "c"] {
                put(&mut store, &mut [&mut chain], text);
            }
            let dropped = store.walk(&mut chain, None, |entry| {
                let text = entry.frame().unwrap();
                let text = core::str::from_utf8(text.payload()).unwrap();
                if gone.contains(text) {
                    Walk::Drop
                } else {
                    Walk::Keep
                }
            });
            assert_eq!(dropped, gone.len() as u64);
            put(&mut store, &mut [&mut chain], "d");
            let mut left = Vec::new();
            while let Some(text) = take(&mut store, &mut chain) {
                left.extend(text);
            }
            let want: Vec<u8> = "abcd"
                .bytes()
                .filter(|c| !gone.contains(*c as char))
                .collect();
            assert_eq!(left, want, "{gone}");
            assert_eq!((chain.messages(), chain.bytes()), (0, 0));
        }
    }
}
