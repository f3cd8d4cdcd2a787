//! The end of what one side sent: the part of its window that the next message may refer to.
//! RFC 7692 section 7.1.1 (context takeover).
//! Knows no compressor.

use alloc::vec::Vec;

/// The last bytes of a stream, at most as many as a window holds: a ring, into which each byte is copied once.
#[derive(Debug)]
pub(super) struct History {
    bytes: Vec<u8>,
    most: usize,
    /// The place of the oldest byte, once the ring is full.
    oldest: usize,
}

impl History {
    /// Creates an empty one that holds at most `most` bytes.
    pub(super) const fn new(most: usize) -> Self {
        Self {
            bytes: Vec::new(),
            most,
            oldest: 0,
        }
    }

    /// Returns the last bytes, in two parts of which either may be empty.
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        let (newer, older) = self.bytes.split_at_checked(self.oldest).unwrap_or_default();
        [older, newer]
    }

    /// Appends bytes, and forgets those that are too old.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let from = bytes.len().saturating_sub(self.most);
        let bytes = bytes.get(from..).unwrap_or_default();
        let room = self.most - self.bytes.len();
        let (fresh, mut rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        let needed = self.bytes.len() + fresh.len();
        if needed > self.bytes.capacity() {
            let capacity = needed.next_power_of_two().min(self.most);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(fresh);
        while !rest.is_empty() {
            let place = self.bytes.get_mut(self.oldest..).unwrap_or_default();
            let count = place.len().min(rest.len());
            let (now, later) = rest.split_at(count);
            if let Some(place) = place.get_mut(..count) {
                place.copy_from_slice(now);
            }
            rest = later;
            self.oldest = (self.oldest + count) % self.most;
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.oldest = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_the_last_bytes_and_no_more() {
        for most in [1, 7, 512, 4096] {
            for step in [1, 3, 100, 5_000, 20_000] {
                let (mut history, mut all) = (History::new(most), Vec::new());
                for round in 0..40_u8 {
                    let part: Vec<u8> = (0..step)
                        .map(|at| (at as u8).wrapping_mul(7) ^ round)
                        .collect();
                    history.push(&part);
                    all.extend_from_slice(&part);
                    assert_eq!(
                        history.parts().concat(),
                        all[all.len().saturating_sub(most)..]
                    );
                    assert!(history.bytes.capacity() <= most);
                }
                history.clear();
                assert_eq!(history.parts(), [b"", b""]);
            }
        }
    }

    #[test]
    fn one_of_no_size_holds_nothing() {
        let mut history = History::new(0);
        history.push(b"Hello");
        assert_eq!(
            (history.parts(), history.bytes.capacity()),
            ([&b""[..]; 2], 0)
        );
    }
}
