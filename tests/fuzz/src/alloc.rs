//! What a thread has allocated, and the most that it had at once: for bounds on memory.
//!
//! The counter is the allocator of every binary that links this crate. A block that grows counts
//! twice while it does, as it does where it has to be moved.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

thread_local! {
    // Constant and without a destructor, so that the allocator may use them at any time.
    static HELD_BYTES: Cell<isize> = const { Cell::new(0) };
    static PEAK_BYTES: Cell<isize> = const { Cell::new(0) };
}

fn add(bytes: usize) {
    let held = HELD_BYTES.get().wrapping_add_unsigned(bytes);
    HELD_BYTES.set(held);
    PEAK_BYTES.set(PEAK_BYTES.get().max(held));
}

// SAFETY: every call goes to the system's allocator as it came; what is added touches no memory
// but two integers of the thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promises are the ones that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD_BYTES.set(HELD_BYTES.get().wrapping_sub_unsigned(layout.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_bytes: usize) -> *mut u8 {
        add(new_bytes);
        HELD_BYTES.set(HELD_BYTES.get().wrapping_sub_unsigned(layout.size()));
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, new_bytes) }
    }
}

/// Runs `work`; its result, and by how many bytes the thread's memory rose at most meanwhile.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let (before, outer) = (HELD_BYTES.get(), PEAK_BYTES.get());
    PEAK_BYTES.set(before);
    let result = work();
    let peak = PEAK_BYTES.get().wrapping_sub(before);
    // What is measured around this has had this peak as well.
    PEAK_BYTES.set(PEAK_BYTES.get().max(outer));
    (result, u64::try_from(peak).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_at_once_counts_and_what_was_there_does_not() {
        let before = vec![0_u8; 5000];
        let ((), peak) = peak_of(|| {
            drop(vec![0_u8; 1000]);
            drop(vec![0_u8; 700]);
        });
        assert_eq!(peak, 1000);
        let ((), peak) = peak_of(|| drop(before));
        assert_eq!(peak, 0);
        let (grown, peak) = peak_of(|| {
            let mut grown = vec![0_u8; 100];
            grown.reserve_exact(300);
            grown
        });
        assert_eq!((grown.len(), peak), (100, 500));
    }
}
