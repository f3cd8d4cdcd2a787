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
///
/// ```
/// # use sansws_common::hub::HubEnv;
/// # struct Env;
/// # impl HubEnv for Env {
/// #     fn now() -> sansws_core::time::Instant { sansws_core::time::Instant::ZERO }
/// # }
/// # type Hub = sansws_common::hub::Hub<Env>;
/// use sansws_core::hub::{ChannelOptions, HubEvent, JoinOptions};
///
/// # async fn run() -> sansws_common::Result {
/// let hub = Hub::new();
/// let mut events = hub.events();
/// let channel = hub.open_channel(ChannelOptions::default())?;
/// channel.join_with("lobby", JoinOptions::default()).await?;
/// assert!(matches!(events.next().await, HubEvent::Opened(group) if &*group == "lobby"));
/// assert!(matches!(events.next().await, HubEvent::Joined { channel: id, .. } if id == channel.id()));
/// assert_eq!(events.lost(), 0);
/// # Ok(())
/// # }
/// # let mut run = std::pin::pin!(run());
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # for _ in 0..100_000 {
/// #     if let std::task::Poll::Ready(done) = run.as_mut().poll(&mut cx) { return done.unwrap(); }
/// # }
/// # panic!("it does not end");
/// ```
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
