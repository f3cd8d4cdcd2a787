//! A response that is written while it is made: its bytes, and how far its end has come.
//! RFC 9112 section 7.1.
//! Knows its own bytes, and no loop.

use std::io::{self, IoSlice};
use std::sync::Arc;

use sansws_core::close::Closed;
use sansws_core::config::Config;
use sansws_core::error::SendError;
use sansws_core::internal::{LAST_CHUNK, MAX_MEANWHILE, write_chunk};
use sansws_core::message::{MessageKind, StreamFormat};
use sansws_core::time::Instant;

use crate::stream::Stream;

/// A streamed response.
#[derive(Debug)]
pub(super) struct Streamed {
    config: Arc<Config>,
    format: StreamFormat,
    /// Messages that are in no chunk yet.
    body: Vec<u8>,
    /// Bytes of which `written` are written.
    out: Vec<u8>,
    written: usize,
    stage: Ending,
    /// When a peer that does not take all of `out` is given up.
    late: Option<Instant>,
    /// The number of bytes that the peer has sent meanwhile.
    ignored: usize,
}

/// How far its end has come.
#[derive(Debug)]
enum Ending {
    Open,
    /// It is to end; the endpoint does not know.
    Begun(Closed),
    /// The endpoint says its last words, for which there is room beside this number of bytes that it sent before.
    Told(Closed, usize),
    /// The last chunk is in the output.
    Last(Closed),
    /// All is written; the peer ends TCP.
    Shut(Instant),
    /// It ends without its last chunk, which the peer notices.
    Cut,
}

impl Streamed {
    /// Creates one whose head is unwritten.
    pub(super) const fn new(config: Arc<Config>, format: StreamFormat, head: Vec<u8>) -> Self {
        Self {
            config,
            format,
            body: Vec::new(),
            out: head,
            written: 0,
            stage: Ending::Open,
            late: None,
            ignored: 0,
        }
    }

    pub(super) const fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Returns whether messages can be sent, but for last words.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.stage, Ending::Open)
    }

    pub(super) const fn is_cut(&self) -> bool {
        matches!(self.stage, Ending::Cut)
    }

    /// Returns the number of unsent bytes.
    pub(super) const fn queued(&self) -> usize {
        self.body.len() + self.out.len() - self.written
    }

    pub(super) fn has_room(&self) -> bool {
        let before = match self.stage {
            Ending::Told(_, before) => before,
            _ => 0,
        };
        self.queued().saturating_sub(before) < self.config.limits.queue_bound()
    }

    /// Returns when something is due, if nothing happens before.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Ending::Shut(until) => Some(until),
            _ => self.late,
        }
    }

    /// Adds a message.
    pub(super) fn put(&mut self, kind: MessageKind, message: &[u8]) -> Result<(), SendError> {
        match self.stage {
            Ending::Open | Ending::Told(..) if !self.has_room() => Err(SendError::QueueFull),
            Ending::Open | Ending::Told(..) => {
                self.format.write(kind, message, &mut self.body);
                Ok(())
            }
            _ => Err(SendError::Closing),
        }
    }

    /// Writes as much as the stream takes; returns how much that is, and what stopped it.
    pub(super) fn flush(&mut self, stream: &mut Stream, now: Instant) -> (usize, io::Result<()>) {
        let mut bytes = 0;
        let flushed = self.write(stream, &mut bytes);
        if let Err(error) = &flushed
            && error.kind() == io::ErrorKind::WouldBlock
        {
            let wait = self.config.timeouts.to_take(self.out.len());
            self.late.get_or_insert(now + wait);
        }
        (bytes, flushed)
    }

    fn write(&mut self, stream: &mut Stream, bytes: &mut usize) -> io::Result<()> {
        loop {
            while let Some(rest) = self.out.get(self.written..)
                && !rest.is_empty()
            {
                match stream.write(&[IoSlice::new(rest)]) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => {
                        self.written += count;
                        *bytes += count;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            stream.flush()?;
            // A stream at rest has no buffers.
            (self.out, self.written, self.late) = (Vec::new(), 0, None);
            if self.body.is_empty() {
                return Ok(());
            }
            write_chunk(&std::mem::take(&mut self.body), &mut self.out);
        }
    }

    /// Begins to end, unless it does.
    pub(super) fn leave(&mut self, closed: Closed) -> bool {
        let is_open = self.is_open();
        if is_open {
            self.stage = Ending::Begun(closed);
        }
        is_open
    }

    /// Ends without the last chunk.
    pub(super) fn cut(&mut self) {
        self.stage = Ending::Cut;
    }

    /// Returns how it ends, once, so that the endpoint can say its last words.
    pub(super) fn begin_last(&mut self) -> Option<Closed> {
        let Ending::Begun(closed) = &self.stage else {
            return None;
        };
        let closed = closed.clone();
        self.stage = Ending::Told(closed.clone(), self.queued());
        Some(closed)
    }

    /// Ends the body: the endpoint has said its last words.
    pub(super) fn end_body(&mut self) {
        if let Ending::Told(closed, _) = &self.stage {
            let closed = closed.clone();
            write_chunk(&std::mem::take(&mut self.body), &mut self.out);
            self.out.extend_from_slice(LAST_CHUNK);
            self.stage = Ending::Last(closed);
        }
    }

    /// Returns how it has ended, if all of it is written.
    pub(super) fn ended(&self) -> Option<&Closed> {
        match &self.stage {
            Ending::Last(closed) if self.queued() == 0 => Some(closed),
            _ => None,
        }
    }

    /// The writing side of the stream has ended: the peer ends the other one until this time.
    pub(super) fn shut(&mut self, until: Instant) {
        self.stage = Ending::Shut(until);
    }

    /// The peer has sent bytes; returns whether it may send more.
    pub(super) fn ignore(&mut self, bytes: usize) -> bool {
        self.ignored += bytes;
        self.ignored <= MAX_MEANWHILE || matches!(self.stage, Ending::Shut(_))
    }
}
