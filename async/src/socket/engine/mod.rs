//! One connection and its transport: reading, gathering, flushing, waiting.
//! RFC 6455 sections 6, 7.1.1 and 7.1.4.
//! Knows when to read, write and sleep; what the octets mean is the connection's.

mod end;
mod extra;
mod mail;
mod pump;
mod send;

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use crate::error::{Error, Result};
use crate::hub::HubAttachment;
use crate::socket::buffer;
use crate::socket::buffer::{READS, Unread};
use crate::socket::from_message::SocketEvent;
use crate::socket::read_ahead::{Ahead, Control, Item};
use crate::socket::wakers::{Parties, Party};
use crate::transport::Transport;
use sansws_core::close::CloseCode;
use sansws_core::connection::{Connection, Event, State, TransportAction};
use sansws_core::message::{Assembly, Message};
use sansws_core::time::Instant;

use end::{End, Fault};
pub use extra::Counters;
use extra::{Leaving, Sent, Told, Traffic};
use send::{ANSWERS, Looked};

/// Unsent octets at which gathering stops.
const GATHERED: usize = 64 << 10;

/// A read counts once more for each so many octets: a poll takes up to 2 MiB, or a message of that length in one go.
const LONG_READ: usize = 64 << 10;

/// Slices of one vectored write.
const SLICES: usize = 16;

/// A connection with everything that it needs to run.
#[derive(Debug)]
pub(crate) struct Engine<T> {
    transport: T,
    connection: Connection,
    unread: Unread,
    assembly: Assembly,
    /// What was read while the handler was busy.
    ahead: Ahead,
    parties: Parties,
    armed: Option<Instant>,
    /// Reads since input was last waited for; long ones count for more.
    reads: u8,
    /// What was sent since the handler last waited.
    sent: Sent,
    looked: Looked,
    /// Answers to what was handed out last that may be lost without an error.
    answers: u8,
    end: Option<Box<End>>,
    /// What a write failed with.
    write_error: Option<io::Error>,
    /// It is to be closed at a certain time.
    leaving: Option<Box<Leaving>>,
    /// What the peer sends is limited.
    traffic: Option<Box<Traffic>>,
    counters: Counters,
    /// What the server knows of the counters.
    told: Told,
    /// What was last told to who receives that is no end.
    fault: Option<Box<Fault>>,
    /// The code with which we closed first: 1005 for none, 0 when we did not.
    said: u16,
    /// What it has of a hub.
    post: Option<Box<HubAttachment>>,
    flags: Flags,
}

#[derive(Debug, Default)]
struct Flags {
    /// The transport may hold octets that were written and not sent.
    dirty: bool,
    /// The writing side was ended.
    shut: bool,
    /// Input ended.
    ended: bool,
    /// A task drives it: it flushes when the handler waits.
    driven: bool,
    /// Since the last turn the handler began to wait for input, and has registered for it.
    waits: bool,
    /// Input did not end: an alarm may not have had its turn.
    hurried: bool,
    /// The end was told to the reader.
    told: bool,
    /// A stream of messages gave its last item.
    over: bool,
    /// What comes of a message in pieces is thrown away.
    dropping: bool,
}

/// What a step of reading came to.
enum Got {
    Message(Message),
    /// Part of a message: `first`, `last`.
    Piece(Message, bool, bool),
    /// A control frame that the application wants to see.
    Control(Control),
    /// Another control frame, or what is dropped.
    Other,
    /// More input is needed.
    Nothing,
}

/// A part of a message, owned.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) message: Message,
    pub(crate) last: bool,
}

impl<T: Transport> Engine<T> {
    pub(crate) fn new(transport: T, connection: Connection, unread: Unread) -> Self {
        Self {
            transport,
            connection,
            unread,
            assembly: Assembly::default(),
            ahead: Ahead::default(),
            parties: Parties::default(),
            armed: None,
            reads: 0,
            sent: Sent::default(),
            looked: Looked::default(),
            answers: 0,
            end: None,
            write_error: None,
            leaving: None,
            traffic: None,
            counters: Counters::default(),
            told: Told::default(),
            fault: None,
            said: 0,
            post: None,
            flags: Flags::default(),
        }
    }

    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) const fn transport(&self) -> &T {
        &self.transport
    }

    pub(crate) const fn set_driven(&mut self) {
        self.flags.driven = true;
    }

    /// Receives the next message. `None` is a normal end.
    pub(crate) fn poll_receive(
        &mut self,
        cx: &Context<'_>,
        party: Party,
    ) -> Poll<Result<Option<Message>, Error>> {
        loop {
            match ready!(self.poll_got(cx, party, false))? {
                Some(Got::Message(message)) => return Poll::Ready(Ok(Some(message))),
                Some(Got::Control(control)) => self.ahead.push_control(control),
                // The rest of a message whose reader was dropped.
                Some(Got::Piece(..) | Got::Other | Got::Nothing) => {}
                None => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// Receives the next message or control frame. `None` is a normal end.
    pub(crate) fn poll_event(
        &mut self,
        cx: &Context<'_>,
        party: Party,
    ) -> Poll<Result<Option<SocketEvent>, Error>> {
        loop {
            if let Some(control) = self.ahead.pop_control() {
                return Poll::Ready(Ok(Some(control.into())));
            }
            match ready!(self.poll_got(cx, party, false))? {
                Some(Got::Message(message)) => return Poll::Ready(Ok(Some(message.into()))),
                Some(Got::Control(control)) => return Poll::Ready(Ok(Some(control.into()))),
                Some(Got::Piece(..) | Got::Other | Got::Nothing) => {}
                None => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// Receives the next part of a message. With `begin`, parts of a message that was left are passed over.
    pub(crate) fn poll_part(
        &mut self,
        cx: &Context<'_>,
        party: Party,
        begin: bool,
    ) -> Poll<Result<Option<Part>, Error>> {
        loop {
            match ready!(self.poll_got(cx, party, true))? {
                Some(Got::Message(message)) => {
                    return Poll::Ready(Ok(Some(Part {
                        message,
                        last: true,
                    })));
                }
                Some(Got::Piece(_, false, _)) if begin => {}
                Some(Got::Piece(message, _, last)) => {
                    return Poll::Ready(Ok(Some(Part { message, last })));
                }
                Some(Got::Control(control)) => self.ahead.push_control(control),
                Some(Got::Other | Got::Nothing) => {}
                None => return Poll::Ready(Ok(None)),
            }
        }
    }

    fn poll_got(
        &mut self,
        cx: &Context<'_>,
        party: Party,
        pieces: bool,
    ) -> Poll<Result<Option<Got>, Error>> {
        loop {
            // Who is handed one message after the other never waits: others have their turn too.
            ready!(self.poll_turn(cx));
            if let Some(Item { message, piece }) = self.ahead.pop() {
                self.sent.messages += 1;
                self.answers = ANSWERS;
                return Poll::Ready(Ok(Some(match piece {
                    None => Got::Message(message),
                    Some((first, last)) => Got::Piece(message, first, last),
                })));
            }
            if self.end.is_none() && self.wants_input() {
                match self.decode(pieces) {
                    Got::Nothing => {}
                    Got::Other => continue,
                    got => {
                        self.sent.messages += 1;
                        self.answers = ANSWERS;
                        return Poll::Ready(Ok(Some(got)));
                    }
                }
            }
            if self.end.is_some() {
                // What is owed, the Close frame last of all, goes out before the end is told.
                let flushed = self.poll_flush(cx, party);
                if flushed.is_pending() && self.poll_alarm(cx, party).is_pending() {
                    return Poll::Pending;
                }
                if flushed.is_ready() {
                    return Poll::Ready(self.tell_end().map(|()| None));
                }
                continue;
            }
            if !ready!(self.poll_more(cx, party)) {
                self.flags.waits = true;
                return Poll::Pending;
            }
        }
    }

    /// Flushes, reads once, minds the clock. `false` means that nothing can be done now, and the waker is registered.
    fn poll_more(&mut self, cx: &Context<'_>, party: Party) -> Poll<bool> {
        let blocked = !self.wants_input();
        if !self.flags.driven {
            self.pull(cx, party);
        }
        let _ = self.poll_flush(cx, party);
        if self.end.is_some() || (blocked && self.wants_input()) {
            return Poll::Ready(true);
        }
        if self.wants_input() && self.poll_read(cx, party).is_ready() {
            return Poll::Ready(true);
        }
        self.park();
        if self.poll_alarm(cx, party).is_ready() {
            return Poll::Ready(true);
        }
        Poll::Ready(false)
    }

    /// Gives everything back that an idle connection need not hold.
    fn park(&mut self) {
        self.unread.park();
        self.connection.release();
        self.assembly.release();
    }

    fn poll_read(&mut self, cx: &Context<'_>, party: Party) -> Poll<()> {
        if self.flags.ended {
            return Poll::Pending;
        }
        if self.connection.is_paused() {
            self.connection.resume(self.transport.now());
        }
        let joint = self.parties.enter(party, cx);
        let cx = &mut Context::from_waker(joint.as_ref().unwrap_or_else(|| cx.waker()));
        if self.reads >= READS {
            // Input that is always ready starves neither the clock nor other tasks.
            self.reads = 0;
            self.flags.hurried = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.reads += 1;
        let Poll::Ready(read) = self.transport.poll_read(cx, self.unread.room()) else {
            self.reads = 0;
            return Poll::Pending;
        };
        match read {
            Ok(0) => {
                self.flags.ended = true;
                self.connection.end_of_input();
                self.note_end(None, None, None);
            }
            Ok(count) => {
                let more = u8::try_from(count / LONG_READ).unwrap_or(READS);
                self.reads = self.reads.saturating_add(more);
                self.counters.octets_received += count as u64;
                self.unread.filled(count);
            }
            Err(error) => {
                self.flags.ended = true;
                self.connection.end_of_input();
                self.note_end(None, None, Some(error));
            }
        }
        Poll::Ready(())
    }

    /// Takes one step through the unread input.
    fn decode(&mut self, pieces: bool) -> Got {
        let (input, assembly) = (self.unread.octets_mut(), &mut self.assembly);
        let clock = || self.transport.now();
        let step = self
            .connection
            .receive_timed(&clock, input, assembly, pieces);
        let step = match step {
            Ok(step) => step,
            Err(violation) => {
                self.unread.clear();
                self.note_end(None, Some(violation), None);
                return Got::Nothing;
            }
        };
        let (consumed, assembled) = (step.consumed, step.assembled);
        let got = match step.event {
            None => Got::Nothing,
            Some(Event::Text(_)) if assembled => {
                Got::Message(Message::Text(self.assembly.take_text()))
            }
            Some(Event::Binary(_)) if assembled => {
                Got::Message(Message::Binary(self.assembly.take_octets()))
            }
            Some(Event::Text(text)) => Got::Message(text.into()),
            Some(Event::Binary(octets)) => Got::Message(octets.into()),
            Some(Event::Piece(piece)) => {
                Got::Piece(piece.payload.to_message(), piece.first, piece.last)
            }
            Some(Event::Ping(octets)) if self.connection.config().keeps_control_frames() => {
                Got::Control(Control::Ping(octets.into()))
            }
            Some(Event::Pong(octets)) if self.connection.config().keeps_control_frames() => {
                Got::Control(Control::Pong(octets.into()))
            }
            Some(Event::Ping(_) | Event::Pong(_)) => Got::Other,
            Some(Event::Close(close)) => {
                let (code, reason) = (close.code, String::from(close.reason));
                self.note_end(Some((code, reason)), None, None);
                Got::Nothing
            }
        };
        self.unread.consume(consumed);
        let whole = matches!(got, Got::Message(_) | Got::Piece(_, _, true));
        self.counters.received += u64::from(whole);
        if self.admit(&got, whole) {
            got
        } else {
            Got::Other
        }
    }

    /// Writes all that is queued. An error ends writing: what has arrived is received, and the error told where the end is told.
    pub(crate) fn poll_flush(&mut self, cx: &Context<'_>, party: Party) -> Poll<()> {
        let joint = self.parties.enter(party, cx);
        let cx = &mut Context::from_waker(joint.as_ref().unwrap_or_else(|| cx.waker()));
        let wrote = match ready!(self.poll_write_all(cx)) {
            Ok(wrote) => wrote,
            Err(error) => {
                self.connection.end_of_output(self.transport.now());
                self.write_error = Some(error);
                self.flags.dirty = false;
                // Whoever waits has another deadline now.
                self.parties.wake_all();
                true
            }
        };
        if let Some(buffer) = self.connection.reclaim() {
            buffer::give_writer(buffer);
        }
        if wrote && joint.is_some() {
            self.parties.wake_others(party);
        }
        Poll::Ready(())
    }

    fn poll_write_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut wrote = false;
        while self.connection.has_output() {
            let mut slices: [&[u8]; SLICES] = [&[]; SLICES];
            let filled = self.connection.transmit(&mut slices);
            let slices = slices.map(IoSlice::new);
            let slices = slices.get(..filled).unwrap_or_default();
            match ready!(self.transport.poll_write(cx, slices)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.counters.octets_sent += count as u64;
                    let more = u32::try_from(count).unwrap_or(u32::MAX);
                    self.sent.octets = self.sent.octets.saturating_add(more);
                    self.connection.transmitted(count);
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
            wrote = true;
            self.flags.dirty = true;
        }
        if self.flags.dirty {
            let flushed = self.transport.poll_flush(cx);
            // What a peer did not take within its time is not waited for: nothing would end the wait.
            if !self.is_over() {
                ready!(flushed)?;
            }
            self.flags.dirty = false;
        }
        if !self.flags.shut && self.connection.transport_action() == TransportAction::Shutdown {
            // The peer may be gone already; nothing is lost by that.
            let _ = ready!(self.transport.poll_shutdown(cx));
            self.flags.shut = true;
        }
        Poll::Ready(Ok(wrote))
    }

    /// Whether nothing more is to be done but to drop the transport.
    fn is_over(&self) -> bool {
        self.connection.transport_action() == TransportAction::Drop
    }

    /// Minds the clock: ready when something expired.
    fn poll_alarm(&mut self, cx: &Context<'_>, party: Party) -> Poll<()> {
        let joint = self.parties.enter(party, cx);
        let cx = &mut Context::from_waker(joint.as_ref().unwrap_or_else(|| cx.waker()));
        loop {
            if self.connection.owes_time() {
                self.connection.note_time(self.transport.now());
            }
            let Some(deadline) = self.deadline() else {
                return Poll::Pending;
            };
            // An alarm that rings early costs one wake-up; setting it anew for each message would cost more.
            let mut heard = !self.parties.take_changed() && joint.is_none();
            if self.armed.is_none_or(|armed| armed > deadline) {
                self.transport.set_alarm(deadline);
                self.armed = Some(deadline);
                heard = false;
            }
            // An alarm that knows whom to wake is not asked again before its time: it lies far from what is at hand.
            let early = heard && self.armed.is_some_and(|armed| self.transport.now() < armed);
            let rang = !early && self.transport.poll_alarm(cx).is_ready();
            let hurried = std::mem::take(&mut self.flags.hurried);
            if !rang && (!hurried || self.transport.now() < deadline) {
                return Poll::Pending;
            }
            self.armed = None;
            let now = self.transport.now();
            if self.leave_if_due(now) || self.go_on_if_due(now) {
                return Poll::Ready(());
            }
            let progress = self.transport.send_progress();
            if self.connection.tick_with(now, progress).is_some() {
                if let State::Closed { clean: false } | State::Lingering { clean: false, .. } =
                    self.connection.state()
                {
                    self.note_end(None, None, None);
                }
                return Poll::Ready(());
            }
        }
    }

    /// Begins to close. Closing twice is no error.
    pub(crate) fn start_close(&mut self, code: Option<CloseCode>, reason: &str) {
        let now = self.transport.now();
        // What was published to it before reaches it, as far as there is room.
        self.pull_last();
        if self.connection.close(now, code, reason).is_ok() {
            self.said = code.map_or(1005, CloseCode::get);
            self.ahead.clear();
            self.leave_hub();
            // Whoever waits for the connection writes the Close frame.
            self.parties.wake_all();
        }
    }

    /// Closes in full: both Close frames, then the end of TCP, each within its time.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>, party: Party) -> Poll<()> {
        loop {
            while !self.unread.is_empty() && !matches!(self.decode(true), Got::Nothing) {}
            let _ = self.poll_flush(cx, party);
            if self.is_over() {
                if !self.flags.shut {
                    let _ = self.transport.poll_shutdown(cx);
                    self.flags.shut = true;
                }
                return Poll::Ready(());
            }
            if self.poll_read(cx, party).is_ready() {
                continue;
            }
            self.park();
            ready!(self.poll_alarm(cx, party));
        }
    }
}
