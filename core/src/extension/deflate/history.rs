//! The end of what one side sent: the part of its window that the next message may refer to.
//! RFC 7692 section 7.1.1 (context takeover).
//! Knows no compressor.

use alloc::vec::Vec;

/// The last bytes of a stream, at most as many as a window holds.
#[derive(Debug)]
pub(super) struct History {
    /// The last `most` of these count; up to a quarter more are kept, so that they move rarely.
    bytes: Vec<u8>,
    most: usize,
}

impl History {
    /// Creates an empty one that holds at most `most` bytes.
    pub(super) const fn new(most: usize) -> Self {
        Self {
            bytes: Vec::new(),
            most,
        }
    }

    /// Returns the last bytes.
    pub(super) fn last(&self) -> &[u8] {
        let from = self.bytes.len().saturating_sub(self.most);
        self.bytes.get(from..).unwrap_or_default()
    }

    /// Appends bytes, and forgets those that are too old.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let bytes = bytes
            .get(bytes.len().saturating_sub(self.most)..)
            .unwrap_or_default();
        let room = self.most + self.most / 4;
        let length = self.bytes.len() + bytes.len();
        if length > room {
            let kept = self.most - bytes.len();
            self.bytes.drain(..self.bytes.len() - kept);
        }
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            let capacity = needed.next_power_of_two().min(room).max(needed);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_the_last_bytes_and_little_more() {
        for most in [1, 7, 512, 4096] {
            for step in [1, 3, 100, 5_000, 20_000] {
                let (mut history, mut all) = (History::new(most), Vec::new());
                for round in 0..40_u8 {
                    let part = alloc::vec![round; step];
                    history.push(&part);
                    all.extend_from_slice(&part);
                    assert_eq!(history.last(), &all[all.len().saturating_sub(most)..]);
                    assert!(history.bytes.capacity() <= most + most / 4);
                }
                history.clear();
                assert_eq!(history.last(), b"");
            }
        }
    }

    #[test]
    fn one_of_no_size_holds_nothing() {
        let mut history = History::new(0);
        history.push(b"Hello");
        assert_eq!((history.last(), history.bytes.capacity()), (&b""[..], 0));
    }
}
