//! Counts instructions with the system timer.
//!
//! Under `qemu-system-arm -icount shift=6` every instruction takes 64 ns of virtual time. The timer of this board runs
//! at 25 MHz, 40 ns a tick, so instructions = ticks * 40 / 64. On hardware the same code counts processor cycles, in the
//! same unit: multiply by 16/10.

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

/// A running timer. It wraps after 10.4 million instructions.
pub struct Counter {
    timer: SYST,
    overhead: u32,
}

/// The largest value of the timer.
const TOP: u32 = 0x00ff_ffff;

impl Counter {
    /// Starts the timer and measures what measuring costs.
    pub fn new(mut timer: SYST) -> Self {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(TOP);
        timer.clear_current();
        timer.enable_counter();
        let mut counter = Self { timer, overhead: 0 };
        counter.overhead = counter.count(|| ()).1;
        counter
    }

    /// Runs `work` and counts its instructions.
    pub fn count<T>(&self, work: impl FnOnce() -> T) -> (T, u32) {
        let _ = &self.timer;
        let before = SYST::get_current();
        let result = work();
        let ticks = before.wrapping_sub(SYST::get_current()) & TOP;
        (result, (ticks * 10 / 16).saturating_sub(self.overhead))
    }
}

/// Smallest, mean and largest of some counts.
pub struct Range {
    min: u32,
    max: u32,
    sum: u64,
    n: u32,
}

impl Default for Range {
    fn default() -> Self {
        Self { min: u32::MAX, max: 0, sum: 0, n: 0 }
    }
}

impl Range {
    /// Adds one count.
    pub fn add(&mut self, count: u32) {
        self.min = self.min.min(count);
        self.max = self.max.max(count);
        self.sum = self.sum.wrapping_add(u64::from(count));
        self.n = self.n.wrapping_add(1);
    }

    /// Prints `instructions per step: min … mean … max …`.
    pub fn print(&self) {
        let mean = self.sum.checked_div(u64::from(self.n)).unwrap_or(0);
        super::console::Line::new()
            .text("instructions per step: min ")
            .number(self.min as usize)
            .text(" mean ")
            .number(mean as usize)
            .text(" max ")
            .number(self.max as usize)
            .print();
    }
}
