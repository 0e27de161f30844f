//! Counts the bytes that a thread holds on the heap. SQLite's own are not among them: it takes them elsewhere, and keeps
//! no more than its cache of pages.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

/// Bytes that this thread has taken and nobody has given back. A run is driven on one thread.
pub fn live() -> isize {
    LIVE.get()
}

fn count(bytes: usize, sign: isize) {
    // A thread that ends still gives memory back.
    let _ = LIVE.try_with(|live| live.set(live.get() + sign * bytes.cast_signed()));
}

#[expect(unsafe_code, reason = "an allocator is unsafe; this one adds nothing but sums to the system's")]
// SAFETY: every call is the system allocator's own, with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(size, 1);
        unsafe { System.realloc(pointer, layout, size) }
    }
}
