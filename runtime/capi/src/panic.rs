//! What a static library without an operating system does on a panic. None can be reached in an optimised build, and
//! with the feature `no-panic-proof` the linker says so.
#![cfg_attr(feature = "no-panic-proof", allow(unsafe_code))]
#![cfg(target_os = "none")]

use core::panic::PanicInfo;

/// Stays here.
#[cfg(not(feature = "no-panic-proof"))]
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Cannot be linked. A program that links contains no path to a panic.
#[cfg(feature = "no-panic-proof")]
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn a_panic_can_be_reached() -> !;
    }
    // SAFETY: the function does not exist, so no program that could call it does.
    unsafe { a_panic_can_be_reached() }
}
