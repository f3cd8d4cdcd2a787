//! Unsent output: small frames gathered, large payloads by reference.
//! RFC 6455 section 6.1 (the order of frames is the order of sending).
//! Knows no frame: bytes in, slices out. Written bytes are skipped, never moved.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::copy::append;

/// From this length on, a payload is queued by reference; a shorter one is copied after its header.
pub(super) const LARGE: usize = 8 << 10;

/// A buffer that has grown to this length is left to drain, and a new one is started.
const FULL: usize = 64 << 10;

#[derive(Debug)]
enum Chunk {
    Owned(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

#[derive(Debug, Default)]
struct More {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    /// No output can be written any more: appended output is dropped.
    shut: bool,
}

/// The queue. An empty one holds no heap memory except a lent buffer.
#[derive(Debug, Default)]
pub(super) struct Output {
    front: Vec<u8>,
    /// Number of written bytes of `front`, or of the first of `more` if `front` is empty. Below zero, so many bytes were taken out
    /// before those, and are not known to be written yet.
    written: isize,
    more: Option<Box<More>>,
}

impl Output {
    /// Creates a queue with initial bytes.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self {
            front: bytes,
            ..Self::default()
        }
    }

    /// Returns the number of unwritten bytes.
    #[inline]
    pub(super) fn queued(&self) -> usize {
        let here = self.front.len() + self.more.as_ref().map_or(0, |more| more.bytes);
        here.wrapping_add_signed(self.written.wrapping_neg())
    }

    /// Appends the output of `write`.
    #[inline]
    pub(super) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.more.is_none() && self.front.len() < FULL {
            write(&mut self.front);
        } else {
            self.append_behind(write);
        }
    }

    #[inline(never)]
    fn append_behind(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let more = self.more.get_or_insert_default();
        if more.shut {
            return;
        }
        if !matches!(more.chunks.back(), Some(Chunk::Owned(bytes)) if bytes.len() < FULL) {
            more.chunks.push_back(Chunk::Owned(Vec::new()));
        }
        if let Some(Chunk::Owned(bytes)) = more.chunks.back_mut() {
            let before = bytes.len();
            write(bytes);
            more.bytes += bytes.len() - before;
        }
    }

    /// Queues an owned payload.
    pub(super) fn push_owned(&mut self, bytes: Vec<u8>) {
        self.push(Chunk::Owned(bytes));
    }

    /// Queues shared bytes.
    pub(super) fn push_shared(&mut self, bytes: Arc<[u8]>) {
        self.push(Chunk::Shared(bytes));
    }

    fn push(&mut self, chunk: Chunk) {
        let more = self.more.get_or_insert_default();
        if more.shut {
            return;
        }
        more.bytes += chunk.bytes().len();
        more.chunks.push_back(chunk);
    }

    /// Returns the number of written bytes of the first buffer.
    const fn passed(&self) -> usize {
        if self.written > 0 {
            self.written.cast_unsigned()
        } else {
            0
        }
    }

    /// Returns whether all output is in one buffer.
    pub(super) const fn is_contiguous(&self) -> bool {
        self.more.is_none()
    }

    /// Fills `slices` with the next output, in order; returns how many it filled.
    #[inline]
    pub(super) fn slices<'a>(&'a self, slices: &mut [&'a [u8]]) -> usize {
        if self.is_contiguous() {
            let unwritten = self.front.get(self.passed()..).unwrap_or_default();
            return match slices.first_mut() {
                Some(slot) if !unwritten.is_empty() => {
                    *slot = unwritten;
                    1
                }
                _ => 0,
            };
        }
        self.all_slices(slices)
    }

    fn all_slices<'a>(&'a self, slices: &mut [&'a [u8]]) -> usize {
        let chunks = self
            .more
            .iter()
            .flat_map(|more| more.chunks.iter().map(Chunk::bytes));
        let all = core::iter::once(self.front.as_slice())
            .chain(chunks)
            .filter(|bytes| !bytes.is_empty());
        let mut filled = 0;
        for (slot, bytes) in slices.iter_mut().zip(all) {
            let skip = if filled == 0 { self.passed() } else { 0 };
            *slot = bytes.get(skip..).unwrap_or_default();
            filled += 1;
        }
        filled
    }

    /// Takes the next output, and leaves `spare` to gather in; returns `spare` if there is no output. Taken output counts as unwritten
    /// until [`advance`](Self::advance) reports it. Only shared bytes are copied.
    pub(super) fn take(&mut self, mut spare: Vec<u8>) -> Vec<u8> {
        spare.clear();
        let mut bytes = if self.front.is_empty() {
            let Some(more) = &mut self.more else {
                return spare;
            };
            let chunk = more.chunks.pop_front();
            more.bytes -= chunk.as_ref().map_or(0, |chunk| chunk.bytes().len());
            if more.chunks.is_empty() && !more.shut {
                self.more = None;
            }
            match chunk {
                None => return spare,
                Some(Chunk::Owned(bytes)) => {
                    drop(self.lend(spare));
                    bytes
                }
                Some(Chunk::Shared(bytes)) => {
                    append(&mut spare, &bytes);
                    spare
                }
            }
        } else {
            core::mem::replace(&mut self.front, spare)
        };
        let passed = self.passed();
        self.written -= bytes.len().cast_signed();
        // Zero, unless a part of it was lent as slices and written before.
        bytes.drain(..passed.min(bytes.len()));
        bytes
    }

    /// Skips the `count` bytes that were written.
    pub(super) fn advance(&mut self, count: usize) {
        // Output that was taken before everything was discarded may be written later.
        self.written += count.min(self.queued()).cast_signed();
        let front = self.front.len().cast_signed();
        if self.written < front {
            return;
        }
        self.written -= front;
        self.front.clear();
        if self.front.capacity() > FULL * 2 {
            self.front = Vec::new();
        }
        let Some(more) = &mut self.more else { return };
        while let Some(chunk) = more.chunks.front() {
            let length = chunk.bytes().len();
            if self.written < length.cast_signed() {
                return;
            }
            self.written -= length.cast_signed();
            more.bytes -= length;
            more.chunks.pop_front();
        }
        if !more.shut {
            self.more = None;
        }
    }

    /// Takes a buffer to write into, if it has none; otherwise returns it.
    pub(super) fn lend(&mut self, buffer: Vec<u8>) -> Option<Vec<u8>> {
        if self.front.capacity() == 0 && buffer.is_empty() {
            self.front = buffer;
            return None;
        }
        Some(buffer)
    }

    /// Returns the buffer, if nothing is queued in it.
    pub(super) fn reclaim(&mut self) -> Option<Vec<u8>> {
        (self.front.is_empty() && self.front.capacity() != 0)
            .then(|| core::mem::take(&mut self.front))
    }

    /// Discards everything.
    pub(super) fn clear(&mut self) {
        let is_shut = self.is_shut();
        *self = Self::default();
        if is_shut {
            self.shut();
        }
    }

    /// Discards everything, and all that is appended from now on.
    pub(super) fn shut(&mut self) {
        *self = Self::default();
        self.more.get_or_insert_default().shut = true;
    }

    pub(super) const fn is_shut(&self) -> bool {
        matches!(&self.more, Some(more) if more.shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(output: &mut Output, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while output.queued() > 0 {
            let mut slices: [&[u8]; 3] = [&[]; 3];
            let filled = output.slices(&mut slices);
            let piece: Vec<u8> = slices[..filled].concat().into_iter().take(step).collect();
            assert!(!piece.is_empty());
            all.extend_from_slice(&piece);
            output.advance(piece.len());
        }
        all
    }

    #[test]
    fn order_is_kept_however_it_is_written() {
        for step in [1, 7, 1000, 70_000, usize::MAX] {
            let (mut output, mut want) = (Output::default(), Vec::new());
            for round in 0..20u8 {
                let small = alloc::vec![round; 100 * usize::from(round)];
                want.extend_from_slice(&small);
                output.append(|out| out.extend_from_slice(&small));
                if round % 3 == 0 {
                    let large = alloc::vec![round ^ 0xff; 9_000];
                    want.extend_from_slice(&large);
                    if round % 2 == 0 {
                        output.push_owned(large)
                    } else {
                        output.push_shared(large.into())
                    }
                }
            }
            assert_eq!(output.queued(), want.len());
            assert_eq!(drain(&mut output, step), want, "step {step}");
            assert!(output.more.is_none());
        }
    }

    #[test]
    fn a_lent_buffer_comes_back_when_it_is_empty() {
        let mut output = Output::default();
        assert!(output.reclaim().is_none());
        assert!(output.lend(Vec::with_capacity(10)).is_none());
        assert!(output.lend(Vec::with_capacity(20)).is_some());
        output.append(|out| out.push(1));
        assert!(output.reclaim().is_none());
        output.advance(1);
        assert_eq!(output.reclaim().map(|buffer| buffer.capacity()), Some(10));
    }

    #[test]
    fn output_is_in_order_and_counts_until_it_is_written() {
        let (mut output, mut want) = (Output::default(), Vec::new());
        for round in 0..20u8 {
            let small = alloc::vec![round; 3_000 * usize::from(round)];
            let large = alloc::vec![round ^ 0xff; 9_000];
            want.extend_from_slice(&small);
            want.extend_from_slice(&large);
            output.append(|out| out.extend_from_slice(&small));
            if round % 2 == 0 {
                output.push_owned(large)
            } else {
                output.push_shared(large.into())
            }
        }
        output.advance(0);
        let (mut all, mut spare) = (Vec::new(), Vec::new());
        loop {
            let taken = output.take(core::mem::take(&mut spare));
            assert_eq!(output.queued(), want.len() - all.len());
            if taken.is_empty() {
                break;
            }
            // Half is written now; the rest once more was taken.
            all.extend_from_slice(&taken);
            output.advance(taken.len() / 2);
            output.advance(taken.len() - taken.len() / 2);
            spare = taken;
        }
        assert_eq!(all, want);
        assert!(output.more.is_none());

        output.append(|out| out.extend_from_slice(b"abc"));
        output.advance(1);
        let buffer = output.take(Vec::with_capacity(50));
        assert_eq!((buffer.as_slice(), output.queued()), (&b"bc"[..], 2));
        output.append(|out| out.push(b'd'));
        assert_eq!(output.front.capacity(), 50, "the spare is gathered in");
        assert_eq!(output.queued(), 3);
        assert_eq!(output.take(Vec::new()), b"d");
        output.advance(3);
        assert_eq!(output.queued(), 0);
        // Bytes that are written after the end did not belong to the queue.
        output.append(|out| out.push(b'e'));
        assert_eq!(output.take(Vec::new()), b"e");
        output.clear();
        output.advance(1);
        assert_eq!(output.queued(), 0);
    }

    #[test]
    fn output_that_is_shut_takes_nothing_and_stays_shut() {
        let mut output = Output::default();
        output.append(|out| out.push(1));
        output.shut();
        output.append(|out| out.push(2));
        output.push_owned(alloc::vec![3; 9_000]);
        output.clear();
        output.append(|out| out.push(4));
        assert_eq!((output.queued(), output.is_shut()), (0, true));
    }
}
