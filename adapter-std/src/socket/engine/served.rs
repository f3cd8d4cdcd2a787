//! The dealings of its server and its keeper with a connection.
//! RFC 6455 section 7.4.1: 1001 on shutdown.
//! Knows no bytes.

use std::net::Shutdown;
use std::sync::{Arc, Weak};

use sansws_common::ConnectionPermit;

use super::Engine;
use crate::bell::Bell;
use crate::stream::{ByteStream, Socket};

/// A server's interest in a connection.
#[derive(Debug)]
pub(crate) struct Served {
    /// Gone once the server is done with the connection.
    permit: Weak<ConnectionPermit>,
    /// Wakes the connection's thread when the server shuts down.
    closing: Arc<Bell>,
    /// The drain window that was applied, in microseconds, plus one; 0 before shutdown.
    drain_window: u64,
}

impl Served {
    pub(crate) fn new(permit: &Arc<ConnectionPermit>, closing: Arc<Bell>) -> Box<Self> {
        Box::new(Self {
            permit: Arc::downgrade(permit),
            closing,
            drain_window: 0,
        })
    }

    /// Returns what wakes the connection's thread when the server shuts down, until it knows, and while the server counts the connection.
    pub(in crate::socket) fn bell(&self) -> Option<Arc<Bell>> {
        let is_awaited = !self.is_draining() && self.permit.strong_count() > 0;
        is_awaited.then(|| Arc::clone(&self.closing))
    }

    /// Returns whether the shutdown of the server is known.
    pub(in crate::socket) const fn is_draining(&self) -> bool {
        self.drain_window > 0
    }

    /// Counts the connection as open.
    pub(super) fn opened(&self) {
        if let Some(permit) = self.permit.upgrade() {
            permit.counters().opened();
        }
    }
}

impl<S: ByteStream> Engine<S> {
    /// Does what the server wants: a shutdown closes the connection, at once or later. Returns whether that has begun: a Close frame is then
    /// to be written before anything else is due.
    pub(super) fn obey_server(&mut self) -> bool {
        let Some(served) = &self.served else {
            return false;
        };
        let Some(permit) = served.permit.upgrade() else {
            return false;
        };
        permit.counters().moved(&self.unreported());
        let Some(window) = permit.closing_over() else {
            return false;
        };
        if permit.is_dropping() {
            let is_cut = !self.ending.is_known();
            if is_cut {
                self.cut_off();
            }
            return is_cut;
        }
        if let Some(served) = self
            .served
            .as_mut()
            .filter(|served| served.drain_window != window + 1)
        {
            served.drain_window = window + 1;
            let farewell = permit.farewell();
            self.leave_after(farewell.after, farewell.code, farewell.reason);
            return true;
        }
        false
    }

    /// Returns whether its server has dropped all connections. It ends their sockets too, which looks as if the peer had.
    pub(super) fn is_dropped_by_server(&self) -> bool {
        let permit = self
            .served
            .as_ref()
            .and_then(|served| served.permit.upgrade());
        permit.is_some_and(|permit| permit.is_dropping())
    }
}

/// Ends TCP when the connection is dropped, even while its keeper still waits for the socket.
#[derive(Debug)]
pub(crate) struct HangUp(Weak<Socket>);

impl HangUp {
    pub(in crate::socket) fn new(socket: &Arc<Socket>) -> Self {
        Self(Arc::downgrade(socket))
    }

    /// The stream outlives the connection.
    pub(super) fn disarm(&mut self) {
        self.0 = Weak::new();
    }
}

impl Drop for HangUp {
    fn drop(&mut self) {
        if let Some(socket) = self.0.upgrade() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
