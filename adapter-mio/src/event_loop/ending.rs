//! How connections end: shutdown of the server, the last callback, and the log.
//! RFC 6455 section 7.4.1: 1001 on shutdown, 1012 while draining.
//! Knows no byte.

use sansws_common::contain::contain;
use sansws_common::metrics::trace;
use sansws_common::server::verdict::Blame;
use sansws_common::{ConnectionOutcome, ServerHandle};
use sansws_core::close::{CloseCode, LossCause};
use sansws_core::route::Pattern;

use super::peer::{Peer, Stage};
use super::{Key, Loop};

impl Loop {
    /// Removes a connection: its socket is closed, and its data are dropped.
    pub(super) fn remove(&mut self, slot: usize) {
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        if peer.endpoint.is_some() && !peer.is_ending() {
            peer.ending().note_lost(LossCause::Aborted);
        }
        if let Stage::Streaming(streamed) = &mut peer.stage {
            // Nothing can be sent any more.
            streamed.cut();
        }
        self.tell_close(slot);
        self.drop_tasks(slot);
        self.close_channel(slot);
        let Some(mut peer) = self.peers.try_remove(slot) else {
            return;
        };
        if matches!(peer.stage, Stage::Open(_)) && !peer.flags.shut {
            // TLS says that this is the end: its peer would take it for an attack.
            let _ = peer.stream.shut_down();
        }
        peer.stream.deregister(&self.registry);
        self.refused -= usize::from(peer.flags.refused);
        self.report(&mut peer);
        // The traffic is counted before anything shows that the connection has ended.
        self.tell_traffic();
        if let Some(endpoint) = peer.endpoint.take() {
            // Dropping the data of an application may panic, and so may its guards.
            let forgotten = contain(|| endpoint.handler.call(|host| host.forget(endpoint.key)));
            let dropped = contain(|| drop(peer));
            if forgotten.is_err() || dropped.is_err() {
                let _ = contain(|| tracing::error!("dropping the data of a connection panicked"));
            }
        }
    }

    /// Counts and logs the end of a connection of the server.
    fn report(&mut self, peer: &mut Peer) {
        if peer.flags.client {
            self.clients -= 1;
            return report_client(peer);
        }
        if peer.flags.streamed {
            return report_stream(peer, self.routes.get(peer.route));
        }
        self.unreported.dropped += peer.counters().dropped;
        self.unreported.sent += u64::from(peer.mailed);
        let Some(permit) = peer.permit.as_ref().filter(|_| peer.endpoint.is_some()) else {
            return;
        };
        let (by, code) = peer.first_close();
        let handle = permit.handle();
        handle.counters().closed(by, code);
        let closed = peer
            .ending
            .as_ref()
            .and_then(|ending| ending.closed().cloned());
        let counters = peer.counters();
        let route = self.routes.get(peer.route).cloned();
        let (failure, span) = match &mut peer.extras {
            Some(extras) => (extras.failure.take(), std::mem::take(&mut extras.span)),
            None => Default::default(),
        };
        let (result, blame) = match failure {
            Some((error, blame)) if blame != Blame::Nobody => (Err(error), blame),
            _ => (Ok(()), Blame::Nobody),
        };
        let outcome = ConnectionOutcome {
            result,
            closed,
            route,
            counters,
        };
        let path = outcome
            .route
            .as_ref()
            .map(|route| route.as_str().to_owned());
        let first = Some((by, code));
        let log = || trace::ended(&outcome, blame, first, &handle, path.as_deref());
        let _ = contain(|| span.enter(log));
    }

    /// Tells the server about the traffic since the last time.
    pub(super) fn tell_traffic(&mut self) {
        if let Some(served) = &self.served {
            let unreported = std::mem::take(&mut self.unreported);
            served.handle.counters().moved(&unreported);
        }
    }

    /// The server shuts down, or hastens to: tells all its connections.
    pub(super) fn obey_shutdown(&mut self) {
        self.shutdown.rung = false;
        let Some(served) = self.served.clone() else {
            return;
        };
        if !served.handle.is_closing() {
            return;
        }
        let window = self.now + served.handle.window();
        if self.shutdown.window.is_none_or(|at| window < at) {
            let until = window + served.options.config.timeouts.shutdown;
            (self.shutdown.window, self.shutdown.until) = (Some(window), Some(until));
            self.timers.arm(window, Key::Shutdown);
            self.timers.arm(until, Key::Shutdown);
        }
        let slots: Vec<usize> = self.peers.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.obey_server(slot);
            self.turn(slot);
        }
    }

    /// Does what the server wants of a connection.
    pub(super) fn obey_server(&mut self, slot: usize) {
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        let permit = match (&peer.permit, peer.admission()) {
            (Some(place), _) => place,
            (None, Some(sansws_common::Admission::In(permit))) => permit,
            _ => return,
        };
        let Some(window) = permit.closing_over() else {
            return;
        };
        if permit.is_dropping() {
            peer.stage = Stage::Over;
            return;
        }
        let farewell = permit.farewell();
        if !matches!(peer.stage, Stage::Open(_) | Stage::Streaming(_))
            || peer.extras().drain_window == window + 1
        {
            return;
        }
        peer.extras().drain_window = window + 1;
        peer.leave_after(self.now, farewell.after, farewell.code, farewell.reason);
    }

    /// Returns whether the server has shut down, or the time for that is over.
    pub(super) fn has_shut_down(&self) -> bool {
        let Some(served) = &self.served else {
            return false;
        };
        served.handle.is_closing()
            && (self.peers.len() == self.refused
                && (self.accepting.is_over() || self.is_past_window(&served.handle))
                || self.shutdown.until.is_some_and(|until| until <= self.now))
    }

    /// Returns whether a draining server need not refuse clients any more. Until it has obeyed, it does not know when the window ends.
    pub(super) fn is_past_window(&self, handle: &ServerHandle) -> bool {
        handle.window().is_zero() || self.shutdown.window.is_some_and(|at| at <= self.now)
    }

    /// Once a server that shuts down has no connections but those to other servers, closes these too.
    pub(super) fn close_clients_if_alone(&mut self) {
        let is_closing = self
            .served
            .as_ref()
            .is_some_and(|served| served.handle.is_closing());
        let others = self.peers.len() - self.refused;
        if !is_closing || self.clients == 0 || others > self.clients {
            return;
        }
        if std::mem::replace(&mut self.is_ending, true) {
            return;
        }
        let slots: Vec<usize> = self.peers.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            if !self.give_up_connecting(slot) {
                self.close_at(slot, Some(CloseCode::AWAY), "");
            }
        }
    }

    /// Drops all connections; no more are opened.
    pub(super) fn drop_all(&mut self) {
        self.is_ending = true;
        let slots: Vec<usize> = self.peers.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            if !self.give_up_connecting(slot) {
                self.remove(slot);
            }
        }
        self.end_waiting();
    }
}

/// Counts and logs a failure of the callbacks of a streamed response.
fn report_stream(peer: &mut Peer, route: Option<&Pattern>) {
    let failure = peer
        .extras
        .as_mut()
        .and_then(|extras| extras.failure.take());
    if let (Some((error, Blame::Application)), Some(permit)) = (failure, &peer.permit) {
        let _ = contain(|| trace::page_failed(&error, route, &permit.handle()));
    }
}

/// Logs a failure of a client's callbacks.
fn report_client(peer: &mut Peer) {
    let failure = peer
        .extras
        .as_mut()
        .and_then(|extras| extras.failure.take());
    if let Some((error, Blame::Application)) = failure {
        let log = || tracing::error!(error.message = %error, "a callback of a client failed");
        let _ = contain(log);
    }
}
