//! Lines that the programs print and `tests/run budget` reads.

use ddn_runtime::Policy;

use crate::board::{Board, Here};
use crate::console::Line;

/// Prints `instructions to open the file: …` and `instructions to verify it: …`, on boards that can count.
pub fn open(open: u32, verify: u32) {
    if Here::RATE.is_some() {
        Line::new().text("instructions to open the file: ").number(open as usize).print();
        Line::new().text("instructions to verify it: ").number(verify as usize).print();
    }
}

/// Prints `scratch … memory … floats`.
pub fn buffers(policy: &Policy<'_>) {
    let line = Line::new().text("scratch ").number(policy.scratch_len());
    line.text(" memory ").number(policy.memory_len()).text(" floats").print();
}
