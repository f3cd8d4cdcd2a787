//! Replacements for parts of std: the entry point, the heap, the end after a panic.
//! This is about the machine. The only file that says `unsafe`.

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::{c_char, c_int, c_void};
use core::panic::PanicInfo;
use core::ptr;

#[link(name = "c")]
unsafe extern "C" {
    fn posix_memalign(place: *mut *mut c_void, align: usize, size: usize) -> c_int;
    fn free(place: *mut c_void);
    fn puts(text: *const c_char) -> c_int;
    fn abort() -> !;
}

struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

// SAFETY: the C library gives blocks of the size and the alignment asked for, or none.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut place = ptr::null_mut();
        let align = layout.align().max(size_of::<usize>());
        // SAFETY: the alignment is a power of two, and a multiple of a pointer's size.
        match unsafe { posix_memalign(&raw mut place, align, layout.size()) } {
            0 => place.cast(),
            _ => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, place: *mut u8, _: Layout) {
        // SAFETY: it came from `alloc`.
        unsafe { free(place.cast()) }
    }
}

#[panic_handler]
fn panicked(_: &PanicInfo<'_>) -> ! {
    // SAFETY: it takes nothing and does not return.
    unsafe { abort() }
}

/// The `alloc` that comes with Rust was built to unwind: it names this, and calls it only after a panic, which has ended the program.
// SAFETY: nothing else in the program is called so.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// As above.
// SAFETY: nothing else in the program is called so.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    // SAFETY: it takes nothing and does not return.
    unsafe { abort() }
}

/// Where the C library begins.
// SAFETY: nothing else in the program is called so.
#[unsafe(no_mangle)]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    match crate::run() {
        Ok(()) => {
            // SAFETY: a C string, which ends with a zero.
            unsafe { puts(c"sansws-core works without std".as_ptr()) };
            0
        }
        Err(step) => c_int::from(step),
    }
}
