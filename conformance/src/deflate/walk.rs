//! Walks through deflate data without inflating it, to find how far its references reach.
//! RFC 1951; RFC 7692 section 7.1.2 bounds the distance by the negotiated window.
//! A library inflates. Libraries accept references beyond the window; this detects them.

/// The result of a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// The largest distance, in bytes; 0 if there is none.
    pub reach: usize,
    /// The number of bytes that the data inflates to.
    pub length: usize,
}

/// Walks through a message as received, without the tail that was removed.
///
/// # Errors
/// When the data are invalid.
pub fn walk(bytes: &[u8]) -> Result<Walk, &'static str> {
    let mut bits = Bits { bytes, at: 0 };
    let mut found = Walk::default();
    // The last block is empty and without compression; its length was removed.
    while !bits.is_at_the_tail() {
        let last = bits.take(1)?;
        match bits.take(2)? {
            0 => stored(&mut bits, &mut found)?,
            1 => codes(&mut bits, &fixed(), &mut found)?,
            2 => {
                let trees = dynamic(&mut bits)?;
                codes(&mut bits, &trees, &mut found)?;
            }
            _ => return Err("it has a block of the reserved type"),
        }
        // After a final block the stream restarts at the next byte (RFC 7692 7.2.3.4).
        if last == 1 {
            bits.align();
        }
    }
    Ok(found)
}

struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Result<usize, &'static str> {
        let mut value = 0;
        for place in 0..count {
            let byte = self
                .bytes
                .get(self.at / 8)
                .ok_or("it ends in the middle of a block")?;
            value |= usize::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Ok(value)
    }

    fn align(&mut self) {
        self.at = self.at.div_ceil(8) * 8;
    }

    /// Returns whether nothing is left but the header of an empty block without compression: three zero bits, and padding.
    fn is_at_the_tail(&self) -> bool {
        let rest = (self.bytes.len() * 8).saturating_sub(self.at);
        if rest > 10 {
            return false;
        }
        let last = (self.at..self.bytes.len() * 8).all(|at| {
            let byte = self.bytes.get(at / 8).copied().unwrap_or_default();
            byte >> (at % 8) & 1 == 0
        });
        // A rest shorter than three bits is the end after a final block.
        last && (rest >= 3 || rest == 0)
    }
}

fn stored(bits: &mut Bits<'_>, found: &mut Walk) -> Result<(), &'static str> {
    bits.align();
    let length = bits.take(16)?;
    if bits.take(16)? != !length & 0xffff {
        return Err("the length of a block without compression is wrong");
    }
    bits.at += length * 8;
    if bits.at > bits.bytes.len() * 8 {
        return Err("it ends in the middle of a block");
    }
    found.length += length;
    Ok(())
}

/// A canonical code: the number of symbols of each length, and the symbols in order.
struct Tree {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Tree {
    fn new(lengths: &[usize]) -> Self {
        let mut counts = [0; 16];
        for length in lengths {
            if let Some(count) = counts.get_mut(*length) {
                *count += 1;
            }
        }
        counts[0] = 0;
        let mut symbols: Vec<usize> = (0..lengths.len())
            .filter(|symbol| lengths.get(*symbol) != Some(&0))
            .collect();
        symbols.sort_by_key(|symbol| lengths.get(*symbol).copied());
        Self { counts, symbols }
    }

    fn read(&self, bits: &mut Bits<'_>) -> Result<usize, &'static str> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in self.counts.iter().skip(1) {
            code |= bits.take(1)?;
            if code < first + count {
                let symbol = self.symbols.get(index + (code - first));
                return symbol
                    .copied()
                    .ok_or("it has a code that stands for nothing");
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err("it has a code that stands for nothing")
    }
}

/// The codes of literals and lengths, and of distances.
type Trees = (Tree, Tree);

fn fixed() -> Trees {
    let length = |symbol| match symbol {
        0..=143 => 8,
        144..=255 => 9,
        256..=279 => 7,
        _ => 8,
    };
    let lengths: Vec<usize> = (0..288).map(length).collect();
    (Tree::new(&lengths), Tree::new(&[5; 30]))
}

fn dynamic(bits: &mut Bits<'_>) -> Result<Trees, &'static str> {
    const ORDER: [usize; 19] = [
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
    ];
    let (literals, distances) = (bits.take(5)? + 257, bits.take(5)? + 1);
    let count = bits.take(4)? + 4;
    let mut lengths = [0; 19];
    for place in ORDER.iter().take(count) {
        let length = bits.take(3)?;
        if let Some(slot) = lengths.get_mut(*place) {
            *slot = length;
        }
    }
    let code = Tree::new(&lengths);
    let mut all: Vec<usize> = Vec::new();
    while all.len() < literals + distances {
        let (value, times) = match code.read(bits)? {
            16 => (
                *all.last().ok_or("it repeats a length before the first")?,
                3 + bits.take(2)?,
            ),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length, 1),
        };
        all.extend(std::iter::repeat_n(value, times));
    }
    if all.len() > literals + distances {
        return Err("it has more code lengths than it said");
    }
    let (left, right) = all.split_at(literals);
    Ok((Tree::new(left), Tree::new(right)))
}

fn codes(
    bits: &mut Bits<'_>,
    (literals, distances): &Trees,
    found: &mut Walk,
) -> Result<(), &'static str> {
    const LENGTHS: [usize; 29] = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115,
        131, 163, 195, 227, 258,
    ];
    const DISTANCES: [usize; 30] = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537,
        2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
    ];
    loop {
        let symbol = match literals.read(bits)? {
            0..=255 => {
                found.length += 1;
                continue;
            }
            256 => return Ok(()),
            symbol => symbol - 257,
        };
        let extra = match symbol {
            0..=7 | 28 => 0,
            _ => symbol as u32 / 4 - 1,
        };
        let base = LENGTHS
            .get(symbol)
            .ok_or("it has a length that does not exist")?;
        found.length += base + bits.take(extra)?;
        let symbol = distances.read(bits)?;
        let base = DISTANCES
            .get(symbol)
            .ok_or("it has a distance that does not exist")?;
        let extra = (symbol as u32 / 2).saturating_sub(1);
        found.reach = found.reach.max(base + bits.take(extra)?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::Deflater;

    #[test]
    fn the_examples_of_rfc_7692() {
        let hello = Ok(Walk {
            reach: 0,
            length: 5,
        });
        let cases: [(&[u8], Result<Walk, &str>); 7] = [
            (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], hello),
            (
                &[
                    0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
                ],
                hello,
            ),
            (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], hello),
            (
                &[
                    0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
                ],
                hello,
            ),
            (
                &[0xf2, 0x00, 0x11, 0x00, 0x00],
                Ok(Walk {
                    reach: 5,
                    length: 5,
                }),
            ),
            (&[0x00], Ok(Walk::default())),
            (&[0xf2, 0x48, 0xcd], Err("it ends in the middle of a block")),
        ];
        for (bytes, want) in cases {
            assert_eq!(walk(bytes), want, "{bytes:x?}");
        }
    }

    #[test]
    fn the_reach_of_a_compressor_is_within_its_window() {
        let mut seed = 1_u32;
        let mut noise = |count: usize| -> Vec<u8> {
            std::iter::repeat_with(|| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .take(count)
            .collect()
        };
        let mark = noise(64);
        for distance in [300, 1000, 5000, 20_000] {
            let bytes = [mark.clone(), noise(distance - 64), mark.clone()].concat();
            for bits in 9..=15 {
                let found = walk(&Deflater::new(bits, false).message(&bytes)).unwrap();
                assert_eq!(found.length, bytes.len());
                assert!(found.reach <= 1 << bits, "{} at {bits}", found.reach);
                if distance + 300 < 1 << bits {
                    assert!(found.reach >= distance, "{} at {bits}", found.reach);
                }
            }
        }
    }
}
