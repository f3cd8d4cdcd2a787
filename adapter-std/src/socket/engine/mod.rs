//! One connection and its stream: decoding, reading, writing, deadlines. No method waits, unless the stream itself does.
//! RFC 6455 sections 6, 7.1.1 and 7.1.4.
//! Knows when to read and write; the connection interprets the bytes.

mod decode;
mod sending;
mod served;
mod steps;
mod traffic;

pub(crate) use served::{HangUp, Served};
pub(super) use steps::Step;
use traffic::ScheduledClose;

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sansws_common::Counters;
use sansws_common::error::Error;
use sansws_common::metrics::ClosedBy;
use sansws_common::socket::answers::Answers;
use sansws_common::socket::ending::Ending;
use sansws_common::socket::read_ahead::ReadAhead;
use sansws_common::socket::taking::Taking;
use sansws_common::socket::traffic::Traffic;
use sansws_core::close::{CloseCode, Closed, LossCause};
use sansws_core::connection::{Connection, State, TransportAction};
use sansws_core::http::Url;
use sansws_core::message::Assembly;
use sansws_core::time::Instant;

use crate::clock::now;
use crate::poll::Interest;
use crate::stream::ByteStream;
use crate::unread::Unread;
use crate::wire::Wire;
use decode::Received;

/// Number of slices in a vectored write.
const SLICES: usize = 16;

/// How often a stream that is taken looks whether its keeper has let go of it.
const LET_GO: Duration = Duration::from_millis(1);

/// A connection with everything that it needs to run.
#[derive(Debug)]
pub(crate) struct Engine<S> {
    pub(super) stream: S,
    pub(super) connection: Connection,
    /// The rest of a response that precedes the connection's output.
    head: Vec<u8>,
    pub(super) unread: Unread,
    /// Messages that were read while the application sent.
    pub(super) ahead: ReadAhead,
    pub(super) ending: Ending,
    pub(super) counts: Counters,
    /// The counts that the server knows.
    reported: Counters,
    traffic: Option<Box<Traffic>>,
    leaving: Option<Box<ScheduledClose>>,
    /// The server that drives it.
    pub(super) served: Option<Box<Served>>,
    /// A keeper waits for its socket.
    pub(super) kept: Option<HangUp>,
    /// The code with which we closed first: 1005 for none, 0 when we did not.
    said: u16,
    /// Those to the last received message that may be lost without an error.
    answers: Answers,
    /// Those to it that are sent before input is checked.
    unseen: Answers,
    /// When a sender last checked the input, and the number of sends since then.
    looked: Instant,
    unlooked: u8,
    /// Number of threads that wait for a message: only they read.
    pub(super) receivers: u32,
    pub(super) flags: Flags,
}

#[derive(Debug, Default)]
pub(super) struct Flags {
    /// The stream may hold bytes that were written but not sent.
    dirty: bool,
    /// The writing side was shut down.
    shut: bool,
    /// Input ended.
    ended: bool,
    /// It was told to close: what was read ahead is discarded, and nothing is answered.
    leaving: bool,
    /// Since the last wait, all input that had arrived was read.
    drained: bool,
    /// Since something is due, input was read.
    looked: bool,
    /// An iterator of messages has returned its last item.
    pub(super) over: bool,
    /// Other threads may use it: a wait must notice what they change.
    pub(super) shared: bool,
}

/// The state of the output after an attempt to write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing is left.
    Done,
    /// The stream takes no more now.
    Blocked,
}

impl<S: ByteStream> Engine<S> {
    pub(crate) fn new(wire: Wire<S>, connection: Connection) -> Self {
        Self {
            stream: wire.stream,
            connection,
            head: Vec::new(),
            unread: wire.unread,
            ahead: ReadAhead::default(),
            ending: Ending::default(),
            counts: Counters::default(),
            reported: Counters::default(),
            traffic: None,
            leaving: None,
            served: None,
            kept: None,
            said: 0,
            answers: Answers::NONE,
            unseen: Answers::NONE,
            looked: Instant::ZERO,
            unlooked: 0,
            receivers: 0,
            flags: Flags::default(),
        }
    }

    /// Returns the stream, and what was read from it but not processed.
    pub(super) fn into_stream(mut self) -> (S, Vec<u8>) {
        if let Some(kept) = &mut self.kept {
            kept.disarm();
            // A keeper that waits for the socket holds it for a glance.
            while self
                .stream
                .socket()
                .is_some_and(|own| Arc::strong_count(own) > 1)
            {
                thread::sleep(LET_GO);
            }
        }
        self.ending.tell_nothing();
        (self.stream, self.unread.take())
    }

    /// Tells `tracing` how the connection of a client to this URL ended, once it has and is dropped.
    pub(crate) fn tell_client(&mut self, url: Url) {
        self.ending.tell_client(url);
    }

    /// Sends the rest of a response before everything else.
    pub(crate) fn send_first(&mut self, head: Vec<u8>) {
        self.head = head;
    }

    /// A server drives it from now on.
    pub(crate) fn serve(&mut self, served: Box<Served>) {
        served.opened();
        self.served = Some(served);
    }

    /// A wait is over, or a call begins: there may be more input.
    pub(super) const fn may_have_input(&mut self) {
        self.flags.drained = false;
    }

    /// Returns whether to read: output does not block it, and the peer is within its limits.
    pub(super) fn wants_input(&self) -> bool {
        self.connection.wants_input() && !self.is_delayed()
    }

    /// Reads once. Returns whether anything happened.
    pub(super) fn fill(&mut self) -> bool {
        if self.flags.ended || self.flags.drained || self.ending.is_known() || !self.wants_input() {
            return false;
        }
        if self.connection.is_paused() {
            self.connection.resume(now());
        }
        self.read()
    }

    fn read(&mut self) -> bool {
        match self.stream.read_some(self.unread.room()) {
            Ok(0) if self.is_dropped_by_server() => self.cut_off(),
            Ok(0) => self.lost(LossCause::EndOfStream),
            Ok(count) => {
                self.counts.bytes_received += count as u64;
                self.unread.filled(count);
                self.flags.drained = self.stream.is_drained();
                self.flags.dirty |= self.stream.has_unsent();
            }
            Err(error) if self.is_not_now(&error) => {
                self.flags.drained = true;
                return false;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) if self.is_dropped_by_server() => self.cut_off(),
            Err(error) => {
                self.ending.note_failed(error);
                self.end_input();
            }
        }
        true
    }

    /// Returns whether the stream failed only for now. Our own sockets have no timeout: theirs is the end.
    fn is_not_now(&self, error: &io::Error) -> bool {
        match error.kind() {
            io::ErrorKind::WouldBlock => true,
            io::ErrorKind::TimedOut => self.stream.socket().is_none(),
            _ => false,
        }
    }

    /// Input has ended, for this reason.
    fn lost(&mut self, cause: LossCause) {
        self.ending.note_lost(cause);
        self.end_input();
    }

    fn end_input(&mut self) {
        self.flags.ended = true;
        self.connection.end_of_input();
    }

    /// Writes the output, as far as the stream takes it. An error ends writing: input is still received, and the error reported with the
    /// end.
    pub(super) fn flush(&mut self) -> Flushed {
        loop {
            match self.write_all() {
                Ok(()) => return Flushed::Done,
                Err(error) if self.is_not_now(&error) => return Flushed::Blocked,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.connection.end_of_output(now());
                    if self.is_dropped_by_server() {
                        self.cut_off();
                    } else {
                        self.ending.note_write_error(error);
                    }
                    self.flags.dirty = false;
                    return Flushed::Done;
                }
            }
        }
    }

    /// Writes at most `N` slices of the output.
    fn write_once<const N: usize>(&mut self) -> io::Result<usize> {
        let mut slices: [&[u8]; N] = [&[]; N];
        let filled = self.connection.transmit(&mut slices);
        let slices = slices.map(IoSlice::new);
        self.stream
            .write_some(slices.get(..filled).unwrap_or_default())
    }

    fn write_all(&mut self) -> io::Result<()> {
        while !self.head.is_empty() {
            match self.stream.write_some(&[IoSlice::new(&self.head)])? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => drop(self.head.drain(..count)),
            }
        }
        while self.connection.has_output() {
            let written = if self.connection.is_output_contiguous() {
                self.write_once::<1>()
            } else {
                self.write_once::<SLICES>()
            };
            match written? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => {
                    self.counts.bytes_sent += count as u64;
                    self.connection.transmitted(count);
                    self.flags.dirty = true;
                }
            }
        }
        if self.flags.dirty {
            match self.stream.flush_all() {
                // Do not wait for output that a peer did not take in time: nothing would end the wait.
                Err(error) if self.is_not_now(&error) && self.is_over() => {}
                flushed => flushed?,
            }
            self.flags.dirty = false;
        }
        let action = self.connection.transport_action();
        let ends = matches!(action, TransportAction::Close | TransportAction::Shutdown);
        if ends && !self.flags.shut {
            match self.stream.shut_down() {
                Err(error) if self.is_not_now(&error) => {
                    // The end of TLS waits for the stream.
                    self.flags.dirty |= self.stream.has_unsent();
                    return Err(error);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                // The peer may be gone already; nothing is lost by that.
                _ => self.flags.shut = true,
            }
        }
        Ok(())
    }

    /// Returns whether nothing is left to do but to drop the stream. One that cannot be waited for is not read to its end after the closing
    /// handshake, because the peer may wait for us to end it.
    pub(super) fn is_over(&self) -> bool {
        let lingers = matches!(self.connection.state(), State::Lingering { .. });
        match self.connection.transport_action() {
            TransportAction::Drop => true,
            TransportAction::Close if self.flags.drained && self.stream.closes_when_dropped() => {
                true
            }
            _ => lingers && self.stream.socket().is_none() && !self.connection.has_output(),
        }
    }

    /// Does what is due. Returns whether anything happened.
    pub(super) fn tick(&mut self) -> bool {
        if self.obey_server() {
            // Nothing would wake a call that waited for the socket now.
            return true;
        }
        let Some(deadline) = self.deadline() else {
            return false;
        };
        let now = now();
        if deadline > now {
            return false;
        }
        if self.leave_if_due(now) || self.go_on_if_due(now) {
            return true;
        }
        let progress = self.stream.socket();
        let progress = progress.and_then(|socket| socket.send_progress());
        let Some(expired) = self.connection.tick_with(now, progress) else {
            return false;
        };
        self.said = expired.close_code().map_or(self.said, CloseCode::get);
        if let Some(cause) = expired.loss() {
            self.ending.note_lost(cause);
        }
        true
    }

    /// Returns when something is due, if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let leaving = self.leaving.as_ref().map(|leaving| leaving.at);
        let until = self.traffic.as_ref().and_then(|traffic| traffic.until());
        let all = [self.connection.deadline(), leaving, until];
        all.into_iter().flatten().min()
    }

    /// Returns what the stream is waited for. With `reads`, input is wanted.
    pub(super) fn interest(&self, reads: bool) -> Interest {
        Interest {
            read: reads && !self.flags.ended && !self.ending.is_known() && self.wants_input(),
            write: self.has_output(),
        }
    }

    fn has_output(&self) -> bool {
        self.connection.has_output() || self.flags.dirty || !self.head.is_empty()
    }

    /// Frees memory that only the next message would need again.
    pub(super) fn release(&mut self) {
        self.connection.release();
    }

    /// Cuts the connection off.
    pub(super) fn cut_off(&mut self) {
        if let Some(socket) = self.stream.socket() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.lost(LossCause::Aborted);
    }

    /// Decodes and reads input, as far as it may be kept: pings are answered, a Close is seen. Returns whether there was any.
    pub(super) fn look(&mut self) -> bool {
        let mut moved = false;
        while self.receivers == 0 {
            while self.may_read_ahead()
                && let Some(received) = self.decode(false, &mut Taking::Owned)
            {
                match received {
                    Received::Item(item) => self.ahead.push(item),
                    Received::Control(control) => self.ahead.push_control(control),
                    Received::Lent | Received::Other => {}
                }
                moved = true;
            }
            if self.ending.is_known() {
                break;
            }
            if self.wants_input() && !self.may_read_ahead() {
                self.connection.pause();
                break;
            }
            if !self.fill() {
                break;
            }
            moved = true;
        }
        moved
    }

    /// Returns whether the next input is a control frame, or a message that fits the read-ahead limit.
    pub(super) fn may_read_ahead(&self) -> bool {
        let unfinished = Assembly::pending_bytes(self.unread.assembly());
        self.ahead
            .may_keep(&self.connection, self.unread.bytes(), unfinished)
    }

    /// Starts to close. Closing twice is not an error.
    pub(crate) fn start_close(&mut self, code: Option<CloseCode>, reason: &str) {
        if self.connection.close(now(), code, reason).is_ok() {
            self.said = code.map_or(1005, CloseCode::get);
            self.flags.leaving = true;
            self.ahead.clear();
        }
    }

    /// Returns the side that closed first, and the code of the first Close frame. An open connection is cut off by us.
    pub(crate) fn first_close(&self) -> (ClosedBy, u16) {
        Ending::first_close(Some(&self.ending), self.said)
    }

    /// Returns its end as an error, however normal it was.
    pub(crate) fn disconnected(&self) -> Error {
        self.ending.disconnected()
    }

    /// Returns how it ended, once it has.
    pub(crate) fn closed(&self) -> Option<Closed> {
        self.ending.closed().cloned()
    }

    /// Discards what is unread, except for the peer's Close.
    pub(super) fn discard(&mut self) {
        while self.decode(true, &mut Taking::Owned).is_some() {}
        if self.ending.is_known() && !self.unread.is_empty() {
            // Input behind the Close frame decides how the stream is closed.
            let (input, assembly, _) = self.unread.parts();
            let _ = self.connection.receive(now(), input, assembly);
            self.unread.clear();
        }
        self.ahead.clear();
    }

    /// Reads once, also after the closing handshake. Returns whether anything happened.
    pub(super) fn drain(&mut self) -> bool {
        !self.flags.ended && !self.flags.drained && self.read()
    }

    /// Returns what the stream is waited for until it ends.
    pub(super) fn closing_interest(&self) -> Interest {
        Interest {
            read: !self.flags.ended,
            write: self.has_output(),
        }
    }

    /// Ends the stream, after the closing handshake or instead of it.
    pub(super) fn end_stream(&mut self) {
        if !self.flags.shut {
            let _ = self.stream.shut_down();
            self.flags.shut = true;
        }
    }

    /// Returns its traffic.
    pub(crate) fn counters(&self) -> Counters {
        let mut counters = self.counts;
        counters.dropped = self.traffic.as_deref().map_or(0, Traffic::dropped);
        counters
    }

    /// Returns its traffic since the last call.
    pub(crate) fn unreported(&mut self) -> Counters {
        let now = self.counters();
        let reported = std::mem::replace(&mut self.reported, now);
        let mut more = now;
        more.received -= reported.received;
        more.sent -= reported.sent;
        more.bytes_received -= reported.bytes_received;
        more.bytes_sent -= reported.bytes_sent;
        more.dropped -= reported.dropped;
        more
    }
}
