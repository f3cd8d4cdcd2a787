//! Messages that were read ahead of a busy handler.
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
    messages: VecDeque<Message>,
    octets: usize,
}

impl Ahead {
    pub(super) fn push(&mut self, message: Message) {
        let held = self.0.get_or_insert_default();
        held.octets += message.len();
        held.messages.push_back(message);
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Message> {
        let held = self.0.as_mut()?;
        let message = held.messages.pop_front();
        held.octets -= message.as_ref().map_or(0, Message::len);
        if held.messages.is_empty() {
            self.clear();
        }
        message
    }

    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    pub(super) fn octets(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.octets)
    }

    pub(super) fn messages(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.messages.len())
    }
}
