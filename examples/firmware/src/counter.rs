//! Counts instructions with the timer of the board.

use crate::board::{Board, Here};
use crate::console::Line;

/// A running timer.
///
/// What takes longer than the timer's period is counted wrongly: 10 million instructions on a Cortex-M.
pub struct Counter {
    overhead: u32,
}

impl Counter {
    /// Starts the timer and measures what measuring costs.
    pub fn new() -> Self {
        Here::start();
        let (_, overhead) = Self { overhead: 0 }.count(|| ());
        Self { overhead }
    }

    /// Runs `work` and counts its instructions; 0 on boards that cannot count.
    pub fn count<T>(&self, work: impl FnOnce() -> T) -> (T, u32) {
        let before = Here::ticks();
        let result = work();
        let ticks = Here::ticks().wrapping_sub(before) & Here::LAST_TICK;
        let count = Here::RATE.map_or(0, |[instructions, per]| u64::from(ticks) * instructions / per);
        (result, (count as u32).saturating_sub(self.overhead))
    }
}

impl Default for Counter {
    fn default() -> Self {
        Self::new()
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

    /// Prints `instructions per step: min … mean … max …`, on boards that can count.
    pub fn print(&self) {
        if Here::RATE.is_none() {
            return;
        }
        let mean = self.sum.checked_div(u64::from(self.n)).unwrap_or(0);
        let line = Line::new().text("instructions per step: min ").number(self.min as usize);
        line.text(" mean ").number(mean as usize).text(" max ").number(self.max as usize).print();
    }

    /// Prints `instructions at the extremes: min … max …`, on boards that can count.
    pub fn print_extremes(&self) {
        if Here::RATE.is_some() {
            let line = Line::new().text("instructions at the extremes: min ").number(self.min as usize);
            line.text(" max ").number(self.max as usize).print();
        }
    }
}
