//! Signals that wait for the handlers of connections.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, Waker};

use sansws_core::hub::{ChannelId, Signal};

/// Maximum number of signals that wait for a handler; beyond it, the oldest are dropped, and [`Signal::Lost`] takes their place.
const MOST: usize = 256;

/// The signals of all channels of a node.
#[derive(Debug, Default)]
pub(super) struct Signals(BTreeMap<ChannelId, Queue>);

#[derive(Debug, Default)]
struct Queue {
    signals: VecDeque<Signal>,
    waker: Option<Waker>,
}

impl Signals {
    /// Adds a signal; returns whether none waited before, and the waker of the handler.
    pub(super) fn put(&mut self, id: ChannelId, signal: Signal) -> (bool, Option<Waker>) {
        let queue = self.0.entry(id).or_default();
        let is_first = queue.signals.is_empty();
        if queue.signals.len() >= MOST {
            queue.signals.pop_front();
            if let Some(oldest) = queue.signals.front_mut() {
                *oldest = Signal::Lost;
            }
        }
        queue.signals.push_back(signal);
        (is_first, queue.waker.take())
    }

    /// Takes all signals of a channel.
    pub(super) fn take(&mut self, id: ChannelId) -> VecDeque<Signal> {
        self.0.remove(&id).unwrap_or_default().signals
    }

    /// Takes the next signal, or registers the waker.
    pub(super) fn poll(&mut self, id: ChannelId, cx: &Context<'_>) -> Poll<Signal> {
        let queue = self.0.entry(id).or_default();
        match queue.signals.pop_front() {
            Some(signal) => Poll::Ready(signal),
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The channel is closed.
    pub(super) fn forget(&mut self, id: ChannelId) {
        self.0.remove(&id);
    }
}
