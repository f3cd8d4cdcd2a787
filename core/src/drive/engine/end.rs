//! How a connection ended, and how that is told.
//! RFC 6455 sections 7.1.5 (the code) and 7.1.7 (failing).
//! Knows no octet.

use alloc::boxed::Box;
use alloc::string::String;
use std::io;

use super::{Engine, Error, Result};
use crate::close::{CloseCode, Closed};
use crate::drive::Transport;
use crate::drive::metrics::Closer;
use crate::error::Violation;

/// How it ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) closed: Closed,
    violation: Option<Violation>,
    io: Option<io::Error>,
}

impl<T: Transport> Engine<T> {
    /// Notes how it ended, the first time.
    pub(super) fn note_end(
        &mut self,
        close: Option<(Option<CloseCode>, String)>,
        violation: Option<Violation>,
        io: Option<io::Error>,
    ) {
        if self.end.is_some() {
            return;
        }
        let clean = close.is_some();
        let io = self.fault.take().or(io);
        self.leave_hub();
        let (code, reason) = close.unwrap_or_default();
        self.end = Some(Box::new(End {
            closed: Closed {
                code,
                reason,
                clean,
            },
            violation,
            io,
        }));
    }

    /// Who closed first, with which code: that of the first Close frame. Who is still open is cut off by us.
    pub(in crate::drive) fn first_close(&self) -> (Closer, u16) {
        if self.said != 0 {
            return (Closer::Server, self.said);
        }
        match self.end.as_deref() {
            None => (Closer::Server, 1006),
            Some(End {
                violation: Some(violation),
                ..
            }) => (Closer::Server, violation.close_code().get()),
            Some(end) => (Closer::Peer, end.closed.code()),
        }
    }

    /// The end as an error, however normal it was.
    pub(in crate::drive) fn disconnected(&self) -> Error {
        let vanished = Closed {
            code: None,
            reason: String::new(),
            clean: false,
        };
        Error::Disconnect(Box::new(self.closed().cloned().unwrap_or(vanished)))
    }

    /// The end as who sends is told it, however normal it was.
    pub(super) fn end_error(&self) -> Error {
        match self.end.as_ref().and_then(|end| end.violation) {
            Some(violation) => violation.into(),
            None => self.disconnected(),
        }
    }

    pub(super) fn tell_end(&mut self) -> Result<()> {
        let told = core::mem::replace(&mut self.flags.told, true);
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
            // A reset is how some peers leave: no other kind of error says so.
            Some(error) if !told && !is_disconnect(&error) => Err(error.into()),
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
