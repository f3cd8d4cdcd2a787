//! Makes publishers wait until readers have had a turn.
//! Knows nodes by how many of them are crowded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

/// The number of nodes of a hub whose readers need a turn, and the publishers that wait for that.
#[derive(Debug, Default)]
pub(super) struct Crowding {
    nodes: AtomicUsize,
    publishers: Mutex<Vec<Waker>>,
}

impl Crowding {
    /// Adds a crowded node.
    pub(super) fn enter(&self) {
        self.nodes.fetch_add(1, Ordering::AcqRel);
    }

    /// Removes a crowded node, and collects the publishers to wake.
    pub(super) fn leave(&self, wakers: &mut Vec<Waker>) {
        self.nodes.fetch_sub(1, Ordering::AcqRel);
        wakers.append(
            &mut self
                .publishers
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// Returns whether a publisher has to wait; its waker is then woken when it no longer does.
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
