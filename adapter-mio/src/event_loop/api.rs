//! The methods of a loop for callbacks and closures: send, close, set timers.
//! Knows no endpoint.

use sansws_common::socket::counters::Counters;
use sansws_core::close::{CloseCode, Closed, LossCause};
use sansws_core::config::Config;
use sansws_core::connection::Connection;
use sansws_core::error::SendError;
use sansws_core::handshake::Opened;
use sansws_core::message::Payload;
use sansws_core::time::{Duration, Instant};

use super::peer::{Peer, Stage};
use super::{Callback, Handle, Key, Loop};
use crate::clock::now;
use crate::id::{ConnectionId, TimerId};
use crate::message::{Form, Outgoing, Sent};
use crate::socket::Socket;

impl Loop {
    /// Sends a message to any connection of this loop. It leaves at the end of the turn, with everything else that is sent to that
    /// connection meanwhile.
    pub fn send<'a>(&mut self, id: ConnectionId, message: impl Into<Outgoing<'a>>) -> Sent {
        match self.slot(id) {
            Some(slot) => self.send_at(slot, message.into()),
            None => Sent::Closed,
        }
    }

    /// Returns any connection of this loop, without its data: for closures of timers, other threads and [`spawn`](Self::spawn).
    pub fn socket(&mut self, id: ConnectionId) -> Option<Socket<'_, ()>> {
        self.slot(id)?;
        // Nothing is allocated for nothing.
        Some(Socket::new(id, Box::leak(Box::new(())), self))
    }

    /// Starts the closing handshake of any connection of this loop: [`Endpoint::close`](crate::Endpoint::close) is called when it is
    /// done. A client that is not open yet is given up: [`Endpoint::failed`](crate::Endpoint::failed) is called. Closing twice, or one that is gone, is not an error.
    pub fn close(&mut self, id: ConnectionId, code: impl Into<Option<CloseCode>>, reason: &str) {
        if let Some(slot) = self.slot(id) {
            self.close_at(slot, code.into(), reason);
        }
    }

    /// Drops a connection without a closing handshake, after this turn. A client that is not open yet is given up, as by [`close`](Self::close).
    pub fn abort(&mut self, id: ConnectionId) {
        if let Some(slot) = self.slot(id) {
            self.abort_at(slot);
        }
    }

    /// Returns the number of connections, including those that are not open yet or not closed to the end.
    pub fn connections(&self) -> usize {
        self.peers.len()
    }

    /// Returns the ids of the connections that are open, in no particular order.
    pub fn open(&self) -> Vec<ConnectionId> {
        let open = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.endpoint.is_some() && peer.is_open());
        open.filter_map(|(slot, _)| self.id(slot)).collect()
    }

    /// Returns the time, by the clock of the process. It is read once for each turn.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Runs a closure after a time. It is forgotten when the loop ends.
    pub fn after(&mut self, time: Duration, run: impl FnOnce(&mut Self) + 'static) -> TimerId {
        let serial = self.next_serial();
        let at = self.now + time;
        let callback = Callback {
            serial,
            at,
            run: Box::new(run),
        };
        let slot = u32::try_from(self.callbacks.insert(callback)).unwrap_or(u32::MAX);
        self.timers.arm(at, Key::Callback { slot });
        TimerId { slot, serial }
    }

    /// Forgets a timer. One that has run, or was forgotten before, is not an error.
    pub fn cancel(&mut self, timer: TimerId) {
        let slot = timer.slot as usize;
        if self
            .callbacks
            .get(slot)
            .is_some_and(|callback| callback.serial == timer.serial)
        {
            self.callbacks.remove(slot);
        }
    }

    /// Returns a handle of this loop for other threads.
    pub fn handle(&self) -> Handle {
        Handle::new(&self.mailbox)
    }

    /// Returns the code with which our side closed a connection first; 1005 without one, 0 if it did not.
    pub(crate) fn said(&self, id: ConnectionId) -> u16 {
        let peer = self.slot(id).and_then(|slot| self.peers.get(slot));
        peer.map_or(0, |peer| peer.said)
    }

    /// Returns whether no more connections are opened.
    pub(crate) const fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// Ends the loop after this turn: all connections are dropped, and [`EventLoop::run`](crate::EventLoop::run) returns. To shut a server
    /// down in order, use its [`ServerHandle`](crate::ServerHandle).
    pub const fn stop(&mut self) {
        self.stopped = true;
    }

    pub(crate) fn send_at(&mut self, slot: usize, message: Outgoing<'_>) -> Sent {
        let sent = self.put_in_stream(slot, &message);
        let sent = sent.unwrap_or_else(|| {
            self.queue(slot, |connection| match message.0 {
                Form::Payload(payload) => connection.send_payload(payload),
                Form::Owned(message) => connection.send(message),
                Form::Prepared(prepared) => connection.send_prepared(prepared),
            })
        });
        let sent = self.outcome(slot, sent);
        if sent.is_accepted()
            && let Some(peer) = self.peers.get_mut(slot)
        {
            peer.counts.sent += 1;
            self.unreported.sent += u64::from(peer.is_counted());
        }
        sent
    }

    /// Sends a chunk.
    pub(crate) fn send_piece_at(
        &mut self,
        slot: usize,
        payload: Payload<'_>,
        last: bool,
    ) -> Result<Sent, SendError> {
        let sent = self.queue(slot, |connection| connection.send_piece(payload, last));
        match sent {
            Err(SendError::WrongChunkKind) => Err(SendError::WrongChunkKind),
            sent => {
                let sent = self.outcome(slot, sent);
                if last
                    && sent.is_accepted()
                    && let Some(peer) = self.peers.get_mut(slot)
                {
                    peer.counts.sent += 1;
                    self.unreported.sent += u64::from(peer.is_counted());
                }
                Ok(sent)
            }
        }
    }

    /// Puts something into the output of an open connection.
    pub(crate) fn queue(
        &mut self,
        slot: usize,
        put: impl FnOnce(&mut Connection) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let room = |peer: &Peer| match &peer.stage {
            Stage::Open(connection) => connection.has_room() || peer.flags.blocked,
            Stage::Opening(_) | Stage::Connecting(_) | Stage::Streaming(_) | Stage::Over => true,
        };
        // Much was sent in one turn: the socket may take it.
        if !self.peers.get(slot).is_none_or(|peer| room(peer)) {
            self.flush(slot);
        }
        if self.current != Some(slot) && self.peers.get(slot).is_some_and(|peer| !peer.flags.dirty)
        {
            self.lend(slot);
        }
        let Some(peer) = self.peers.get_mut(slot) else {
            return Err(SendError::Closing);
        };
        let Stage::Open(connection) = &mut peer.stage else {
            return Err(SendError::NotOpen);
        };
        let put = put(connection);
        self.touch(slot);
        put
    }

    fn outcome(&mut self, slot: usize, put: Result<(), SendError>) -> Sent {
        let Some(peer) = self.peers.get_mut(slot) else {
            return Sent::Closed;
        };
        let is_lost = peer.connection().is_some_and(Connection::is_output_over);
        match put {
            // Output that cannot be written any more never fills the queue, so an endpoint that sends until it is full learns of the end
            // here. Answers are lost as they would have been in flight.
            Ok(()) if is_lost && !peer.answers.take() => Sent::Closed,
            Ok(()) if is_lost => Sent::Sent,
            Ok(()) if !peer.flags.blocked => Sent::Sent,
            Ok(()) => {
                peer.flags.owed = true;
                Sent::Queued
            }
            Err(SendError::QueueFull) => {
                peer.flags.owed = true;
                Sent::Full
            }
            Err(_) => Sent::Closed,
        }
    }

    pub(crate) fn close_at(&mut self, slot: usize, code: Option<CloseCode>, reason: &str) {
        // A callback may have taken longer than the peer has to answer.
        self.now = now();
        if let Some(peer) = self.peers.get_mut(slot) {
            peer.start_close(self.now, code, reason);
            self.touch(slot);
        }
    }

    pub(crate) fn abort_at(&mut self, slot: usize) {
        if let Some(peer) = self.peers.get_mut(slot) {
            if peer.endpoint.is_some() && !peer.is_ending() {
                peer.ending().note_lost(LossCause::Aborted);
            }
            match &mut peer.stage {
                // Its endpoint is still to be told.
                Stage::Connecting(connecting) => connecting.is_given_up = true,
                stage => *stage = Stage::Over,
            }
            self.touch(slot);
        }
    }

    /// Stops or resumes receiving.
    pub(crate) fn pause_at(&mut self, slot: usize, paused: bool) {
        if let Some(peer) = self.peers.get_mut(slot)
            && std::mem::replace(&mut peer.flags.paused, paused) != paused
        {
            self.hold_input(slot);
        }
    }

    /// Stops or resumes receiving, as the state of the connection has it.
    pub(super) fn hold_input(&mut self, slot: usize) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        let is_held = peer.is_held() || peer.is_delayed();
        let Some(connection) = peer.connection_mut() else {
            return;
        };
        if is_held {
            connection.pause();
        } else {
            connection.resume(now);
            self.touch(slot);
        }
    }

    /// Returns the number of unsent bytes of a connection.
    pub(crate) fn queued_at(&self, slot: usize) -> usize {
        match self.peers.get(slot).map(|peer| &peer.stage) {
            Some(Stage::Open(connection)) => connection.queued(),
            Some(Stage::Streaming(streamed)) => streamed.queued(),
            _ => 0,
        }
    }

    pub(crate) fn is_open_at(&self, slot: usize) -> bool {
        self.peers.get(slot).is_some_and(|peer| peer.is_open())
    }

    pub(crate) fn config_at(&self, slot: usize) -> Option<&Config> {
        match &self.peers.get(slot)?.stage {
            Stage::Open(connection) => Some(connection.config()),
            Stage::Streaming(streamed) => Some(streamed.config()),
            Stage::Opening(_) | Stage::Connecting(_) | Stage::Over => None,
        }
    }

    pub(crate) fn connection_at(&self, slot: usize) -> Option<&Connection> {
        self.peers.get(slot).and_then(|peer| peer.connection())
    }

    pub(crate) fn closed_at(&self, slot: usize) -> Option<&Closed> {
        self.peers.get(slot)?.ending.as_ref()?.closed()
    }

    pub(crate) fn counters_at(&self, slot: usize) -> Counters {
        self.peers
            .get(slot)
            .map(|peer| peer.counters())
            .unwrap_or_default()
    }

    pub(crate) fn opened_at(&self, slot: usize) -> Option<&Opened> {
        self.peers.get(slot)?.extras.as_ref()?.opened.as_deref()
    }

    #[cfg(feature = "tls")]
    pub(crate) fn tls_at(&self, slot: usize) -> Option<&rustls::Connection> {
        self.peers.get(slot)?.stream.tls()
    }
}
