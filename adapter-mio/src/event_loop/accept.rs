//! Accepting connections: some at a time, so that open ones have their turns.
//! Knows no request.

use std::io;
use std::rc::Rc;

use mio::{Registry, Token};
use sansws_common::contain::contain;
use sansws_common::listen::is_of_one;
use sansws_common::{Admission, ConnectInfo};
use sansws_core::time::Duration;

use super::opening::Opening;
use super::peer::{Peer, Stage};
use super::{Key, Loop, Served};
use crate::listener::Listener;

/// Maximum number of connections that one listener accepts in a turn.
const ACCEPTS: usize = 64;

/// How long accepting pauses after an error such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// The listeners that have connections, and whether accepting failed.
#[derive(Debug, Default)]
pub(super) struct Accepting {
    /// `None`: closed, because the server drains or has shut down but for connections that it waits for.
    pub(super) listeners: Vec<Option<Listener>>,
    /// Indexes of listeners that may have connections.
    pub(super) ready: Vec<usize>,
    /// Accepting failed, and is tried again later.
    pub(super) paused: bool,
    /// The failure was logged, and has not ended.
    failing: bool,
}

impl Accepting {
    /// Returns whether all listeners are closed.
    pub(super) fn is_over(&self) -> bool {
        self.listeners.iter().all(Option::is_none)
    }

    /// Closes listeners, during the drain's window those that close on drain: clients reach another server that listens on the same port
    /// or socket, or are refused by the system.
    fn stop(&mut self, is_past_window: bool, registry: &Registry) {
        for place in &mut self.listeners {
            let closes = |listener: &mut Listener| is_past_window || listener.closes_on_drain();
            if let Some(listener) = place.take_if(closes) {
                listener.close(registry);
            }
        }
    }
}

impl Loop {
    /// A listener may have connections.
    pub(super) fn listener_is_ready(&mut self, index: usize) {
        if !self.accepting.ready.contains(&index) {
            self.accepting.ready.push(index);
        }
    }

    /// Returns whether connections wait to be accepted.
    pub(super) fn has_arrivals(&self) -> bool {
        !self.accepting.paused && !self.accepting.ready.is_empty()
    }

    /// Accepts from all listeners that may have connections.
    pub(super) fn accept(&mut self) {
        let Some(served) = self.served.clone() else {
            return;
        };
        if served.handle.is_closing() {
            let is_past_window = self.is_past_window(&served.handle);
            self.accepting.stop(is_past_window, &self.registry);
        }
        if self.accepting.paused {
            return;
        }
        let listeners = std::mem::take(&mut self.accepting.listeners);
        for index in std::mem::take(&mut self.accepting.ready) {
            let Some(Some(listener)) = listeners.get(index) else {
                continue;
            };
            match self.accept_some(listener, &served) {
                Ok(true) => self.listener_is_ready(index),
                Ok(false) => {}
                Err(error) => {
                    self.listener_is_ready(index);
                    self.accepting.paused = true;
                    self.timers.arm(self.now + PAUSE, Key::Accept);
                    if !std::mem::replace(&mut self.accepting.failing, true) {
                        tell(
                            || tracing::warn!(%error, "accepting failed; retrying until it succeeds"),
                        );
                    }
                }
            }
        }
        self.accepting.listeners = listeners;
        // Not at the first that is accepted: with as many clients as descriptors, that fails and succeeds all the time.
        if !self.accepting.paused
            && self.accepting.ready.is_empty()
            && std::mem::take(&mut self.accepting.failing)
        {
            tell(|| tracing::warn!("accepting resumed"));
        }
    }

    /// Returns whether there may be more.
    fn accept_some(&mut self, listener: &Listener, served: &Rc<Served>) -> io::Result<bool> {
        for _ in 0..ACCEPTS {
            let (mut stream, peer) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if is_of_one(&error) || error.kind() == io::ErrorKind::Interrupted => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(admission) = served.handle.admit() else {
                continue;
            };
            let arrival = ConnectInfo {
                begun: self.now,
                peer,
                secure: false,
            };
            let mut opening = Opening::new(served, admission, arrival);
            let serial = self.next_serial();
            let entry = self.peers.vacant_entry();
            let slot = entry.key();
            let ready = match opening.expect(&mut stream, listener.speaks()) {
                Ok(()) => stream.register(&self.registry, Token(slot)),
                Err(error) => Err(io::Error::other(error)),
            };
            if let Err(error) = ready {
                if let Some(admission) = &opening.admission {
                    admission.not_begun(&error.into());
                }
                continue;
            }
            let is_refused = matches!(opening.admission, Some(Admission::Away(_)));
            let stage = Stage::Opening(Box::new(opening));
            let mut peer = Peer::new(serial, stream, stage);
            peer.flags.refused = is_refused;
            self.refused += usize::from(is_refused);
            entry.insert(Box::new(peer));
            self.arm(slot);
        }
        Ok(true)
    }
}

/// Logs an event. A subscriber that panics does not stop accepting.
fn tell(event: impl FnOnce()) {
    let _ = contain(event);
}
