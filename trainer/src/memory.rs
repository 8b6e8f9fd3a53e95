//! The allocator of the trainer, for tensors of many megabytes that come and go with every update.
//!
//! Unsafe, since an allocator is, and since mimalloc's options are numbers in a table of a C library.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};

use mimalloc::MiMalloc;

/// What a cache line and the widest vector register hold, in bytes.
const LINE: usize = 64;

/// Smaller requests hold no tensor worth a line of its own.
const LARGE: usize = 512;

/// mimalloc, where memory for tensors begins with a cache line: a vector register that is loaded across the end of
/// one costs two loads.
#[derive(Debug)]
pub struct Lines;

/// `layout`, which begins with a line where what it holds, or is to hold, is of a large `size`.
fn lined(layout: Layout, size: usize) -> Layout {
    if size < LARGE { layout } else { layout.align_to(LINE).unwrap_or(layout) }
}

// SAFETY: all is passed on to an allocator that upholds the contract for any valid layout. `lined` gives a valid
// one of the same size whose alignment is no smaller. That `alloc` and `dealloc` see the same layout holds
// here, too, since it depends on the layout alone; `realloc` asks for the new size's alignment and hands over
// memory of this allocator, which looks up a block's own size and alignment (read in the pinned version).
unsafe impl GlobalAlloc for Lines {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { MiMalloc.alloc(lined(layout, layout.size())) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { MiMalloc.alloc_zeroed(lined(layout, layout.size())) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { MiMalloc.dealloc(memory, lined(layout, layout.size())) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe { MiMalloc.realloc(memory, lined(layout, size), size) }
    }
}

/// Freed memory stays with the process instead of going back to the system after 10 ms, which would
/// fill every page with zeros anew at each update: as much time as the learning itself.
pub fn keep_pages() {
    /// `mi_option_purge_delay` in the header of the version that `Cargo.toml` pins.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: sets one number in a table of the allocator that is linked into this program; -1 is
    // the documented value for "never".
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_memory_begins_with_a_line_and_keeps_what_it_held_as_it_grows() {
        let small = Layout::array::<f32>(5).expect("a layout");
        // SAFETY: layouts have a size, each block is given back once, with the layout of its size.
        unsafe {
            let mut memory = Lines.alloc(small).cast::<f32>();
            (0..5).for_each(|i| memory.add(i).write(i as f32));
            let mut layout = small;
            for len in [700, 701, 20_001, 4_000_003] {
                let size = len * size_of::<f32>();
                memory = Lines.realloc(memory.cast(), layout, size).cast();
                layout = Layout::array::<f32>(len).expect("a layout");
                assert_eq!((memory as usize % LINE, memory.add(4).read()), (0, 4.0), "{len}");
                let zeros = Lines.alloc_zeroed(layout);
                assert_eq!((zeros as usize % LINE, zeros.add(size - 1).read()), (0, 0), "{len}");
                Lines.dealloc(zeros, layout);
            }
            Lines.dealloc(memory.cast(), layout);
        }
    }
}
