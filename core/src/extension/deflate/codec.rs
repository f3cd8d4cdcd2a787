//! Compresses and inflates messages.
//! RFC 7692 section 7.2; zlib-rs does the work.
//! Knows no limit: the caller that takes the inflated bytes may stop at any of them.

use alloc::vec::Vec;
use core::fmt;

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateError, InflateFlush, Status};

use crate::error::Violation;

/// 7.2.2: the bytes that are removed from the end of each message.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// A final, empty block.
const FINAL: [u8; 2] = [0x03, 0x00];

/// Empty blocks without compression: they add nothing, and keep the window. The head of a dynamic block takes fewer of these bits: of its
/// 316 code lengths at least 7 are in each 40 bits of these blocks, because the codeword of zeros has at most 4 bits (19 longer ones would
/// not make a complete code) and none has more than 7.
static EMPTY: [[u8; 5]; 50] = [[0x00, 0x00, 0x00, 0xff, 0xff]; 50];

/// Inflated bytes are passed on in chunks of this size.
const PART: usize = 8 << 10;

/// The largest window, as a power of two.
const LARGEST: u8 = 15;

/// A compressor; it keeps its window from message to message until it is reset.
pub(crate) struct Deflater {
    /// Present until it is dropped.
    compress: Option<Deflate>,
    level: u8,
    window_bits: u8,
}

impl Deflater {
    /// Creates one with `level` from 1 to 9, and `window_bits` from 9 to 15.
    pub(crate) fn new(level: u8, window_bits: u8) -> Self {
        let (level, window_bits) = (level.clamp(1, 9), window_bits.clamp(9, 15));
        let compress = pool::take(&pool::COMPRESS, &(level, window_bits))
            .unwrap_or_else(|| Deflate::new(level.into(), false, window_bits));
        Self {
            compress: Some(compress),
            level,
            window_bits,
        }
    }

    /// Forgets everything that was compressed before.
    pub(crate) fn reset(&mut self) {
        if let Some(compress) = &mut self.compress {
            compress.reset();
        }
    }

    /// Appends a whole message, compressed.
    pub(crate) fn message(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.part(bytes, true, out);
    }

    /// Appends a part of a message, in a form that the peer can inflate completely. With `last` the tail is removed (7.2.1).
    pub(crate) fn part(&mut self, mut bytes: &[u8], last: bool, out: &mut Vec<u8>) {
        let start = out.len();
        let Some(compress) = &mut self.compress else {
            return;
        };
        loop {
            // Reserve room for the rest, and always for the end of a block.
            let (filled, room) = (out.len(), (bytes.len() / 2).clamp(64, PART));
            out.resize(filled + room, 0);
            let (taken_before, made_before) = (compress.total_in(), compress.total_out());
            let free = out.get_mut(filled..).unwrap_or_default();
            // An error is impossible: the stream is never finished, and its state is sound.
            let _ = compress.compress(bytes, free, DeflateFlush::SyncFlush);
            let taken = (compress.total_in() - taken_before) as usize;
            let made = (compress.total_out() - made_before) as usize;
            out.truncate(filled + made);
            bytes = bytes.get(taken..).unwrap_or_default();
            if bytes.is_empty() && made < room {
                break;
            }
        }
        if last {
            let length = out.len();
            if out.get(start..).is_some_and(|made| made.ends_with(&TAIL)) {
                out.truncate(length - TAIL.len());
            }
            // 7.2.3.6: an empty message is a single zero byte.
            if out.len() == start {
                out.push(0);
            }
        }
    }
}

impl Drop for Deflater {
    fn drop(&mut self) {
        if let Some(compress) = self.compress.take() {
            pool::give(
                &pool::COMPRESS,
                (self.level, self.window_bits),
                compress,
                Deflate::reset,
            );
        }
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater")
            .field("level", &self.level)
            .field("window_bits", &self.window_bits)
            .finish_non_exhaustive()
    }
}

/// An inflater.
pub(crate) struct Inflater {
    /// Present until it is dropped.
    decompress: Option<Inflate>,
    window_bits: u8,
    /// Whether the window is kept from message to message.
    keeps: bool,
    /// A block with BFINAL set ended a zlib stream.
    ended: bool,
    /// The message has at least one byte.
    begun: bool,
}

impl Inflater {
    /// Creates one with `window_bits` from 8 to 15; a larger window than the peer's does no harm. `keeps` is context takeover.
    pub(crate) fn new(window_bits: u8, keeps: bool) -> Self {
        let window_bits = window_bits.clamp(9, 15);
        let decompress = pool::take(&pool::DECOMPRESS, &window_bits)
            .unwrap_or_else(|| Inflate::new(false, window_bits));
        Self {
            decompress: Some(decompress),
            window_bits,
            keeps,
            ended: false,
            begun: false,
        }
    }

    /// Forgets everything that was inflated before.
    fn reset(&mut self) {
        if let Some(decompress) = &mut self.decompress {
            renew(decompress, self.window_bits);
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
        self.run(bytes, &mut room, &mut sink)?;
        if last {
            if core::mem::take(&mut self.begun) {
                self.end(&mut room)?;
            }
            if !self.keeps {
                self.reset();
            }
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
        // zlib does not tell whether it is between two blocks. But only there, further blocks are read as such.
        if !self.keeps {
            self.say_nothing(&FINAL, room)?;
            return if self.ended {
                Ok(())
            } else {
                Err(Violation::DeflateInvalid)
            };
        }
        self.say_nothing(EMPTY.as_flattened(), room)
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
                // 7.2.3.4: a block with BFINAL set ends a zlib stream, but not the message: go on with a new stream. Its
                // window is empty: a later reference to data before the final block fails as corrupt.
                if bytes.is_empty() {
                    return Ok(());
                }
                self.reset();
            }
            let (taken, made, status) = self.step(bytes, room);
            bytes = bytes.get(taken..).unwrap_or_default();
            let fresh = room.get(..made).unwrap_or_default();
            if !fresh.is_empty() {
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
        if let Some(decompress) = self.decompress.take() {
            pool::give(
                &pool::DECOMPRESS,
                self.window_bits,
                decompress,
                |decompress| renew(decompress, self.window_bits),
            );
        }
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

/// Unused compressors, a few per thread: creating one costs more than compressing a small message.
///
/// A compressor that leaves the pool has been reset, so that its output does not depend on its history.
#[cfg(feature = "std")]
mod pool {
    use alloc::vec::Vec;
    use core::cell::RefCell;
    use std::thread::LocalKey;

    use zlib_rs::{Deflate, Inflate};

    const KEPT: usize = 4;

    pub(super) type Pool<K, C> = LocalKey<RefCell<Vec<(K, C)>>>;

    std::thread_local! {
        pub(super) static COMPRESS: RefCell<Vec<((u8, u8), Deflate)>> = const { RefCell::new(Vec::new()) };
        pub(super) static DECOMPRESS: RefCell<Vec<(u8, Inflate)>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn take<K: PartialEq, C>(pool: &'static Pool<K, C>, key: &K) -> Option<C> {
        let taken = pool.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            let at = pool.iter().position(|(other, _)| other == key)?;
            Some(pool.swap_remove(at).1)
        });
        taken.ok().flatten()
    }

    pub(super) fn give<K, C>(
        pool: &'static Pool<K, C>,
        key: K,
        codec: C,
        reset: impl FnOnce(&mut C),
    ) {
        let mut codec = codec;
        let _ = pool.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < KEPT {
                reset(&mut codec);
                pool.push((key, codec));
            }
        });
    }
}

/// Without threads there is no pool: compressors are created when they are needed.
#[cfg(not(feature = "std"))]
mod pool {
    pub(super) struct Nothing;
    pub(super) static COMPRESS: Nothing = Nothing;
    pub(super) static DECOMPRESS: Nothing = Nothing;

    pub(super) fn take<K, C>(_: &'static Nothing, _: &K) -> Option<C> {
        None
    }

    pub(super) fn give<K, C>(_: &'static Nothing, _: K, _: C, _: impl FnOnce(&mut C)) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inflate(inflater: &mut Inflater, bytes: &[u8], step: usize) -> Result<Vec<u8>, Violation> {
        let mut all = Vec::new();
        let mut parts = bytes.chunks(step).peekable();
        while let Some(part) = parts.next() {
            inflater.part(part, parts.peek().is_none(), |fresh| {
                all.extend_from_slice(fresh);
                Ok(())
            })?;
        }
        Ok(all)
    }

    #[test]
    fn seven_two_three_examples() {
        let cases: &[(&str, &[u8])] = &[
            ("7.2.3.1 one block", b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
            (
                "7.2.3.3 no compression",
                b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
            ),
            ("7.2.3.4 BFINAL set", b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
            (
                "7.2.3.5 two blocks",
                b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
            ),
        ];
        for (name, bytes) in cases {
            for step in 1..=bytes.len() {
                assert_eq!(
                    inflate(&mut Inflater::new(15, true), bytes, step).as_deref(),
                    Ok(b"Hello".as_slice()),
                    "{name} by {step}"
                );
            }
        }
        let mut inflater = Inflater::new(15, true);
        assert_eq!(
            inflate(&mut inflater, b"\xf2\x48\xcd\xc9\xc9\x07\x00", 9).as_deref(),
            Ok(b"Hello".as_slice())
        );
        assert_eq!(
            inflate(&mut inflater, b"\xf2\x00\x11\x00\x00", 9).as_deref(),
            Ok(b"Hello".as_slice()),
            "7.2.3.2 shared window"
        );
        assert_eq!(
            inflate(&mut inflater, b"\x00", 9).as_deref(),
            Ok(b"".as_slice()),
            "7.2.3.6 empty message"
        );
    }

    #[test]
    fn what_we_compress_is_as_in_the_examples() {
        let (mut deflater, mut out) = (Deflater::new(6, 15), Vec::new());
        deflater.message(b"Hello", &mut out);
        assert_eq!(out, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
        out.clear();
        deflater.message(b"Hello", &mut out);
        assert_eq!(out, b"\xf2\x00\x11\x00\x00");
        out.clear();
        deflater.reset();
        deflater.message(b"", &mut out);
        assert_eq!(
            inflate(&mut Inflater::new(15, true), &out, 1).as_deref(),
            Ok(b"".as_slice())
        );
    }

    #[test]
    fn every_window_round_trips_and_keeps_its_distance() {
        let bytes: Vec<u8> = (0..200_000u32)
            .map(|i| (i.wrapping_mul(i) >> 7) as u8 & 0x1f)
            .collect();
        for bits in 9..=15 {
            let (mut deflater, mut inflater) = (Deflater::new(6, bits), Inflater::new(bits, true));
            for _ in 0..3 {
                let mut out = Vec::new();
                for (at, part) in bytes.chunks(7_001).enumerate() {
                    deflater.part(part, at == bytes.len() / 7_001, &mut out);
                }
                // An inflater with exactly that window would fail on a distance beyond it.
                assert_eq!(
                    inflate(&mut inflater, &out, 5_003).as_deref(),
                    Ok(bytes.as_slice()),
                    "{bits} bits"
                );
            }
        }
    }

    #[test]
    fn corrupt_data_is_a_violation_and_a_sink_may_stop() {
        assert_eq!(
            inflate(&mut Inflater::new(15, true), b"\xff\xff\xff", 1),
            Err(Violation::DeflateInvalid)
        );
        let (mut bomb, mut made) = (Vec::new(), 0);
        Deflater::new(9, 15).message(&alloc::vec![0; 10 << 20], &mut bomb);
        assert!(bomb.len() < 20_000);
        let stopped = Inflater::new(15, true).part(&bomb, true, |fresh| {
            made += fresh.len();
            if made > 100_000 {
                Err(Violation::MessageTooLarge)
            } else {
                Ok(())
            }
        });
        assert_eq!(stopped, Err(Violation::MessageTooLarge));
        assert!(made <= 100_000 + PART);
    }

    /// Inflates a message, with and without context takeover; with it, another message follows.
    fn check(bytes: &[u8]) -> Result<Vec<u8>, Violation> {
        let (mut keeping, mut other) = (Inflater::new(15, true), Inflater::new(15, false));
        let kept = inflate(&mut keeping, bytes, bytes.len().max(1));
        assert_eq!(inflate(&mut other, bytes, 1), kept, "{bytes:x?}");
        if kept.is_ok() {
            let next = inflate(&mut keeping, b"\xf2\x48\xcd\xc9\xc9\x07\x00", 9);
            assert_eq!(next.as_deref(), Ok(&b"Hello"[..]), "{bytes:x?}");
        }
        kept
    }

    #[test]
    fn seven_two_two_the_tail_completes_an_empty_block_or_the_data_was_cut_off() {
        let whole: [(&[u8], &[u8]); 8] = [
            (b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"Hello"),
            (b"\x00", b""),
            (b"", b""),
            // After the empty fixed block of a partial flush; after a stored block; after final blocks.
            (b"\xf2\x48\xcd\xc9\xc9\x07\x08\x00", b"Hello"),
            (b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", b"Hello"),
            (b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", b"Hello"),
            (b"\xf3\x48\xcd\xc9\xc9\x07\x00", b"Hello"),
            (
                b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff\x01",
                b"Hello",
            ),
        ];
        for (bytes, want) in whole {
            assert_eq!(check(bytes).as_deref(), Ok(want), "{bytes:x?}");
        }
        for bytes in [
            &b"\xf2\x48\xcd"[..],
            b"\xf3\x48\xcd",
            b"\xf2",
            b"\x05",
            b"\x00\x05\x00\xfa\xff\x48",
            b"\x00\x05\x00\xfa",
            // The tail was not removed.
            b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff",
        ] {
            assert_eq!(check(bytes), Err(Violation::DeflateInvalid), "{bytes:x?}");
        }
    }

    #[test]
    fn a_cut_in_the_longest_head_of_a_block_is_found_out_whatever_the_window() {
        // A dynamic block (RFC 1951 3.2.7) with 286 and 30 code lengths, of 4 and 5 bits each: that of 15 is all ones.
        let order = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        let mut fields = alloc::vec![(0, 1), (2, 2), (29, 5), (29, 5), (15, 4)];
        fields.extend(order.map(|symbol| (if (10..16).contains(&symbol) { 5 } else { 4 }, 3)));
        let (mut bytes, mut bits) = (Vec::new(), 0_usize);
        for (value, width) in fields {
            for bit in 0..width {
                if bits.is_multiple_of(8) {
                    bytes.push(0);
                }
                *bytes.last_mut().unwrap() |= ((value >> bit & 1) as u8) << (bits % 8);
                bits += 1;
            }
        }
        for keeps in [true, false] {
            let mut inflater = Inflater::new(15, keeps);
            let got = inflater.part(&bytes, true, |_| Ok(()));
            assert_eq!(got, Err(Violation::DeflateInvalid), "{bytes:x?}");
        }
    }

    #[test]
    fn no_part_of_a_compressed_message_is_taken_for_a_whole_one() {
        for (level, length, mask) in [
            (1, 300, 0x3f),
            (3, 3_000, 0xff),
            (6, 3_000, 0x07),
            (9, 9_000, 0x3f),
        ] {
            let bytes: Vec<u8> = (0..length as u32)
                .map(|i| (i.wrapping_mul(i) >> 7) as u8 & mask)
                .collect();
            let mut out = Vec::new();
            Deflater::new(level, 15).message(&bytes, &mut out);
            assert_eq!(check(&out), Ok(bytes));
            for cut in 1..out.len() {
                let got = check(&out[..cut]).map(|bytes| bytes.len());
                assert_eq!(
                    got,
                    Err(Violation::DeflateInvalid),
                    "{cut} of {}",
                    out.len()
                );
            }
        }
    }
}
