//! Messages, whole or in pieces, that were read ahead of a busy handler.
//! RFC 6455 section 5.5: control frames behind them must be seen.
//! Knows no limit; whoever pushes asks first what is held.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::message::Message;

/// A queue that, empty, holds no heap.
#[derive(Debug, Default)]
pub(super) struct Ahead(Option<Box<Held>>);

#[derive(Debug, Default)]
struct Held {
    items: VecDeque<Item>,
    octets: usize,
}

/// What was read ahead: a message, or a piece of one that is received piece by piece.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) message: Message,
    /// Of a piece: whether it is the first, whether it is the last.
    pub(super) piece: Option<(bool, bool)>,
}

impl Ahead {
    pub(super) fn push(&mut self, item: Item) {
        let held = self.0.get_or_insert_default();
        held.octets += item.message.len();
        held.items.push_back(item);
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Item> {
        let held = self.0.as_mut()?;
        let item = held.items.pop_front();
        held.octets -= item.as_ref().map_or(0, |item| item.message.len());
        if held.items.is_empty() {
            self.clear();
        }
        item
    }

    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    pub(super) fn octets(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.octets)
    }

    pub(super) fn items(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.items.len())
    }
}
