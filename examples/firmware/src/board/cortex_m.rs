//! Cortex-M under QEMU: semihosting, and the system timer.
//!
//! With `-icount shift=6` every instruction takes 64 ns of virtual time, so the timer counts instructions. On hardware
//! it counts cycles of the processor, and the counts printed are of units of 64 ns, if `CLOCK` is the processor's.

use core::arch::asm;

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt as _; // starts `main`
use cortex_m_semihosting::{debug, hio};

/// Instructions in a second of virtual time: one in 64 ns.
const INSTRUCTIONS: u64 = 1_000_000_000 / 64;

/// The processor's clock in Hz.
const CLOCK: u64 = if cfg!(board = "an547") {
    32_000_000
} else if cfg!(board = "an505") {
    20_000_000
} else {
    25_000_000
};

/// This machine.
pub struct Here;

impl super::Board for Here {
    const RATE: Option<[u64; 2]> = Some([INSTRUCTIONS, CLOCK]);
    const LAST_TICK: u32 = 0x00ff_ffff;

    fn start() {
        if let Some(peripherals) = cortex_m::Peripherals::take() {
            let mut timer = peripherals.SYST;
            timer.set_clock_source(SystClkSource::Core);
            timer.set_reload(Self::LAST_TICK);
            timer.clear_current();
            timer.enable_counter();
        }
    }

    /// The timer counts down.
    fn ticks() -> u32 {
        Self::LAST_TICK - SYST::get_current()
    }

    #[inline(always)]
    fn stack_pointer() -> Option<*mut u32> {
        let pointer;
        // SAFETY: reads a register.
        unsafe { asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
        Some(pointer)
    }

    fn write(text: &[u8]) {
        if let Ok(mut host) = hio::hstdout() {
            let _ = host.write_all(text);
        }
    }

    fn exit(well: bool) -> ! {
        loop {
            debug::exit(if well { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
        }
    }
}
