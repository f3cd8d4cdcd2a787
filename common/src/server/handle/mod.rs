//! Counts the connections of a server, admits them, and ends them on shutdown.
//! RFC 6455 section 7.4.1: 1001 is for "a server going down"; 1012 of the IANA registry is for one that restarts.
//! Knows no listener: it counts permits, and wakes tasks.

mod permit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::metrics::counters::ServerCounters;
use crate::metrics::{RejectReason, ServerMetrics};
use sansws_core::time::Duration;

pub use permit::{Admission, ConnectionPermit, ConnectionPlace, RefusalPermit, ShutdownClose};

/// Maximum number of refusals at once. A refusal costs a task and perhaps a TLS handshake, so refusals must not cost more than connections.
const REFUSALS: usize = 64;

/// Maximum number of wakers that wait for the last connection to end. Those before are woken: a task that still waits registers again. A
/// runtime's wakers of one task need not be known to be equal, so that a task which polls often would fill any list.
const AWAITING: usize = 64;

/// The handle of a server. Clones share one state.
///
/// ```
/// use std::time::Duration;
/// use sansws_common::{ServerHandle, Status};
///
/// let handle = ServerHandle::new(1_000); // or `Server::handle`
/// let permit = handle.enter().expect("there is room");
/// assert_eq!((handle.open(), handle.health(None).status), (1, Status::Up));
/// handle.drain(Duration::from_secs(30)); // closes connections over half a minute, with 1012
/// assert!(permit.is_closing() && handle.enter().is_none());
/// ```
#[derive(Clone, Debug)]
pub struct ServerHandle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    closing: AtomicBool,
    /// The drain window, in microseconds.
    window: AtomicU64,
    /// The number of connections that have asked for their moment in it.
    leaving: AtomicU64,
    dropping: AtomicBool,
    counters: ServerCounters,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    refused: usize,
    next: u64,
    /// Tasks to wake when the handle is closed, one place for each connection that has a task.
    connections: Vec<Option<Waker>>,
    /// Places that are free again.
    left: Vec<u32>,
    /// Tasks to wake once when a shutdown starts or changes.
    watchers: BTreeMap<u64, Waker>,
    /// Tasks to wake when the last connection ends.
    awaiting_empty: Vec<Waker>,
    /// Wakers of those that want to know only of shutdowns.
    bells: BTreeMap<u64, Waker>,
}

impl ServerHandle {
    /// Creates a handle that admits at most `most` connections at once.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Inner {
            most,
            closing: AtomicBool::new(false),
            window: AtomicU64::new(0),
            leaving: AtomicU64::new(0),
            dropping: AtomicBool::new(false),
            counters: ServerCounters::default(),
            state: Mutex::default(),
        }))
    }

    /// Admits a connection; `None` when the server is full or shuts down.
    pub fn enter(&self) -> Option<ConnectionPermit> {
        let mut state = self.state();
        if state.open >= self.0.most || self.is_closing() {
            return None;
        }
        state.open += 1;
        self.counters().accepted();
        Some(ConnectionPermit::new(self.clone()))
    }

    /// Admits a connection, or permits a refusal with 503; `None` when too many are being refused, or the server stops at once: drop
    /// the socket.
    pub fn admit(&self) -> Option<Admission> {
        if let Some(ticket) = self.enter() {
            return Some(Admission::In(ticket));
        }
        let mut state = self.state();
        if state.refused >= REFUSALS || (self.is_closing() && self.window().is_zero()) {
            self.counters().turned_away(RejectReason::Untold);
            return None;
        }
        state.refused += 1;
        Some(Admission::Away(RefusalPermit::new(self.clone())))
    }

    /// Returns why connections are refused.
    #[doc(hidden)]
    pub fn why_away(&self) -> RejectReason {
        if self.is_closing() {
            RejectReason::Draining
        } else {
            RejectReason::Full
        }
    }

    #[doc(hidden)]
    pub fn counters(&self) -> &ServerCounters {
        &self.0.counters
    }

    /// Returns the metrics of all servers that share this handle.
    pub fn metrics(&self) -> ServerMetrics {
        ServerMetrics {
            connections: self.open(),
            connections_max: self.0.most,
            draining: self.is_closing(),
            ..self.counters().read()
        }
    }

    /// Returns the maximum number of connections.
    pub fn most(&self) -> usize {
        self.0.most
    }

    /// Returns the number of connections.
    pub fn open(&self) -> usize {
        self.state().open
    }

    /// Closes the handle: no new connections are admitted, and open ones are closed.
    ///
    /// A running [`drain`](Self::drain) ends: connections that were to be closed later are closed now.
    pub fn close(&self) {
        self.shut(0);
    }

    fn shut(&self, window: u64) {
        self.0.window.store(window, Ordering::SeqCst);
        self.0.closing.store(true, Ordering::SeqCst);
        self.wake_all();
    }

    /// Shuts down gradually: new connections are refused with 503, and open ones are closed with 1012 one after the other, evenly over
    /// `window`, so that clients do not all reconnect at once to a server that has just started.
    ///
    /// A response whose body is written while it is made (`StreamedResponse`) has no Close frame that could ask the client to come again: it
    /// ends at once, at the end of the chunk that is being written, whatever the window. Its client sees a complete response. Requests for pages
    /// that were read before are still answered.
    pub fn drain(&self, window: Duration) {
        let micros = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
        // Connections remember it plus one.
        self.shut(micros.min(u64::MAX - 1));
    }

    /// Returns the drain window.
    pub fn window(&self) -> Duration {
        Duration::from_micros(self.0.window.load(Ordering::SeqCst))
    }

    /// Drops the remaining connections.
    pub fn drop_all(&self) {
        self.0.dropping.store(true, Ordering::SeqCst);
        self.close();
    }

    fn wake_all(&self) {
        let mut state = self.state();
        let watchers = std::mem::take(&mut state.watchers);
        let lasting = state.connections.iter().flatten();
        let connections: Vec<Waker> = lasting.chain(state.bells.values()).cloned().collect();
        drop(state);
        connections
            .into_iter()
            .chain(watchers.into_values())
            .for_each(Waker::wake);
    }

    /// Wakes this waker each time a shutdown starts or changes, and at once if one has started, until the result is dropped. Ends of
    /// connections do not wake it.
    #[doc(hidden)]
    pub fn on_shutdown(&self, waker: Waker) -> ShutdownBell {
        let mut state = self.state();
        state.next += 1;
        let id = state.next;
        state.bells.insert(id, waker.clone());
        drop(state);
        if self.is_closing() {
            waker.wake();
        }
        ShutdownBell {
            handle: self.clone(),
            id,
        }
    }

    /// Returns whether the handle is closed.
    pub fn is_closing(&self) -> bool {
        self.0.closing.load(Ordering::SeqCst)
    }

    /// Returns whether the remaining connections are to be dropped.
    #[doc(hidden)]
    pub fn is_dropping(&self) -> bool {
        self.0.dropping.load(Ordering::SeqCst)
    }

    /// Is ready once the handle is closed.
    pub fn poll_closing(&self, cx: &Context<'_>) -> Poll<()> {
        self.poll_until(cx, &mut Watcher::default(), Self::is_closing)
    }

    /// Is ready once all connections are to be closed: the handle is closed, and no connection is scheduled for later.
    pub fn poll_at_once(&self, cx: &Context<'_>) -> Poll<()> {
        self.poll_until(cx, &mut Watcher::default(), Self::is_ending)
    }

    /// Is ready once there are no connections.
    pub fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.open == 0 {
            return Poll::Ready(());
        }
        let known = |waker: &Waker| waker.will_wake(cx.waker());
        if state.awaiting_empty.iter().any(known) {
            return Poll::Pending;
        }
        let superseded = if state.awaiting_empty.len() < AWAITING {
            Vec::new()
        } else {
            std::mem::take(&mut state.awaiting_empty)
        };
        state.awaiting_empty.push(cx.waker().clone());
        drop(state);
        superseded.into_iter().for_each(Waker::wake);
        Poll::Pending
    }

    /// Returns whether all connections are to be closed at once.
    #[doc(hidden)]
    pub fn is_ending(&self) -> bool {
        self.is_closing() && self.window().is_zero()
    }

    /// Is ready once `done`, which asks only about the shutdown; wakes the watcher when one starts or changes.
    #[doc(hidden)]
    pub fn poll_until(
        &self,
        cx: &Context<'_>,
        watcher: &mut Watcher,
        done: impl FnOnce(&Self) -> bool,
    ) -> Poll<()> {
        let mut state = self.state();
        if done(self) {
            return Poll::Ready(());
        }
        if let Some(known) = watcher.0.and_then(|id| state.watchers.get_mut(&id)) {
            known.clone_from(cx.waker());
        } else if !state
            .watchers
            .values()
            .any(|known| known.will_wake(cx.waker()))
        {
            state.next += 1;
            let id = state.next;
            state.watchers.insert(id, cx.waker().clone());
            watcher.0 = Some(id);
        }
        Poll::Pending
    }

    #[cfg(test)]
    fn watchers(&self) -> usize {
        self.state().watchers.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The identity of a task that watches a handle repeatedly. Wakers do not tell: those of tokio's `block_on` are not known to be equal.
#[derive(Debug, Default)]
pub struct Watcher(Option<u64>);

/// See [`ServerHandle::on_shutdown`].
#[derive(Debug)]
#[must_use]
pub struct ShutdownBell {
    handle: ServerHandle,
    id: u64,
}

impl Drop for ShutdownBell {
    fn drop(&mut self) {
        let bell = self.handle.state().bells.remove(&self.id);
        // Dropping it may free what it wakes, which must not happen under the lock.
        drop(bell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sansws_core::close::CloseCode;

    #[test]
    fn it_counts_and_closes() {
        let (handle, cx) = (ServerHandle::new(2), Context::from_waker(Waker::noop()));
        let mut one = handle.enter().unwrap();
        let two = handle.enter().unwrap();
        assert!(handle.enter().is_none());
        drop(two);
        assert_eq!(handle.open(), 1);
        assert!(one.poll_dropping(&cx).is_pending() && handle.poll_closing(&cx).is_pending());
        handle.close();
        assert!(
            one.is_closing()
                && one.poll_dropping(&cx).is_pending()
                && handle.poll_closing(&cx).is_ready()
        );
        assert!(handle.enter().is_none() && handle.poll_empty(&cx).is_pending());
        handle.drop_all();
        assert!(one.poll_dropping(&cx).is_ready());
        drop(one);
        assert!(handle.poll_empty(&cx).is_ready());
    }

    #[test]
    fn a_watcher_is_not_identified_by_its_waker_and_places_are_reused() {
        struct Nobody;
        impl std::task::Wake for Nobody {
            fn wake(self: Arc<Self>) {}
        }
        let (handle, mut watcher) = (ServerHandle::new(9), Watcher::default());
        for _ in 0..100 {
            let waker = Waker::from(Arc::new(Nobody));
            let cx = Context::from_waker(&waker);
            let polled = handle.poll_until(&cx, &mut watcher, ServerHandle::is_closing);
            assert!(polled.is_pending() && handle.watchers() == 1);
        }
        for _ in 0..100 {
            let waker = Waker::from(Arc::new(Nobody));
            let mut ticket = handle.enter().unwrap();
            let polled = ticket.poll_dropping(&Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        assert_eq!(handle.state().connections.len(), 1);
    }

    #[derive(Default)]
    struct Rings(std::sync::atomic::AtomicUsize);
    impl std::task::Wake for Rings {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn an_end_wakes_only_those_who_wait_for_the_last() {
        let [shutdown, empty] = [(); 2].map(|()| Arc::new(Rings::default()));
        let rung = |rings: &Arc<Rings>| rings.0.load(Ordering::SeqCst);
        let [stop, done] = [&shutdown, &empty].map(|rings| Waker::from(Arc::clone(rings)));
        let (handle, mut watcher) = (ServerHandle::new(9), Watcher::default());
        let (one, two) = (handle.enter(), handle.enter());
        for _ in 0..3 {
            let stopping = Context::from_waker(&stop);
            let stopped = handle.poll_until(&stopping, &mut watcher, ServerHandle::is_closing);
            let emptied = handle.poll_empty(&Context::from_waker(&done));
            assert!(stopped.is_pending() && emptied.is_pending());
        }
        drop(one);
        assert_eq!((rung(&shutdown), rung(&empty)), (0, 0));
        for _ in 0..100 {
            let unknown = Waker::from(Arc::new(Rings::default()));
            let polled = handle.poll_empty(&Context::from_waker(&unknown));
            assert!(polled.is_pending() && handle.state().awaiting_empty.len() <= AWAITING);
        }
        // It was superseded, and has registered again.
        assert_eq!((rung(&shutdown), rung(&empty)), (0, 1));
        assert!(handle.poll_empty(&Context::from_waker(&done)).is_pending());
        drop(two);
        assert_eq!((rung(&shutdown), rung(&empty)), (0, 2));
        handle.close();
        assert_eq!((rung(&shutdown), rung(&empty)), (1, 2));
    }

    #[test]
    fn a_bell_rings_for_shutdowns_and_for_nothing_else() {
        let (handle, rings) = (ServerHandle::new(10), Arc::new(Rings::default()));
        let rung = || rings.0.load(Ordering::SeqCst);
        let bell = handle.on_shutdown(Waker::from(Arc::clone(&rings)));
        drop(handle.enter());
        assert_eq!(rung(), 0);
        handle.drain(Duration::from_secs(1));
        assert_eq!(rung(), 1);
        handle.close();
        assert_eq!(rung(), 2);
        drop(bell);
        handle.drop_all();
        assert_eq!(rung(), 2);
        // A waker that is registered late is woken at once.
        let _late = handle.on_shutdown(Waker::from(Arc::clone(&rings)));
        assert_eq!(rung(), 3);
    }

    #[test]
    fn draining_spreads_evenly_and_tells_who_comes() {
        let handle = ServerHandle::new(1_000);
        let mut tickets = Vec::new();
        for _ in 0..1_000 {
            // Others came and left in between.
            drop(std::array::from_fn::<_, 9, _>(|_| handle.enter()));
            tickets.push(handle.enter().unwrap());
        }
        handle.drain(Duration::from_secs(10));
        let mut tenths = [0; 10];
        for ticket in &tickets {
            let farewell = ticket.farewell();
            assert_eq!(farewell.code, CloseCode::RESTART);
            tenths[usize::try_from(farewell.after.as_secs()).unwrap()] += 1;
        }
        assert!(
            tenths.iter().all(|count| (98..=102).contains(count)),
            "{tenths:?}"
        );
        assert!(matches!(handle.admit(), Some(Admission::Away(_))));
    }

    #[test]
    fn so_many_are_refused_at_once_and_no_more() {
        let handle = ServerHandle::new(1);
        let inside = handle.admit();
        assert!(matches!(inside, Some(Admission::In(_))));
        let mut refused: Vec<Admission> = (0..REFUSALS).map(|_| handle.admit().unwrap()).collect();
        assert!(
            refused
                .iter()
                .all(|leave| matches!(leave, Admission::Away(_)))
        );
        assert!(handle.admit().is_none());
        refused.pop();
        assert!(matches!(handle.admit(), Some(Admission::Away(_))));
        assert_eq!(handle.open(), 1);
        drop(inside);
        assert!(matches!(handle.admit(), Some(Admission::In(_))));
        handle.close();
        assert!(handle.admit().is_none());
    }
}
