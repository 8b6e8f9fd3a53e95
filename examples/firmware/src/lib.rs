//! What the programs share: a board, an instruction counter, a console without `core::fmt`, and an exit code.
//!
//! Formatting by hand keeps the images free of panics, which the feature `no-panic-proof` lets the linker verify.
#![no_std]

pub mod board;
pub mod console;
pub mod counter;
mod panic;
pub mod recorded;
pub mod report;
pub mod stack;
#[cfg(target_arch = "arm")]
pub mod uart;

use board::{Board, Here};

/// Ends the run; the host sees the status 0 for `Ok`, else another. The error is printed.
pub fn exit(result: Result<(), &'static str>) -> ! {
    if let Err(reason) = result {
        console::Line::new().text("failed: ").text(reason).print();
    }
    Here::exit(result.is_ok())
}
