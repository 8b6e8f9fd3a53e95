//! The board's first serial line, CMSDK UART0 of the MPS2.
//!
//! Source: Arm Cortex-M System Design Kit Technical Reference Manual, "APB UART"; Arm Application Note 386, memory map
//! and interrupts.

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;

/// The registers of the UART, from its base.
const DATA: *mut u32 = 0x4000_4000 as *mut u32;
const STATE: *mut u32 = 0x4000_4004 as *mut u32;
const CTRL: *mut u32 = 0x4000_4008 as *mut u32;
const INTCLEAR: *mut u32 = 0x4000_400c as *mut u32;
const BAUDDIV: *mut u32 = 0x4000_4010 as *mut u32;

/// Bits of `STATE`: the byte to send has not left, a byte has come.
const TX_FULL: u32 = 1 << 0;
const RX_FULL: u32 = 1 << 1;
/// Bits of `CTRL`: send, receive, interrupt for each byte that comes.
const TX_ENABLE: u32 = 1 << 0;
const RX_ENABLE: u32 = 1 << 1;
const RX_INTERRUPT: u32 = 1 << 3;
/// Bit of `INTCLEAR`.
const RX_CLEAR: u32 = 1 << 1;
/// Clock cycles per bit: 25 MHz / 115,200 baud.
const CYCLES_PER_BIT: u32 = 217;

/// The interrupt of a byte that has come.
#[derive(Clone, Copy)]
struct Received;

// SAFETY: the number of UART0's receive interrupt on this board; it does not change.
unsafe impl InterruptNumber for Received {
    fn number(self) -> u16 {
        0
    }
}

/// The serial line. Only one exists: it needs the interrupt controller.
pub struct Uart(NVIC);

impl Uart {
    /// Opens the line. No interrupt is handled from now on: they only end [`Uart::read`]'s sleep.
    pub fn open(nvic: NVIC) -> Self {
        cortex_m::interrupt::disable();
        // SAFETY: the addresses are those of the UART's registers, which nothing else touches.
        unsafe {
            BAUDDIV.write_volatile(CYCLES_PER_BIT);
            CTRL.write_volatile(TX_ENABLE | RX_ENABLE | RX_INTERRUPT);
            // Whatever was left from before. QEMU offers bytes that wait only after a read.
            DATA.read_volatile();
        }
        // SAFETY: interrupts are disabled as a whole, so none can break into anything.
        unsafe { NVIC::unmask(Received) }
        Self(nvic)
    }

    /// The next byte; sleeps until there is one.
    pub fn read(&mut self) -> u8 {
        let _ = &self.0;
        // SAFETY: as in `open`.
        while unsafe { STATE.read_volatile() } & RX_FULL == 0 {
            // A byte that comes before this line leaves the interrupt pending, and the processor does not sleep.
            cortex_m::asm::wfi();
        }
        // First the interrupt, then the register: while it holds a byte no other raises the interrupt, so none is
        // cleared unseen.
        // SAFETY: as in `open`.
        unsafe { INTCLEAR.write_volatile(RX_CLEAR) }
        NVIC::unpend(Received);
        // SAFETY: as in `open`. The register holds one byte.
        unsafe { DATA.read_volatile() as u8 }
    }

    /// Sends a byte; waits until the one before has left.
    pub fn write(&mut self, byte: u8) {
        // SAFETY: as in `open`.
        while unsafe { STATE.read_volatile() } & TX_FULL != 0 {}
        // SAFETY: as in `open`.
        unsafe { DATA.write_volatile(u32::from(byte)) }
    }
}
