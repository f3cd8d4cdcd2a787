//! Inflates messages.
//! RFC 7692 section 7.2.2; zlib-rs does the work.
//! Knows no limit: the caller that takes the inflated bytes may stop at any of them.

use core::fmt;

use zlib_rs::{Inflate, InflateError, InflateFlush, Status};

use super::deflater::{PART, TAIL};
use super::history::History;
use super::pool;
use crate::error::Violation;

/// A final, empty block.
const FINAL: [u8; 2] = [0x03, 0x00];

/// The largest window, as a power of two.
const LARGEST: u8 = 15;

/// An inflater, which holds a stream of zlib only inside a message.
pub(crate) struct Inflater {
    /// Present from the first part of a message to the last; without `std` it stays.
    decompress: Option<Inflate>,
    window_bits: u8,
    /// Text that the next message may refer to; with context takeover.
    history: History,
    /// A block with BFINAL set ended a zlib stream.
    ended: bool,
    /// The message has at least one byte.
    begun: bool,
}

impl Inflater {
    /// Creates one with `window_bits` from 8 to 15; a larger window than the peer's does no harm. `keeps` is context takeover.
    pub(crate) fn new(window_bits: u8, keeps: bool) -> Self {
        let window_bits = window_bits.clamp(9, 15);
        Self {
            decompress: None,
            window_bits,
            history: History::new(if keeps { 1 << window_bits } else { 0 }),
            ended: false,
            begun: false,
        }
    }

    /// Returns a stream that knows the history.
    fn start(&self) -> Inflate {
        let mut decompress = pool::take(&pool::DECOMPRESS, &self.window_bits)
            .unwrap_or_else(|| Inflate::new(false, self.window_bits));
        remind(&mut decompress, &self.history);
        decompress
    }

    /// Starts a new stream after a final block. Its window is empty: a message of many such blocks, of two bytes each, would otherwise cost
    /// as many copies of the history.
    fn restart(&mut self) {
        if let Some(decompress) = &mut self.decompress {
            renew(decompress, self.window_bits);
        }
        self.ended = false;
    }

    /// Ends a message: returns the stream to the thread.
    fn rest(&mut self) {
        if let Some(decompress) = self.decompress.take() {
            let bits = self.window_bits;
            let own = pool::give(&pool::DECOMPRESS, bits, decompress, |decompress| {
                renew(decompress, bits);
            });
            self.decompress = own.map(|mut decompress| {
                remind(&mut decompress, &self.history);
                decompress
            });
        }
        self.ended = false;
    }

    /// Inflates a part of a message and passes the bytes to `sink`, which may stop it.
    ///
    /// With `last` the tail is appended (7.2.2), and the data must end there.
    pub(crate) fn part(
        &mut self,
        bytes: &[u8],
        last: bool,
        mut sink: impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let mut room = [0; PART];
        self.begun |= !bytes.is_empty();
        if self.decompress.is_none() && self.begun {
            self.decompress = Some(self.start());
        }
        self.run(bytes, &mut room, &mut sink)?;
        if last {
            if core::mem::take(&mut self.begun) {
                self.end(&mut room)?;
            }
            self.rest();
        }
        Ok(())
    }

    /// Appends the tail: it must complete an empty block without compression, and nothing else. Data that was cut off earlier is inside
    /// another block, and takes the tail for data.
    fn end(&mut self, room: &mut [u8]) -> Result<(), Violation> {
        if !self.ended {
            self.say_nothing(&TAIL, room)?;
        }
        // A final block ended the data.
        if self.ended {
            return Ok(());
        }
        // zlib does not tell whether it is between two blocks. But only there, a further block is read as such.
        self.say_nothing(&FINAL, room)?;
        if self.ended {
            Ok(())
        } else {
            Err(Violation::DeflateInvalid)
        }
    }

    /// Inflates data that must be consumed completely and produce no output.
    fn say_nothing(&mut self, bytes: &[u8], room: &mut [u8]) -> Result<(), Violation> {
        let (taken, made, status) = self.step(bytes, room);
        let status = status.map_err(|_| Violation::DeflateInvalid)?;
        self.ended = matches!(status, Status::StreamEnd);
        if taken == bytes.len() && made == 0 {
            Ok(())
        } else {
            Err(Violation::DeflateInvalid)
        }
    }

    /// The number of bytes consumed and produced.
    fn step(
        &mut self,
        bytes: &[u8],
        room: &mut [u8],
    ) -> (usize, usize, Result<Status, InflateError>) {
        let Some(decompress) = &mut self.decompress else {
            return (bytes.len(), 0, Ok(Status::Ok));
        };
        let (in_before, out_before) = (decompress.total_in(), decompress.total_out());
        let status = decompress.decompress(bytes, room, InflateFlush::SyncFlush);
        let taken = (decompress.total_in() - in_before) as usize;
        let made = (decompress.total_out() - out_before) as usize;
        (taken, made, status)
    }

    fn run(
        &mut self,
        mut bytes: &[u8],
        room: &mut [u8],
        sink: &mut impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        loop {
            if self.ended {
                // 7.2.3.4: a block with BFINAL set ends a zlib stream, but not the message: go on with a new stream.
                if bytes.is_empty() {
                    return Ok(());
                }
                self.restart();
            }
            let (taken, made, status) = self.step(bytes, room);
            bytes = bytes.get(taken..).unwrap_or_default();
            let fresh = room.get(..made).unwrap_or_default();
            if !fresh.is_empty() {
                self.history.push(fresh);
                // Also pass on the data before the corruption: chunking must not decide which fault is found first.
                sink(fresh)?;
            }
            match status.map_err(|_| Violation::DeflateInvalid)? {
                Status::StreamEnd => self.ended = true,
                Status::Ok | Status::BufError if bytes.is_empty() && made < PART => return Ok(()),
                Status::Ok | Status::BufError if taken == 0 && made == 0 => {
                    return Err(Violation::DeflateInvalid);
                }
                Status::Ok | Status::BufError => {}
            }
        }
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        self.rest();
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("window_bits", &self.window_bits)
            .finish_non_exhaustive()
    }
}

/// Resets an inflater. Its own `reset` sets the largest window, which would accept distances beyond the negotiated window.
fn renew(inflate: &mut Inflate, window_bits: u8) {
    if window_bits == LARGEST {
        inflate.reset(false);
    } else {
        *inflate = Inflate::new(false, window_bits);
    }
}

/// Lets an inflater that has just been reset refer to the history.
fn remind(inflate: &mut Inflate, history: &History) {
    for part in history.parts() {
        if !part.is_empty() {
            // An error is impossible: the stream has no header that would name a dictionary.
            let _ = inflate.set_dictionary(part);
        }
    }
}
