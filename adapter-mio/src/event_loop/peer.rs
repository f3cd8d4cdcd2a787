//! A connection of a loop at rest: its stream, its stage, and what it keeps between two turns.
//! Knows no loop.

use std::any::Any;
use std::io::{self, IoSlice};

use sansws_common::Admission;
use sansws_common::error::{ConnectionTag, Error, HandlerError};
use sansws_common::hub::internal::HubAttachment;
use sansws_common::metrics::ClosedBy;
use sansws_common::metrics::trace::Span;
use sansws_common::server::handle::ConnectionPlace;
use sansws_common::server::verdict::{Blame, OwnConnection};
use sansws_common::socket::answers::Answers;
use sansws_common::socket::counters::Counters;
use sansws_common::socket::ending::Ending;
use sansws_common::socket::traffic::Traffic;
use sansws_core::close::{CloseCode, Closed, LossCause};
use sansws_core::connection::Connection;
use sansws_core::handshake::Opened;
use sansws_core::limits::{TOO_MANY_MESSAGES, Verdict};
use sansws_core::message::Assembly;
use sansws_core::time::{Duration, Instant};

use super::HostRef;
use super::connecting::Connecting;
use super::opening::Opening;
use super::streamed::Streamed;
use crate::stream::Stream;

/// A connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) serial: u64,
    pub(super) stream: Stream,
    pub(super) stage: Stage,
    /// Its endpoint, once the request was accepted.
    pub(super) endpoint: Option<Attached>,
    pub(super) permit: Option<ConnectionPlace>,
    pub(super) pending: Option<Box<Pending>>,
    pub(super) ending: Option<Box<Ending>>,
    pub(super) extras: Option<Box<Extras>>,
    /// Its channel in the hub, once it has used one.
    pub(super) post: Option<Box<HubAttachment>>,
    pub(super) counts: Counts,
    /// The deadline for which the timers are armed.
    pub(super) armed: Instant,
    pub(super) route: u32,
    /// The code with which we closed first: 1005 for none, 0 when we did not.
    pub(super) said: u16,
    /// The index of its hub in the loop, from 1; 0 for none.
    pub(super) hub: u16,
    /// The number of messages of groups that were sent, and not counted by the loop yet.
    pub(super) mailed: u32,
    /// The number of its publications that wait for room.
    pub(super) publishing: u16,
    /// Those to the last received message that may be lost without being refused.
    pub(super) answers: Answers,
    pub(super) flags: Flags,
}

/// How far a connection has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// It is not a WebSocket yet.
    Opening(Box<Opening>),
    /// It is a client's, and not a WebSocket yet.
    Connecting(Box<Connecting>),
    Open(Connection),
    /// It is the stream of a response.
    Streaming(Box<Streamed>),
    /// Its socket is to be dropped.
    Over,
}

/// An endpoint, and the data of the connection in it.
#[derive(Clone, Debug)]
pub(super) struct Attached {
    pub(super) handler: HostRef,
    pub(super) key: usize,
}

/// Input that is not processed yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) kept: Vec<u8>,
    /// The number of bytes of it that are done with.
    pub(super) done: usize,
    pub(super) assembly: Assembly,
}

/// The traffic of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) bytes_received: u64,
    /// Negative while the answer to the request leaves, which is not counted.
    sent_or_owed: i64,
}

impl Counts {
    /// Number of bytes sent.
    pub(super) fn bytes_sent(&self) -> u64 {
        self.sent_or_owed.max(0).unsigned_abs()
    }

    /// Excludes `bytes` of output that belong to no message.
    pub(super) fn precede_with(&mut self, bytes: usize) {
        self.sent_or_owed -= signed(bytes);
    }

    fn sent(&mut self, bytes: usize) {
        self.sent_or_owed = self.sent_or_owed.saturating_add(signed(bytes));
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// State that few connections have.
#[derive(Debug, Default)]
pub(super) struct Extras {
    pub(super) leaving: Option<Leaving>,
    pub(super) traffic: Option<Traffic>,
    /// Dropped with the connection.
    pub(super) guards: Vec<Box<dyn Any + Send + Sync>>,
    pub(super) span: Span,
    /// The server's answer, of a client.
    pub(super) opened: Option<Box<Opened>>,
    /// Why it was closed, if by an error of a callback.
    pub(super) failure: Option<(HandlerError, Blame)>,
    /// The drain window that was applied, in microseconds, plus one; 0 before shutdown.
    pub(super) drain_window: u64,
    /// The places and serial numbers of futures that work for it.
    pub(super) tasks: Vec<(usize, u64)>,
}

impl std::fmt::Debug for Leaving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Leaving").field(&self.at).finish()
    }
}

/// When and how to close.
pub(super) struct Leaving {
    pub(super) at: Instant,
    pub(super) code: CloseCode,
    pub(super) reason: &'static str,
}

#[derive(Debug, Default)]
pub(super) struct Flags {
    /// The socket may have input.
    pub(super) readable: bool,
    /// Input ended on the wire: a short read does not mean that there is no more.
    pub(super) hung_up: bool,
    /// Messages are kept that were not received for want of room.
    pub(super) held: bool,
    /// The socket takes no more output now.
    pub(super) blocked: bool,
    /// The endpoint is to learn when its output has left.
    pub(super) owed: bool,
    /// It is among those to which others sent.
    pub(super) dirty: bool,
    /// It is among those that have read, and are to write.
    pub(super) batched: bool,
    /// It is among those that have more to do.
    pub(super) again: bool,
    /// The writing side was shut down.
    pub(super) shut: bool,
    /// Input ended.
    pub(super) ended: bool,
    /// The endpoint knows that it has ended.
    pub(super) end_reported: bool,
    /// The application does not want input now.
    pub(super) paused: bool,
    /// It leads to a server.
    pub(super) client: bool,
    /// It was not admitted, and is being told so.
    pub(super) refused: bool,
    /// Its response is streamed.
    pub(super) streamed: bool,
    /// Messages of groups are queued for it.
    pub(super) rung: bool,
}

/// The state of the output after an attempt to write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing is left.
    Done,
    /// The stream takes no more now.
    Blocked,
}

/// Number of slices in a vectored write.
const SLICES: usize = 16;

/// Writes at most `N` slices of the output.
fn write_once<const N: usize>(
    connection: &mut Connection,
    stream: &mut Stream,
) -> io::Result<usize> {
    let mut slices: [&[u8]; N] = [&[]; N];
    let filled = connection.transmit(&mut slices);
    let slices = slices.map(IoSlice::new);
    stream.write(slices.get(..filled).unwrap_or_default())
}

impl Peer {
    pub(super) fn new(serial: u64, stream: Stream, stage: Stage) -> Self {
        Self {
            serial,
            stream,
            stage,
            endpoint: None,
            permit: None,
            pending: None,
            ending: None,
            extras: None,
            post: None,
            counts: Counts::default(),
            armed: Instant::from_micros(u64::MAX),
            route: 0,
            said: 0,
            hub: 0,
            mailed: 0,
            publishing: 0,
            answers: Answers::NONE,
            flags: Flags::default(),
        }
    }

    pub(super) const fn connection(&self) -> Option<&Connection> {
        match &self.stage {
            Stage::Open(connection) => Some(connection),
            Stage::Opening(_) | Stage::Connecting(_) | Stage::Streaming(_) | Stage::Over => None,
        }
    }

    pub(super) const fn connection_mut(&mut self) -> Option<&mut Connection> {
        match &mut self.stage {
            Stage::Open(connection) => Some(connection),
            Stage::Opening(_) | Stage::Connecting(_) | Stage::Streaming(_) | Stage::Over => None,
        }
    }

    /// Returns whether its peer can be sent messages.
    pub(super) fn is_open(&self) -> bool {
        match &self.stage {
            Stage::Open(connection) => connection.is_open(),
            Stage::Streaming(streamed) => streamed.is_open(),
            Stage::Opening(_) | Stage::Connecting(_) | Stage::Over => false,
        }
    }

    /// Returns whether its traffic is that of the server's WebSockets.
    pub(super) const fn is_counted(&self) -> bool {
        !self.flags.client && !self.flags.streamed
    }

    pub(super) fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    pub(super) fn ending(&mut self) -> &mut Ending {
        self.ending.get_or_insert_default()
    }

    /// Returns whether its end is known.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.as_ref().is_some_and(|ending| ending.is_known())
    }

    /// Returns when something is due, if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let own = match &self.stage {
            Stage::Opening(opening) => opening.deadline,
            Stage::Connecting(connecting) => connecting.due(),
            Stage::Open(connection) => connection.deadline(),
            Stage::Streaming(streamed) => streamed.deadline(),
            Stage::Over => None,
        };
        let Some(extras) = &self.extras else {
            return own;
        };
        let leaving = extras.leaving.as_ref().map(|leaving| leaving.at);
        let until = extras.traffic.as_ref().and_then(|traffic| traffic.until());
        [own, leaving, until].into_iter().flatten().min()
    }

    /// Returns whether to receive: output does not forbid it, the peer is within its limits, and the application wants more.
    pub(super) fn wants_input(&self) -> bool {
        let Stage::Open(connection) = &self.stage else {
            return false;
        };
        if !connection.wants_input() {
            return false;
        }
        // While closing, we wait for the peer's Close, and not long.
        if !connection.is_open() {
            return true;
        }
        !self.is_held() && !self.is_delayed()
    }

    /// Returns whether nothing is received for now because the peer exceeded its rate.
    pub(super) fn is_delayed(&self) -> bool {
        let extras = self.extras.as_ref();
        let traffic = extras.and_then(|extras| extras.traffic.as_ref());
        traffic.is_some_and(|traffic| traffic.until().is_some())
    }

    /// Returns whether nothing is received for now: the application does not want it, or publications wait.
    pub(super) const fn is_held(&self) -> bool {
        self.flags.paused || self.publishing > 0
    }

    /// Returns whether there may be something to write.
    #[inline]
    pub(super) fn has_unsent(&self) -> bool {
        match &self.stage {
            Stage::Open(connection) => connection.has_output() || self.stream.has_unsent(),
            Stage::Streaming(_) => true,
            Stage::Opening(_) | Stage::Connecting(_) | Stage::Over => false,
        }
    }

    /// Writes the output, as far as the stream takes it. An error ends writing: input is still received.
    pub(super) fn flush(&mut self, now: Instant) -> Flushed {
        match self.write_all(now) {
            Ok(()) => {
                self.flags.blocked = false;
                Flushed::Done
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.flags.blocked = true;
                Flushed::Blocked
            }
            Err(error) => {
                match &mut self.stage {
                    Stage::Open(connection) => connection.end_of_output(now),
                    // The peer's input does not matter.
                    Stage::Streaming(streamed) => streamed.cut(),
                    Stage::Opening(_) | Stage::Connecting(_) | Stage::Over => {}
                }
                self.ending().note_write_error(error);
                self.flags.blocked = false;
                Flushed::Done
            }
        }
    }

    fn write_all(&mut self, now: Instant) -> io::Result<()> {
        let Self {
            stream,
            stage,
            counts,
            ..
        } = self;
        let connection = match stage {
            Stage::Open(connection) => connection,
            Stage::Streaming(streamed) => {
                let (bytes, flushed) = streamed.flush(stream, now);
                counts.sent(bytes);
                return flushed;
            }
            Stage::Opening(_) | Stage::Connecting(_) | Stage::Over => return Ok(()),
        };
        while connection.has_output() {
            let written = if connection.is_output_contiguous() {
                write_once::<1>(connection, stream)
            } else {
                write_once::<SLICES>(connection, stream)
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    counts.sent(count);
                    connection.transmitted(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if stream.has_unsent() {
            stream.flush()?;
        }
        Ok(())
    }

    /// Starts to close; a client that is not open yet is given up. Closing twice is not an error.
    pub(super) fn start_close(&mut self, now: Instant, code: Option<CloseCode>, reason: &str) {
        self.pull_last();
        let has_begun = match &mut self.stage {
            Stage::Open(connection) => connection.close(now, code, reason).is_ok(),
            Stage::Streaming(streamed) => streamed.leave(Closed {
                code,
                reason: reason.into(),
                clean: true,
                cause: None,
            }),
            Stage::Connecting(connecting) => {
                connecting.is_given_up = true;
                false
            }
            Stage::Opening(_) | Stage::Over => false,
        };
        if has_begun {
            self.said = code.map_or(1005, CloseCode::get);
        }
    }

    /// Schedules its close after this time, unless it is scheduled earlier.
    pub(super) fn leave_after(
        &mut self,
        now: Instant,
        after: Duration,
        code: CloseCode,
        reason: &'static str,
    ) {
        if after.is_zero() {
            return self.start_close(now, Some(code), reason);
        }
        let at = now + after;
        let leaving = &mut self.extras().leaving;
        if leaving.as_ref().is_none_or(|leaving| leaving.at > at) {
            *leaving = Some(Leaving { at, code, reason });
        }
    }

    /// Returns whether to pass a message of this length on.
    pub(super) fn is_admitted(&mut self, now: Instant, bytes: usize) -> bool {
        let traffic = self
            .extras
            .as_mut()
            .and_then(|extras| extras.traffic.as_mut());
        let Some(traffic) = traffic else {
            return true;
        };
        match traffic.judge(now, bytes) {
            Verdict::Pass => true,
            Verdict::Wait(_) => {
                if let Some(connection) = self.connection_mut() {
                    connection.pause();
                }
                true
            }
            Verdict::Drop => false,
            Verdict::Close => {
                let (code, reason) = TOO_MANY_MESSAGES;
                self.start_close(now, Some(code), reason);
                false
            }
        }
    }

    /// Does what is due at `now`, except for an opening.
    pub(super) fn tick(&mut self, now: Instant) {
        let is_held = self.is_held();
        if let Some(extras) = &mut self.extras {
            let traffic = extras.traffic.as_mut();
            if traffic.is_some_and(|traffic| traffic.resumes(now))
                && !is_held
                && let Stage::Open(connection) = &mut self.stage
            {
                connection.resume(now);
            }
            if let Some(Leaving { code, reason, .. }) =
                extras.leaving.take_if(|leaving| leaving.at <= now)
            {
                self.start_close(now, Some(code), reason);
                return;
            }
        }
        let connection = match &mut self.stage {
            Stage::Open(connection) => connection,
            // It did not take its output, or end TCP, in time.
            Stage::Streaming(streamed) if streamed.deadline().is_some_and(|at| at <= now) => {
                streamed.cut();
                return self.ending().note_lost(LossCause::Unresponsive);
            }
            _ => return,
        };
        if connection.deadline().is_none_or(|at| at > now) {
            return;
        }
        let progress = self.stream.send_progress();
        let mut lost = None;
        while let Some(expired) = connection.tick_with(now, progress) {
            self.said = expired.close_code().map_or(self.said, CloseCode::get);
            lost = lost.or_else(|| expired.loss());
        }
        if let Some(cause) = lost {
            self.ending().note_lost(cause);
        }
    }

    /// Returns its traffic.
    pub(super) fn counters(&self) -> Counters {
        let counts = &self.counts;
        let traffic = self
            .extras
            .as_ref()
            .and_then(|extras| extras.traffic.as_ref());
        let mut counters = Counters::default();
        counters.received = counts.received;
        counters.sent = counts.sent;
        counters.bytes_received = counts.bytes_received;
        counters.bytes_sent = counts.bytes_sent();
        counters.dropped = traffic.map_or(0, Traffic::dropped);
        counters
    }

    /// Returns the side that closed first, and the code of the first Close frame. An open connection is cut off by us.
    pub(super) fn first_close(&self) -> (ClosedBy, u16) {
        Ending::first_close(self.ending.as_deref(), self.said)
    }

    /// Returns the admission of a connection that is not open yet.
    pub(super) fn admission(&self) -> Option<&Admission> {
        match &self.stage {
            Stage::Opening(opening) => opening.admission.as_ref(),
            _ => None,
        }
    }
}

/// The connection, as far as errors of its callbacks are concerned.
impl OwnConnection for Peer {
    fn tag(&self) -> ConnectionTag {
        // A callback has no messages but those of its connection.
        ConnectionTag::default()
    }

    fn is_open(&self) -> bool {
        self.is_open()
    }

    fn has_met(&self, error: &Error) -> bool {
        self.ending
            .as_ref()
            .is_some_and(|ending| ending.has_met(error))
    }

    fn has_reported(&self, text: &str) -> Option<(CloseCode, String)> {
        self.ending
            .as_ref()
            .and_then(|ending| ending.has_reported(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_at_rest_is_small() {
        println!("size_of::<Peer>() = {}", size_of::<Peer>());
        println!("size_of::<Stage>() = {}", size_of::<Stage>());
        assert!(size_of::<Peer>() <= 328);
    }
}
