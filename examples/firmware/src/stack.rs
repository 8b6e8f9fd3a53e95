//! The depth of the stack, from what is left of a coat of paint.

use crate::board::{Board, Here};

/// Words that are painted: more than any work here needs, and less than any board has.
const WORDS: usize = 8192;
/// The paint. A word of the stack that has this value by chance makes it look less deep by four bytes at most.
const PAINT: u32 = 0xa5c3_965a;

/// Runs `work` and says how many bytes of stack it took, at least; 0 on boards that hide the stack.
#[inline(never)]
pub fn depth<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let Some(top) = Here::stack_pointer() else {
        return (work(), 0);
    };
    let bottom = top.wrapping_sub(WORDS);
    for word in 0..WORDS {
        // SAFETY: what lies below the stack pointer belongs to no one, there are no interrupts, and no board has less.
        unsafe { bottom.wrapping_add(word).write_volatile(PAINT) };
    }
    let result = work();
    // SAFETY: as above.
    let painted = |word: &usize| unsafe { bottom.wrapping_add(*word).read_volatile() } == PAINT;
    let untouched = (0..WORDS).take_while(painted).count();
    (result, (WORDS - untouched) * size_of::<u32>())
}
