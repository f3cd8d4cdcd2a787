//! A stream before its connection is open: heads, bodies and answers are read and written with a deadline.
//! RFC 9112 section 9.6: how a connection ends after its last response.
//! Knows no head: bytes go out, bytes come in.

use std::io::{self, IoSlice};

use sansws_common::Error;
use sansws_core::config::Timeouts;
use sansws_core::time::Instant;

use crate::clock::now;
use crate::poll::{Interest, Source, wait};
use crate::stream::{ByteStream, time_left};
use crate::unread::Unread;

/// A stream, and its input that nothing has taken yet.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    pub(crate) unread: Unread,
}

impl<S: ByteStream> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            unread: Unread::default(),
        }
    }

    /// Reads more input; `false` at its end.
    ///
    /// # Errors
    /// [`Error::ConnectTimeout`] at the deadline; `WouldBlock` of a stream that cannot be waited for.
    pub(crate) fn read(&mut self, deadline: Option<Instant>) -> Result<bool, Error> {
        loop {
            match self.stream.read_some(self.unread.room()) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.unread.filled(count);
                    return Ok(true);
                }
                Err(error) => self.wait_after(error, Interest::READ, deadline)?,
            }
        }
    }

    /// Reads more input, or returns `None` when the bell rings; `false` at the end of input.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub(crate) fn read_or_bell(
        &mut self,
        deadline: Option<Instant>,
        bell: Option<Source<'_>>,
    ) -> Result<Option<bool>, Error> {
        match (self.stream.read_some(self.unread.room()), bell) {
            (Ok(0), _) => Ok(Some(false)),
            (Ok(count), _) => {
                self.unread.filled(count);
                Ok(Some(true))
            }
            (Err(error), Some(bell)) if error.kind() == io::ErrorKind::WouldBlock => {
                let timeout = time_left(deadline)?;
                let own = self.stream.socket().map(|socket| socket.source());
                let own = own.map(|own| (own, Interest::READ));
                let sources: Vec<_> = own.into_iter().chain([(bell, Interest::READ)]).collect();
                wait(&sources, timeout)?;
                Ok(None)
            }
            (Err(error), _) => {
                self.wait_after(error, Interest::READ, deadline)?;
                Ok(None)
            }
        }
    }

    /// Reads at most `most` bytes, past what is unread; none at the end of input.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub(crate) fn read_at_most(
        &mut self,
        most: usize,
        deadline: Option<Instant>,
    ) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; most.min(AT_MOST)];
        loop {
            match self.stream.read_some(&mut bytes) {
                Ok(count) => {
                    bytes.truncate(count);
                    return Ok(bytes);
                }
                Err(error) => self.wait_after(error, Interest::READ, deadline)?,
            }
        }
    }

    /// Writes from the front of `bytes`, and drops what was written.
    ///
    /// # Errors
    /// As for [`read`](Self::read); the rest of `bytes` is still to be written.
    pub(crate) fn write(
        &mut self,
        bytes: &mut Vec<u8>,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        while !bytes.is_empty() {
            match self.stream.write_some(&[IoSlice::new(bytes)]) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(count) => drop(bytes.drain(..count)),
                Err(error) => self.wait_after(error, Interest::WRITE, deadline)?,
            }
        }
        loop {
            match self.stream.flush_all() {
                Ok(()) => return Ok(()),
                Err(error) => self.wait_after(error, Interest::WRITE, deadline)?,
            }
        }
    }

    /// Writes a last answer, shuts down the writing side, and reads until the peer ends its own: a reset would destroy the answer.
    pub(crate) fn answer_and_end(mut self, mut bytes: Vec<u8>, timeouts: &Timeouts) {
        let late = Some(now() + timeouts.to_take_whole(bytes.len()));
        if self.write(&mut bytes, late).is_err() || self.shut_down(late).is_err() {
            return;
        }
        // A stream that cannot be waited for could block forever.
        if self.stream.socket().is_none() {
            return;
        }
        let deadline = Some(now() + timeouts.to_end());
        loop {
            self.unread.clear();
            if deadline.is_some_and(|deadline| deadline <= now())
                || !matches!(self.read(deadline), Ok(true))
            {
                return;
            }
        }
    }

    /// Shuts down the writing side. The end of TLS is output too, for which there may be no room yet.
    fn shut_down(&mut self, deadline: Option<Instant>) -> Result<(), Error> {
        loop {
            match self.stream.shut_down() {
                Ok(()) => return Ok(()),
                Err(error) => self.wait_after(error, Interest::WRITE, deadline)?,
            }
        }
    }

    /// Waits for the socket after `WouldBlock`. A stream that is not ours, and blocks by itself, never fails with that.
    fn wait_after(
        &self,
        error: io::Error,
        interest: Interest,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        match (error.kind(), self.stream.socket()) {
            (io::ErrorKind::Interrupted, _) => Ok(()),
            (io::ErrorKind::WouldBlock, Some(socket)) => socket.wait_until(interest, deadline),
            (io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut, None)
                if deadline.is_some_and(|deadline| deadline <= now()) =>
            {
                Err(Error::ConnectTimeout(None))
            }
            _ => Err(error.into()),
        }
    }
}

/// Maximum number of bytes that are read at once where no byte too many may be read.
const AT_MOST: usize = 512;
