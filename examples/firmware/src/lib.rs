//! What the programs share: an instruction counter, a console without `core::fmt`, and an exit code.
//!
//! Formatting by hand keeps the images free of panics, which the feature `no-panic-proof` lets the linker verify.
#![no_std]

pub mod console;
pub mod counter;
mod panic;
pub mod report;

/// Ends the run; the host sees 0 for `Ok`, 1 otherwise. The error is printed.
pub fn exit(result: Result<(), &'static str>) -> ! {
    if let Err(reason) = result {
        console::Line::new().text("failed: ").text(reason).print();
    }
    end(result.is_ok())
}

/// Ends the run without a word.
pub fn end(well: bool) -> ! {
    use cortex_m_semihosting::debug;
    loop {
        debug::exit(if well { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    }
}
