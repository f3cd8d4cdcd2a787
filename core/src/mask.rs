//! Masking and unmasking.
//! RFC 6455 section 5.3.
//! Knows neither frames nor roles: bytes, and a key that rotates with them.

use alloc::vec::Vec;

/// A masking key, rotated so that its first byte is the next to be used.
///
/// A payload may be masked in chunks of any length: the key rotates along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask([u8; 4]);

impl Mask {
    /// Creates a key that starts at its first byte.
    pub const fn new(key: [u8; 4]) -> Self {
        Self(key)
    }

    /// Masks or unmasks `bytes` in place.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        self.apply_whole(bytes);
        self.turn(bytes.len());
    }

    /// Masks or unmasks all bytes of a payload in place.
    #[inline]
    pub(crate) fn apply_whole(self, bytes: &mut [u8]) {
        let (blocks, rest) = bytes.as_chunks_mut::<64>();
        let wide = self.wide();
        for block in blocks {
            for word in block.as_chunks_mut::<8>().0 {
                *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
            }
        }
        let (words, rest) = rest.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
        let (half, tail) = rest.as_chunks_mut::<4>();
        for word in half {
            *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(self.0)).to_ne_bytes();
        }
        for (byte, key) in tail.iter_mut().zip(self.0) {
            *byte ^= key;
        }
    }

    /// Appends `bytes` to `out`, masking them while copying.
    pub fn append(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let (blocks, rest) = bytes.as_chunks::<64>();
        let wide = self.wide();
        out.reserve(bytes.len());
        for block in blocks {
            let mut masked = *block;
            for word in masked.as_chunks_mut::<8>().0 {
                *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
            }
            out.extend_from_slice(&masked);
        }
        let start = out.len();
        out.extend_from_slice(rest);
        if let Some(copied) = out.get_mut(start..) {
            self.apply(copied);
        }
    }

    const fn wide(self) -> u64 {
        let key = u32::from_ne_bytes(self.0) as u64;
        key << 32 | key
    }

    const fn turn(&mut self, by: usize) {
        let [a, b, c, d] = self.0;
        self.0 = match by % 4 {
            0 => [a, b, c, d],
            1 => [b, c, d, a],
            2 => [c, d, a, b],
            _ => [d, a, b, c],
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula of section 5.3, byte by byte.
    fn naive(key: [u8; 4], bytes: &[u8]) -> Vec<u8> {
        bytes
            .iter()
            .enumerate()
            .map(|(i, byte)| byte ^ key[i % 4])
            .collect()
    }

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * 31 + 7) as u8).collect()
    }

    #[test]
    fn equals_the_formula_for_all_lengths_and_splits() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for length in (0..200).chain([1023, 1024, 1025, 4099]) {
            let plain = bytes(length);
            let want = naive(key, &plain);
            for split in [0, 1, 2, 3, 5, 63, 64, 65, length / 2, length] {
                let split = split.min(length);
                let mut mask = Mask::new(key);
                let mut masked = plain.clone();
                mask.apply(&mut masked[..split]);
                mask.apply(&mut masked[split..]);
                assert_eq!(masked, want, "length {length}, split at {split}");

                let mut mask = Mask::new(key);
                let mut copied = alloc::vec![9];
                mask.append(&plain[..split], &mut copied);
                mask.append(&plain[split..], &mut copied);
                assert_eq!(
                    copied[1..],
                    want,
                    "copied: length {length}, split at {split}"
                );
            }
        }
    }
}
