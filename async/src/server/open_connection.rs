//! The state of a server's connection while its handler runs, and the future that drives both.
//! RFC 6455 section 7.4.1: 1001 on shutdown.
//! Knows neither the request nor the closing handshake. It lies in the task of each open connection, and stores no value twice.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::PoisonError;
use std::task::{Context, Poll};

use crate::contain::contain;
use crate::error::{Error, Result};
use crate::metrics::ClosedBy;
use crate::metrics::trace::Span;
use crate::server::handle::{ConnectionPermit, ServerHandle};
use crate::server::options::ServerOptions;
use crate::server::outcome::ConnectionOutcome;
use crate::server::upgrade::{Slot, Upgrade, UpgradeOutcome};
use crate::socket::shared::Shared;
use crate::transport::Transport;
use sansws_core::close::CloseCode;
use sansws_core::route::Pattern;

/// Polls to completion, or drops everything when the time to leave is over. A panic that was not contained inside, of a value being dropped
/// or of a subscriber to events, ends only this connection.
pub(crate) fn until_dropped<R>(
    ticket: &mut ConnectionPermit,
    span: &Span,
    mut all: Pin<&mut Option<impl Future<Output = R>>>,
) -> impl Future<Output = Result<R, ConnectionOutcome>> {
    poll_fn(move |cx| {
        let mut done = match ticket.poll_dropping(cx) {
            Poll::Ready(()) => Err(ConnectionOutcome::default()),
            Poll::Pending => {
                let running = all.as_mut().as_pin_mut();
                match contain(|| running.map(|all| span.enter(|| all.poll(cx)))) {
                    Ok(Some(Poll::Pending)) => return Poll::Pending,
                    Ok(Some(Poll::Ready(done))) => Ok(done),
                    Ok(None) => Err(ConnectionOutcome::default()),
                    Err(panic) => Err(escaped(panic, &ticket.handle())),
                }
            }
        };
        if let Err(panic) = contain(|| all.set(None)) {
            done = Err(escaped(panic, &ticket.handle()));
        }
        Poll::Ready(done)
    })
}

/// Logs a panic that was contained at the outermost level.
#[cold]
fn escaped(panic: Error, handle: &ServerHandle) -> ConnectionOutcome {
    handle.counters().handler_failed();
    let _ = contain(|| tracing::error!(error = %panic, "a connection panicked"));
    ConnectionOutcome {
        result: Err(panic.into()),
        ..ConnectionOutcome::default()
    }
}

/// The state of a request that is kept while its connection lives; boxed, and empty for a handler without a route or a span.
#[derive(Default)]
pub(crate) struct ConnectionGuards(Option<Box<KeptParts>>);

#[derive(Default)]
struct KeptParts {
    span: Span,
    route: Option<Pattern>,
    /// The route in another stack.
    path: Option<Box<str>>,
    /// Dropped with the connection.
    held: Vec<Box<dyn Any + Send + Sync>>,
}

impl ConnectionGuards {
    pub(crate) fn of<T: Transport>(upgrade: &mut Upgrade<T>) -> Self {
        let parts = KeptParts {
            route: upgrade.pattern().cloned(),
            held: upgrade.scope_mut().take_held(),
            ..KeptParts::default()
        };
        let is_any = parts.route.is_some() || !parts.held.is_empty();
        Self(is_any.then(|| Box::new(parts)))
    }

    #[cfg(feature = "http")]
    pub(crate) fn of_path(path: Option<Box<str>>) -> Self {
        Self(path.is_some().then(|| {
            Box::new(KeptParts {
                path,
                ..KeptParts::default()
            })
        }))
    }

    pub(crate) fn in_span(mut self, span: Span) -> Self {
        if !span.is_none() {
            self.0.get_or_insert_default().span = span;
        }
        self
    }

    pub(crate) fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        match &self.0 {
            Some(parts) => parts.span.enter(work),
            None => work(),
        }
    }

    pub(crate) fn take_span(&mut self) -> Span {
        let span = self.0.as_mut().map(|parts| &mut parts.span);
        span.map(std::mem::take).unwrap_or_default()
    }

    pub(crate) fn route(&self) -> Option<Pattern> {
        self.0.as_ref()?.route.clone()
    }

    /// Returns the pattern of the route, in a router or in another stack.
    pub(crate) fn path(&self) -> Option<&str> {
        let parts = self.0.as_ref()?;
        let ours = parts.route.as_ref().map(Pattern::as_str);
        ours.or(parts.path.as_deref())
    }
}

/// Polls a handler to completion, and serves its connection while it waits. When the time to leave is over, or at a panic outside of the
/// handler, it drops everything and fails.
pub(crate) fn attend<T: Transport, F: Future<Output = Result>>(
    task: ConnectionTask<T>,
    mut running: Pin<&mut Option<F>>,
) -> impl Future<Output = Result<(ConnectionTask<T>, Result), ConnectionOutcome>> {
    let mut task = Some(task);
    poll_fn(move |cx| {
        let polled = task.as_mut().map(|task| {
            if task.ticket.poll_dropping(cx).is_ready() {
                return Poll::Ready(Err(ConnectionOutcome::default()));
            }
            let kept = std::mem::take(&mut task.kept);
            let polled = contain(|| kept.enter(|| task.poll(running.as_mut(), cx)));
            task.kept = kept;
            match polled {
                Ok(polled) => polled.map(Ok),
                Err(panic) => Poll::Ready(Err(escaped(panic, &task.ticket.handle()))),
            }
        });
        let outcome = match polled {
            Some(Poll::Pending) => return Poll::Pending,
            Some(Poll::Ready(Ok(result))) => match task.take() {
                Some(task) => return Poll::Ready(Ok((task, result))),
                None => ConnectionOutcome::default(),
            },
            Some(Poll::Ready(Err(outcome))) => outcome,
            None => ConnectionOutcome::default(),
        };
        Poll::Ready(Err(abandon(task.take(), running.as_mut(), outcome)))
    })
}

/// Drops a handler and its guards, whatever it waits for.
fn abandon<T: Transport, F>(
    task: Option<ConnectionTask<T>>,
    mut running: Pin<&mut Option<F>>,
    outcome: ConnectionOutcome,
) -> ConnectionOutcome {
    let Some(mut task) = task else {
        return outcome;
    };
    let handle = task.ticket.handle();
    let (span, kept) = (task.kept.take_span(), std::mem::take(&mut task.kept));
    let dropped = contain(|| {
        span.enter(|| {
            running.set(None);
            drop(kept);
        });
    });
    match dropped {
        Ok(()) => outcome,
        Err(panic) => escaped(panic, &handle),
    }
}

/// The phase of the connection: the handler has not answered yet, or it is open.
pub(crate) enum Phase<T> {
    Waiting(Box<Waiting<T>>),
    Open(Arc<Shared<T>>),
}

/// The state that only a connection needs that is not open.
pub(crate) struct Waiting<T> {
    pub(crate) slot: Slot<T>,
    pub(crate) options: Arc<ServerOptions>,
}

impl<T> Waiting<T> {
    /// Takes the outcome: nothing is accepted any more.
    pub(crate) fn take(&self) -> UpgradeOutcome<T> {
        let mut fate = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *fate, UpgradeOutcome::Noted)
    }
}

impl<T: Transport> Phase<T> {
    /// Returns the side that closed first, and the code, if it was open.
    pub(crate) fn first_close(&self) -> Option<(ClosedBy, u16)> {
        match self {
            Self::Waiting(_) => None,
            Self::Open(shared) => Some(shared.engine().first_close()),
        }
    }
}

/// A connection that a server drives. However it ends, the end is counted.
pub(crate) struct ConnectionTask<T: Transport> {
    pub(crate) place: Phase<T>,
    pub(crate) ticket: ConnectionPermit,
    pub(crate) kept: ConnectionGuards,
    /// The drain window that was applied, in microseconds, plus one; 0 before shutdown.
    drain_window: u64,
}

impl<T: Transport> ConnectionTask<T> {
    pub(crate) const fn new(
        place: Phase<T>,
        ticket: ConnectionPermit,
        kept: ConnectionGuards,
    ) -> Self {
        Self {
            place,
            ticket,
            kept,
            drain_window: 0,
        }
    }

    /// Checks whether it was accepted meanwhile.
    fn look(&mut self) {
        let Phase::Waiting(waiting) = &self.place else {
            return;
        };
        let mut fate = waiting.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let UpgradeOutcome::Accepted(shared) = &*fate {
            let shared = Arc::clone(shared);
            // The reference count tells whether the handler still holds its handle.
            *fate = UpgradeOutcome::Noted;
            drop(fate);
            self.place = Phase::Open(shared);
            self.ticket.counters().opened();
        }
    }

    /// Polls the handler, then drives the connection.
    fn poll<F: Future<Output = Result>>(
        &mut self,
        mut running: Pin<&mut Option<F>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result> {
        let Some(handler) = running.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(Error::Panic.into()));
        };
        let done = match contain(|| handler.poll(cx)) {
            Ok(Poll::Ready(result)) => Some(result),
            Ok(Poll::Pending) => None,
            Err(error) => Some(Err(error.into())),
        };
        self.look();
        if let Some(result) = done {
            // Its values are dropped here, where a panic is contained too.
            let dropped = contain(|| running.set(None));
            return Poll::Ready(dropped.map_err(Into::into).and(result));
        }
        if let Phase::Open(shared) = &self.place {
            let mut engine = shared.engine();
            if let Some(window) = self.ticket.closing_over()
                && self.drain_window != window + 1
            {
                self.drain_window = window + 1;
                let farewell = self.ticket.farewell();
                engine.leave_after(farewell.after, farewell.code, farewell.reason);
            }
            // The handler dropped its handle, so the connection is closed here.
            if Arc::strong_count(shared) == 1 {
                engine.start_close(Some(CloseCode::NORMAL), "");
            }
            engine.pump(cx);
            self.ticket.counters().moved(&engine.unreported());
        }
        Poll::Pending
    }
}

impl<T: Transport> Drop for ConnectionTask<T> {
    fn drop(&mut self) {
        let shared = match &self.place {
            Phase::Open(shared) => shared,
            Phase::Waiting(waiting) => {
                if let UpgradeOutcome::Accepted(shared) = waiting.take() {
                    shared.engine().cut_off();
                }
                return;
            }
        };
        let (counters, mut engine) = (self.ticket.counters(), shared.engine());
        counters.moved(&engine.unreported());
        let (by, code) = engine.first_close();
        counters.closed(by, code);
        engine.cut_off();
    }
}
