//! One connection and its transport: reading, gathering, flushing, waiting.
//! RFC 6455 sections 6, 7.1.1 and 7.1.4.
//! Knows when to read, write and sleep; the connection interprets the bytes.

mod decode;
mod flush;
mod hub_delivery;
mod pump;
mod send;
mod teardown;
mod traffic;

use std::task::{Context, Poll, ready};

use crate::error::{Error, Result};
use crate::hub::HubAttachment;
use crate::socket::buffer::{READS, Unread};
use crate::socket::from_message::SocketEvent;
use crate::socket::read_ahead::{Item, ReadAhead};
use crate::socket::wakers::{WakerRole, Wakers};
use crate::transport::Transport;
use sansws_core::close::{CloseCode, LossCause};
use sansws_core::connection::Connection;
use sansws_core::message::Message;
use sansws_core::time::Instant;

use decode::Got;
use sansws_common::socket::answers::Answers;
use sansws_common::socket::ending::Ending;
use sansws_common::socket::outbox::Handle;
use sansws_common::socket::taking::Taking;
use sansws_common::socket::traffic::Traffic;
pub use traffic::Counters;
use traffic::{Counts, ReportedCounters, ScheduledClose, Sent};

/// Number of unsent bytes at which gathering stops.
const GATHERED: usize = 64 << 10;

/// A read counts once more for each of these many bytes: a poll takes up to 2 MiB, or a message of that length in one go.
const LONG_READ: usize = 64 << 10;

/// The time of an alarm that is not set.
const NEVER: Instant = Instant::from_micros(u64::MAX);

/// A connection with everything that it needs to run.
#[derive(Debug)]
pub(crate) struct Engine<T> {
    transport: T,
    connection: Connection,
    unread: Unread,
    /// Messages that were read while the handler was busy.
    ahead: ReadAhead,
    wakers: Wakers,
    /// When the alarm fires: [`NEVER`] if it is not set.
    armed: Instant,
    /// The number of reads since it last waited for input; long ones count for more.
    reads: u8,
    /// The messages sent since the handler last waited.
    sent: Sent,
    /// When a sender last checked the input.
    looked: Instant,
    /// The number of sends since then.
    unlooked: u8,
    /// Those to the last received message that may be lost without an error.
    answers: Answers,
    /// Those to it that are sent before input is checked.
    unseen: Answers,
    rare: Option<Box<Rare>>,
    counts: Counts,
    /// The counts that the server knows.
    reported: ReportedCounters,
    /// Its hub and channel.
    post: Option<Box<HubAttachment>>,
    flags: Flags,
}

/// State that most connections lack while they are open.
#[derive(Debug, Default)]
struct Rare {
    ending: Ending,
    /// It is scheduled to be closed.
    leaving: Option<Box<ScheduledClose>>,
    /// The peer's messages are limited.
    traffic: Option<Box<Traffic>>,
    /// The code with which we closed first: 1005 for none, 0 when we did not.
    said: u16,
    /// Input ended.
    ended: bool,
    /// It was told to close: what was read ahead is discarded, and nothing is answered.
    told: bool,
    /// The writing side was shut down.
    shut: bool,
    /// Only its driver holds it any more, which drops it once it is over.
    last: bool,
    /// A stream of messages has returned its last item.
    over: bool,
}

#[derive(Debug, Default)]
struct Flags {
    /// The transport may hold bytes that were written but not sent.
    dirty: bool,
    /// A task drives it, and flushes when the handler waits.
    driven: bool,
    /// Since the last turn, the handler has started to wait for input, and has registered for it.
    waits: bool,
    /// The read budget ran out: check timers before reading again.
    hurried: bool,
}

/// A chunk of a message, owned.
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
            ahead: ReadAhead::default(),
            wakers: Wakers::default(),
            armed: NEVER,
            reads: 0,
            sent: Sent::default(),
            looked: Instant::ZERO,
            unlooked: 0,
            answers: Answers::NONE,
            unseen: Answers::NONE,
            rare: None,
            counts: Counts::default(),
            reported: ReportedCounters::default(),
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

    /// Returns the transport, and what was read from it but not processed.
    pub(crate) fn into_transport(mut self) -> (T, Vec<u8>) {
        if let Some(rare) = &mut self.rare {
            rare.ending.tell_nothing();
        }
        let unread = self.unread.bytes().to_vec();
        (self.transport, unread)
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(crate) const fn set_driven(&mut self) {
        self.flags.driven = true;
    }

    /// Only the caller holds it any more, and drops it once it is over.
    pub(crate) fn set_last(&mut self) {
        self.rare_mut().last = true;
    }

    /// Receives the next message. `None` is a normal end.
    pub(crate) fn poll_receive(
        &mut self,
        cx: &Context<'_>,
        role: WakerRole,
    ) -> Poll<Result<Option<Message>, Error>> {
        self.poll_message(cx, role, &mut Taking::Owned)
    }

    /// Receives the next message into the memory of `spare` if it must be copied; this is untouched until there is one.
    pub(crate) fn poll_receive_into(
        &mut self,
        cx: &Context<'_>,
        role: WakerRole,
        spare: &mut Message,
    ) -> Poll<Result<Option<Message>, Error>> {
        self.poll_message(cx, role, &mut Taking::Into(spare))
    }

    fn poll_message(
        &mut self,
        cx: &Context<'_>,
        role: WakerRole,
        taking: &mut Taking<'_, '_>,
    ) -> Poll<Result<Option<Message>, Error>> {
        loop {
            match ready!(self.poll_got(cx, role, false, taking))? {
                Some(Got::Message(message)) => return Poll::Ready(Ok(Some(message))),
                Some(Got::Control(control)) => self.ahead.push_control(control),
                // The rest of a message whose reader was dropped.
                Some(Got::Piece(..) | Got::Lent | Got::Other | Got::Nothing) => {}
                None => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// Lends the next message, once there is room for an answer. `false` is a normal end. Output that is not much yet is left to the next call,
    /// or to [`flush_if_due`](Self::flush_if_due).
    pub(crate) fn poll_lend(
        &mut self,
        cx: &Context<'_>,
        role: WakerRole,
        handle: &mut Handle<'_>,
    ) -> Poll<Result<bool, Error>> {
        loop {
            match ready!(self.poll_got(cx, role, false, &mut Taking::Lent(handle)))? {
                Some(Got::Message(message)) => self.lend(&message, handle),
                Some(Got::Lent) => {}
                Some(Got::Control(control)) => {
                    self.ahead.push_control(control);
                    continue;
                }
                Some(Got::Piece(..) | Got::Other | Got::Nothing) => {
                    // An error is left to receiving, which meets it too.
                    while self.lacks_room() {
                        if self.poll_ready_to_answer(cx, role).is_pending() && self.lacks_room() {
                            return Poll::Pending;
                        }
                    }
                    continue;
                }
                None => return Poll::Ready(Ok(false)),
            }
            if self.connection.queued() >= GATHERED {
                let _ = self.poll_flush(cx, role);
            }
            return Poll::Ready(Ok(true));
        }
    }

    /// Receives the next message or control frame. `None` is a normal end.
    pub(crate) fn poll_event(
        &mut self,
        cx: &Context<'_>,
        role: WakerRole,
    ) -> Poll<Result<Option<SocketEvent>, Error>> {
        loop {
            if let Some(control) = self.ahead.pop_control() {
                self.may_be_answered();
                return Poll::Ready(Ok(Some(control.into())));
            }
            match ready!(self.poll_got(cx, role, false, &mut Taking::Owned))? {
                Some(Got::Message(message)) => return Poll::Ready(Ok(Some(message.into()))),
                Some(Got::Control(control)) => return Poll::Ready(Ok(Some(control.into()))),
                Some(Got::Piece(..) | Got::Lent | Got::Other | Got::Nothing) => {}
                None => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// Receives the next chunk of a message. With `begin`, chunks of an abandoned message are skipped.
    pub(crate) fn poll_part(
        &mut self,
        cx: &Context<'_>,
        role: WakerRole,
        begin: bool,
    ) -> Poll<Result<Option<Part>, Error>> {
        loop {
            match ready!(self.poll_got(cx, role, true, &mut Taking::Owned))? {
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
                Some(Got::Lent | Got::Other | Got::Nothing) => {}
                None => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// Something was received: answers to it precede later messages.
    const fn may_be_answered(&mut self) {
        (self.answers, self.unseen) = (Answers::ALL, Answers::ALL);
    }

    #[inline]
    fn poll_got(
        &mut self,
        cx: &Context<'_>,
        role: WakerRole,
        pieces: bool,
        taking: &mut Taking<'_, '_>,
    ) -> Poll<Result<Option<Got>, Error>> {
        loop {
            // A receiver that always gets a message never waits: give other tasks a turn.
            ready!(self.poll_turn(cx));
            // Pongs, pings and publications of a hub take room too.
            if matches!(taking, Taking::Lent(_)) && self.lacks_room() {
                return Poll::Ready(Ok(Some(Got::Other)));
            }
            if let Some(Item { message, piece }) = self.ahead.pop() {
                self.sent.messages += 1;
                self.may_be_answered();
                return Poll::Ready(Ok(Some(match piece {
                    None => Got::Message(message),
                    Some((first, last)) => Got::Piece(message, first, last),
                })));
            }
            if !self.unread.is_empty() && !self.is_ended() && self.wants_input() {
                match self.decode(pieces, taking) {
                    Got::Nothing => {}
                    Got::Other => continue,
                    // Its answers are counted already.
                    Got::Lent => return Poll::Ready(Ok(Some(Got::Lent))),
                    got => {
                        self.sent.messages += 1;
                        self.may_be_answered();
                        return Poll::Ready(Ok(Some(got)));
                    }
                }
            }
            if self.is_ended() {
                // Pending output, including the Close frame, is sent before the end is reported.
                let flushed = self.poll_flush(cx, role);
                if flushed.is_pending() && self.poll_alarm(cx, role).is_pending() {
                    return Poll::Pending;
                }
                if flushed.is_ready() {
                    return Poll::Ready(self.report_end().map(|()| None));
                }
                continue;
            }
            if !ready!(self.poll_more(cx, role, !pieces)) {
                self.flags.waits = true;
                return Poll::Pending;
            }
        }
    }

    /// Flushes, reads once, handles timers. `false` means that nothing can be done now, and the waker is registered.
    fn poll_more(&mut self, cx: &Context<'_>, role: WakerRole, direct: bool) -> Poll<bool> {
        let blocked = !self.wants_input();
        if !self.flags.driven {
            self.pull(cx, role);
        }
        let _ = self.poll_flush(cx, role);
        let reads = self.wants_input();
        if self.is_ended() || (blocked && reads) {
            return Poll::Ready(true);
        }
        if reads && self.poll_read(cx, role, direct).is_ready() {
            return Poll::Ready(true);
        }
        self.park();
        if self.poll_alarm(cx, role).is_ready() {
            return Poll::Ready(true);
        }
        Poll::Ready(false)
    }

    /// Frees everything that an idle connection need not hold.
    fn park(&mut self) {
        self.unread.park();
        self.connection.release();
    }

    /// Reads once. With `direct`, the rest of a large payload is read into its message, which nobody wants in chunks.
    fn poll_read(&mut self, cx: &Context<'_>, role: WakerRole, direct: bool) -> Poll<()> {
        if self.has_input_ended() {
            return Poll::Pending;
        }
        if self.connection.is_paused() {
            self.connection.resume(self.transport.now());
        }
        let joint = self.wakers.enter(role, cx);
        let cx = &mut Context::from_waker(joint.as_ref().unwrap_or_else(|| cx.waker()));
        if self.reads >= READS {
            // Input that is always ready must starve neither timers nor other tasks.
            self.reads = 0;
            self.flags.hurried = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.reads += 1;
        let room = if direct {
            let assembly = self.unread.direct();
            assembly.and_then(|assembly| self.connection.direct_read(assembly))
        } else {
            None
        };
        let direct = room.is_some();
        let read = match room {
            Some(room) => self.transport.poll_append(cx, room),
            None => self.transport.poll_read(cx, self.unread.room()),
        };
        let Poll::Ready(read) = read else {
            self.reads = 0;
            return Poll::Pending;
        };
        match read {
            Ok(0) => {
                self.rare_mut().ended = true;
                self.connection.end_of_input();
                self.note_lost(LossCause::EndOfStream);
            }
            Ok(count) => {
                let more = u8::try_from(count / LONG_READ).unwrap_or(READS);
                self.reads = self.reads.saturating_add(more);
                self.counts.bytes_received += count as u64;
                if direct {
                    self.unread.filled_directly(count);
                } else {
                    self.unread.filled(count);
                }
            }
            Err(error) => {
                self.rare_mut().ended = true;
                self.connection.end_of_input();
                self.note_end(|ending| ending.note_failed(error));
            }
        }
        Poll::Ready(())
    }

    /// Handles timers: ready when something expired.
    fn poll_alarm(&mut self, cx: &Context<'_>, role: WakerRole) -> Poll<()> {
        let joint = self.wakers.enter(role, cx);
        let cx = &mut Context::from_waker(joint.as_ref().unwrap_or_else(|| cx.waker()));
        loop {
            if self.connection.owes_time() {
                self.connection.note_time(self.transport.now());
            }
            let Some(deadline) = self.deadline() else {
                return Poll::Pending;
            };
            // An early alarm costs one wake-up; setting it again for each message would cost more.
            let mut heard = !self.wakers.take_changed() && joint.is_none();
            if self.armed > deadline {
                self.transport.set_alarm(deadline);
                self.armed = deadline;
                heard = false;
            }
            // A registered alarm is not polled again before its time, because its state is not in the cache.
            let early = heard && self.transport.now() < self.armed;
            let rang = !early && self.transport.poll_alarm(cx).is_ready();
            let hurried = std::mem::take(&mut self.flags.hurried);
            if !rang && (!hurried || self.transport.now() < deadline) {
                return Poll::Pending;
            }
            self.armed = NEVER;
            let now = self.transport.now();
            if self.leave_if_due(now) || self.go_on_if_due(now) {
                return Poll::Ready(());
            }
            let progress = self.transport.send_progress();
            if let Some(expired) = self.connection.tick_with(now, progress) {
                if let Some(code) = expired.close_code() {
                    self.rare_mut().said = code.get();
                }
                if let Some(cause) = expired.loss() {
                    self.note_lost(cause);
                }
                return Poll::Ready(());
            }
        }
    }

    /// Starts to close. Closing twice is not an error.
    pub(crate) fn start_close(&mut self, code: Option<CloseCode>, reason: &str) {
        let now = self.transport.now();
        // Earlier publications still reach the peer, as far as there is room.
        self.pull_last();
        if self.connection.close(now, code, reason).is_ok() {
            let rare = self.rare_mut();
            rare.said = code.map_or(1005, CloseCode::get);
            rare.told = true;
            self.ahead.clear();
            self.leave_hub();
            // The timeout runs from now on, whenever the application polls again.
            self.flush_at_once();
        }
    }

    /// Completes the close: both Close frames, then the end of TCP, each within its timeout.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>, role: WakerRole) -> Poll<()> {
        loop {
            while !self.unread.is_empty()
                && !matches!(self.decode(true, &mut Taking::Owned), Got::Nothing)
            {}
            let _ = self.poll_flush(cx, role);
            if self.is_over() {
                if !self.is_shut() {
                    let _ = self.transport.poll_shutdown(cx);
                    self.rare_mut().shut = true;
                }
                return Poll::Ready(());
            }
            if self.poll_read(cx, role, false).is_ready() {
                continue;
            }
            if self.is_dropped_at_once() && !self.flags.hurried {
                return Poll::Ready(());
            }
            self.park();
            ready!(self.poll_alarm(cx, role));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An idle connection holds it, with its transport.
    #[test]
    fn an_engine_is_small() {
        println!("size_of::<Engine<()>>() = {}", size_of::<Engine<()>>());
        assert!(size_of::<Engine<()>>() <= 288);
    }
}
