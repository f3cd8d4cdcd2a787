//! Streams of zlib that no message uses, a few per thread: creating one costs more than compressing a small message.
//! RFC 7692 leaves this to implementations.
//! A stream that leaves the pool has been reset, so that its output does not depend on its history. Without `std` there are no threads to
//! keep them for, and each connection keeps its own.

#[cfg(not(feature = "std"))]
pub(super) use of_nobody::{COMPRESS, DECOMPRESS, give, take};
#[cfg(feature = "std")]
pub(super) use of_thread::{COMPRESS, DECOMPRESS, give, take};

#[cfg(feature = "std")]
mod of_thread {
    use alloc::vec::Vec;
    use core::cell::RefCell;
    use std::thread::LocalKey;

    use zlib_rs::{Deflate, Inflate};

    const KEPT: usize = 4;

    pub(in super::super) type Pool<K, C> = LocalKey<RefCell<Vec<(K, C)>>>;

    std::thread_local! {
        pub(in super::super) static COMPRESS: RefCell<Vec<((u8, u8), Deflate)>> = const { RefCell::new(Vec::new()) };
        pub(in super::super) static DECOMPRESS: RefCell<Vec<(u8, Inflate)>> = const { RefCell::new(Vec::new()) };
    }

    pub(in super::super) fn take<K: PartialEq, C>(pool: &'static Pool<K, C>, key: &K) -> Option<C> {
        let taken = pool.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            let at = pool.iter().position(|(other, _)| other == key)?;
            Some(pool.remove(at).1)
        });
        taken.ok().flatten()
    }

    /// Resets a codec, and keeps it for the next message of any connection, in place of the one that rested longest.
    pub(in super::super) fn give<K, C>(
        pool: &'static Pool<K, C>,
        key: K,
        codec: C,
        reset: impl FnOnce(&mut C),
    ) -> Option<C> {
        let mut codec = codec;
        let _ = pool.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() == KEPT {
                pool.remove(0);
            }
            reset(&mut codec);
            pool.push((key, codec));
        });
        None
    }
}

#[cfg(not(feature = "std"))]
mod of_nobody {
    pub(in super::super) struct Nothing;
    pub(in super::super) static COMPRESS: Nothing = Nothing;
    pub(in super::super) static DECOMPRESS: Nothing = Nothing;

    pub(in super::super) fn take<K, C>(_: &'static Nothing, _: &K) -> Option<C> {
        None
    }

    pub(in super::super) fn give<K, C>(
        _: &'static Nothing,
        _: K,
        mut codec: C,
        reset: impl FnOnce(&mut C),
    ) -> Option<C> {
        reset(&mut codec);
        Some(codec)
    }
}
