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
    /// Adds a signal; returns the waker of the handler.
    pub(super) fn put(&mut self, id: ChannelId, signal: Signal) -> Option<Waker> {
        let queue = self.0.entry(id).or_default();
        if queue.signals.len() >= MOST {
            queue.signals.pop_front();
            if let Some(oldest) = queue.signals.front_mut() {
                *oldest = Signal::Lost;
            }
        }
        queue.signals.push_back(signal);
        queue.waker.take()
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
