//! Messages, whole or in chunks, that were read ahead of a busy handler; and control frames for applications that want them.
//! RFC 6455 section 5.5: control frames after messages must be seen.
//! Holds whatever is added: the caller asks before whether more may be kept.

use std::collections::VecDeque;

use sansws_core::connection::Connection;
use sansws_core::message::Message;

/// A queue that holds no heap memory when empty.
#[derive(Debug, Default)]
pub struct ReadAhead(Option<Box<Held>>);

#[derive(Debug, Default)]
struct Held {
    items: VecDeque<Item>,
    bytes: usize,
    /// The number of items taken.
    popped: u64,
    /// Each with the number of items before it.
    control: VecDeque<(u64, Control)>,
}

/// Maximum number of messages and chunks that are kept, however short.
const ITEMS_AHEAD: usize = 1024;

/// Maximum number of control frames that are kept; beyond it, the oldest is dropped.
const CONTROL_AHEAD: usize = 32;

/// A ping or a pong from the peer.
#[derive(Debug)]
pub enum Control {
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

/// A message that was read ahead, or a chunk of one that is received in chunks.
#[derive(Debug)]
pub struct Item {
    pub message: Message,
    /// For a chunk: whether it is the first, whether it is the last.
    pub piece: Option<(bool, bool)>,
}

impl ReadAhead {
    pub fn push(&mut self, item: Item) {
        let held = self.0.get_or_insert_default();
        held.bytes += item.message.len();
        held.items.push_back(item);
    }

    /// Keeps a control frame, after the items that were read before.
    pub fn push_control(&mut self, control: Control) {
        let held = self.0.get_or_insert_default();
        if held.control.len() >= CONTROL_AHEAD {
            held.control.pop_front();
        }
        let before = held.popped + held.items.len() as u64;
        held.control.push_back((before, control));
    }

    /// Takes the control frame that precedes all items.
    pub fn pop_control(&mut self) -> Option<Control> {
        let held = self.0.as_mut()?;
        let (before, _) = held.control.front()?;
        if *before > held.popped {
            return None;
        }
        let (_, control) = held.control.pop_front()?;
        self.tidy();
        Some(control)
    }

    #[inline]
    pub fn pop(&mut self) -> Option<Item> {
        let held = self.0.as_mut()?;
        let item = held.items.pop_front();
        held.bytes -= item.as_ref().map_or(0, |item| item.message.len());
        held.popped += u64::from(item.is_some());
        if held.items.is_empty() {
            self.tidy();
        }
        item
    }

    /// Frees memory that holds nothing.
    fn tidy(&mut self) {
        let held = self.0.as_ref();
        if held.is_some_and(|held| held.items.is_empty() && held.control.is_empty()) {
            self.clear();
        }
    }

    pub fn clear(&mut self) {
        self.0 = None;
    }

    /// Returns whether the next input, which begins with `unread`, may be kept: it is a control frame, or a message within
    /// [`Limits::read_ahead`](sansws_core::config::Limits::read_ahead). `unfinished` is the number of bytes of a message that has not arrived in
    /// full.
    pub fn may_keep(&self, connection: &Connection, unread: &[u8], unfinished: usize) -> bool {
        let most = connection.config().limits.read_ahead;
        let room = most.saturating_sub(self.bytes() + unfinished) as u64;
        match connection.next_data(unread) {
            Some(length) => length <= room && self.items() < ITEMS_AHEAD,
            None => room > 0,
        }
    }

    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.bytes)
    }

    pub fn items(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.items.len())
    }
}
