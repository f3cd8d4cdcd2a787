//! Signals that wait for the handlers of connections.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, Waker};

use sansws_core::hub::{ChannelId, Signal};

/// Maximum number of signals that wait for a handler; beyond it, the oldest are dropped, and [`Signal::Lost`] takes their place.
const MOST: usize = 256;

/// Maximum number of bytes of the texts that wait for a handler, with the same consequence. The newest always has room.
const MOST_BYTES: usize = 1 << 20;

/// The signals of all channels of a node.
#[derive(Debug, Default)]
pub(super) struct Signals(BTreeMap<ChannelId, Queue>);

#[derive(Debug, Default)]
struct Queue {
    signals: VecDeque<Signal>,
    /// Bytes of texts.
    bytes: usize,
    waker: Option<Waker>,
    /// The connection has ended.
    ended: bool,
}

impl Queue {
    fn push(&mut self, signal: Signal) {
        self.bytes += length(&signal);
        self.signals.push_back(signal);
    }

    fn pop(&mut self) -> Option<Signal> {
        let signal = self.signals.pop_front()?;
        self.bytes -= length(&signal);
        Some(signal)
    }

    /// Drops the oldest until a signal of this length has room; `Lost` takes their place.
    fn make_room(&mut self, length: usize) {
        let mut is_dropped = false;
        while self.signals.len() + usize::from(is_dropped) >= MOST
            || self.bytes + length > MOST_BYTES && !self.signals.is_empty()
        {
            is_dropped |= self.pop().is_some();
        }
        if is_dropped {
            self.signals.push_front(Signal::Lost);
        }
    }
}

/// Returns the length of a signal's text.
fn length(signal: &Signal) -> usize {
    match signal {
        Signal::Text(text) => text.len(),
        _ => 0,
    }
}

impl Signals {
    /// Adds a signal; returns whether none waited before, and the waker of the handler.
    pub(super) fn put(&mut self, id: ChannelId, signal: Signal) -> (bool, Option<Waker>) {
        let queue = self.0.entry(id).or_default();
        let is_first = queue.signals.is_empty();
        queue.make_room(length(&signal));
        queue.push(signal);
        (is_first, queue.waker.take())
    }

    /// Takes all signals of a channel.
    pub(super) fn take(&mut self, id: ChannelId) -> VecDeque<Signal> {
        self.0.remove(&id).unwrap_or_default().signals
    }

    /// Takes the next signal, or registers the waker; `None` once none follows.
    pub(super) fn poll(&mut self, id: ChannelId, cx: &Context<'_>) -> Poll<Option<Signal>> {
        let queue = self.0.entry(id).or_default();
        match queue.pop() {
            Some(signal) => Poll::Ready(Some(signal)),
            None if queue.ended => Poll::Ready(None),
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The connection has ended; returns the waker of its handler.
    pub(super) fn end(&mut self, id: ChannelId) -> Option<Waker> {
        let queue = self.0.entry(id).or_default();
        queue.ended = true;
        queue.waker.take()
    }

    /// The channel is closed.
    pub(super) fn forget(&mut self, id: ChannelId) {
        self.0.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds texts of these lengths; returns the lengths of those that wait, and `None` for `Lost`.
    fn waiting(lengths: impl IntoIterator<Item = usize>) -> Vec<Option<usize>> {
        let mut queue = Queue::default();
        for length in lengths {
            queue.make_room(length);
            queue.push(Signal::Text("x".repeat(length).into()));
        }
        let next = std::iter::from_fn(|| queue.pop());
        let length = |signal| match signal {
            Signal::Text(text) => Some(text.len()),
            _ => None,
        };
        let waiting = next.map(length).collect();
        assert_eq!(queue.bytes, 0);
        waiting
    }

    #[test]
    fn the_oldest_give_way_to_the_newest_and_their_loss_is_reported() {
        assert_eq!(waiting([1, 2, 3]), [Some(1), Some(2), Some(3)]);
        let many = waiting(1..=300);
        assert_eq!((many.len(), many[0]), (MOST, None));
        assert_eq!((many[1], many[MOST - 1]), (Some(46), Some(300)));
        let half = MOST_BYTES / 2;
        assert_eq!(waiting([half, half, 1]), [None, Some(half), Some(1)]);
        // However long, the newest has room.
        assert_eq!(waiting([1, MOST_BYTES + 1]), [None, Some(MOST_BYTES + 1)]);
        assert_eq!(waiting([MOST_BYTES + 1, 1]), [None, Some(1)]);
    }
}
