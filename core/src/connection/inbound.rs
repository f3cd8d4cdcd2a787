//! Bytes to events: frames, fragments, limits, inflation, UTF-8, in that order.
//! RFC 6455 sections 5.2 to 5.6, 6.2, 8.1 and 10.4; RFC 7692 section 7.2.2.
//! Knows what a frame means for its message; `state` knows the meaning of Close.

use alloc::boxed::Box;
use core::ops::Range;

use super::deadline::Clock;
use super::{Connection, State};
use crate::copy::{append, append_text};
use crate::error::Violation;
use crate::frame::{Expect, Header, MessageKind, Opcode, WholeMessage};
use crate::mask::Mask;
use crate::message::Assembly;
use crate::time::Instant;
use crate::utf8::Scanner;

/// Number of compressed bytes that are inflated at once when a message is returned in chunks: they yield at most 132 KiB.
const INFLATED_AT_ONCE: usize = 128;

/// Number of inflated bytes at which a chunk is returned.
const PIECE: usize = 64 << 10;

/// How messages are returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Whole,
    Pieces,
}

/// The result of reading a frame; ranges refer to the input.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    Assembled {
        kind: MessageKind,
    },
    /// A chunk of a message; it is in the assembly if there is no range.
    Piece {
        kind: MessageKind,
        range: Option<Range<usize>>,
        first: bool,
        last: bool,
    },
    Ping(Range<usize>),
    Pong(Range<usize>),
    Close(Range<usize>),
}

/// The state of a message after a direct read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direct {
    More,
    Done,
}

/// A data frame whose payload is arriving.
#[derive(Clone, Copy, Debug)]
struct Frame {
    left: u64,
    mask: Option<Mask>,
    fin: bool,
}

/// A message that has started and not ended.
#[derive(Debug)]
struct Begun {
    /// Its frame whose payload is arriving.
    frame: Option<Frame>,
    kind: MessageKind,
    compressed: bool,
    /// A chunk was returned: the rest is returned in chunks too.
    streamed: bool,
    /// It did not end with the input that started it: `since` is the time of that.
    timed: bool,
    frames: u32,
    since: Instant,
    utf8: Scanner,
}

/// The message that is arriving. It is boxed, because a connection at rest has none, nor does a message need it that is all here.
#[derive(Debug, Default)]
pub(super) struct Inbound(Option<Box<Begun>>);

impl Inbound {
    /// Returns whether a message has started and not ended.
    pub(super) const fn inside(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the number of bytes of heap memory held.
    pub(super) const fn heap(&self) -> usize {
        if self.inside() { size_of::<Begun>() } else { 0 }
    }

    /// Returns when the message that is being assembled started.
    pub(super) fn assembling_since(&self) -> Option<Instant> {
        let message = self.0.as_ref();
        message
            .filter(|message| message.timed && !message.streamed)
            .map(|message| message.since)
    }

    /// Counts a started message as starting now.
    pub(super) fn restart(&mut self, now: Instant) {
        if let Some(message) = &mut self.0 {
            message.since = now;
        }
    }

    /// There is no more input: records when an incomplete message started.
    pub(super) fn time(&mut self, clock: Clock<'_>) {
        if let Some(message) = &mut self.0
            && !message.timed
        {
            (message.timed, message.since) = (true, clock());
        }
    }

    /// Returns how much of the payload that is arriving is missing, if it can be read directly into the assembly.
    pub(super) fn direct_left(&self) -> Option<u64> {
        let message = self.0.as_ref()?;
        let direct =
            message.kind == MessageKind::Binary && !message.compressed && !message.streamed;
        message.frame.filter(|_| direct).map(|frame| frame.left)
    }

    /// Returns how much of the payload that is arriving is missing; `None` before the next header.
    fn left(&self) -> Option<u64> {
        let frame = self.0.as_ref().and_then(|message| message.frame.as_ref());
        frame.map(|frame| frame.left)
    }

    pub(super) fn next_data(&self, input: &[u8], expect: Expect) -> Option<u64> {
        match self.left() {
            Some(left) if !input.is_empty() => Some(left),
            Some(_) => None,
            None => match Header::parse(input, expect) {
                Ok(Some((header, _))) if !header.opcode.is_control() => Some(header.length),
                _ => None,
            },
        }
    }
}

/// The result of processing a part of a payload.
struct Absorbed {
    /// The range of the readable part, if it is in the input; relative to the part.
    range: Option<Range<usize>>,
}

impl Connection {
    pub(super) const fn expect(&self) -> Expect {
        Expect {
            masked: self.keys.is_none(),
            inside_message: self.inbound.inside(),
            deflate: self.deflate.is_some(),
        }
    }

    /// Takes frames until there is an event: returns the number of processed bytes, and what was found.
    pub(super) fn find(
        &mut self,
        input: &mut [u8],
        assembly: &mut Assembly,
        mode: Mode,
    ) -> Result<(usize, Found), Violation> {
        let mut at = 0;
        loop {
            if matches!(self.state, State::Lingering { .. } | State::Closed { .. }) {
                self.times.surplus |= at < input.len();
                return Ok((input.len(), Found::Nothing));
            }
            if let Some(left) = self.inbound.left() {
                let rest = input.get_mut(at..).unwrap_or_default();
                if rest.is_empty() && left > 0 {
                    return Ok((at, Found::Nothing));
                }
                let start = at;
                let (found, taken) = self.payload(rest, assembly, mode)?;
                at += taken;
                match found {
                    Found::Nothing => continue,
                    Found::Piece {
                        kind,
                        range,
                        first,
                        last,
                    } => {
                        let range = range.map(|range| range.start + start..range.end + start);
                        return Ok((
                            at,
                            Found::Piece {
                                kind,
                                range,
                                first,
                                last,
                            },
                        ));
                    }
                    found => return Ok((at, found)),
                }
            }

            let rest = input.get_mut(at..).unwrap_or_default();
            let Some((header, taken)) = Header::parse(rest, self.expect())? else {
                return Ok((at, Found::Nothing));
            };
            let length = usize::try_from(header.length).ok();
            let end = length.and_then(|length| length.checked_add(taken));
            let body = end.and_then(|end| rest.get_mut(taken..end));
            let range = at + taken..at + end.unwrap_or(0);

            if header.opcode.is_control() {
                let Some(body) = body else {
                    return Ok((at, Found::Nothing));
                };
                unmask(header.mask.map(Mask::new).as_mut(), body);
                at = range.end;
                match header.opcode {
                    Opcode::Ping if self.is_open() => {
                        self.pinged(body);
                        return Ok((at, Found::Ping(range)));
                    }
                    Opcode::Pong => return Ok((at, Found::Pong(range))),
                    Opcode::Close => return Ok((at, Found::Close(range))),
                    // 5.5.2: no pong once Close was sent
                    _ => continue,
                }
            }

            self.admit(&header, assembly, mode)?;
            at += taken;
        }
    }

    /// Returns where an uncompressed message in one frame lies, if the input starts with one that is all here: the common case, in few
    /// steps. All else, and all that is wrong, is left to [`find`](Self::find).
    #[inline]
    pub(super) fn find_whole(&self, input: &[u8]) -> Option<WholeMessage> {
        if !self.is_open() || self.inbound.inside() {
            return None;
        }
        let whole = Header::whole_message(input, self.keys.is_none())?;
        let (length, limits) = (whole.payload.len() as u64, &self.config.limits);
        let fits = length <= limits.frame && length <= limits.message && limits.fragments > 0;
        fits.then_some(whole)
    }

    /// Checks a data frame's header against the limits, before its payload costs anything.
    fn admit(
        &mut self,
        header: &Header,
        assembly: &mut Assembly,
        mode: Mode,
    ) -> Result<(), Violation> {
        let limits = &self.config.limits;
        let begun = self.inbound.0.get_or_insert_with(|| {
            assembly.freshen();
            let kind = if header.opcode == Opcode::Text {
                MessageKind::Text
            } else {
                MessageKind::Binary
            };
            Box::new(Begun {
                frame: None,
                kind,
                compressed: header.compressed,
                streamed: false,
                timed: false,
                frames: 0,
                since: Instant::ZERO,
                utf8: Scanner::default(),
            })
        });
        begun.frames = begun.frames.saturating_add(1);
        begun.frame = Some(Frame {
            left: header.length,
            mask: header.mask.map(Mask::new),
            fin: header.fin,
        });
        if begun.frames > limits.fragments {
            return Err(Violation::TooManyFragments);
        }
        if mode == Mode::Whole && !begun.streamed {
            if header.length > limits.frame {
                return Err(Violation::FrameTooLarge);
            }
            let assembled = (assembly.pending_bytes() + begun.utf8.held()) as u64;
            if !begun.compressed && assembled.saturating_add(header.length) > limits.message {
                return Err(Violation::MessageTooLarge);
            }
        }
        Ok(())
    }

    /// Takes the part of a data frame's payload that has arrived.
    fn payload(
        &mut self,
        rest: &mut [u8],
        assembly: &mut Assembly,
        mode: Mode,
    ) -> Result<(Found, usize), Violation> {
        let Some(mut begun) = self.inbound.0.take() else {
            return Ok((Found::Nothing, 0));
        };
        let Some(mut frame) = begun.frame.take() else {
            self.inbound.0 = Some(begun);
            return Ok((Found::Nothing, 0));
        };
        let here = usize::try_from(frame.left)
            .unwrap_or(usize::MAX)
            .min(rest.len());
        let pieces = mode == Mode::Pieces || begun.streamed;
        // A few bytes may inflate to a thousand times as many: the size of a chunk is checked in between.
        let taken = if pieces && begun.compressed {
            here.min(INFLATED_AT_ONCE)
        } else {
            here
        };
        let part = rest.get_mut(..taken).unwrap_or_default();
        frame.left -= taken as u64;
        let last = frame.left == 0 && frame.fin;
        // Data that was already returned is removed from the assembly now.
        if begun.streamed {
            assembly.freshen();
        }

        let mut range = None;
        // 5.5.1: after our Close, data is ignored
        if self.is_open() {
            unmask(frame.mask.as_mut(), part);
            match self.absorb(&mut begun, part, last, assembly, pieces) {
                Ok(absorbed) => range = absorbed.range,
                Err(violation) => {
                    // The assembly may hold a part of it.
                    self.inbound.0 = Some(begun);
                    return Err(violation);
                }
            }
        }

        begun.frame = (frame.left > 0).then_some(frame);
        let first = !begun.streamed;
        let grows = taken < here && assembly.pending_bytes() < PIECE;
        let ready = self.is_open()
            && (last
                || (pieces
                    && !grows
                    && (range.as_ref().is_some_and(|range| !range.is_empty())
                        || assembly.pending_bytes() > 0)));
        begun.streamed |= pieces && ready;
        let kind = begun.kind;
        self.inbound.0 = (!last).then_some(begun);
        if !ready {
            return Ok((Found::Nothing, taken));
        }
        if range.is_none() {
            assembly.stale = true;
        }
        if last {
            self.times.message = self.times.heard;
        }
        Ok((
            if pieces {
                Found::Piece {
                    kind,
                    range,
                    first,
                    last,
                }
            } else {
                Found::Assembled { kind }
            },
            taken,
        ))
    }

    /// Takes the last `count` bytes of the assembly as payload.
    pub(super) fn take_direct(&mut self, assembly: &mut Assembly, count: usize) -> Direct {
        let start = assembly.bytes.len().saturating_sub(count);
        let is_direct = self.inbound.direct_left().is_some();
        let message = self.inbound.0.as_mut().filter(|_| is_direct);
        let Some(frame) = message.and_then(|message| message.frame.as_mut()) else {
            assembly.bytes.truncate(start);
            return Direct::More;
        };
        let taken = usize::try_from(frame.left).map_or(count, |left| left.min(count));
        assembly.bytes.truncate(start + taken);
        let part = assembly.bytes.get_mut(start..).unwrap_or_default();
        unmask(frame.mask.as_mut(), part);
        frame.left -= part.len() as u64;
        if frame.left > 0 {
            return Direct::More;
        }
        if !frame.fin {
            if let Some(message) = &mut self.inbound.0 {
                message.frame = None;
            }
            return Direct::More;
        }
        self.inbound.0 = None;
        assembly.stale = true;
        // 5.5.1: after our Close, data is ignored
        if !self.is_open() {
            return Direct::More;
        }
        self.times.message = self.times.heard;
        Direct::Done
    }

    /// Inflates, validates and stores a part of a message; in chunks, data that can be lent from the input is not stored.
    fn absorb(
        &mut self,
        begun: &mut Begun,
        part: &[u8],
        last: bool,
        assembly: &mut Assembly,
        pieces: bool,
    ) -> Result<Absorbed, Violation> {
        let bound = if pieces {
            u64::MAX
        } else {
            self.config.limits.message
        };
        let mut range = None;
        if begun.compressed {
            self.compression
                .inflate(self.deflate, part, last, |fresh| {
                    store(&mut begun.utf8, begun.kind, fresh, assembly, bound)
                })?;
        } else if pieces && assembly.pending_bytes() == 0 {
            match begun.kind {
                MessageKind::Binary => range = Some(0..part.len()),
                MessageKind::Text => {
                    let held = begun.utf8.held() > 0;
                    let fed = begun.utf8.feed(part);
                    let readable = fed.map_err(|_| Violation::InvalidUtf8)?;
                    if held {
                        assembly.text.extend(readable.first);
                        append_text(&mut assembly.text, readable.rest);
                    } else {
                        range = Some(0..readable.rest.len());
                    }
                }
            }
        } else {
            store(&mut begun.utf8, begun.kind, part, assembly, bound)?;
        }
        // 8.1: the validator is finished on FIN, also when the last frame is empty
        if last && begun.kind == MessageKind::Text {
            let finished = begun.utf8.finish();
            finished.map_err(|_| Violation::InvalidUtf8)?;
        }
        Ok(Absorbed { range })
    }
}

fn unmask(mask: Option<&mut Mask>, bytes: &mut [u8]) {
    if let Some(mask) = mask {
        mask.apply(bytes);
    }
}

/// Appends to the assembly; `bound` is checked before it grows.
///
/// The fault that comes first in the message is reported, however the message was chunked.
fn store(
    utf8: &mut Scanner,
    kind: MessageKind,
    bytes: &[u8],
    assembly: &mut Assembly,
    bound: u64,
) -> Result<(), Violation> {
    let room = bound.saturating_sub((assembly.pending_bytes() + utf8.held()) as u64);
    let fits = usize::try_from(room).map_or(bytes, |room| bytes.get(..room).unwrap_or(bytes));
    let whole = fits.len() == bytes.len();
    match kind {
        MessageKind::Binary if whole => append(&mut assembly.bytes, bytes),
        MessageKind::Binary => {}
        MessageKind::Text => {
            let readable = utf8.feed(fits).map_err(|_| Violation::InvalidUtf8)?;
            if whole {
                assembly.text.extend(readable.first);
                append_text(&mut assembly.text, readable.rest);
            }
        }
    }
    if whole {
        Ok(())
    } else {
        Err(Violation::MessageTooLarge)
    }
}
