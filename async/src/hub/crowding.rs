//! Publishers that give readers a turn.
//! Knows nodes by how many of them are crowded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

/// How many nodes of a hub have readers that need a turn, and which publishers wait for that.
#[derive(Debug, Default)]
pub(super) struct Crowding {
    nodes: AtomicUsize,
    publishers: Mutex<Vec<Waker>>,
}

impl Crowding {
    /// One more node is crowded.
    pub(super) fn enter(&self) {
        self.nodes.fetch_add(1, Ordering::AcqRel);
    }

    /// One node less is. Adds the publishers to be woken.
    pub(super) fn leave(&self, wakers: &mut Vec<Waker>) {
        self.nodes.fetch_sub(1, Ordering::AcqRel);
        wakers.append(
            &mut self
                .publishers
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// Returns whether a publisher has to wait; then the waker is woken when it need no longer.
    #[inline]
    pub(super) fn is_crowded(&self, waker: Option<&Waker>) -> bool {
        if self.nodes.load(Ordering::Acquire) == 0 {
            return false;
        }
        let Some(waker) = waker else {
            return true;
        };
        let mut publishers = self
            .publishers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !publishers.iter().any(|known| known.will_wake(waker)) {
            publishers.push(waker.clone());
        }
        // It may have ended since.
        self.nodes.load(Ordering::Acquire) > 0
    }
}
