//! Wakes a task when something is queued for its channel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use atomic_waker::AtomicWaker;

/// A flag that is set when something is queued, and cleared when everything was taken.
#[derive(Debug, Default)]
pub(super) struct WakeFlag {
    rung: AtomicBool,
    waker: AtomicWaker,
}

impl WakeFlag {
    /// Sets it. The task is woken once, until it has cleared the flag.
    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Returns whether it is set; if not, this waker is woken when it is.
    pub(super) fn is_rung(&self, waker: &Waker) -> bool {
        self.waker.register(waker);
        self.rung.load(Ordering::Acquire)
    }

    /// Clears it after everything was taken. Call it while the node is locked.
    pub(super) fn silence(&self) {
        self.rung.store(false, Ordering::Release);
    }
}
