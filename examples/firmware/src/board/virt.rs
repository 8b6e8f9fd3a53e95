//! The machine `virt` of `qemu-system-riscv32`: a serial line, a switch to turn it off, and a counter of instructions.

use core::arch::asm;

use riscv_rt as _; // starts `main`

/// Where a byte written is sent.
const SERIAL: *mut u8 = 0x1000_0000 as *mut u8;
/// Turns the machine off.
const SWITCH: *mut u32 = 0x0010_0000 as *mut u32;
/// Off, with the status 0.
const PASS: u32 = 0x5555;
/// Off, with the status in the upper half.
const FAIL: u32 = 0x3333 | 1 << 16;

/// This machine.
pub struct Here;

impl super::Board for Here {
    const RATE: Option<[u64; 2]> = Some([1, 1]);
    const LAST_TICK: u32 = u32::MAX;

    fn start() {}

    fn ticks() -> u32 {
        let count: u32;
        // SAFETY: reads a register that counts. Exact with `-icount shift=0`.
        unsafe { asm!("csrr {}, minstret", out(reg) count, options(nostack)) };
        count
    }

    #[inline(always)]
    fn stack_pointer() -> Option<*mut u32> {
        let pointer;
        // SAFETY: reads a register.
        unsafe { asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack)) };
        Some(pointer)
    }

    fn write(text: &[u8]) {
        for &byte in text {
            // SAFETY: the address is the serial line's of this machine; QEMU's is always ready.
            unsafe { SERIAL.write_volatile(byte) };
        }
    }

    fn exit(well: bool) -> ! {
        loop {
            // SAFETY: the address is the switch's of this machine.
            unsafe { SWITCH.write_volatile(if well { PASS } else { FAIL }) };
        }
    }
}
