//! Compresses messages.
//! RFC 7692 section 7.2; zlib-rs does the work.
//! Knows no limit and no frame.
//!
//! A stream of zlib-rs holds some 370 KiB to compress and 47 KiB to inflate, most of it tables that the next message fills anew. So with
//! context takeover a connection keeps no stream between messages, but the bytes that the next message may refer to; a stream of the
//! thread takes them as its dictionary.

use alloc::vec::Vec;
use core::fmt;

use zlib_rs::{Deflate, DeflateFlush};

use super::history::History;
use super::pool;

/// 7.2.2: the bytes that are removed from the end of each message.
pub(super) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Bytes are made in chunks of this size.
pub(super) const PART: usize = 8 << 10;

/// Text that a message may refer to, beside itself.
#[derive(Debug)]
pub(crate) enum Context {
    /// Nothing: there is no context takeover.
    None,
    /// This many bytes of the messages before it.
    Bytes(usize),
    /// The window of a stream that the connection keeps.
    Stream,
}

/// A compressor, which holds a stream of zlib only inside a message, unless it is to keep one.
pub(crate) struct Deflater {
    compress: Option<Deflate>,
    level: u8,
    window_bits: u8,
    history: History,
    /// The stream stays from message to message.
    keeps: bool,
}

impl Deflater {
    /// Creates one with `level` from 1 to 9, and `window_bits` from 9 to 15.
    pub(crate) fn new(level: u8, window_bits: u8, context: Context) -> Self {
        let (level, window_bits) = (level.clamp(1, 9), window_bits.clamp(9, 15));
        let history = match context {
            Context::None | Context::Stream => 0,
            Context::Bytes(bytes) => bytes.min(1 << window_bits),
        };
        Self {
            compress: None,
            level,
            window_bits,
            history: History::new(history),
            keeps: matches!(context, Context::Stream),
        }
    }

    /// Forgets everything that was compressed before.
    pub(crate) fn reset(&mut self) {
        self.history.clear();
        if let Some(compress) = &mut self.compress {
            compress.reset();
        }
    }

    /// Returns a stream that knows the history.
    fn start(&self) -> Deflate {
        let (level, window_bits) = (self.level, self.window_bits);
        let mut compress = pool::take(&pool::COMPRESS, &(level, window_bits))
            .unwrap_or_else(|| Deflate::new(level.into(), false, window_bits));
        self.remind(&mut compress);
        compress
    }

    fn remind(&self, compress: &mut Deflate) {
        for part in self.history.parts() {
            if !part.is_empty() {
                // An error is impossible: nothing was compressed yet.
                let _ = compress.set_dictionary(part);
            }
        }
    }

    /// Ends a message: returns the stream to the thread.
    fn rest(&mut self) {
        if let Some(compress) = self.compress.take() {
            let key = (self.level, self.window_bits);
            let own = pool::give(&pool::COMPRESS, key, compress, Deflate::reset);
            self.compress = own.map(|mut compress| {
                self.remind(&mut compress);
                compress
            });
        }
    }

    /// Appends a whole message, compressed.
    pub(crate) fn message(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.part(bytes, true, out);
    }

    /// Appends a part of a message, in a form that the peer can inflate completely. With `last` the tail is removed (7.2.1).
    pub(crate) fn part(&mut self, mut bytes: &[u8], last: bool, out: &mut Vec<u8>) {
        let start = out.len();
        let mut compress = match self.compress.take() {
            Some(compress) => compress,
            None => self.start(),
        };
        self.history.push(bytes);
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
        self.compress = Some(compress);
        if last && !self.keeps {
            self.rest();
        }
    }
}

impl Drop for Deflater {
    fn drop(&mut self) {
        self.rest();
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

#[cfg(test)]
mod tests {
    use super::super::inflater::Inflater;
    use super::*;
    use crate::error::Violation;

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
    fn compressed_messages_equal_the_examples() {
        let (mut deflater, mut out) = (Deflater::new(6, 15, Context::Bytes(4096)), Vec::new());
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
            for level in [1, 3, 6, 9] {
                for context in [
                    Context::None,
                    Context::Bytes(100),
                    Context::Bytes(4096),
                    Context::Bytes(usize::MAX),
                    Context::Stream,
                ] {
                    let name = alloc::format!("{bits} bits, level {level}, {context:?}");
                    let mut deflater = Deflater::new(level, bits, context);
                    let mut inflater = Inflater::new(bits, true);
                    for _ in 0..3 {
                        let mut out = Vec::new();
                        for (at, part) in bytes.chunks(7_001).enumerate() {
                            deflater.part(part, at == bytes.len() / 7_001, &mut out);
                        }
                        // An inflater with exactly that window would fail on a distance beyond it.
                        let got = inflate(&mut inflater, &out, 5_003);
                        assert_eq!(got.as_deref(), Ok(bytes.as_slice()), "{name}");
                    }
                    // Small messages, which refer to those before them.
                    for part in bytes.chunks(301).take(60) {
                        let mut out = Vec::new();
                        deflater.message(part, &mut out);
                        let got = inflate(&mut inflater, &out, 100);
                        assert_eq!(got.as_deref(), Ok(part), "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_message_refers_to_as_much_of_those_before_it_as_the_context_has() {
        let bytes: Vec<u8> = (0..3_000u32)
            .map(|i| (i.wrapping_mul(i) >> 5) as u8)
            .collect();
        let again = |context| {
            let mut deflater = Deflater::new(6, 15, context);
            let mut out = Vec::new();
            deflater.message(&bytes, &mut out);
            out.clear();
            deflater.message(&bytes, &mut out);
            out.len()
        };
        let whole = again(Context::Stream);
        assert!(whole < 100, "{whole}");
        assert_eq!(again(Context::Bytes(4096)), whole);
        assert!(again(Context::Bytes(1000)) > 1_000);
        assert!(again(Context::None) > 2_000);
    }

    #[test]
    fn the_next_message_may_refer_to_what_came_before_a_final_block() {
        // "Hello" in a final block, then "Hello" again as a reference to it.
        let mut inflater = Inflater::new(15, true);
        let first = inflate(&mut inflater, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 3);
        assert_eq!(first.as_deref(), Ok(&b"Hello"[..]));
        let second = inflate(&mut inflater, b"\xf2\x00\x11\x00\x00", 1);
        assert_eq!(second.as_deref(), Ok(&b"Hello"[..]));
        let mut inflater = Inflater::new(15, true);
        let both = b"\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00";
        let got = inflate(&mut inflater, both, 1);
        assert_eq!(
            got,
            Err(Violation::DeflateInvalid),
            "a new stream in one message"
        );
    }

    #[test]
    fn corrupt_data_is_a_violation_and_a_sink_may_stop() {
        assert_eq!(
            inflate(&mut Inflater::new(15, true), b"\xff\xff\xff", 1),
            Err(Violation::DeflateInvalid)
        );
        let (mut bomb, mut made) = (Vec::new(), 0);
        Deflater::new(9, 15, Context::None).message(&alloc::vec![0; 10 << 20], &mut bomb);
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
            Deflater::new(level, 15, Context::None).message(&bytes, &mut out);
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
