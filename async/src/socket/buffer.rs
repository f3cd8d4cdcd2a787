//! Buffers lent by the thread: for reading, and for gathering output.
//! An idle connection holds none of them.
//! Knows no connection. A buffer is taken, not borrowed, because a handler may poll another connection meanwhile.

use std::cell::RefCell;
use std::mem;

use sansws_common::socket::memory::keep_large_blocks;
use sansws_core::internal::{copied, overwrite};
use sansws_core::message::Assembly;

/// Number of reads after which a task lets others run, even if there is more input.
pub(crate) const READS: u8 = 64;

/// Length of a read buffer, and thus of a read: four messages of 64 KiB with their headers, or sixteen of 16 KiB.
const READ: usize = 260 << 10;

/// Capacity of a fresh write buffer.
const WRITE: usize = 16 << 10;

/// Maximum capacity of a write buffer that is kept.
const WRITE_KEPT: usize = 128 << 10;

/// Maximum capacity of the memory of a sent message that is kept for the next one.
const SPARE: usize = 8 << 10;

/// Number of buffers of each kind that a thread keeps.
const KEPT: usize = 4;

std::thread_local! {
    #[expect(clippy::vec_box, reason = "a connection takes the box over")]
    static READERS: RefCell<Vec<Box<Held>>> = const { RefCell::new(Vec::new()) };
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

fn take_reader() -> Box<Held> {
    let kept = READERS
        .try_with(|kept| kept.borrow_mut().pop())
        .ok()
        .flatten();
    kept.unwrap_or_else(|| {
        keep_large_blocks();
        Box::new(Held {
            buffer: vec![0; READ],
            lent: true,
            ..Held::default()
        })
    })
}

fn give_reader(mut held: Box<Held>) {
    (held.start, held.end) = (0, 0);
    if held.buffer.len() > READ {
        held.buffer.truncate(READ);
        held.buffer.shrink_to(READ);
    }
    let _ = READERS.try_with(|kept| give(&mut kept.borrow_mut(), held));
}

fn give<B>(kept: &mut Vec<B>, buffer: B) {
    if kept.len() < KEPT {
        kept.push(buffer);
    }
}

/// Bytes that were read but not consumed, and the message that they continue. An idle connection has neither, and holds one null pointer.
///
/// They are in a box lent by the thread or, after [`park`](Self::park), in a box of their own with an exactly sized buffer.
#[derive(Debug, Default)]
pub(crate) struct Unread(Option<Box<Held>>);

#[derive(Debug, Default)]
struct Held {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    lent: bool,
    assembly: Assembly,
    /// Number of bytes at the end of the assembly that were read directly and not processed.
    direct: usize,
    /// The memory of a message that was sent, for the next one that is received: an echo then allocates nothing.
    spare: Vec<u8>,
}

/// The bytes and the memory of the next message.
pub(crate) struct Parts<'a> {
    /// The unread bytes.
    pub(crate) bytes: &'a mut [u8],
    /// The message that they continue.
    pub(crate) assembly: &'a mut Assembly,
    /// The start of the bytes, which is to be advanced by what is consumed.
    pub(crate) start: &'a mut usize,
    /// Memory for a copy.
    pub(crate) spare: &'a mut Vec<u8>,
}

impl Held {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Moves the unread bytes and the message to a box of their own.
    #[cold]
    fn move_out(&mut self) -> Box<Self> {
        let buffer = copied(self.bytes());
        Box::new(Self {
            end: buffer.len(),
            buffer,
            assembly: mem::take(&mut self.assembly),
            direct: mem::take(&mut self.direct),
            ..Self::default()
        })
    }

    /// Moves the unread bytes to the front, and grows the buffer if they fill it.
    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.end + READ, 0);
        }
    }
}

impl Unread {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |held| held.bytes())
    }

    /// Returns the parts of the next message; `None` if there is neither an unread byte nor an unfinished message.
    #[inline]
    pub(crate) fn parts(&mut self) -> Option<Parts<'_>> {
        let held = &mut **self.0.as_mut()?;
        let bytes = held.buffer.get_mut(held.start..held.end);
        Some(Parts {
            bytes: bytes.unwrap_or_default(),
            assembly: &mut held.assembly,
            start: &mut held.start,
            spare: &mut held.spare,
        })
    }

    /// Returns the message that is arriving, if nothing else is unread: more of it can be read directly.
    pub(crate) fn direct(&mut self) -> Option<&mut Assembly> {
        let held = self.0.as_mut()?;
        (held.start == held.end && held.direct == 0).then_some(&mut held.assembly)
    }

    /// Reports that so many bytes were read directly.
    pub(crate) fn filled_directly(&mut self, count: usize) {
        if let Some(held) = &mut self.0 {
            held.direct = count;
        }
    }

    /// Returns the message that is arriving, and how many of its bytes were read directly, if there are any.
    #[inline]
    pub(crate) fn take_direct(&mut self) -> Option<(usize, &mut Assembly)> {
        let held = &mut **self.0.as_mut()?;
        let count = mem::take(&mut held.direct);
        (count > 0).then_some((count, &mut held.assembly))
    }

    /// Returns the message that has not arrived in full.
    pub(crate) fn assembly(&self) -> Option<&Assembly> {
        self.0.as_ref().map(|held| &held.assembly)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|held| held.start == held.end && held.direct == 0)
    }

    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        if let Some(held) = &mut self.0 {
            held.start += count;
        }
    }

    pub(crate) fn clear(&mut self) {
        if let Some(held) = &mut self.0 {
            (held.start, held.direct) = (held.end, 0);
        }
        self.park();
    }

    /// Returns room to read into, after the unread bytes.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        let held = match self.0.take() {
            Some(held) if held.lent => held,
            own => Self::borrow(own),
        };
        let held = self.0.insert(held);
        if held.start == held.end {
            (held.start, held.end) = (0, 0);
        } else {
            held.make_room();
        }
        held.buffer.get_mut(held.end..).unwrap_or_default()
    }

    /// Takes a box that the thread lends, and moves unread bytes and a message into it.
    fn borrow(own: Option<Box<Held>>) -> Box<Held> {
        let mut lent = take_reader();
        if let Some(held) = own {
            let unread = held.bytes();
            // Bytes that a head or a busy handler left may exceed a read buffer.
            if lent.buffer.len() < unread.len() + READ / 2 {
                lent.buffer.resize(unread.len() + READ, 0);
            }
            if let Some(front) = lent.buffer.get_mut(..unread.len()) {
                overwrite(front, unread);
            }
            lent.end = unread.len();
            (lent.assembly, lent.direct) = (held.assembly, held.direct);
        }
        lent
    }

    pub(crate) fn filled(&mut self, count: usize) {
        if let Some(held) = &mut self.0 {
            held.end += count;
        }
    }

    /// Keeps the memory of a message that was sent, while the thread lends a box.
    #[inline]
    pub(crate) fn keep_spare(&mut self, memory: Vec<u8>) {
        if (1..=SPARE).contains(&memory.capacity())
            && let Some(held) = &mut self.0
            && held.lent
        {
            held.spare = memory;
        }
    }

    /// Returns the lent box, and releases memory that only the next message would need. Unread bytes and an unfinished message move to a
    /// box of their own.
    pub(crate) fn park(&mut self) {
        let Some(mut held) = self.0.take() else {
            return;
        };
        held.assembly.release();
        let is_done = held.start == held.end && held.assembly.pending_bytes() == 0;
        match (is_done, held.lent) {
            (true, true) => give_reader(held),
            (true, false) => {}
            (false, true) => {
                self.0 = Some(held.move_out());
                give_reader(held);
            }
            (false, false) => self.0 = Some(held),
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if let Some(held) = &mut self.0 {
            (held.start, held.end, held.direct) = (0, 0, 0);
            held.assembly = Assembly::default();
        }
        self.park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unread_bytes_survive_parking_and_growth() {
        let mut unread = Unread::default();
        unread.room()[..5].copy_from_slice(b"hello");
        unread.filled(5);
        unread.consume(2);
        unread.park();
        assert_eq!(
            (unread.bytes(), unread.0.as_ref().unwrap().buffer.len()),
            (b"llo".as_slice(), 3)
        );
        let room = unread.room().len();
        unread.room().fill(b'x');
        unread.filled(room);
        assert!(unread.room().len() >= READ);
        assert!(unread.bytes().starts_with(b"llox"));
        unread.consume(room + 3);
        unread.park();
        assert!(unread.0.is_none());
        READERS.with(|kept| assert!(kept.borrow().iter().all(|held| held.buffer.len() == READ)));
    }
}
