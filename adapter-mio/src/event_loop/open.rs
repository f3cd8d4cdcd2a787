//! The turn of an open connection: reads, calls back, writes.
//! RFC 6455 sections 6.2 and 7.1.1.
//! Knows no byte: `sansws-core` interprets them.

use std::io;

use sansws_common::contain::contain;
use sansws_common::error::Error;
use sansws_common::socket::answers::Answers;
use sansws_core::close::LossCause;
use sansws_core::connection::{Connection, Event, State, TransportAction};
use sansws_core::internal::{copied, overwrite};
use sansws_core::message::{Assembly, MessageKind, Payload};

use super::peer::{Flushed, Stage};
use super::{ASSEMBLIES, HostRef, KEPT, Loop, READ, ROOM, ROUNDS, SPARES, WRITE};
use super::{At, peer::Pending};
use crate::clock::now;
use crate::message::Incoming;
use crate::stream::{Arrived, Stream};

/// The result of a round.
enum Next {
    /// Another round.
    Round,
    /// It waits for its socket or its deadline.
    Wait,
    /// Its socket is to be dropped.
    Over,
}

impl Loop {
    /// Lends a buffer, in which the output of the turn gathers.
    pub(super) fn lend(&mut self, slot: usize) {
        let Some(connection) = self
            .peers
            .get_mut(slot)
            .and_then(|peer| peer.connection_mut())
        else {
            return;
        };
        let buffer = self.buffers.output.pop();
        let buffer = buffer.unwrap_or_else(|| Vec::with_capacity(WRITE));
        if let Some(unused) = connection.lend(buffer) {
            self.buffers.output.push(unused);
        }
    }

    /// Takes the buffer back, and frees what only the next message would need.
    pub(super) fn reclaim(&mut self, slot: usize) {
        let Some(connection) = self
            .peers
            .get_mut(slot)
            .and_then(|peer| peer.connection_mut())
        else {
            return;
        };
        if let Some(buffer) = connection.reclaim()
            && self.buffers.output.len() < SPARES
        {
            self.buffers.output.push(buffer);
        }
        connection.release();
        if let Some(peer) = self.peers.get_mut(slot) {
            peer.leave_hub_if_over();
            let mailed = u64::from(std::mem::take(&mut peer.mailed));
            self.unreported.sent += if peer.is_counted() { mailed } else { 0 };
        }
    }

    pub(super) fn open_turn(&mut self, slot: usize) {
        self.lend(slot);
        self.rounds(slot);
    }

    /// Writes and reads until there is nothing to do now, or others are to have their turn.
    pub(super) fn rounds(&mut self, slot: usize) {
        for _ in 0..ROUNDS {
            match self.round(slot) {
                Next::Round => {}
                Next::Wait => {
                    self.reclaim(slot);
                    return;
                }
                Next::Over => return self.remove(slot),
            }
        }
        // The output of the last round leaves before other connections have their turn.
        self.flush(slot);
        self.come_again(slot);
        self.reclaim(slot);
    }

    /// Writes, then reads once and calls back.
    fn round(&mut self, slot: usize) -> Next {
        let flushed = self.flush(slot);
        let Some(peer) = self.peers.get_mut(slot) else {
            return Next::Wait;
        };
        if flushed == Flushed::Done && std::mem::take(&mut peer.flags.owed) {
            self.drained(slot);
            return Next::Round;
        }
        if peer.flags.ended || peer.ending.is_some() {
            self.end_if_over(slot);
            self.tell_close(slot);
        }
        let Some(peer) = self.peers.get_mut(slot) else {
            return Next::Wait;
        };
        let Stage::Open(connection) = &peer.stage else {
            return Next::Over;
        };
        match connection.transport_action() {
            TransportAction::Keep => {}
            TransportAction::Close if peer.stream.closes_when_dropped() => {
                // Once all input was read.
                if !peer.flags.readable {
                    peer.flags.shut = true;
                    return Next::Over;
                }
            }
            TransportAction::Close | TransportAction::Shutdown => {
                if !peer.flags.shut && flushed == Flushed::Done {
                    // The peer may be gone already; nothing is lost by that.
                    let shut = peer.stream.shut_down();
                    let later = shut.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
                    peer.flags.shut = !later;
                }
            }
            TransportAction::Drop => return Next::Over,
        }
        if !peer.wants_input() || !(peer.flags.held || peer.flags.readable) {
            return Next::Wait;
        }
        self.receive(slot);
        Next::Round
    }

    /// Writes the output, and what groups have for the peer, as far as the socket takes it.
    pub(super) fn flush(&mut self, slot: usize) -> Flushed {
        if self.peers.get(slot).is_some_and(|peer| peer.flags.rung) {
            return self.flush_mail(slot);
        }
        self.write(slot)
    }

    /// Writes the output, as far as the socket takes it.
    pub(super) fn write(&mut self, slot: usize) -> Flushed {
        let Some(peer) = self.peers.get_mut(slot) else {
            return Flushed::Done;
        };
        if peer.flags.blocked {
            return Flushed::Blocked;
        }
        if !peer.has_unsent() {
            return Flushed::Done;
        }
        let before = peer.counts.bytes_sent();
        let flushed = peer.flush(self.now);
        if peer.is_counted() {
            self.unreported.bytes_sent += peer.counts.bytes_sent() - before;
        }
        flushed
    }

    /// The output has left.
    pub(super) fn drained(&mut self, slot: usize) {
        if !self.peers.get(slot).is_some_and(|peer| peer.is_open()) {
            return;
        }
        let called = self.call(slot, |host, at, within| host.drained(at, within));
        if let Err(error) = called.and_then(|done| done.unwrap_or(Ok(()))) {
            self.fail(slot, error);
        }
    }

    /// Reads, unless messages are held, and calls back for each message.
    pub(super) fn receive(&mut self, slot: usize) {
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        let Some(endpoint) = peer.endpoint.clone() else {
            peer.flags.readable = false;
            return;
        };
        let pending = peer.pending.take().map(|pending| *pending);
        let Pending {
            kept,
            done: before,
            mut assembly,
        } = pending.unwrap_or_else(|| Pending {
            kept: Vec::new(),
            done: 0,
            assembly: self.buffers.assemblies.pop().unwrap_or_default(),
        });
        let is_held = std::mem::take(&mut peer.flags.held);
        let payload = match &peer.stage {
            Stage::Open(connection) if kept.is_empty() && !is_held => {
                connection.direct_read(&mut assembly)
            }
            _ => None,
        };
        let (mut input, before, mut length) = if is_held {
            // However often it is held up again, it is not copied.
            let length = kept.len();
            (kept, before, length)
        } else {
            (
                self.lend_input(kept.get(before..).unwrap_or_default()),
                0,
                kept.len() - before,
            )
        };
        let mut direct = 0;
        if let Some(payload) = payload {
            direct = self.read(slot, |stream| stream.append(payload));
        } else if !is_held {
            let room = input.get_mut(length..).unwrap_or_default();
            length += self.read(slot, |stream| stream.read(room));
        }
        let bytes = input.get_mut(before..length).unwrap_or_default();
        let mut at = 0;
        let id = self.id(slot);
        let done = contain(|| {
            if let Some(id) = id {
                let place = At {
                    id,
                    key: endpoint.key,
                };
                let input = (bytes, &mut assembly, direct);
                self.deliver(slot, place, &endpoint.handler, input, &mut at);
            }
        });
        if let Err(panic) = done {
            self.fail(slot, panic.into());
            (at, assembly) = (length - before, Assembly::default());
        }
        let done = before + at;
        let rest = input.get(done..length).unwrap_or_default();
        if let Some(peer) = self.peers.get_mut(slot) {
            peer.flags.held = !rest.is_empty() && !peer.wants_input();
            let is_receiving = peer.connection().is_some_and(Connection::is_receiving);
            if is_held && peer.flags.held {
                peer.pending = Some(Box::new(Pending {
                    kept: input,
                    done,
                    assembly,
                }));
                return;
            } else if !rest.is_empty() || is_receiving {
                peer.pending = Some(Box::new(Pending {
                    kept: copied(rest),
                    done: 0,
                    assembly,
                }));
            } else if assembly.pending_bytes() == 0
                && assembly.capacity() <= KEPT
                && self.buffers.assemblies.len() < ASSEMBLIES
            {
                self.buffers.assemblies.push(assembly);
            }
        }
        if is_held {
            return;
        }
        if input.len() > 2 * READ {
            input = vec![0; READ];
        }
        self.buffers.input = input;
    }

    /// Takes the loop's buffer, with what is kept of earlier input in front.
    fn lend_input(&mut self, kept: &[u8]) -> Vec<u8> {
        let mut input = std::mem::take(&mut self.buffers.input);
        if input.len() < kept.len() + ROOM {
            input.resize(kept.len() + READ, 0);
        }
        if let Some(front) = input.get_mut(..kept.len()) {
            overwrite(front, kept);
        }
        input
    }

    /// Reads; returns 0 if nothing has arrived, or nothing ever will.
    fn read(
        &mut self,
        slot: usize,
        read: impl FnOnce(&mut Stream) -> io::Result<Arrived>,
    ) -> usize {
        let Some(peer) = self.peers.get_mut(slot) else {
            return 0;
        };
        match read(&mut peer.stream) {
            Ok(arrived) if arrived.count > 0 => {
                peer.counts.bytes_received += arrived.count as u64;
                if !peer.flags.client {
                    self.unreported.bytes_received += arrived.count as u64;
                }
                if arrived.drained && !peer.flags.hung_up {
                    peer.flags.readable = false;
                }
                peer.hear();
                return arrived.count;
            }
            Ok(_) => peer.flags.ended = true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return 0,
            Err(error) => {
                peer.flags.ended = true;
                if !peer.is_ending() {
                    peer.ending().note_write_error(error);
                }
            }
        }
        peer.flags.readable = false;
        0
    }

    /// Receives events until the peer must first read its output, or more input is needed: the last `direct` bytes of the assembly, then the
    /// input. `at` is how much of that was consumed.
    fn deliver(
        &mut self,
        slot: usize,
        place: At,
        handler: &HostRef,
        (input, assembly, mut direct): (&mut [u8], &mut Assembly, usize),
        at: &mut usize,
    ) {
        while direct > 0 || (*at < input.len() && self.wants_input(slot)) {
            let Some(peer) = self.peers.get_mut(slot) else {
                return;
            };
            let Stage::Open(connection) = &mut peer.stage else {
                return;
            };
            let rest = input.get_mut(*at..).unwrap_or_default();
            let received = match std::mem::take(&mut direct) {
                0 => connection.receive(self.now, rest, assembly),
                count => Ok(connection.receive_direct(self.now, assembly, count)),
            };
            let step = match received {
                Ok(step) => step,
                Err(violation) => {
                    peer.ending().note_violation(violation);
                    *at = input.len();
                    return;
                }
            };
            *at += step.consumed;
            let message = match step.event {
                Some(Event::Text(_)) if step.assembled => {
                    Incoming::assembled(MessageKind::Text, assembly)
                }
                Some(Event::Binary(_)) if step.assembled => {
                    Incoming::assembled(MessageKind::Binary, assembly)
                }
                Some(Event::Text(text)) => Incoming::lent(Payload::Text(text)),
                Some(Event::Binary(bytes)) => Incoming::lent(Payload::Binary(bytes)),
                Some(Event::Close(close)) => {
                    let (code, reason) = (close.code, close.reason.to_owned());
                    peer.ending().note_close(code, reason);
                    continue;
                }
                Some(Event::Ping(payload)) if connection.config().keeps_control_frames() => {
                    peer.answers = Answers::ALL;
                    let called = handler.call(|host| host.ping(place, self, payload));
                    self.check(slot, called);
                    continue;
                }
                Some(Event::Pong(payload)) if connection.config().keeps_control_frames() => {
                    peer.answers = Answers::ALL;
                    let called = handler.call(|host| host.pong(place, self, payload));
                    self.check(slot, called);
                    continue;
                }
                // Pings were answered; chunks were not asked for.
                Some(Event::Ping(_) | Event::Pong(_) | Event::Piece(_)) => continue,
                None => return,
            };
            peer.counts.received += 1;
            peer.answers = Answers::ALL;
            self.unreported.received += u64::from(!peer.flags.client);
            if !peer.is_admitted(self.now, message.len()) {
                continue;
            }
            let called = handler.call(|host| host.message(place, self, message));
            self.check(slot, called);
        }
    }

    /// Closes a connection if its callback has failed.
    #[inline]
    fn check(&mut self, slot: usize, called: Option<sansws_common::Result>) {
        if let Some(Err(error)) = called {
            self.fail(slot, error);
        }
    }

    /// Returns whether to receive more. Output that forbids it is written, as far as the socket takes it.
    fn wants_input(&mut self, slot: usize) -> bool {
        let Some(peer) = self.peers.get(slot) else {
            return false;
        };
        if peer.wants_input() {
            return true;
        }
        let unsent = peer.connection().map_or(0, Connection::queued);
        unsent > 0
            && self.flush(slot) == Flushed::Done
            && self.peers.get(slot).is_some_and(|peer| peer.wants_input())
    }

    /// Input has ended, and was received: this takes effect once a final Close is written.
    fn end_if_over(&mut self, slot: usize) {
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        if !peer.flags.ended || peer.flags.held {
            return;
        }
        let Stage::Open(connection) = &mut peer.stage else {
            return;
        };
        let lingers = matches!(connection.state(), State::Lingering { .. });
        if !lingers || !connection.has_output() {
            connection.end_of_input();
            if !peer.is_ending() {
                peer.ending().note_lost(LossCause::EndOfStream);
            }
        }
    }

    /// Closes a connection because of an error of a callback.
    pub(crate) fn fail(&mut self, slot: usize, error: sansws_common::HandlerError) {
        use sansws_common::server::verdict::{Blame, Verdict};
        self.now = now();
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        // The text of an application's error is its code.
        let verdict = Verdict::of(&error, &**peer);
        let failure = &mut peer.extras().failure;
        // A close on purpose does not hide what fails after it.
        let is_known = |(_, blame): &(_, Blame)| *blame == Blame::Application;
        if !failure.as_ref().is_some_and(is_known) {
            *failure = Some((error, verdict.blame));
        }
        if let Stage::Streaming(streamed) = &mut peer.stage
            && verdict.blame == Blame::Application
        {
            // Half a response must not look like a whole one.
            streamed.cut();
            peer.ending().note_cut(verdict.code);
        }
        peer.start_close(self.now, Some(verdict.code), &verdict.reason);
        self.touch(slot);
    }

    /// Tells the endpoint that a connection has ended, once.
    pub(super) fn tell_close(&mut self, slot: usize) {
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        let closed = peer.ending.as_ref().and_then(|ending| ending.closed());
        let Some(closed) = closed.filter(|_| peer.endpoint.is_some()).cloned() else {
            return;
        };
        if std::mem::replace(&mut peer.flags.end_reported, true) {
            return;
        }
        peer.leave_hub_if_over();
        let called = self.call(slot, |host, at, within| host.close(at, within, &closed));
        if called.is_err() {
            self.note_panic(slot);
        }
    }

    /// Records that a callback panicked when there was nothing left to close.
    pub(super) fn note_panic(&mut self, slot: usize) {
        use sansws_common::server::verdict::Blame;
        if let Some(peer) = self.peers.get_mut(slot) {
            let failure = &mut peer.extras().failure;
            if failure.is_none() {
                *failure = Some((Error::Panic.into(), Blame::Application));
            }
        }
    }
}
