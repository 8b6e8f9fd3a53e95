//! What programs ask of the machine they run on. One file per kind of machine; the target decides which is compiled.

#[cfg(target_arch = "arm")]
mod cortex_m;
#[cfg(target_arch = "riscv32")]
mod virt;
#[cfg(target_arch = "wasm32")]
mod wasm;

#[cfg(target_arch = "arm")]
pub use cortex_m::Here;
#[cfg(target_arch = "riscv32")]
pub use virt::Here;
#[cfg(target_arch = "wasm32")]
pub use wasm::Here;

/// A machine. Its functions belong to the type: there is one machine.
pub trait Board {
    /// Instructions in so many ticks of the timer, `[instructions, ticks]`; `None` if it cannot count.
    const RATE: Option<[u64; 2]>;
    /// The largest value of the timer; then it starts again from 0.
    const LAST_TICK: u32;

    /// Starts the timer.
    fn start();

    /// Ticks of the timer.
    fn ticks() -> u32;

    /// The stack pointer here and now, a multiple of four; `None` if it cannot be known.
    fn stack_pointer() -> Option<*mut u32>;

    /// Sends text to the host.
    fn write(text: &[u8]);

    /// Ends the run. The host sees the status 0 if all went well, else another.
    fn exit(well: bool) -> !;
}
