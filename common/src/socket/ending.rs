//! How a connection ended, and how that is reported.
//! RFC 6455 sections 7.1.5 (the code) and 7.1.7 (failing).
//! Knows no bytes.

use std::io;

use sansws_core::close::{CloseCode, Closed, LossCause};
use sansws_core::error::Violation;
use sansws_core::http::Url;

use crate::client::trace;
use crate::error::{Error, Result};
use crate::metrics::ClosedBy;

/// The end of a connection, once it is known, and what was reported of it.
#[derive(Debug, Default)]
pub struct Ending {
    end: Option<Box<End>>,
    /// The error of a failed write.
    write_error: Option<io::Error>,
    details: Option<Box<Details>>,
    reported: bool,
    /// Why a write failed, if one did: a sender may have learned of the end before it was known.
    write_failure: Option<LossCause>,
}

/// State that few connections have.
#[derive(Debug, Default)]
struct Details {
    /// The last error reported to the receiver that is not the end.
    fault: Option<Fault>,
    /// Where a client is connected whose end `tracing` is told of.
    client: Option<Url>,
}

#[derive(Debug)]
struct End {
    closed: Closed,
    io: Option<io::Error>,
    /// The kind of `io`, once it was reported.
    reported_io: Option<io::ErrorKind>,
}

/// An error that was reported for a connection, by its text, with its meaning.
#[derive(Debug)]
struct Fault {
    text: String,
    code: CloseCode,
    reason: String,
}

impl Ending {
    /// Once this is dropped, `tracing` is told how the connection of a client to this URL ended: application code runs only then, when no
    /// lock is held.
    pub fn tell_client(&mut self, url: Url) {
        self.details.get_or_insert_default().client = Some(url);
    }

    /// Tells nothing: the stream goes on with another protocol.
    pub fn tell_nothing(&mut self) {
        if let Some(details) = &mut self.details {
            details.client = None;
        }
    }

    /// Returns whether it has ended.
    pub const fn is_known(&self) -> bool {
        self.end.is_some()
    }

    /// Returns whether the end was reported to the receiver.
    pub const fn is_reported(&self) -> bool {
        self.reported
    }

    /// Records the error of a failed write: it is the cause of the end that follows. Only the first counts.
    pub fn note_write_error(&mut self, error: io::Error) {
        if self.write_failure.is_none() {
            self.write_failure = Some(cause_of(&error));
            self.write_error = Some(error);
        }
    }

    /// Records that the peer closed.
    pub fn note_close(&mut self, code: Option<CloseCode>, reason: String) {
        let closed = Closed {
            code,
            reason,
            clean: true,
            cause: None,
        };
        self.note(closed, None);
    }

    /// Records that the peer broke the protocol.
    pub fn note_violation(&mut self, violation: Violation) {
        let closed = lost(Some(LossCause::Violation(violation)));
        self.note(closed, None);
    }

    /// Records that the connection was lost. A write that failed before is the cause.
    pub fn note_lost(&mut self, cause: LossCause) {
        self.note(lost(self.write_failure.or(Some(cause))), None);
    }

    /// Records that the transport failed, as [`note_lost`](Self::note_lost).
    pub fn note_failed(&mut self, error: io::Error) {
        let cause = self.write_failure.unwrap_or_else(|| cause_of(&error));
        self.note(lost(Some(cause)), Some(error));
    }

    /// Records that this side cut it off, with this code in place of one that the peer gets.
    pub fn note_cut(&mut self, code: CloseCode) {
        let closed = Closed {
            code: Some(code),
            reason: String::new(),
            clean: false,
            cause: None,
        };
        self.note(closed, None);
    }

    /// Only the first end counts.
    fn note(&mut self, closed: Closed, io: Option<io::Error>) {
        if self.end.is_none() {
            let io = self.write_error.take().or(io);
            self.end = Some(Box::new(End {
                closed,
                io,
                reported_io: None,
            }));
        }
    }

    /// Records a reported error, and the close code for a handler that fails with it.
    pub fn note_fault(&mut self, error: &Error, code: CloseCode, reason: String) {
        let text = error.to_string();
        self.details.get_or_insert_default().fault = Some(Fault { text, code, reason });
    }

    /// Returns how it ended.
    pub fn closed(&self) -> Option<&Closed> {
        self.end.as_ref().map(|end| &end.closed)
    }

    /// Returns how the peer broke the protocol.
    pub fn violation(&self) -> Option<Violation> {
        match self.closed()?.cause {
            Some(LossCause::Violation(violation)) => Some(violation),
            _ => None,
        }
    }

    /// Returns which side closed first, and with which code, for a connection with this end, if it has ended. `said` is the code of our own
    /// Close frame that was not an answer: 1005 for none, 0 if there was no such frame. What is cut off is closed by us.
    pub fn first_close(ending: Option<&Self>, said: u16) -> (ClosedBy, u16) {
        if said != 0 {
            return (ClosedBy::Server, said);
        }
        let Some(closed) = ending.and_then(Self::closed) else {
            return (ClosedBy::Server, 1006);
        };
        match closed.cause {
            Some(LossCause::Violation(violation)) => {
                (ClosedBy::Server, violation.close_code().get())
            }
            Some(LossCause::Aborted) => (ClosedBy::Server, closed.code()),
            _ => (ClosedBy::Peer, closed.code()),
        }
    }

    /// Returns the end as an error, however normal it was.
    pub fn disconnected(&self) -> Error {
        Error::Disconnect(Box::new(self.known_so_far()))
    }

    /// Returns the end as an error for a sender, however normal it was.
    pub fn error(&self) -> Error {
        Error::of_end(self.known_so_far())
    }

    /// Returns how it ended, as far as that is known.
    fn known_so_far(&self) -> Closed {
        let closed = self.closed().cloned();
        closed.unwrap_or_else(|| lost(self.write_failure))
    }

    /// Reports the end to the receiver.
    ///
    /// # Errors
    /// When it is not a normal end. A transport error is reported once.
    pub fn report(&mut self) -> Result<(), Error> {
        let reported = std::mem::replace(&mut self.reported, true);
        let Some(end) = &mut self.end else {
            return Ok(());
        };
        if let Some(LossCause::Violation(violation)) = end.closed.cause {
            return Err(violation.into());
        }
        if end.closed.is_normal() {
            return Ok(());
        }
        match end.io.take() {
            // Some peers leave with a reset: no other error kind means that.
            Some(error) if !reported && !is_disconnect(&error) => {
                end.reported_io = Some(error.kind());
                let error = Error::Io(error);
                self.note_fault(&error, CloseCode::NORMAL, String::new());
                Err(error)
            }
            _ => Err(self.disconnected()),
        }
    }

    /// Returns whether this is how the connection ended.
    pub fn has_met(&self, error: &Error) -> bool {
        match error {
            Error::Disconnect(closed) => {
                self.closed() == Some(&**closed) || self.was_told_early(|end| end == **closed)
            }
            Error::Violation(violation) => self.violation() == Some(*violation),
            Error::Io(error) => {
                self.end.as_ref().and_then(|end| end.reported_io) == Some(error.kind())
            }
            _ => false,
        }
    }

    /// Returns the meaning of an error with this text, if it was reported for this connection: some wrappers hide all but the text.
    pub fn has_reported(&self, text: &str) -> Option<(CloseCode, String)> {
        let fault = self.details.as_ref().and_then(|of| of.fault.as_ref());
        if let Some(fault) = fault.filter(|fault| fault.text == text) {
            return Some((fault.code, fault.reason.clone()));
        }
        let is = |error: Error| error.to_string() == text;
        let is_end = self.is_known() && is(self.disconnected())
            || self.was_told_early(|end| is(Error::Disconnect(Box::new(end))))
            || self
                .violation()
                .is_some_and(|violation| is(Error::Violation(violation)));
        is_end.then(|| (CloseCode::NORMAL, String::new()))
    }

    /// Returns whether a sender may have been told such an end before the real one was known.
    fn was_told_early(&self, is: impl Fn(Closed) -> bool) -> bool {
        let mut told = [None, self.write_failure].into_iter();
        self.write_failure.is_some() && told.any(|cause| is(lost(cause)))
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let details = self.details.take();
        if let Some(url) = details.and_then(|details| details.client) {
            let aborted = || lost(self.write_failure.or(Some(LossCause::Aborted)));
            let end = self.end.take().map(|end| end.closed);
            trace::ended(&url, &end.unwrap_or_else(aborted));
        }
    }
}

/// Returns an end without a Close frame, 1006, of which nothing more is known.
pub fn vanished() -> Closed {
    lost(None)
}

const fn lost(cause: Option<LossCause>) -> Closed {
    Closed {
        code: None,
        reason: String::new(),
        clean: false,
        cause,
    }
}

/// Returns how a connection was lost whose transport failed with this error.
fn cause_of(error: &io::Error) -> LossCause {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkDown,
        NetworkUnreachable, NotConnected, TimedOut, UnexpectedEof,
    };
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected => LossCause::Reset,
        // TLS that ends without its last words.
        UnexpectedEof => LossCause::EndOfStream,
        TimedOut => LossCause::TcpTimeout,
        HostUnreachable | NetworkDown | NetworkUnreachable => LossCause::Unreachable,
        _ => LossCause::Transport,
    }
}

fn is_disconnect(error: &io::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof, WriteZero,
    };
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof | WriteZero
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use io::ErrorKind;

    fn disconnect(cause: Option<LossCause>) -> Error {
        Error::Disconnect(Box::new(lost(cause)))
    }

    #[test]
    fn each_error_of_a_transport_has_its_cause() {
        let cases = [
            (ErrorKind::ConnectionReset, LossCause::Reset),
            (ErrorKind::ConnectionAborted, LossCause::Reset),
            (ErrorKind::BrokenPipe, LossCause::Reset),
            (ErrorKind::NotConnected, LossCause::Reset),
            (ErrorKind::UnexpectedEof, LossCause::EndOfStream),
            (ErrorKind::TimedOut, LossCause::TcpTimeout),
            (ErrorKind::HostUnreachable, LossCause::Unreachable),
            (ErrorKind::NetworkUnreachable, LossCause::Unreachable),
            (ErrorKind::NetworkDown, LossCause::Unreachable),
            (ErrorKind::InvalidData, LossCause::Transport),
            (ErrorKind::WriteZero, LossCause::Transport),
        ];
        for (kind, cause) in cases {
            let mut ending = Ending::default();
            ending.note_failed(kind.into());
            assert_eq!(ending.closed().unwrap().cause, Some(cause), "{kind:?}");
            // Later ends change nothing.
            ending.note_lost(LossCause::Aborted);
            assert_eq!(ending.closed().unwrap().cause, Some(cause), "{kind:?}");
        }
    }

    #[test]
    fn a_failed_write_is_the_cause_of_the_end_unless_the_peer_said_another() {
        let failed = || {
            let mut ending = Ending::default();
            ending.note_write_error(ErrorKind::TimedOut.into());
            ending.note_write_error(ErrorKind::BrokenPipe.into());
            ending
        };
        let cause = |ending: &Ending| ending.closed().unwrap().cause;
        let mut ending = failed();
        ending.note_lost(LossCause::EndOfStream);
        assert_eq!(cause(&ending), Some(LossCause::TcpTimeout));
        let mut ending = failed();
        ending.note_failed(ErrorKind::ConnectionReset.into());
        assert_eq!(cause(&ending), Some(LossCause::TcpTimeout));
        let mut ending = failed();
        ending.note_violation(Violation::ReservedBit);
        let broken = LossCause::Violation(Violation::ReservedBit);
        assert_eq!(cause(&ending), Some(broken));
        let mut ending = failed();
        ending.note_close(Some(CloseCode::AWAY), String::new());
        assert_eq!(cause(&ending), None);
    }

    #[test]
    fn an_error_told_to_a_sender_before_the_end_is_known_names_that_end() {
        let mut ending = Ending::default();
        let early = |ending: &Ending| {
            let met = |cause| {
                let error = disconnect(cause);
                let by_text = ending.has_reported(&error.to_string()).is_some();
                assert_eq!(ending.has_met(&error), by_text, "{error}");
                by_text
            };
            [None, Some(LossCause::Reset), Some(LossCause::Unresponsive)].map(met)
        };
        assert_eq!(early(&ending), [false; 3]);
        ending.note_write_error(ErrorKind::BrokenPipe.into());
        let told = ending.disconnected().to_string();
        assert_eq!(told, disconnect(Some(LossCause::Reset)).to_string());
        assert_eq!(early(&ending), [true, true, false]);
        ending.note_close(Some(CloseCode::NORMAL), String::new());
        assert_eq!(early(&ending), [true, true, false]);
    }

    #[test]
    fn an_end_that_is_not_known_takes_little() {
        println!("size_of::<Ending>() = {}", size_of::<Ending>());
        assert!(size_of::<Ending>() <= 32);
    }
}
