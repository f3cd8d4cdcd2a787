//! Listeners for the events of a process's nodes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use sansws_core::hub::HubEvent;

/// Maximum number of events that wait for a listener; beyond it, the oldest are dropped and counted.
const MOST: usize = 1024;

/// All listeners.
#[derive(Debug, Default)]
pub(super) struct Listeners(Mutex<Vec<Weak<Mutex<Queue>>>>);

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<HubEvent>,
    lost: u64,
    waker: Option<Waker>,
}

impl Listeners {
    pub(super) fn add(&self) -> Events {
        let queue = Arc::default();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&queue));
        Events(queue)
    }

    pub(super) fn any(&self) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !all.is_empty()
    }

    pub(super) fn tell(&self, event: &HubEvent, wakers: &mut Vec<Waker>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| {
            let Some(queue) = known.upgrade() else {
                return false;
            };
            let mut queue = lock(&queue);
            if queue.events.len() >= MOST {
                queue.events.pop_front();
                queue.lost += 1;
            }
            queue.events.push_back(event.clone());
            wakers.extend(queue.waker.take());
            true
        });
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The events of a process's nodes: joins, leaves, gaps, presence. The newest 1024 are kept until they are taken.
#[derive(Debug)]
pub struct Events(Arc<Mutex<Queue>>);

impl Events {
    /// Returns the next event.
    pub async fn next(&mut self) -> HubEvent {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Returns how many were dropped because nobody took them.
    pub fn lost(&self) -> u64 {
        lock(&self.0).lost
    }

    /// Returns the next event, or wakes the waker when there is one.
    pub fn poll_event(&self, cx: &Context<'_>) -> Poll<HubEvent> {
        let mut queue = lock(&self.0);
        match queue.events.pop_front() {
            Some(event) => Poll::Ready(event),
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// It never ends.
impl Stream for Events {
    type Item = HubEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<HubEvent>> {
        self.poll_event(cx).map(Some)
    }
}
