//! One connection of a server, from its first byte to its last.
//! RFC 6455 sections 4.2, 7.1 and 7.4.1.
//! Knows no listener: an adapter provides the transport and runs the future.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::PoisonError;
use std::task::Poll;

use crate::contain::contain;
use crate::error::{Error, Result};
use crate::metrics::trace;
use crate::metrics::trace::Span;
use crate::metrics::{ClosedBy, HandshakeFailure, RequestKind};
use crate::server::connect_info::ConnectInfo;
use crate::server::handle::{ConnectionPermit, DrainHandle, ServerHandle};
use crate::server::options::ServerOptions;
use crate::server::outcome::Outcome;
use crate::server::request_loop::{Opening, open, reply};
use crate::server::service::Service;
use crate::server::upgrade::{Slot, Upgrade, UpgradeOutcome};
use crate::server::verdict::{Blame, Verdict, refusal};
use crate::socket::shared::Shared;
use crate::socket::wakers::WakerRole;
#[cfg(feature = "http")]
use crate::socket::websocket::WebSocket;
use crate::transport::Transport;
use sansws_core::close::CloseCode;
use sansws_core::config::Config;
use sansws_core::handshake::Refusal;
use sansws_core::http::Response;
use sansws_core::route::Pattern;

/// Serves one connection: reads requests, answers those for pages, runs the handler of a WebSocket request while driving the socket, closes
/// with the code that the handler's result maps to, and waits for the end of TCP.
///
/// The handler's task is this future: while the handler waits for something else, pings are answered, deadlines kept and
/// output written. A panic of the handler is contained and closes with 1011.
///
/// State that only the beginning or the end of a connection needs is boxed, so that the future does not hold room for it while the
/// connection is open.
pub fn serve<T: Transport, S: Service<T>>(
    transport: T,
    options: Arc<ServerOptions>,
    service: S,
    mut ticket: ConnectionPermit,
    arrival: ConnectInfo,
) -> impl Future<Output = Outcome> {
    let slot = Slot::new(UpgradeOutcome::Open.into());
    let parting = ticket.parting();
    // Made here, so that the future does not hold its inputs.
    let span = contain(|| Span::of(&arrival)).unwrap_or_default();
    let opening = {
        let (slot, handle) = (Arc::clone(&slot), parting.handle.clone());
        let options = Arc::clone(&options);
        Box::pin(async move { open(transport, &options, &service, slot, arrival, handle).await })
    };
    async move {
        let all = serve_until::<T, S>(opening, slot, options, parting);
        until_dropped(&mut ticket, span, pin!(Some(all))).await
    }
}

async fn serve_until<T: Transport, S: Service<T>>(
    opening: Pin<Box<impl Future<Output = Result<Option<Opening<T, S::Handler>>, Error>>>>,
    slot: Slot<T>,
    options: Arc<ServerOptions>,
    parting: DrainHandle,
) -> Outcome {
    let mut opening = match opening.await {
        Ok(Some(opening)) => opening,
        Ok(None) => return Outcome::default(),
        Err(error) => {
            note_failure(&parting.handle, &error);
            let outcome = Outcome {
                result: Err(error.into()),
                ..Outcome::default()
            };
            trace::ended(&outcome, Blame::Peer, None, &parting.handle, None);
            return outcome;
        }
    };
    let kept = ConnectionGuards::of(&mut opening.upgrade);
    trace::asked(&opening.upgrade);
    let mut seat = ConnectionTask {
        place: Phase::Waiting(slot),
        parting,
    };
    let result = {
        let mut running = pin!(None);
        let Opening { upgrade, handler } = opening;
        // The code of a handler before its first await may panic too.
        if let Ok(handler) = contain(|| S::run(handler, upgrade)) {
            running.set(Some(handler));
        }
        attend(&mut seat, running).await
    };
    seat.look();
    let route = kept.as_ref().and_then(|kept| kept.route.clone());
    let handle = &seat.parting.handle;
    let (outcome, blame) = match &seat.place {
        Phase::Open(shared) => Box::pin(close_with(shared, result, route)).await,
        Phase::Waiting(slot) => {
            let (fate, config) = (take(slot), &options.config);
            Box::pin(end_unopened(fate, result, route, handle, config)).await
        }
    };
    let route = outcome.route.as_ref().map(Pattern::as_str);
    trace::ended(&outcome, blame, seat.first_close(), handle, route);
    outcome
}

/// Ends a request that the handler did not accept, or processes the result of its answer.
async fn end_unopened<T: Transport>(
    fate: UpgradeOutcome<T>,
    mut result: Result,
    route: Option<Pattern>,
    handle: &ServerHandle,
    config: &Config,
) -> (Outcome, Blame) {
    let is_lost = matches!(fate, UpgradeOutcome::Lost);
    if result.is_ok() && matches!(fate, UpgradeOutcome::Dropped(_) | UpgradeOutcome::Open) {
        result = Err(NOT_ANSWERED.into());
    }
    let (response, blame) = match &result {
        Ok(()) => (None, Blame::Nobody),
        Err(_) if is_lost => (None, Blame::Peer),
        Err(error) => {
            let (response, blame) = refusal(error);
            (Some(response), blame)
        }
    };
    match fate {
        // 4.2.1: every request is answered, even if the handler did not.
        UpgradeOutcome::Dropped(transport) => {
            let response = response.unwrap_or_else(|| Response::new(500));
            handle
                .counters()
                .response(RequestKind::WebSocket, response.status);
            trace::answered(response.status);
            let _ = Box::pin(reply(transport, &response, config)).await;
        }
        UpgradeOutcome::Rejected(status) => {
            handle.counters().response(RequestKind::WebSocket, status);
            trace::answered(status);
        }
        // Its answer could not be written, or was made elsewhere.
        UpgradeOutcome::Lost
        | UpgradeOutcome::Open
        | UpgradeOutcome::Accepted(_)
        | UpgradeOutcome::Noted => {
            handle.counters().failed(HandshakeFailure::Left);
        }
    }
    // Rejecting is not a failure.
    if blame == Blame::Nobody {
        result = Ok(());
    }
    let outcome = Outcome {
        result,
        route,
        ..Outcome::default()
    };
    (outcome, blame)
}

/// The error of a handler that leaves a request unanswered.
const NOT_ANSWERED: &str = "the handler returned without accepting or rejecting the request";

/// Counts a request that ended before a decision.
fn note_failure(handle: &ServerHandle, error: &Error) {
    handle.counters().failed(match error {
        // It was refused, which is not a failure.
        Error::Refusal(Refusal::Busy) => return,
        Error::Refusal(Refusal::Timeout) => HandshakeFailure::Timeout,
        Error::Refusal(_) => HandshakeFailure::Invalid,
        _ => HandshakeFailure::Left,
    });
}

/// Runs a handler on a connection whose handshake another stack has done, as [`serve`] would: it drives the socket beside the handler,
/// closes with the code that the result maps to, and waits for the end.
#[cfg(feature = "http")]
pub(crate) async fn run<T, H, F>(
    socket: WebSocket<T>,
    mut ticket: ConnectionPermit,
    span: Span,
    route: Option<Box<str>>,
    handler: H,
) -> Outcome
where
    T: Transport,
    H: FnOnce(WebSocket<T>) -> F,
    F: Future<Output = Result>,
{
    let seat = ConnectionTask {
        place: Phase::Open(socket.shared()),
        parting: ticket.parting(),
    };
    seat.parting.handle.counters().opened();
    let all = run_until(seat, route, move || handler(socket));
    until_dropped(&mut ticket, span, pin!(Some(all))).await
}

/// Runs a handler on a connection, and closes it.
#[cfg(feature = "http")]
async fn run_until<T, F>(
    mut seat: ConnectionTask<T>,
    route: Option<Box<str>>,
    handler: impl FnOnce() -> F,
) -> Outcome
where
    T: Transport,
    F: Future<Output = Result>,
{
    let result = {
        let mut running = pin!(None);
        if let Ok(handler) = contain(handler) {
            running.set(Some(handler));
        }
        attend(&mut seat, running).await
    };
    let (outcome, blame) = match &seat.place {
        Phase::Open(shared) => Box::pin(close_with(shared, result, None)).await,
        Phase::Waiting(_) => (Outcome::default(), Blame::Nobody),
    };
    let (first, handle) = (seat.first_close(), &seat.parting.handle);
    trace::ended(&outcome, blame, first, handle, route.as_deref());
    outcome
}

/// Polls to completion, or drops everything when the time to leave is over. A panic that was not contained inside, of a value being dropped
/// or of a subscriber to events, ends only this connection.
fn until_dropped(
    ticket: &mut ConnectionPermit,
    span: Span,
    mut all: Pin<&mut Option<impl Future<Output = Outcome>>>,
) -> impl Future<Output = Outcome> {
    poll_fn(move |cx| {
        let mut outcome = match ticket.poll_dropping(cx) {
            Poll::Ready(()) => Outcome::default(),
            Poll::Pending => {
                let running = all.as_mut().as_pin_mut();
                match contain(|| running.map(|all| span.enter(|| all.poll(cx)))) {
                    Ok(Some(Poll::Pending)) => return Poll::Pending,
                    Ok(Some(Poll::Ready(outcome))) => outcome,
                    Ok(None) => Outcome::default(),
                    Err(panic) => escaped(panic, &ticket.handle()),
                }
            }
        };
        if let Err(panic) = contain(|| all.set(None)) {
            outcome = escaped(panic, &ticket.handle());
        }
        Poll::Ready(outcome)
    })
}

/// Logs a panic that was contained at the outermost level.
#[cold]
fn escaped(panic: Error, handle: &ServerHandle) -> Outcome {
    handle.counters().handler_failed();
    let _ = contain(|| tracing::error!(error = %panic, "a connection panicked"));
    Outcome {
        result: Err(panic.into()),
        ..Outcome::default()
    }
}

/// The state of a request that is kept while its connection lives; boxed, and empty for a handler without a route.
struct ConnectionGuards {
    route: Option<Pattern>,
    /// Dropped with the connection.
    _held: Vec<Box<dyn Any + Send + Sync>>,
}

impl ConnectionGuards {
    fn of<T: Transport>(upgrade: &mut Upgrade<T>) -> Option<Box<Self>> {
        let route = upgrade.pattern().cloned();
        let held = upgrade.scope_mut().take_held();
        (route.is_some() || !held.is_empty()).then(|| Box::new(Self { route, _held: held }))
    }
}

/// Polls a handler to completion, and serves its connection while it waits.
fn attend<T: Transport, F: Future<Output = Result>>(
    seat: &mut ConnectionTask<T>,
    mut running: Pin<&mut Option<F>>,
) -> impl Future<Output = Result> {
    let mut told = None;
    poll_fn(move |cx| {
        let Some(handler) = running.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(Error::Panic.into()));
        };
        let done = match contain(|| handler.poll(cx)) {
            Ok(Poll::Ready(result)) => Some(result),
            Ok(Poll::Pending) => None,
            Err(error) => Some(Err(error.into())),
        };
        if let Some(result) = done {
            // Its values are dropped here, where a panic is contained too.
            let dropped = contain(|| running.set(None));
            return Poll::Ready(dropped.map_err(Into::into).and(result));
        }
        seat.look();
        let ConnectionTask { place, parting } = &*seat;
        if let Phase::Open(shared) = place {
            let mut engine = shared.engine();
            if parting.handle.is_closing() && told != Some(parting.handle.window()) {
                told = Some(parting.handle.window());
                let farewell = parting.farewell();
                engine.leave_after(farewell.after, farewell.code, farewell.reason);
            }
            // The handler dropped its handle, so the connection is closed here.
            if Arc::strong_count(shared) == 1 {
                engine.start_close(Some(CloseCode::NORMAL), "");
            }
            engine.pump(cx);
            parting.handle.counters().moved(&engine.untold());
        }
        Poll::Pending
    })
}

/// The phase of the connection: the handler has not answered yet, or it is open.
enum Phase<T> {
    Waiting(Slot<T>),
    Open(Arc<Shared<T>>),
}

/// A connection that a server drives. However it ends, the end is counted.
struct ConnectionTask<T: Transport> {
    place: Phase<T>,
    parting: DrainHandle,
}

impl<T: Transport> ConnectionTask<T> {
    /// Checks whether it was accepted meanwhile.
    fn look(&mut self) {
        let Phase::Waiting(slot) = &self.place else {
            return;
        };
        let mut fate = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let UpgradeOutcome::Accepted(shared) = &*fate {
            let shared = Arc::clone(shared);
            // The reference count tells whether the handler still holds its handle.
            *fate = UpgradeOutcome::Noted;
            drop(fate);
            self.place = Phase::Open(shared);
            self.parting.handle.counters().opened();
        }
    }

    /// Returns the side that closed first, and the code, if it was open.
    fn first_close(&self) -> Option<(ClosedBy, u16)> {
        match &self.place {
            Phase::Waiting(_) => None,
            Phase::Open(shared) => Some(shared.engine().first_close()),
        }
    }
}

impl<T: Transport> Drop for ConnectionTask<T> {
    fn drop(&mut self) {
        let Phase::Open(shared) = &self.place else {
            return;
        };
        let (tally, mut engine) = (self.parting.handle.counters(), shared.engine());
        tally.moved(&engine.untold());
        let (by, code) = engine.first_close();
        tally.closed(by, code);
    }
}

fn take<T>(slot: &Slot<T>) -> UpgradeOutcome<T> {
    let mut fate = slot.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut *fate, UpgradeOutcome::Noted)
}

/// Closes with the code of the handler's result, unless closed before.
async fn close_with<T: Transport>(
    shared: &Shared<T>,
    result: Result,
    route: Option<Pattern>,
) -> (Outcome, Blame) {
    let (code, reason, blame) = match &result {
        Ok(()) => (CloseCode::NORMAL, String::new(), Blame::Nobody),
        Err(error) => {
            let verdict = Verdict::of(error, shared);
            (verdict.code, verdict.reason, verdict.blame)
        }
    };
    shared.engine().start_close(Some(code), &reason);
    poll_fn(|cx| shared.engine().poll_close(cx, WakerRole::Driver)).await;
    let engine = shared.engine();
    let outcome = Outcome {
        closed: engine.closed().cloned(),
        // A handler that met the end of its connection did not fail.
        result: if blame == Blame::Nobody {
            Ok(())
        } else {
            result
        },
        route,
        counters: engine.counters(),
    };
    (outcome, blame)
}
