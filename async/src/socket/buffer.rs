//! Buffers lent by the thread: for reading, and for gathering output.
//! An idle connection holds none of them.
//! Knows no connection. A buffer is taken, not borrowed, because a handler may poll another connection meanwhile.

use std::cell::RefCell;
use std::mem;

/// Number of reads after which a task lets others run, even if there is more input.
pub(crate) const READS: u8 = 64;

/// Length of a read buffer, and thus of a read.
const READ: usize = 64 << 10;

/// Capacity of a fresh write buffer.
const WRITE: usize = 16 << 10;

/// Maximum capacity of a write buffer that is kept.
const WRITE_KEPT: usize = 128 << 10;

/// Number of buffers of each kind that a thread keeps.
const KEPT: usize = 4;

std::thread_local! {
    static READERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static WRITERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Returns a buffer for output.
pub(crate) fn take_writer() -> Vec<u8> {
    let kept = WRITERS
        .try_with(|kept| kept.borrow_mut().pop())
        .ok()
        .flatten();
    kept.unwrap_or_else(|| Vec::with_capacity(WRITE))
}

pub(crate) fn give_writer(buffer: Vec<u8>) {
    if buffer.capacity() <= WRITE_KEPT {
        let _ = WRITERS.try_with(|kept| give(&mut kept.borrow_mut(), buffer));
    }
}

fn take_reader() -> Vec<u8> {
    let kept = READERS
        .try_with(|kept| kept.borrow_mut().pop())
        .ok()
        .flatten();
    kept.unwrap_or_else(|| vec![0; READ])
}

fn give_reader(buffer: Vec<u8>) {
    let _ = READERS.try_with(|kept| give(&mut kept.borrow_mut(), buffer));
}

fn give(kept: &mut Vec<Vec<u8>>, buffer: Vec<u8>) {
    if kept.len() < KEPT {
        kept.push(buffer);
    }
}

/// Bytes that were read but not consumed.
///
/// They are in a lent buffer or, after [`park`](Self::park), in an exactly sized buffer of their own.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    lent: bool,
}

impl Unread {
    #[inline]
    pub(crate) fn octets(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn octets_mut(&mut self) -> &mut [u8] {
        self.buffer
            .get_mut(self.start..self.end)
            .unwrap_or_default()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    #[inline]
    pub(crate) const fn consume(&mut self, count: usize) {
        self.start += count;
    }

    pub(crate) fn clear(&mut self) {
        self.start = self.end;
        self.park();
    }

    /// Returns room to read into, after the unread bytes.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if !self.lent {
            let held = mem::replace(&mut self.buffer, take_reader());
            let unread = held.get(self.start..self.end).unwrap_or_default();
            // Bytes that a head or a busy handler left may exceed a read buffer.
            if self.buffer.len() < unread.len() + READ / 2 {
                self.buffer.resize(unread.len() + READ, 0);
            }
            if let Some(front) = self.buffer.get_mut(..unread.len()) {
                front.copy_from_slice(unread);
            }
            (self.start, self.end, self.lent) = (0, unread.len(), true);
        } else if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.end + READ, 0);
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    pub(crate) const fn filled(&mut self, count: usize) {
        self.end += count;
    }

    /// Returns the lent buffer; unread bytes move to a buffer of their own.
    pub(crate) fn park(&mut self) {
        if !self.lent {
            if self.is_empty() && self.buffer.capacity() > 0 {
                *self = Self::default();
            }
            return;
        }
        let held = self.octets().to_vec();
        let mut lent = mem::replace(&mut self.buffer, held);
        (self.start, self.end, self.lent) = (0, self.buffer.len(), false);
        lent.truncate(READ);
        lent.shrink_to(READ);
        give_reader(lent);
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.start = self.end;
        if self.lent {
            self.park();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unread_survives_parking_and_growth() {
        let mut unread = Unread::default();
        unread.room()[..5].copy_from_slice(b"hello");
        unread.filled(5);
        unread.consume(2);
        unread.park();
        assert_eq!(
            (unread.octets(), unread.buffer.len()),
            (b"llo".as_slice(), 3)
        );
        let room = unread.room().len();
        unread.room().fill(b'x');
        unread.filled(room);
        assert!(unread.room().len() >= READ);
        assert!(unread.octets().starts_with(b"llox"));
        unread.consume(room + 3);
        unread.park();
        assert_eq!(unread.buffer.capacity(), 0);
        READERS.with(|kept| assert!(kept.borrow().iter().all(|buffer| buffer.len() == READ)));
    }
}
