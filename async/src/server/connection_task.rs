//! One connection of a server, from its first byte to its last.
//! RFC 6455 sections 4.2, 7.1 and 7.4.1.
//! Knows no listener: an adapter provides the transport and runs the future.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;

use crate::contain::contain;
use crate::error::{Error, Result};
use crate::metrics::trace;
use crate::metrics::trace::Span;
use crate::metrics::{HandshakeFailure, RequestKind};
use crate::server::connect_info::ConnectInfo;
use crate::server::handle::{Admission, ConnectionPermit, ServerHandle};
use crate::server::open_connection::{
    ConnectionGuards, ConnectionTask, Phase, Waiting, attend, until_dropped,
};
use crate::server::options::ServerOptions;
use crate::server::outcome::ConnectionOutcome;
use crate::server::request_loop::{Opening, open, refuse, reply};
use crate::server::service::Service;
use crate::server::upgrade::{Slot, UpgradeOutcome};
use crate::server::verdict::{Blame, Verdict, refusal};
use crate::socket::shared::Shared;
use crate::socket::wakers::WakerRole;
#[cfg(feature = "http")]
use crate::socket::websocket::WebSocket;
use crate::transport::Transport;
use sansws_common::server::answer::{NOT_ANSWERED, counted, note_failure};
use sansws_core::close::CloseCode;
use sansws_core::config::Config;
use sansws_core::http::Response;
use sansws_core::route::Pattern;
use sansws_core::time::Instant;

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
    ticket: ConnectionPermit,
    arrival: ConnectInfo,
) -> impl Future<Output = ConnectionOutcome> {
    let opening = Box::pin(begin(transport, options, service, ticket, arrival));
    serve_from::<T, S, _>(opening, |outcome| outcome)
}

/// The transport of an accepted connection, the client's address, and whether the connection is secure.
pub(crate) type Prepared<T> = (T, Option<SocketAddr>, bool);

/// The steps before HTTP.
pub(crate) enum Prepare<T, P> {
    /// There are none.
    Done(Prepared<T>),
    /// Reads the PROXY header and shakes hands for TLS. Boxed, so that a request does not hold room for it.
    Steps(Pin<Box<P>>),
}

/// Serves one connection from its acceptance on. A connection that is not admitted is refused; see [`refuse`].
pub(crate) fn serve_admitted<T: Transport, S: Service<T>>(
    prepare: Prepare<T, impl Future<Output = Result<Prepared<T>, Error>>>,
    begun: Instant,
    options: Arc<ServerOptions>,
    service: S,
    mut leave: Admission,
) -> impl Future<Output = ()> {
    let opening = Box::pin(async move {
        let prepared = match prepare {
            Prepare::Done(prepared) => Some(Ok(prepared)),
            Prepare::Steps(steps) => leave.unless_closing(steps).await,
        };
        let (transport, peer, secure) = match prepared {
            Some(Ok(prepared)) => prepared,
            Some(Err(error)) => {
                leave.not_begun(&error);
                return Err(ConnectionOutcome::default());
            }
            // Nothing can be sent on it yet, so there is no answer.
            None => return Err(ConnectionOutcome::default()),
        };
        let arrival = ConnectInfo {
            begun,
            peer,
            secure,
        };
        match leave {
            Admission::In(ticket) => begin(transport, options, service, ticket, arrival).await,
            Admission::Away(away) => {
                let refusing = refuse(transport, &options, &service, arrival, &away);
                let _ = Box::pin(refusing).await;
                Err(ConnectionOutcome::default())
            }
        }
    });
    serve_from::<T, S, _>(opening, drop)
}

/// Runs the handler that `opening` returns, then maps the outcome by `done`. An open connection holds this future: it stores no value
/// twice, and boxes the steps before and after.
async fn serve_from<T: Transport, S: Service<T>, R>(
    opening: Pin<Box<impl Future<Output = Result<Begun<T, S::Handler>, ConnectionOutcome>>>>,
    done: impl FnOnce(ConnectionOutcome) -> R,
) -> R {
    let begun = match opening.await {
        Ok(begun) => begun,
        Err(outcome) => return done(outcome),
    };
    let (task, running) = begun.start::<S>();
    let (task, result) = match attend(task, pin!(running)).await {
        Ok(ended) => ended,
        Err(outcome) => return done(outcome),
    };
    done(Box::pin(finish(task, result)).await)
}

/// A connection whose handler is about to run.
struct Begun<T: Transport, H> {
    task: ConnectionTask<T>,
    opening: Opening<T, H>,
}

impl<T: Transport, H> Begun<T, H> {
    /// Calls the handler; `None` if it panicked before its first await.
    fn start<S: Service<T, Handler = H>>(self) -> (ConnectionTask<T>, Option<S::Running>) {
        let Self { task, opening } = self;
        let Opening { upgrade, handler } = opening;
        let running = task.kept.enter(|| contain(|| S::run(handler, upgrade)));
        (task, running.ok())
    }
}

/// Runs all steps before the handler.
async fn begin<T: Transport, S: Service<T>>(
    transport: T,
    options: Arc<ServerOptions>,
    service: S,
    mut ticket: ConnectionPermit,
    arrival: ConnectInfo,
) -> Result<Begun<T, S::Handler>, ConnectionOutcome> {
    let slot = Slot::new(UpgradeOutcome::Open.into());
    let span = contain(|| Span::of(&arrival)).unwrap_or_default();
    let begun = {
        let handle = ticket.handle();
        let all = async {
            let slot = Arc::clone(&slot);
            match open(transport, &options, &service, slot, arrival, handle.clone()).await {
                Ok(Some(mut opening)) => {
                    let kept = ConnectionGuards::of(&mut opening.upgrade);
                    trace::asked(&opening.upgrade);
                    Ok((opening, kept))
                }
                Ok(None) => Err(ConnectionOutcome::default()),
                Err(error) => {
                    note_failure(&handle, &error);
                    let outcome = ConnectionOutcome {
                        result: Err(error.into()),
                        ..ConnectionOutcome::default()
                    };
                    trace::ended(&outcome, Blame::Peer, None, &handle, None);
                    Err(outcome)
                }
            }
        };
        until_dropped(&mut ticket, &span, pin!(Some(all))).await
    };
    let (opening, kept) = begun??;
    let place = Phase::Waiting(Box::new(Waiting { slot, options }));
    let task = ConnectionTask::new(place, ticket, kept.in_span(span));
    Ok(Begun { task, opening })
}

/// Closes the connection of a handler that has returned, and waits for its end.
async fn finish<T: Transport>(mut task: ConnectionTask<T>, result: Result) -> ConnectionOutcome {
    let ConnectionTask {
        place,
        ticket,
        kept,
        ..
    } = &mut task;
    let (handle, span) = (ticket.handle(), kept.take_span());
    let kept = std::mem::take(kept);
    let all = async {
        let route = kept.route();
        let (outcome, blame) = match &*place {
            Phase::Open(shared) => {
                if Arc::strong_count(shared) == 1 {
                    shared.engine().set_last();
                }
                close_with(shared, result, route).await
            }
            Phase::Waiting(waiting) => {
                let (fate, config) = (waiting.take(), &waiting.options.config);
                Box::pin(end_unopened(fate, result, route, &handle, config)).await
            }
        };
        trace::ended(&outcome, blame, place.first_close(), &handle, kept.path());
        // The guards that layers hold are dropped here, where a panic is contained.
        drop(kept);
        outcome
    };
    let ended = until_dropped(ticket, &span, pin!(Some(all))).await;
    ended.unwrap_or_else(|outcome| outcome)
}

/// Ends a request that the handler did not accept, or processes the result of its answer.
async fn end_unopened<T: Transport>(
    fate: UpgradeOutcome<T>,
    mut result: Result,
    route: Option<Pattern>,
    handle: &ServerHandle,
    config: &Config,
) -> (ConnectionOutcome, Blame) {
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
            let response = counted(response, RequestKind::WebSocket, handle);
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
    let outcome = ConnectionOutcome {
        result,
        route,
        ..ConnectionOutcome::default()
    };
    (outcome, blame)
}

/// Runs a handler on a connection whose handshake another stack has done, as [`serve`] would: it drives the socket beside the handler,
/// closes with the code that the result maps to, and waits for the end.
#[cfg(feature = "http")]
pub(crate) fn run<T, H, F>(
    socket: WebSocket<T>,
    ticket: ConnectionPermit,
    span: Span,
    path: Option<Box<str>>,
    handler: H,
) -> impl Future<Output = ConnectionOutcome>
where
    T: Transport,
    H: FnOnce(WebSocket<T>) -> F,
    F: Future<Output = Result>,
{
    let kept = ConnectionGuards::of_path(path).in_span(span);
    let task = ConnectionTask::new(Phase::Open(socket.shared()), ticket, kept);
    async move {
        task.ticket.counters().opened();
        let running = task.kept.enter(|| contain(|| handler(socket))).ok();
        let (task, result) = match attend(task, pin!(running)).await {
            Ok(ended) => ended,
            Err(outcome) => return outcome,
        };
        Box::pin(finish(task, result)).await
    }
}

/// Closes with the code of the handler's result, unless closed before.
async fn close_with<T: Transport>(
    shared: &Shared<T>,
    result: Result,
    route: Option<Pattern>,
) -> (ConnectionOutcome, Blame) {
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
    let outcome = ConnectionOutcome {
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
