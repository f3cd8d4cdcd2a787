//! Input that was read and not yet processed.
//! Knows no frame.

use sansws_common::socket::memory::keep_large_blocks;
use sansws_core::message::Assembly;

/// Size of the buffer at first; a read that fills it doubles it.
const FIRST: usize = 4 << 10;

/// Maximum size of the buffer, unless more is unread.
const MOST: usize = 64 << 10;

/// The buffer of a connection. It is kept for the connection's life: the thread that reads is its own.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    assembly: Assembly,
}

impl Unread {
    pub(crate) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Returns the unread bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Lends the unread bytes, the memory for messages that do not arrive whole, and the start of the bytes, which is to be advanced by what
    /// is consumed.
    pub(crate) fn parts(&mut self) -> (&mut [u8], &mut Assembly, &mut usize) {
        let bytes = self.buffer.get_mut(self.start..self.end);
        let bytes = bytes.unwrap_or_default();
        (bytes, &mut self.assembly, &mut self.start)
    }

    pub(crate) const fn assembly(&self) -> &Assembly {
        &self.assembly
    }

    /// Lends the room behind the unread bytes, which is never empty.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
        if self.end == self.buffer.len() {
            if self.start > 0 && self.end - self.start < self.buffer.len() / 2 {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else {
                if self.buffer.is_empty() {
                    keep_large_blocks();
                }
                let more = self.buffer.len().clamp(FIRST, MOST);
                self.buffer.resize(self.buffer.len() + more, 0);
            }
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// The room was filled with so many bytes.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
        if self.start == 0 && self.end == self.buffer.len() && self.end < MOST {
            self.buffer.resize(2 * self.end, 0);
        }
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    pub(crate) const fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Takes the unread bytes.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let bytes = self.bytes().to_vec();
        self.clear();
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_never_empty_and_bytes_keep_their_order() {
        let mut unread = Unread::default();
        let (mut put, mut taken) = (0_u8, 0_u8);
        for step in 1..2_000_usize {
            let room = unread.room();
            let count = room.len().min(step % 977 + 1);
            for byte in &mut room[..count] {
                *byte = put;
                put = put.wrapping_add(1);
            }
            unread.filled(count);
            let take = unread.bytes().len().min(step % 1_013);
            for byte in &unread.bytes()[..take] {
                assert_eq!(*byte, taken);
                taken = taken.wrapping_add(1);
            }
            unread.consume(take);
        }
        assert!(unread.buffer.len() <= 2 * MOST, "{}", unread.buffer.len());
    }
}
