//! How a task learns that something waits for its channel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use atomic_waker::AtomicWaker;

/// Rung when something waits; silenced when all was taken.
#[derive(Debug, Default)]
pub(super) struct WakeFlag {
    rung: AtomicBool,
    waker: AtomicWaker,
}

impl WakeFlag {
    /// Rings. The task is woken once, until it has silenced the bell.
    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Whether it has rung; if not, this waker is woken when it does.
    pub(super) fn is_rung(&self, waker: &Waker) -> bool {
        self.waker.register(waker);
        self.rung.load(Ordering::Acquire)
    }

    /// All was taken. To be called while the node is locked.
    pub(super) fn silence(&self) {
        self.rung.store(false, Ordering::Release);
    }
}
