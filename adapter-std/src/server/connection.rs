//! One connection of a server, from its first byte to its last, on its own thread.
//! RFC 6455 sections 4.2, 7.1 and 7.4.1.
//! Knows no listener.

use std::sync::{Arc, Weak};

use sansws_common::contain::contain;
use sansws_common::error::{HandlerError, Result};
use sansws_common::metrics::trace::{self, Span};
use sansws_common::metrics::{ClosedBy, HandshakeFailure, RequestKind};
use sansws_common::server::answer::{NOT_ANSWERED, counted, note_failure, written};
use sansws_common::server::verdict::{Blame, Verdict, refusal};
use sansws_common::{Admission, ConnectInfo, ConnectionOutcome, ConnectionPermit};
use sansws_core::close::CloseCode;
use sansws_core::http::Response;
use sansws_core::internal::Framing;
use sansws_core::route::Pattern;
use sansws_core::time::Instant;

use super::listener::Accepted;
use super::request_loop::{Opening, open, refuse};
use super::upgrade::{Slot, Terms, Upgrade, UpgradeOutcome};
use crate::ServerOptions;
use crate::app::App;
use crate::bell::Bell;
use crate::clock::now;
use crate::socket::{Served, Shared};
use crate::stream::Stream;
use crate::wire::Wire;

/// An accepted connection, and what its thread needs.
pub(super) struct Task {
    pub(super) accepted: Accepted,
    pub(super) admission: Admission,
    pub(super) begun: Instant,
    pub(super) app: App,
    pub(super) options: Arc<ServerOptions>,
    pub(super) bell: Arc<Bell>,
    /// Gone once [`Server::serve`](crate::Server::serve) has returned: it does not wait for refused connections.
    pub(super) serving: Weak<()>,
}

impl Task {
    /// Serves the connection to its end. A panic that was not contained inside ends only this connection.
    pub(super) fn run(self) {
        let handle = match &self.admission {
            Admission::In(permit) => permit.handle(),
            Admission::Away(away) => away.handle().clone(),
        };
        if contain(|| self.serve()).is_err() {
            handle.counters().handler_failed();
            let _ = contain(|| tracing::error!("a connection panicked"));
        }
    }

    fn serve(self) {
        let Self {
            accepted,
            mut admission,
            begun,
            app,
            options,
            bell,
            serving,
        } = self;
        let deadline = options.config.timeouts.handshake.map(|wait| begun + wait);
        let cut = match &mut admission {
            Admission::In(permit) => accepted.cut_when_dropped(permit),
            Admission::Away(_) => None,
        };
        let prepared = contain(|| accepted.prepare(deadline)).and_then(|prepared| prepared);
        if cut.is_some_and(|cut| !cut.begin()) {
            // The server shuts down. It is no fault of the peer.
            return;
        }
        let (stream, peer, secure) = match (prepared, &admission) {
            (Ok(prepared), _) => prepared,
            (Err(_), Admission::In(permit)) if permit.is_closing() => return,
            (Err(error), _) => return admission.not_begun(&error),
        };
        let wire = Wire::new(stream);
        let arrival = ConnectInfo {
            begun,
            peer,
            secure,
        };
        let permit = match admission {
            Admission::In(permit) => Arc::new(permit),
            Admission::Away(away) => {
                let handle = away.handle();
                let is_over = || handle.is_ending() || serving.strong_count() == 0;
                return refuse(wire, &options, &app, &arrival, handle, is_over);
            }
        };
        let span = contain(|| Span::of(&arrival)).unwrap_or_default();
        span.enter(|| {
            let handle = permit.handle();
            match open(wire, &options, &app, &arrival, &handle, &bell) {
                Ok(Some(opening)) => run_handler(opening, &options, &permit, bell),
                Ok(None) => {}
                // It is no fault of the peer.
                Err(_) if permit.is_dropping() => {}
                Err(error) => {
                    note_failure(&handle, &error);
                    let outcome = ConnectionOutcome {
                        result: Err(error.into()),
                        ..ConnectionOutcome::default()
                    };
                    trace::ended(&outcome, Blame::Peer, None, &handle, None);
                }
            }
        });
    }
}

/// Runs the handler of a request, then closes its connection with the code that the result maps to, and waits for its end.
fn run_handler(
    opening: Opening,
    options: &ServerOptions,
    permit: &Arc<ConnectionPermit>,
    bell: Arc<Bell>,
) {
    let Opening {
        mut scope,
        handler,
        policy,
        wire,
        deadline,
    } = opening;
    let slot = Slot::new();
    let route = scope.pattern().cloned();
    // Dropped with the connection.
    let guards = scope.take_held();
    trace::asked(&scope);
    let config = policy.config.as_ref().unwrap_or(&options.config);
    let left = deadline.map(|deadline| deadline.since(now()));
    let upgrade = Upgrade::new(scope, Arc::clone(config), wire, left).on(Terms {
        slot: Arc::clone(&slot),
        policy,
        served: Served::new(permit, bell),
    });
    let result = contain(|| handler(upgrade)).unwrap_or_else(|panic| Err(panic.into()));
    let decided = std::mem::replace(&mut *slot.outcome(), UpgradeOutcome::Over);
    let handle = permit.handle();
    let path = route.as_ref().map(|route| route.as_str().to_owned());
    let (outcome, blame, first) = match decided {
        UpgradeOutcome::Accepted(shared) => close_with(&shared, result, route, permit),
        decided => {
            let (outcome, blame) = end_unopened(decided, result, route, permit, options);
            (outcome, blame, None)
        }
    };
    trace::ended(&outcome, blame, first, &handle, path.as_deref());
    drop(guards);
}

/// Closes with the code of the handler's result, unless closed before, and counts.
fn close_with(
    shared: &Shared<Stream>,
    result: Result,
    route: Option<Pattern>,
    permit: &ConnectionPermit,
) -> (ConnectionOutcome, Blame, Option<(ClosedBy, u16)>) {
    let (code, reason, blame) = match &result {
        Ok(()) => (CloseCode::NORMAL, String::new(), Blame::Nobody),
        Err(error) => {
            let verdict = Verdict::of(error, shared);
            (verdict.code, verdict.reason, verdict.blame)
        }
    };
    let counters = permit.counters();
    shared.engine().start_close(Some(code), &reason);
    let _ = shared.finish_close();
    let mut engine = shared.engine();
    counters.moved(&engine.unreported());
    let (by, code) = engine.first_close();
    counters.closed(by, code);
    let outcome = ConnectionOutcome {
        closed: engine.closed(),
        // A handler that met the end of its connection did not fail.
        result: if blame == Blame::Nobody {
            Ok(())
        } else {
            result
        },
        route,
        counters: engine.counters(),
    };
    (outcome, blame, Some((by, code)))
}

/// Ends a request that the handler did not accept, or processes the result of its answer.
fn end_unopened(
    decided: UpgradeOutcome<Stream>,
    mut result: Result,
    route: Option<Pattern>,
    permit: &ConnectionPermit,
    options: &ServerOptions,
) -> (ConnectionOutcome, Blame) {
    let counters = permit.counters();
    if result.is_ok() && matches!(decided, UpgradeOutcome::Dropped(_) | UpgradeOutcome::Open) {
        result = Err(HandlerError::from(NOT_ANSWERED));
    }
    let is_lost = matches!(decided, UpgradeOutcome::Lost);
    let (response, blame) = match &result {
        Ok(()) => (None, Blame::Nobody),
        Err(_) if is_lost => (None, Blame::Peer),
        Err(error) => {
            let (response, blame) = refusal(error);
            (Some(response), blame)
        }
    };
    match decided {
        // 4.2.1: every request is answered, even if the handler did not.
        UpgradeOutcome::Dropped(wire) => {
            let response = response.unwrap_or_else(|| Response::new(500));
            let response = counted(response, RequestKind::WebSocket, &permit.handle());
            let bytes = written(&response, Framing::default());
            wire.answer_and_end(bytes, &options.config.timeouts);
        }
        UpgradeOutcome::Rejected(status) => {
            counters.response(RequestKind::WebSocket, status);
            trace::answered(status);
        }
        // Its answer could not be written, or another thread still holds the request.
        UpgradeOutcome::Lost
        | UpgradeOutcome::Open
        | UpgradeOutcome::Accepted(_)
        | UpgradeOutcome::Over => counters.failed(HandshakeFailure::Left),
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
