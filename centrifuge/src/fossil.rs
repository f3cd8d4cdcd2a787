//! Differences between payloads, in the delta format of Fossil (<https://fossil-scm.org/home/doc/trunk/www/delta_format.wiki>).
//! Knows no publication.
//!
//! A delta is the length of the target, parts, and a checksum of the target. A part copies bytes of the source (`length@offset,`) or has bytes
//! of its own (`length:bytes`). Numbers are in base 64. If the target is text, its own bytes are text as well: parts begin and end between
//! characters, so that a delta can be a JSON string.

/// Length of the blocks of the source that are looked for in the target, in bytes.
const BLOCK: usize = 16;

/// Maximum number of places in the source that are compared with one place in the target.
const TRIES: usize = 16;

/// No block.
const NONE: u32 = u32::MAX;

/// The multiplier of the rolling hash.
const FACTOR: u32 = 0x0100_0193;

/// `FACTOR` to the power of `BLOCK`.
const FACTOR_OF_OLDEST: u32 = FACTOR.wrapping_pow(BLOCK as u32);

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

/// Returns the difference of `target` from `source`. Its cost grows with the length of both.
pub(crate) fn delta(source: &[u8], target: &[u8]) -> Vec<u8> {
    let is_text = core::str::from_utf8(target).is_ok();
    let mut out = Vec::new();
    number(&mut out, target.len());
    out.push(b'\n');
    let blocks = Blocks::of(source);
    // The bytes before `done` are written; the hash is that of the block at `at`.
    let (mut done, mut at) = (0, 0);
    let mut hash = hash_at(target, at);
    let mut last = None;
    while let Some(known) = hash {
        let found = blocks.find((source, target), (done, at), known, last);
        let found = found.and_then(|copy| copy.between_characters(target, is_text));
        if let Some(copy) = found {
            insert(&mut out, target.get(done..copy.to));
            number(&mut out, copy.length);
            out.push(b'@');
            number(&mut out, copy.from);
            out.push(b',');
            done = copy.to + copy.length;
            at = done;
            hash = hash_at(target, at);
            last = Some(copy);
        } else {
            hash = rolled(target, at, known);
            at += 1;
        }
    }
    insert(&mut out, target.get(done..));
    number(&mut out, checksum(target) as usize);
    out.push(b';');
    out
}

/// A part of the target that lies in the source.
#[derive(Clone, Copy, Debug)]
struct Copied {
    from: usize,
    to: usize,
    length: usize,
}

impl Copied {
    /// Shortens it so that what precedes and follows it is text; `None` if too little is left.
    fn between_characters(mut self, target: &[u8], is_text: bool) -> Option<Self> {
        if is_text {
            let is_inside = |at: usize| target.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
            while self.length > 0 && is_inside(self.to) {
                self.from += 1;
                self.to += 1;
                self.length -= 1;
            }
            while self.length > 0 && is_inside(self.to + self.length) {
                self.length -= 1;
            }
        }
        (self.length >= BLOCK / 2).then_some(self)
    }
}

/// The blocks of a source, by hash: a table of the last block of each, and for each block the one before it.
struct Blocks {
    last: Vec<u32>,
    before: Vec<u32>,
}

impl Blocks {
    fn of(source: &[u8]) -> Self {
        let (blocks, _) = source.as_chunks::<BLOCK>();
        let mut this = Self {
            last: vec![NONE; blocks.len().next_power_of_two()],
            before: vec![NONE; blocks.len()],
        };
        for (number, block) in blocks.iter().enumerate() {
            let hash = block.iter().fold(0, |hash, byte| add(hash, *byte));
            let slot = this.slot(hash);
            if let (Some(last), Some(before)) =
                (this.last.get_mut(slot), this.before.get_mut(number))
            {
                *before = core::mem::replace(last, u32::try_from(number).unwrap_or(NONE));
            }
        }
        this
    }

    const fn slot(&self, hash: u32) -> usize {
        // The length is a power of two; the higher bits are the better ones.
        (hash ^ (hash >> 15)) as usize & (self.last.len() - 1)
    }

    /// Returns the longest part of the source that equals the target around `at`, but not before `done`. Besides the blocks with this hash,
    /// it looks at the place that lies as the last copied part did.
    fn find(
        &self,
        (source, target): (&[u8], &[u8]),
        (done, at): (usize, usize),
        hash: u32,
        last: Option<Copied>,
    ) -> Option<Copied> {
        let likely = match last {
            Some(last) => (at + last.from).checked_sub(last.to),
            None => Some(at),
        };
        let first = self.last.get(self.slot(hash)).copied();
        let chain =
            core::iter::successors(first, |block| self.before.get(*block as usize).copied());
        let chain = chain.take_while(|block| *block != NONE).take(TRIES);
        let places = chain.map(|block| block as usize * BLOCK).chain(likely);
        let copies = places.filter_map(|place| {
            let ahead = common(source.get(place..)?.iter(), target.get(at..)?.iter());
            if ahead < BLOCK {
                return None;
            }
            let back = common(
                source.get(..place)?.iter().rev(),
                target.get(done..at)?.iter().rev(),
            );
            Some(Copied {
                from: place - back,
                to: at - back,
                length: back + ahead,
            })
        });
        copies.max_by_key(|copy| copy.length)
    }
}

/// Returns the number of equal bytes at the beginning.
fn common<'a>(a: impl Iterator<Item = &'a u8>, b: impl Iterator<Item = &'a u8>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).count()
}

const fn add(hash: u32, byte: u8) -> u32 {
    hash.wrapping_mul(FACTOR).wrapping_add(byte as u32)
}

/// Returns the hash of the block at a place, if there is a whole one.
fn hash_at(target: &[u8], at: usize) -> Option<u32> {
    let block = target.get(at..)?.first_chunk::<BLOCK>()?;
    Some(block.iter().fold(0, |hash, byte| add(hash, *byte)))
}

/// Returns the hash of the block that begins a byte later.
fn rolled(target: &[u8], at: usize, hash: u32) -> Option<u32> {
    let (oldest, newest) = (target.get(at)?, target.get(at + BLOCK)?);
    Some(add(hash, *newest).wrapping_sub(FACTOR_OF_OLDEST.wrapping_mul(u32::from(*oldest))))
}

fn insert(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
        number(out, bytes.len());
        out.push(b':');
        out.extend_from_slice(bytes);
    }
}

/// Writes a number in base 64, without leading zeros.
fn number(out: &mut Vec<u8>, value: usize) {
    let digits = (0..usize::BITS.div_ceil(6)).rev();
    let digits = digits.map(|digit| value >> (6 * digit) & 63);
    let digits = digits.skip_while(|digit| *digit == 0);
    let before = out.len();
    out.extend(digits.filter_map(|digit| DIGITS.get(digit)));
    if out.len() == before {
        out.push(b'0');
    }
}

/// Returns the sum of the target's words of 4 bytes, the last one filled up with zeros.
fn checksum(target: &[u8]) -> u32 {
    let (words, rest) = target.as_chunks::<4>();
    let mut last = [0; 4];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let words = words.iter().chain([&last]);
    words.fold(0, |sum, word| sum.wrapping_add(u32::from_be_bytes(*word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes a number up to one of these characters.
    fn read(rest: &mut &[u8], ends: &[u8]) -> Option<(usize, u8)> {
        let at = rest.iter().position(|byte| ends.contains(byte))?;
        let value = rest[..at].iter().try_fold(0, |value, byte| {
            let digit = DIGITS.iter().position(|digit| digit == byte)?;
            Some(value << 6 | digit)
        })?;
        let end = rest[at];
        *rest = &rest[at + 1..];
        Some((value, end))
    }

    /// Reads deltas as the definition of the format says.
    fn apply(source: &[u8], delta: &[u8]) -> Option<Vec<u8>> {
        let mut rest = delta;
        let (length, _) = read(&mut rest, b"\n")?;
        let mut out = Vec::new();
        loop {
            let (value, end) = read(&mut rest, b"@:;")?;
            match end {
                b'@' => {
                    let (offset, _) = read(&mut rest, b",")?;
                    out.extend_from_slice(source.get(offset..offset + value)?);
                }
                b':' => {
                    out.extend_from_slice(rest.get(..value)?);
                    rest = &rest[value..];
                }
                _ => {
                    let fits = value == checksum(&out) as usize && rest.is_empty();
                    return (fits && out.len() == length).then_some(out);
                }
            }
        }
    }

    #[test]
    fn small_changes_are_short() {
        let source = "The quick brown fox jumps over the lazy dog, and nobody minds. ".repeat(40);
        let target = source.replacen("fox", "wolf", 1) + "The end.";
        let made = delta(source.as_bytes(), target.as_bytes());
        assert!(made.len() < 60, "{}", made.len());
        assert_eq!(apply(source.as_bytes(), &made).unwrap(), target.as_bytes());
    }

    #[test]
    fn nothing_and_everything_have_a_delta() {
        for (source, target) in [("", ""), ("", "a"), ("a", ""), ("abc", "abc")] {
            let made = delta(source.as_bytes(), target.as_bytes());
            assert_eq!(apply(source.as_bytes(), &made).unwrap(), target.as_bytes());
        }
        assert_eq!(delta(b"", b""), b"0\n0;");
    }

    #[test]
    fn the_cost_of_monotonous_payloads_is_bounded() {
        let source = vec![b'a'; 1 << 20];
        let mut target = source.clone();
        target[1 << 19] = b'b';
        let made = delta(&source, &target);
        assert!(made.len() < 100);
        assert_eq!(apply(&source, &made).unwrap(), target);
    }

    /// Made by the JavaScript library: npm `fossil-delta` 2.0.0, `create(source, target)`.
    #[test]
    fn deltas_of_the_javascript_library_are_read_in_the_same_way() {
        let vectors: Vec<[String; 3]> =
            serde_json::from_str(include_str!("../tests/fossil.json")).unwrap();
        assert!(vectors.len() >= 8);
        for [source, target, theirs] in vectors {
            let read = apply(source.as_bytes(), theirs.as_bytes()).unwrap();
            assert_eq!(read, target.as_bytes());
            let ours = delta(source.as_bytes(), target.as_bytes());
            assert_eq!(apply(source.as_bytes(), &ours).unwrap(), target.as_bytes());
            // Neither library is always the better one.
            assert!(ours.len() <= theirs.len() + 16, "{source} {target}");
        }
    }

    proptest! {
        #[test]
        fn the_target_comes_back(
            source in proptest::collection::vec(0_u8..4, 0..300),
            edits in proptest::collection::vec((0_usize..300, 0_usize..40, proptest::collection::vec(0_u8..4, 0..20)), 0..5),
        ) {
            let mut target = source.clone();
            for (at, length, bytes) in edits {
                let at = at.min(target.len());
                let end = (at + length).min(target.len());
                target.splice(at..end, bytes);
            }
            let made = delta(&source, &target);
            prop_assert_eq!(apply(&source, &made).unwrap(), target);
        }

        #[test]
        fn the_delta_of_a_text_is_a_text(
            source in "[aäß€😀]{0,80}",
            target in "[aäß€😀]{0,80}",
            shared in "[ä€😀]{0,40}",
        ) {
            let source = format!("{source}{shared}{source}");
            let target = format!("{target}{shared}{target}");
            let made = delta(source.as_bytes(), target.as_bytes());
            prop_assert!(core::str::from_utf8(&made).is_ok());
            prop_assert_eq!(apply(source.as_bytes(), &made).unwrap(), target.as_bytes());
        }
    }
}
