//! What both programs share: an instruction counter, a console without `core::fmt`, and an exit code.
//!
//! Formatting by hand keeps the images free of panics, which the feature `no-panic-proof` lets the linker verify.
#![no_std]

pub mod console;
pub mod counter;
mod panic;

/// Ends the run; the host sees 0 for `Ok`, 1 otherwise. The error is printed.
pub fn exit(result: Result<(), &'static str>) -> ! {
    if let Err(reason) = result {
        console::Line::new().text("failed: ").text(reason).print();
    }
    let status = match result {
        Ok(()) => cortex_m_semihosting::debug::EXIT_SUCCESS,
        Err(_) => cortex_m_semihosting::debug::EXIT_FAILURE,
    };
    loop {
        cortex_m_semihosting::debug::exit(status);
    }
}
