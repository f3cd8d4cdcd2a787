//! One event of the unread input: a message is copied, moved, or lent.
//! RFC 6455 section 6.2.
//! Knows no stream.

use sansws_common::socket::answers::Answers;
use sansws_common::socket::outbox::{Handle, Outbox, lacks_room};
use sansws_common::socket::read_ahead::{Control, Item};
use sansws_common::socket::taking::{Taking, copied_into};
use sansws_core::connection::Event;
use sansws_core::limits::Verdict;
use sansws_core::message::{Message, Payload};

use super::Engine;
use crate::clock::now;
use crate::stream::ByteStream;

/// The result of decoding one event.
#[derive(Debug)]
pub(super) enum Received {
    /// A message, or a chunk of one.
    Item(Item),
    /// A message, which was lent.
    Lent,
    /// A control frame for the application.
    Control(Control),
    /// Another control frame, or discarded data.
    Other,
}

impl<S: ByteStream> Engine<S> {
    /// Returns the next message or chunk that was received; control frames for the application are kept.
    pub(in crate::socket) fn next(
        &mut self,
        pieces: bool,
        taking: &mut Taking<'_, '_>,
    ) -> Option<Item> {
        loop {
            match self.next_event(pieces, taking)? {
                Ok(item) => return Some(item),
                Err(control) => self.ahead.push_control(control),
            }
        }
    }

    /// Returns the next message or chunk that was received, or a control frame for the application.
    pub(in crate::socket) fn next_event(
        &mut self,
        pieces: bool,
        taking: &mut Taking<'_, '_>,
    ) -> Option<Result<Item, Control>> {
        let item = match self.ahead.pop() {
            Some(item) => item,
            None => loop {
                match self.decode(pieces, taking)? {
                    Received::Item(item) => break item,
                    Received::Control(control) => {
                        self.may_be_answered();
                        return Some(Err(control));
                    }
                    Received::Lent | Received::Other => {}
                }
            },
        };
        self.may_be_answered();
        Some(Ok(item))
    }

    /// Lends the next message that was received; control frames for the application are kept. Returns `false` when there is no room for an
    /// answer.
    pub(in crate::socket) fn lend_next(&mut self, handle: &mut Handle<'_>) -> Option<bool> {
        loop {
            // Pongs and pings of ours take room too.
            if self.lacks_room() {
                return Some(false);
            }
            let item = match self.ahead.pop() {
                Some(item) => item,
                None => match self.decode(false, &mut Taking::Lent(handle))? {
                    Received::Lent => return Some(true),
                    Received::Item(item) => item,
                    Received::Control(control) => {
                        self.ahead.push_control(control);
                        continue;
                    }
                    Received::Other => continue,
                },
            };
            // Not the rest of a message whose reader was dropped.
            if item.piece.is_none() {
                let payload = item.message.payload();
                let counts = Outbox::lend(&mut self.connection, |_| {}, payload, handle);
                self.note_answers(counts);
                return Some(true);
            }
        }
    }

    /// Returns whether the answer to a message that is lent would find no room.
    pub(in crate::socket) fn lacks_room(&self) -> bool {
        lacks_room(&self.connection, || self.may_read_ahead())
    }

    /// Returns the next control frame for the application, if it precedes all messages.
    pub(in crate::socket) fn next_control(&mut self) -> Option<Control> {
        let control = self.ahead.pop_control()?;
        self.may_be_answered();
        Some(control)
    }

    /// Something was received: answers to it precede later messages.
    const fn may_be_answered(&mut self) {
        (self.answers, self.unseen) = (Answers::ALL, Answers::ALL);
    }

    /// Processes one event of the unread input; `None` when more input is needed, or none is wanted.
    pub(super) fn decode(&mut self, pieces: bool, taking: &mut Taking<'_, '_>) -> Option<Received> {
        if self.ending.is_known() || !self.wants_input() || self.unread.is_empty() {
            return None;
        }
        let (input, assembly, start) = self.unread.parts();
        let step = if pieces {
            self.connection.receive_piece(now(), input, assembly)
        } else {
            self.connection.receive(now(), input, assembly)
        };
        let step = match step {
            Ok(step) => step,
            Err(violation) => {
                self.unread.clear();
                self.ending.note_violation(violation);
                return None;
            }
        };
        // A closure may panic.
        *start += step.consumed;
        let keeps = self.connection.config().keeps_control_frames();
        // One that is lent may stay in its assembly.
        let assembled = step.assembled && !matches!(taking, Taking::Lent(_));
        let payload = match step.event? {
            Event::Text(text) if !assembled => Payload::Text(text),
            Event::Binary(bytes) if !assembled => Payload::Binary(bytes),
            Event::Text(_) => {
                let message = Message::Text(assembly.take_text());
                return Some(self.pass(message, None));
            }
            Event::Binary(_) => {
                let message = Message::Binary(assembly.take_bytes());
                return Some(self.pass(message, None));
            }
            Event::Piece(piece) => {
                let (message, ends) = (piece.payload.to_message(), (piece.first, piece.last));
                return Some(self.pass(message, Some(ends)));
            }
            Event::Ping(bytes) if keeps => {
                return Some(Received::Control(Control::Ping(bytes.into())));
            }
            Event::Pong(bytes) if keeps => {
                return Some(Received::Control(Control::Pong(bytes.into())));
            }
            Event::Ping(_) | Event::Pong(_) => return Some(Received::Other),
            Event::Close(close) => {
                self.ending.note_close(close.code, close.reason.into());
                return None;
            }
        };
        Some(match taking {
            Taking::Owned => {
                let message = payload.to_message();
                self.pass(message, None)
            }
            Taking::Into(spare) => {
                let message = copied_into(spare, payload);
                self.pass(message, None)
            }
            Taking::Lent(handle) => {
                self.counts.received += 1;
                let length = payload.as_bytes().len();
                let traffic = self.traffic.as_deref_mut();
                let verdict = traffic.map_or(Verdict::Pass, |traffic| traffic.judge(now(), length));
                if matches!(verdict, Verdict::Pass | Verdict::Wait(_)) {
                    let counts = Outbox::lend(&mut self.connection, |_| {}, payload, *handle);
                    self.note_answers(counts);
                }
                if self.follow(verdict) {
                    Received::Lent
                } else {
                    Received::Other
                }
            }
        })
    }

    /// Counts a message or a chunk, and holds it to the limits on the peer's messages.
    fn pass(&mut self, message: Message, piece: Option<(bool, bool)>) -> Received {
        let (first, last) = piece.unwrap_or((true, true));
        self.counts.received += u64::from(last);
        if self.admits(message.len(), first, last) {
            Received::Item(Item { message, piece })
        } else {
            Received::Other
        }
    }

    /// Messages were sent, and these answers may still be lost.
    fn note_answers(&mut self, (sent, answers): (u32, Answers)) {
        self.counts.sent += u64::from(sent);
        (self.answers, self.unseen) = (answers, Answers::ALL);
    }
}
