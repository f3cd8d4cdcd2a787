//! From a request to an open connection: the endpoint decides.
//! RFC 6455 section 4.2.2.
//! Knows no byte of a request.

use std::rc::Rc;
use std::sync::Arc;

use sansws_common::contain::contain;
use sansws_common::error::{Error, HandlerError};
use sansws_common::metrics::{RequestKind, trace};
use sansws_common::server::answer::{counted, written};
use sansws_common::server::scope::Head;
use sansws_common::server::verdict::{Blame, refusal};
use sansws_common::socket::traffic::Traffic;
use sansws_common::{Admission, ConnectionOutcome, Scope};
use sansws_core::connection::Connection;
use sansws_core::handshake::{AcceptOptions, Refusal};
use sansws_core::internal::Framing;
use sansws_core::limits::LIFETIME_OVER;

use super::opening::{ConnectionPolicy, Next, Opening};
use super::peer::{Attached, Pending, Stage};
use super::{Handler, HostRef, Loop, Served};

impl Loop {
    /// Lets the endpoint decide on a request, and makes the connection.
    pub(super) fn upgrade(
        &mut self,
        slot: usize,
        opening: &mut Opening,
        served: &Rc<Served>,
        mut scope: Scope,
        handler: &Handler,
        policy: &ConnectionPolicy,
    ) -> Next {
        trace::asked(&scope);
        let route = scope.pattern().cloned();
        let mut accept = AcceptOptions::default();
        let called = contain(|| handler.call(|host| host.upgrade(&mut scope, &mut accept)));
        let called = called.map_err(HandlerError::from);
        let made = called.and_then(|called| called.unwrap_or_else(|| Err(Error::Panic.into())));
        let config = policy.config.as_ref().unwrap_or(&served.options.config);
        let accepted = made.and_then(|key| {
            let Head::WebSocket(request) = &scope.head else {
                return Err(Refusal::NotWebSocket.into());
            };
            let fields = accept.fields.clone();
            request
                .accept(config, accept)
                .map_err(|misuse| {
                    let _ = contain(|| handler.call(|host| host.forget(key)));
                    Error::of_fields(misuse, &fields).into()
                })
                .map(|(response, agreement)| (key, response, agreement))
        });
        let (key, response, agreement) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                let (response, blame) = refusal(&error);
                let response = counted(response, RequestKind::WebSocket, &served.handle);
                let outcome = ConnectionOutcome {
                    // Rejecting is not a failure.
                    result: if blame == Blame::Nobody {
                        Ok(())
                    } else {
                        Err(error)
                    },
                    route: route.clone(),
                    ..ConnectionOutcome::default()
                };
                let path = route.as_ref().map(|route| route.as_str());
                trace::ended(&outcome, blame, None, &served.handle, path);
                let bytes = written(&response, Framing::default());
                return opening.end_with(bytes, self.now, &served.options.config.timeouts);
            }
        };
        trace::agreed(agreement.subprotocol.as_deref());
        let mut connection = Connection::server(Arc::clone(config), &agreement, self.now);
        let length = response.len();
        connection.precede_with(response);
        served.handle.counters().opened();
        let (Some(peer), Some(host)) = (self.peers.get_mut(slot), handler.endpoint()) else {
            return Next::Over;
        };
        peer.stage = Stage::Open(connection);
        peer.counts.precede_with(length);
        self.attach(slot, opening, (host.clone(), key), policy, &mut scope);
        let Some(peer) = self.peers.get_mut(slot) else {
            return Next::Over;
        };
        let kept = std::mem::take(&mut opening.input);
        if !kept.is_empty() {
            peer.flags.held = true;
            peer.pending = Some(Box::new(Pending {
                kept,
                ..Pending::default()
            }));
        }
        if let Some(limits) = &policy.traffic {
            peer.extras().traffic = Some(Traffic::new(limits.clone()));
        }
        Next::Open
    }

    /// Gives a connection that an endpoint has accepted what it has from its route.
    pub(super) fn attach(
        &mut self,
        slot: usize,
        opening: &mut Opening,
        (handler, key): (HostRef, usize),
        policy: &ConnectionPolicy,
        scope: &mut Scope,
    ) {
        let route = self.routes.index(scope.pattern());
        if let Some(hub) = &policy.hub {
            self.use_hub_at(slot, hub);
        }
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        peer.route = route;
        peer.endpoint = Some(Attached { handler, key });
        if let Some(Admission::In(permit)) = opening.admission.take() {
            peer.permit = Some(permit.into_place());
        }
        let guards = scope.take_held();
        if !guards.is_empty() {
            peer.extras().guards = guards;
        }
        if let Some(lifetime) = policy.lifetime {
            let (code, reason) = LIFETIME_OVER;
            peer.leave_after(self.now, lifetime, code, reason);
        }
    }

    /// Tells the endpoint that a connection is open.
    pub(super) fn opened(&mut self, slot: usize) {
        self.obey_server(slot);
        self.lend(slot);
        let called = self.call(slot, |host, at, within| host.open(at, within));
        if let Err(error) = called.and_then(|done| done.unwrap_or(Ok(()))) {
            self.fail(slot, error);
        }
    }
}
