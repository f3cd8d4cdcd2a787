//! Futures that a loop polls: answers of a hub, its events, publications, and the work of an application for a connection.
//! Knows no byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use sansws_common::contain::contain;
use sansws_common::error::Error;
use sansws_common::hub::{Events, Lagged, Subscription};
use sansws_core::hub::{HubEvent, Publication};

use super::{Loop, Mailbox, Visit};
use crate::id::ConnectionId;

/// Maximum number of items that a task handles before others have their turn.
const ITEMS: usize = 256;

/// Polls a future, and does what follows it.
type Step = dyn FnMut(&mut Loop, &mut Context<'_>) -> Poll<()>;

/// A future, and what follows it.
pub(super) struct Task {
    serial: u64,
    poll: Box<Step>,
}

/// Wakes the loop for a task.
struct Bell {
    slot: usize,
    serial: u64,
    rung: AtomicBool,
    mailbox: Arc<Mailbox>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            let bell = Arc::clone(self);
            self.mailbox
                .put(Box::new(move |within| within.poll_task(&bell)));
        }
    }
}

impl Loop {
    /// Polls a future on this loop, and passes its output to `then`, never before this call returns: for answers that a callback cannot wait
    /// for, such as [`Hub::presence`](crate::hub::Hub::presence). It is forgotten when the loop ends.
    ///
    /// ```
    /// # fn show(within: &mut sansws_mio::Loop, hub: &sansws_mio::Hub, id: sansws_mio::ConnectionId) {
    /// let hub = hub.clone();
    /// let presence = Box::pin(async move { hub.presence("lobby").await });
    /// within.spawn(presence, move |within, presence| {
    ///     let users = presence.map_or(0, |presence| presence.count);
    ///     let _ = within.send(id, format!("{users} users"));
    /// });
    /// # }
    /// ```
    pub fn spawn<F: IntoFuture>(
        &mut self,
        future: F,
        then: impl FnOnce(&mut Self, F::Output) + 'static,
    ) where
        F::IntoFuture: 'static,
    {
        let mut future = Box::pin(future.into_future());
        let mut then = Some(then);
        self.task(move |within, cx| {
            let output = std::task::ready!(future.as_mut().poll(cx));
            if let Some(then) = then.take() {
                within.run_contained(|within| then(within, output));
            }
            Poll::Ready(())
        });
    }

    /// Calls `each` for each event of a hub, from [`Hub::events`](crate::hub::Hub::events), until the loop ends. A call that
    /// panics is logged, and others follow.
    pub fn on_events(
        &mut self,
        events: Events,
        mut each: impl FnMut(&mut Self, HubEvent) + 'static,
    ) {
        self.task(move |within, cx| {
            for _ in 0..ITEMS {
                let event = std::task::ready!(events.poll_event(cx));
                within.run_contained(|within| each(within, event));
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
    }

    /// Calls `each` for each publication of a subscription, from [`Hub::subscribe`](crate::hub::Hub::subscribe), until the hub closes it or
    /// the loop ends. A call that panics is logged, and others follow.
    pub fn on_publications(
        &mut self,
        mut subscription: Subscription,
        mut each: impl FnMut(&mut Self, Result<Arc<Publication>, Lagged>) + 'static,
    ) {
        self.task(move |within, cx| {
            for _ in 0..ITEMS {
                match std::task::ready!(subscription.poll_publication(cx)) {
                    Some(publication) => within.run_contained(|within| each(within, publication)),
                    None => return Poll::Ready(()),
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
    }

    /// Polls a future for a connection, until that ends; `then` makes the connection's work of its output.
    pub(crate) fn spawn_for<F: IntoFuture>(
        &mut self,
        id: ConnectionId,
        future: F,
        then: impl FnOnce(F::Output) -> Visit + 'static,
    ) where
        F::IntoFuture: 'static,
    {
        self.work_for(id, future, move |within, output| {
            within.visit(id, output.map_or_else(failing, then));
        });
    }

    /// Polls a future for a connection, until that ends, and passes on its output, or that it panicked.
    pub(super) fn work_for<F: IntoFuture>(
        &mut self,
        id: ConnectionId,
        future: F,
        then: impl FnOnce(&mut Self, Result<F::Output, Error>) + 'static,
    ) where
        F::IntoFuture: 'static,
    {
        let Some(owner) = self.slot(id) else {
            return;
        };
        let mut future = Box::pin(future.into_future());
        let mut then = Some(then);
        let task = self.task(move |within, cx| {
            let output = match contain(|| future.as_mut().poll(cx)) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(output)) => Ok(output),
                Err(panic) => Err(panic),
            };
            if let Some(then) = then.take() {
                then(within, output);
            }
            Poll::Ready(())
        });
        if let Some(peer) = self.peers.get_mut(owner) {
            let tasks = &mut peer.extras().tasks;
            tasks.retain(|(slot, serial)| {
                let known = self.tasks.get(*slot);
                known.is_some_and(|task| task.serial == *serial)
            });
            tasks.push(task);
        }
    }

    /// Runs work for a connection, unless that has ended. Its error closes the connection, as that of a callback does.
    pub(crate) fn visit(&mut self, id: ConnectionId, work: Visit) {
        let Some(slot) = self.slot(id) else {
            return;
        };
        if self
            .peers
            .get(slot)
            .is_none_or(|peer| peer.flags.end_reported)
        {
            return;
        }
        let called = self.call(slot, |host, at, within| host.visit(at, within, work));
        if let Err(error) = called.and_then(|done| done.unwrap_or(Ok(()))) {
            self.fail(slot, error);
        }
        self.touch(slot);
    }

    /// Drops the futures of a connection that ends.
    pub(super) fn drop_tasks(&mut self, slot: usize) {
        let extras = self
            .peers
            .get_mut(slot)
            .and_then(|peer| peer.extras.as_mut());
        let tasks = extras.map(|extras| std::mem::take(&mut extras.tasks));
        for (slot, serial) in tasks.unwrap_or_default() {
            let known = self.tasks.get(slot);
            if known.is_some_and(|task| task.serial == serial) {
                let task = self.tasks.try_remove(slot);
                if contain(|| drop(task)).is_err() {
                    let _ =
                        contain(|| tracing::error!("dropping a future of a connection panicked"));
                }
            }
        }
    }

    /// Adds a task; returns its place and serial number.
    fn task(
        &mut self,
        poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<()> + 'static,
    ) -> (usize, u64) {
        let serial = self.next_serial();
        let slot = self.tasks.insert(Task {
            serial,
            poll: Box::new(poll),
        });
        let bell = Arc::new(Bell {
            slot,
            serial,
            rung: AtomicBool::new(false),
            mailbox: Arc::clone(&self.mailbox),
        });
        bell.wake_by_ref();
        (slot, serial)
    }

    fn poll_task(&mut self, bell: &Arc<Bell>) {
        bell.rung.store(false, Ordering::Release);
        let known = self.tasks.get_mut(bell.slot);
        let Some(task) = known.filter(|task| task.serial == bell.serial) else {
            return;
        };
        // It has its place while it runs, so that another task does not get it.
        let idle = Box::new(|_: &mut Self, _: &mut Context<'_>| Poll::Ready(()));
        let mut poll = std::mem::replace(&mut task.poll, idle);
        let waker = Waker::from(Arc::clone(bell));
        let polled = contain(|| poll(self, &mut Context::from_waker(&waker)));
        if polled.is_err() {
            // Later calls would poll a future that panicked.
            let _ = contain(|| tracing::error!("a future of an event loop panicked"));
        }
        // The task may have removed itself.
        let known = self.tasks.get_mut(bell.slot);
        let Some(task) = known.filter(|task| task.serial == bell.serial) else {
            return;
        };
        if matches!(polled, Ok(Poll::Pending)) {
            task.poll = poll;
        } else {
            self.tasks.try_remove(bell.slot);
        }
    }
}

/// Work that closes a connection with this error.
fn failing(error: Error) -> Visit {
    Box::new(move |_, _, _| Err(error.into()))
}
