//! Counts the connections of a server, admits them, and ends them on shutdown.
//! RFC 6455 section 7.4.1: 1001 is for "a server going down"; 1012 of the IANA registry is for one that restarts.
//! Knows no listener: it counts permits, and wakes tasks.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::contain::{contain, contained};
use crate::error::Error;
use crate::metrics::counters::ServerCounters;
use crate::metrics::{HandshakeFailure, RejectReason, ServerMetrics};
use sansws_core::close::CloseCode;
use sansws_core::time::Duration;
use sansws_core::time::spread;

/// Maximum number of refusals at once. A refusal costs a task and perhaps a TLS handshake, so refusals must not cost more than connections.
const REFUSALS: usize = 64;

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
    dropping: AtomicBool,
    counters: ServerCounters,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    refused: usize,
    next: u64,
    /// Tasks to wake when the handle is closed, one place for each connection.
    connections: Vec<Option<Waker>>,
    /// Places that are free again.
    left: Vec<u32>,
    /// Tasks to wake when a connection ends.
    watchers: BTreeMap<u64, Waker>,
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
        let id = match state.left.pop() {
            Some(id) => id,
            None => {
                let id = u32::try_from(state.connections.len()).ok()?;
                state.connections.push(None);
                id
            }
        };
        state.open += 1;
        self.counters().accepted();
        Some(ConnectionPermit {
            handle: self.clone(),
            id,
            registered: None,
        })
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
        Some(Admission::Away(RefusalPermit(self.clone())))
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

    /// Is ready once the handle is closed.
    pub fn poll_closing(&self, cx: &Context<'_>) -> Poll<()> {
        self.watch(cx, &mut Watcher::default(), |handle, _| handle.is_closing())
    }

    /// Is ready once all connections are to be closed: the handle is closed, and no connection is scheduled for later.
    pub fn poll_at_once(&self, cx: &Context<'_>) -> Poll<()> {
        self.watch(cx, &mut Watcher::default(), |handle, _| handle.is_ending())
    }

    /// Is ready once there are no connections.
    pub fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        self.watch(cx, &mut Watcher::default(), |_, state| state.open == 0)
    }

    /// Returns whether all connections are to be closed at once.
    #[doc(hidden)]
    pub fn is_ending(&self) -> bool {
        self.is_closing() && self.window().is_zero()
    }

    /// Is ready once `done`; wakes the watcher when that may have changed.
    #[doc(hidden)]
    pub fn poll_until(
        &self,
        cx: &Context<'_>,
        watcher: &mut Watcher,
        done: impl FnOnce(&Self) -> bool,
    ) -> Poll<()> {
        self.watch(cx, watcher, |handle, _| done(handle))
    }

    fn watch(
        &self,
        cx: &Context<'_>,
        watcher: &mut Watcher,
        done: impl FnOnce(&Self, &State) -> bool,
    ) -> Poll<()> {
        let mut state = self.state();
        if done(self, &state) {
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

/// How a connection is closed on shutdown.
#[derive(Clone, Copy, Debug)]
pub struct ShutdownClose {
    #[doc(hidden)]
    pub after: Duration,
    #[doc(hidden)]
    pub code: CloseCode,
    #[doc(hidden)]
    pub reason: &'static str,
}

/// The admission of an accepted connection.
#[derive(Debug)]
pub enum Admission {
    /// The connection may stay.
    In(ConnectionPermit),
    /// The connection is to be refused.
    Away(RefusalPermit),
}

impl Admission {
    /// Runs `work`, unless the server shuts down first. A panic, for example in a callback of the TLS settings, becomes an error.
    pub async fn unless_closing<R>(
        &mut self,
        work: impl Future<Output = Result<R, Error>>,
    ) -> Option<Result<R, Error>> {
        let mut work = pin!(contained(work));
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done.and_then(|done| done)));
            }
            let Self::In(ticket) = self else {
                return Poll::Pending;
            };
            // The waker is woken when the handle is closed, too.
            let dropping = ticket.poll_dropping(cx).is_ready();
            if dropping || ticket.is_closing() {
                Poll::Ready(None)
            } else {
                Poll::Pending
            }
        })
        .await
    }
}

impl Admission {
    /// Reports that the connection ended before HTTP: TLS or the PROXY protocol failed, or took too long.
    pub fn not_begun(&self, error: &Error) {
        let (Self::In(ConnectionPermit { handle, .. }) | Self::Away(RefusalPermit(handle))) = self;
        let why = match error {
            Error::ConnectTimeout => HandshakeFailure::Timeout,
            _ => HandshakeFailure::Transport,
        };
        handle.counters().failed(why);
        let _ = contain(
            || tracing::debug!(%error, "error.type" = why.label(), "a connection failed before HTTP"),
        );
    }
}

/// The permit to refuse a connection; dropping it makes room for another.
#[derive(Debug)]
pub struct RefusalPermit(ServerHandle);

impl RefusalPermit {
    #[doc(hidden)]
    pub fn handle(&self) -> &ServerHandle {
        &self.0
    }
}

impl Drop for RefusalPermit {
    fn drop(&mut self) {
        self.0.state().refused -= 1;
    }
}

/// The permit of an admitted connection; dropping it releases its place.
#[derive(Debug)]
pub struct ConnectionPermit {
    handle: ServerHandle,
    /// Its place among the connections.
    id: u32,
    registered: Option<Waker>,
}

impl ConnectionPermit {
    /// Returns the handle.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Returns whether the server shuts down.
    pub fn is_closing(&self) -> bool {
        self.handle.is_closing()
    }

    /// Returns whether the connection is to be dropped.
    #[doc(hidden)]
    pub fn is_dropping(&self) -> bool {
        self.handle.0.dropping.load(Ordering::SeqCst)
    }

    #[doc(hidden)]
    pub fn counters(&self) -> &ServerCounters {
        self.handle.counters()
    }

    /// On shutdown, returns the drain window in microseconds.
    #[doc(hidden)]
    pub fn closing_over(&self) -> Option<u64> {
        self.is_closing()
            .then(|| self.handle.0.window.load(Ordering::SeqCst))
    }

    /// On shutdown, returns after which time to close this connection, with which code and reason.
    #[doc(hidden)]
    pub fn farewell(&self) -> ShutdownClose {
        let window = self.handle.0.window.load(Ordering::SeqCst);
        if window == 0 {
            return ShutdownClose {
                after: Duration::ZERO,
                code: CloseCode::AWAY,
                reason: "the server shuts down",
            };
        }
        ShutdownClose {
            after: spread(u64::from(self.id) + 1, Duration::from_micros(window)),
            code: CloseCode::RESTART,
            reason: "the server restarts",
        }
    }

    /// Is ready once the connection is to be dropped. Also wakes when shutdown starts.
    pub fn poll_dropping(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !self
            .registered
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            let before = match self.handle.state().connections.get_mut(self.id as usize) {
                Some(place) => place.replace(cx.waker().clone()),
                None => None,
            };
            // Dropping it may free its task, which must not happen under the lock.
            drop(before);
            self.registered = Some(cx.waker().clone());
        }
        // Check after registering the waker: a close in between would otherwise wake nobody.
        if self.is_dropping() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut state = self.handle.state();
        state.open -= 1;
        let place = state.connections.get_mut(self.id as usize);
        let waker = place.and_then(Option::take);
        state.left.push(self.id);
        let watchers = std::mem::take(&mut state.watchers);
        drop(state);
        // Dropping it may free its task, which must not happen under the lock.
        drop(waker);
        watchers.into_values().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_bell_rings_for_shutdowns_and_for_nothing_else() {
        #[derive(Default)]
        struct Rings(std::sync::atomic::AtomicUsize);
        impl std::task::Wake for Rings {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
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
        // Whoever comes late still learns of it.
        let _late = handle.on_shutdown(Waker::from(Arc::clone(&rings)));
        assert_eq!(rung(), 3);
    }

    #[test]
    fn draining_spreads_evenly_and_tells_who_comes() {
        let handle = ServerHandle::new(1_000);
        let tickets: Vec<ConnectionPermit> = (0..1_000).map(|_| handle.enter().unwrap()).collect();
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
