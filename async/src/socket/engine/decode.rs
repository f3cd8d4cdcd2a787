//! One event of the unread input: a message is copied, moved, or lent.
//! RFC 6455 section 6.2.
//! Knows no transport but its clock.

use crate::socket::buffer;
use crate::socket::engine::Engine;
use crate::socket::read_ahead::Control;
use crate::transport::Transport;
use sansws_common::socket::answers::Answers;
use sansws_common::socket::outbox::{Handle, Outbox, lacks_room};
use sansws_common::socket::taking::{Taking, copied, copied_into};
use sansws_core::connection::{Connection, Event};
use sansws_core::limits::Verdict;
use sansws_core::message::{Message, Payload};

/// The result of a reading step.
pub(super) enum Got {
    Message(Message),
    /// A message, which was lent.
    Lent,
    /// A chunk of a message: `first`, `last`.
    Piece(Message, bool, bool),
    /// A control frame for the application.
    Control(Control),
    /// Another control frame, or discarded data.
    Other,
    /// More input is needed.
    Nothing,
}

impl<T: Transport> Engine<T> {
    /// Processes one event of the unread input.
    pub(super) fn decode(&mut self, pieces: bool, taking: &mut Taking<'_, '_>) -> Got {
        let clock = || self.transport.now();
        if let Some((count, assembly)) = self.unread.take_direct() {
            let step = self
                .connection
                .receive_direct_timed(&clock, assembly, count);
            if step.assembled {
                let message = Message::Binary(assembly.take_bytes());
                return self.pass(message);
            }
        }
        let Some(parts) = self.unread.parts() else {
            return Got::Nothing;
        };
        let assembly = parts.assembly;
        let step = self
            .connection
            .receive_timed(&clock, parts.bytes, assembly, pieces);
        let step = match step {
            Ok(step) => step,
            Err(violation) => {
                self.unread.clear();
                self.note_violation(violation);
                return Got::Nothing;
            }
        };
        // A closure may panic.
        *parts.start += step.consumed;
        // One that is lent may stay in its assembly.
        let assembled = step.assembled && !matches!(taking, Taking::Lent(_));
        let payload = match step.event {
            Some(Event::Text(text)) if !assembled => Payload::Text(text),
            Some(Event::Binary(bytes)) if !assembled => Payload::Binary(bytes),
            Some(Event::Text(_)) => {
                let message = Message::Text(assembly.take_text());
                return self.pass(message);
            }
            Some(Event::Binary(_)) => {
                let message = Message::Binary(assembly.take_bytes());
                return self.pass(message);
            }
            Some(Event::Piece(piece)) => {
                let (message, first, last) = (piece.payload.to_message(), piece.first, piece.last);
                let admitted = self.admits(message.len(), first, last);
                return if admitted {
                    Got::Piece(message, first, last)
                } else {
                    Got::Other
                };
            }
            Some(Event::Ping(bytes)) if self.connection.config().keeps_control_frames() => {
                return Got::Control(Control::Ping(bytes.into()));
            }
            Some(Event::Pong(bytes)) if self.connection.config().keeps_control_frames() => {
                return Got::Control(Control::Pong(bytes.into()));
            }
            Some(Event::Ping(_) | Event::Pong(_)) => return Got::Other,
            Some(Event::Close(close)) => {
                let (code, reason) = (close.code, String::from(close.reason));
                self.note_close(code, reason);
                return Got::Nothing;
            }
            None => return Got::Nothing,
        };
        match taking {
            Taking::Owned => {
                let message = copied(parts.spare, payload);
                self.pass(message)
            }
            Taking::Into(spare) => {
                let message = copied_into(spare, payload);
                self.pass(message)
            }
            Taking::Lent(handle) => {
                self.counts.received += 1;
                let length = payload.as_bytes().len();
                let traffic = self.rare.as_mut().and_then(|rare| rare.traffic.as_mut());
                let verdict = traffic.map_or(Verdict::Pass, |traffic| {
                    traffic.judge(self.transport.now(), length)
                });
                if matches!(verdict, Verdict::Pass | Verdict::Wait(_)) {
                    self.sent.messages += 1;
                    let counts = Outbox::lend(&mut self.connection, lend_buffer, payload, *handle);
                    self.note_answers(counts);
                }
                if self.follow(verdict) {
                    Got::Lent
                } else {
                    Got::Other
                }
            }
        }
    }

    #[inline]
    fn pass(&mut self, message: Message) -> Got {
        if self.admits(message.len(), true, true) {
            Got::Message(message)
        } else {
            Got::Other
        }
    }

    /// Lends a message that was received, with the output.
    pub(super) fn lend(&mut self, message: &Message, handle: &mut Handle<'_>) {
        let counts = Outbox::lend(&mut self.connection, lend_buffer, message.payload(), handle);
        self.note_answers(counts);
    }

    /// Messages were sent, and these answers may still be lost.
    #[inline]
    fn note_answers(&mut self, (sent, answers): (u32, Answers)) {
        self.counts.sent += u64::from(sent);
        self.sent.messages += sent;
        (self.answers, self.unseen) = (answers, Answers::ALL);
        self.reclaim_unused();
    }

    /// Returns whether the answer to a message that is lent would find no room.
    pub(super) fn lacks_room(&self) -> bool {
        lacks_room(&self.connection, || self.may_read_ahead())
    }

    /// Takes back a buffer that was lent for output which was then refused.
    pub(super) fn reclaim_unused(&mut self) {
        if self.connection.queued() == 0
            && let Some(buffer) = self.connection.reclaim()
        {
            buffer::give_writer(buffer);
        }
    }

    /// Counts what was received, and returns whether the limits of traffic admit it.
    #[inline]
    fn admits(&mut self, length: usize, first: bool, last: bool) -> bool {
        self.counts.received += u64::from(last);
        self.rare.is_none() || self.admit(length, first, last)
    }
}

/// Lends an empty queue a buffer of the thread.
pub(super) fn lend_buffer(connection: &mut Connection) {
    if let Some(buffer) = connection.lend(buffer::take_writer()) {
        buffer::give_writer(buffer);
    }
}
