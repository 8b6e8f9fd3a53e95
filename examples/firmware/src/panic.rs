//! What happens on a panic: nothing good, or no image at all.

use core::panic::PanicInfo;

/// Reports the panic and ends the run with a failure.
#[cfg(not(feature = "no-panic-proof"))]
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    super::exit(Err("panic"))
}

/// Cannot be linked. An optimised image that links contains no path to a panic.
#[cfg(feature = "no-panic-proof")]
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn a_panic_can_be_reached() -> !;
    }
    // SAFETY: the function does not exist, so no image that could call it does.
    unsafe { a_panic_can_be_reached() }
}
