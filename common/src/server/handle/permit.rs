//! The permits of admitted and refused connections.
//! RFC 6455 section 7.4.1: 1001 is for "a server going down"; 1012 of the IANA registry is for one that restarts.
//! Knows no listener.

use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use super::ServerHandle;
use crate::contain::{contain, contained};
use crate::error::Error;
use crate::metrics::HandshakeFailure;
use crate::metrics::counters::ServerCounters;
use sansws_core::close::CloseCode;
use sansws_core::time::{Duration, spread};

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
///
/// ```
/// use sansws_common::{Admission, ServerHandle};
///
/// let handle = ServerHandle::new(1);
/// let first = handle.admit();
/// assert!(matches!(first, Some(Admission::In(_))));
/// assert!(matches!(handle.admit(), Some(Admission::Away(_)))); // it is answered with 503
/// drop(first);
/// assert!(matches!(handle.admit(), Some(Admission::In(_))));
/// ```
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
        let handle = match self {
            Self::In(permit) => &permit.handle,
            Self::Away(RefusalPermit(handle)) => handle,
        };
        let why = match error {
            Error::ConnectTimeout(_) => HandshakeFailure::Timeout,
            _ => HandshakeFailure::Transport,
        };
        handle.counters().failed(why);
        let _ = contain(
            || tracing::debug!(%error, "error.type" = why.label(), "a connection failed before HTTP"),
        );
    }
}

/// The permit to refuse a connection; dropping it makes room for another.
///
/// For an example see [`Admission`].
#[derive(Debug)]
pub struct RefusalPermit(ServerHandle);

impl RefusalPermit {
    pub(super) const fn new(handle: ServerHandle) -> Self {
        Self(handle)
    }

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
///
/// For an example see [`ServerHandle`].
#[derive(Debug)]
pub struct ConnectionPermit {
    place: ConnectionPlace,
    registered: Option<Waker>,
}

/// The place of a connection in its server, without a task that is woken on shutdown; dropping it releases it.
#[doc(hidden)]
#[derive(Debug)]
pub struct ConnectionPlace {
    handle: ServerHandle,
    /// The index of its waker, or [`NONE`].
    waker: u32,
}

/// No waker.
const NONE: u32 = u32::MAX;

/// Gives access to the place.
impl Deref for ConnectionPermit {
    type Target = ConnectionPlace;

    fn deref(&self) -> &ConnectionPlace {
        &self.place
    }
}

impl ConnectionPermit {
    pub(super) const fn new(handle: ServerHandle) -> Self {
        Self {
            place: ConnectionPlace {
                handle,
                waker: NONE,
            },
            registered: None,
        }
    }

    /// Returns the handle.
    pub fn handle(&self) -> ServerHandle {
        self.place.handle()
    }

    /// Returns whether the server shuts down.
    pub fn is_closing(&self) -> bool {
        self.place.is_closing()
    }

    /// Keeps only the place, for an event loop: no task of the connection is to be woken.
    #[doc(hidden)]
    pub fn into_place(self) -> ConnectionPlace {
        self.place
    }

    /// Is ready once the connection is to be dropped. Also wakes when shutdown starts.
    pub fn poll_dropping(&mut self, cx: &Context<'_>) -> Poll<()> {
        let known = self.registered.as_ref();
        if !known.is_some_and(|known| known.will_wake(cx.waker())) {
            self.place.register(cx.waker().clone());
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

impl ConnectionPlace {
    fn register(&mut self, waker: Waker) {
        let mut state = self.handle.state();
        if self.waker == NONE {
            self.waker = state.left.pop().unwrap_or_else(|| {
                state.connections.push(None);
                u32::try_from(state.connections.len() - 1).unwrap_or(NONE)
            });
        }
        let place = state.connections.get_mut(self.waker as usize);
        let before = place.and_then(|place| place.replace(waker));
        drop(state);
        // Dropping it may free its task, which must not happen under the lock.
        drop(before);
    }

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
        self.handle.is_dropping()
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

    /// On shutdown, returns after which time to close this connection, with which code and reason. Each call takes
    /// another moment of the drain window; all are spread evenly.
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
        // The first one is not at once.
        let number = 1 + self.handle.0.leaving.fetch_add(1, Ordering::Relaxed);
        ShutdownClose {
            after: spread(number, Duration::from_micros(window)),
            code: CloseCode::RESTART,
            reason: "the server restarts",
        }
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let mut state = self.handle.state();
        state.open -= 1;
        let place = state.connections.get_mut(self.waker as usize);
        let waker = place.and_then(Option::take);
        if self.waker != NONE {
            state.left.push(self.waker);
        }
        let awaiting = if state.open == 0 {
            std::mem::take(&mut state.awaiting_empty)
        } else {
            Vec::new()
        };
        drop(state);
        // Dropping it may free its task, which must not happen under the lock.
        drop(waker);
        awaiting.into_iter().for_each(Waker::wake);
    }
}
