//! How a connection ended, and how that is reported.
//! RFC 6455 sections 7.1.5 (the code) and 7.1.7 (failing).
//! Knows no bytes.

use std::io;

use crate::metrics::ClosedBy;
use crate::socket::engine::{Engine, Error, Result};
use crate::transport::Transport;
use sansws_core::close::{CloseCode, Closed};
use sansws_core::error::{SendError, Violation};

/// How it ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) closed: Closed,
    violation: Option<Violation>,
    io: Option<io::Error>,
    /// The kind of `io`, once it was reported.
    told_io: Option<io::ErrorKind>,
}

/// An error that was reported for a connection, by its text, with its meaning.
#[derive(Debug)]
pub(super) struct Fault {
    text: String,
    code: CloseCode,
    reason: String,
}

impl<T: Transport> Engine<T> {
    pub(super) fn end(&self) -> Option<&End> {
        self.rare.as_ref()?.end.as_deref()
    }

    /// Returns whether it has ended.
    #[inline]
    pub(super) fn is_ended(&self) -> bool {
        self.end().is_some()
    }

    /// Records how it ended, the first time.
    pub(super) fn note_end(
        &mut self,
        close: Option<(Option<CloseCode>, String)>,
        violation: Option<Violation>,
        io: Option<io::Error>,
    ) {
        if self.is_ended() {
            return;
        }
        let clean = close.is_some();
        let io = self.rare_mut().write_error.take().or(io);
        self.leave_hub();
        let (code, reason) = close.unwrap_or_default();
        self.rare_mut().end = Some(Box::new(End {
            closed: Closed {
                code,
                reason,
                clean,
            },
            violation,
            io,
            told_io: None,
        }));
    }

    /// Returns the side that closed first, and the code of the first Close frame. An open connection is cut off by us.
    pub(crate) fn first_close(&self) -> (ClosedBy, u16) {
        if self.said != 0 {
            return (ClosedBy::Server, self.said);
        }
        match self.end() {
            None => (ClosedBy::Server, 1006),
            Some(End {
                violation: Some(violation),
                ..
            }) => (ClosedBy::Server, violation.close_code().get()),
            Some(end) => (ClosedBy::Peer, end.closed.code()),
        }
    }

    /// Returns the end as an error, however normal it was.
    pub(crate) fn disconnected(&self) -> Error {
        let vanished = Closed {
            code: None,
            reason: String::new(),
            clean: false,
        };
        Error::Disconnect(Box::new(self.closed().cloned().unwrap_or(vanished)))
    }

    /// Returns the end as an error for a sender, however normal it was.
    pub(super) fn end_error(&self) -> Error {
        match self.violation() {
            Some(violation) => violation.into(),
            None => self.disconnected(),
        }
    }

    /// Returns whether a stream of messages has returned its last item.
    pub(crate) const fn is_stream_over(&self) -> bool {
        self.flags.over
    }

    pub(crate) const fn end_stream(&mut self) {
        self.flags.over = true;
    }

    pub(crate) fn closed(&self) -> Option<&Closed> {
        self.end().map(|end| &end.closed)
    }

    /// Returns how the peer broke the protocol.
    pub(crate) fn violation(&self) -> Option<Violation> {
        self.end().and_then(|end| end.violation)
    }

    /// Returns the kind of the transport error that was reported.
    pub(crate) fn told_io(&self) -> Option<io::ErrorKind> {
        self.end().and_then(|end| end.told_io)
    }

    /// Records a reported error, and the close code for a handler that fails with it.
    pub(crate) fn note_fault(&mut self, error: &Error, code: CloseCode, reason: String) {
        let text = error.to_string();
        self.rare_mut().fault = Some(Box::new(Fault { text, code, reason }));
    }

    /// Returns the meaning of an error with this text, if it was reported for this connection: some wrappers hide all but the text.
    pub(crate) fn has_told(&self, text: &str) -> Option<(CloseCode, String)> {
        let fault = self.rare.as_ref().and_then(|rare| rare.fault.as_ref());
        if let Some(fault) = fault.filter(|fault| fault.text == text) {
            return Some((fault.code, fault.reason.clone()));
        }
        let is = |error: Error| error.to_string() == text;
        let violated = |violation| is(Error::Violation(violation));
        let told = self.is_ended() && is(self.disconnected())
            || self.violation().is_some_and(violated)
            || !self.connection.is_open() && is(SendError::Closing.into());
        told.then(|| (CloseCode::NORMAL, String::new()))
    }

    pub(super) fn tell_end(&mut self) -> Result<(), Error> {
        let told = std::mem::replace(&mut self.flags.told, true);
        let end = self.rare.as_mut().and_then(|rare| rare.end.as_mut());
        let Some(end) = end else {
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
            Some(error) if !told && !is_disconnect(&error) => {
                end.told_io = Some(error.kind());
                let error = Error::Io(error);
                self.note_fault(&error, CloseCode::NORMAL, String::new());
                Err(error)
            }
            _ => Err(self.disconnected()),
        }
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
