//! How the allocator treats the memory of long messages.
//! Knows no connection.

use std::hint::black_box;
use std::sync::Once;

/// Length of a block that the allocator should keep, once it is freed.
const LARGE: usize = 4 << 20;

/// Makes the allocator keep the memory of long messages for the next ones; called before the first read buffer of a process is made.
///
/// glibc returns the top of its heap to the system as soon as 128 KiB of it are free, and pages it in again for the next message, until a
/// larger block was freed once. Other allocators do not mind, and the block is not touched.
pub fn keep_large_blocks() {
    static KEPT: Once = Once::new();
    KEPT.call_once(|| drop(black_box(Vec::<u8>::with_capacity(LARGE))));
}
