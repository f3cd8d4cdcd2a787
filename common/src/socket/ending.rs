//! How a connection ended, and how that is reported.
//! RFC 6455 sections 7.1.5 (the code) and 7.1.7 (failing).
//! Knows no bytes.

use std::io;

use sansws_core::close::{CloseCode, Closed};
use sansws_core::error::Violation;

use crate::error::{Error, Result};

/// The end of a connection, once it is known, and what was reported of it.
#[derive(Debug, Default)]
pub struct Ending {
    end: Option<Box<End>>,
    /// The error of a failed write.
    write_error: Option<io::Error>,
    /// The last error reported to the receiver that is not the end.
    fault: Option<Box<Fault>>,
    reported: bool,
    /// A write failed: a sender may have learned of the end before it was known.
    write_failed: bool,
}

#[derive(Debug)]
struct End {
    closed: Closed,
    violation: Option<Violation>,
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
    /// Returns whether it has ended.
    pub const fn is_known(&self) -> bool {
        self.end.is_some()
    }

    /// Returns whether the end was reported to the receiver.
    pub const fn is_reported(&self) -> bool {
        self.reported
    }

    /// Records the error of a failed write: it is the cause of the end that follows.
    pub fn note_write_error(&mut self, error: io::Error) {
        self.write_error = Some(error);
        self.write_failed = true;
    }

    /// Records that the peer closed.
    pub fn note_close(&mut self, code: Option<CloseCode>, reason: String) {
        let closed = Closed {
            code,
            reason,
            clean: true,
        };
        self.note(closed, None, None);
    }

    /// Records that the peer broke the protocol.
    pub fn note_violation(&mut self, violation: Violation) {
        self.note(vanished(), Some(violation), None);
    }

    /// Records that the connection was lost.
    pub fn note_lost(&mut self, error: Option<io::Error>) {
        self.note(vanished(), None, error);
    }

    /// Records that this side cut it off, with this code in place of one that the peer gets.
    pub fn note_cut(&mut self, code: CloseCode) {
        let closed = Closed {
            code: Some(code),
            reason: String::new(),
            clean: false,
        };
        self.note(closed, None, None);
    }

    /// Only the first end counts.
    fn note(&mut self, closed: Closed, violation: Option<Violation>, io: Option<io::Error>) {
        if self.end.is_none() {
            let io = self.write_error.take().or(io);
            self.end = Some(Box::new(End {
                closed,
                violation,
                io,
                reported_io: None,
            }));
        }
    }

    /// Records a reported error, and the close code for a handler that fails with it.
    pub fn note_fault(&mut self, error: &Error, code: CloseCode, reason: String) {
        let text = error.to_string();
        self.fault = Some(Box::new(Fault { text, code, reason }));
    }

    /// Returns how it ended.
    pub fn closed(&self) -> Option<&Closed> {
        self.end.as_ref().map(|end| &end.closed)
    }

    /// Returns how the peer broke the protocol.
    pub fn violation(&self) -> Option<Violation> {
        self.end.as_ref().and_then(|end| end.violation)
    }

    /// Returns the end as an error, however normal it was.
    pub fn disconnected(&self) -> Error {
        Error::Disconnect(Box::new(self.closed().cloned().unwrap_or_else(vanished)))
    }

    /// Returns the end as an error for a sender, however normal it was.
    pub fn error(&self) -> Error {
        match self.violation() {
            Some(violation) => violation.into(),
            None => self.disconnected(),
        }
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
        if let Some(violation) = end.violation {
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
                self.closed() == Some(&**closed) || self.write_failed && **closed == vanished()
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
        if let Some(fault) = self.fault.as_ref().filter(|fault| fault.text == text) {
            return Some((fault.code, fault.reason.clone()));
        }
        let is = |error: Error| error.to_string() == text;
        let is_end = self.is_known() && is(self.disconnected())
            || self.write_failed && is(Error::Disconnect(Box::new(vanished())))
            || self
                .violation()
                .is_some_and(|violation| is(Error::Violation(violation)));
        is_end.then(|| (CloseCode::NORMAL, String::new()))
    }
}

/// Returns an end without a Close frame: 1006.
pub fn vanished() -> Closed {
    Closed {
        code: None,
        reason: String::new(),
        clean: false,
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
