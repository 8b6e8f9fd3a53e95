//! The rates, and the grid of slots that they make.

use core::fmt;
use core::num::{NonZeroU32, NonZeroU64};

use super::Verdict;

/// How often to step, and what to do when that fails.
///
/// The training rate is `steps` steps in `ticks` ticks: 10 Hz is `{ steps: 10, ticks: 1000, .. }` with a clock of
/// milliseconds and `{ steps: 10, ticks: 32_768, .. }` with a watch crystal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Steps of the policy in `ticks`.
    pub steps: u32,
    /// Ticks of the caller's clock in which `steps` are taken.
    pub ticks: u32,
    /// Ticks between two polls, rounded: a poll takes a step if the next one would be further from the slot. With 0
    /// it is taken by the first poll at or after.
    pub poll: u32,
    /// Slots that may be missed at once before `overrun` applies.
    pub tolerated: u32,
    /// What happens when more are missed.
    pub overrun: Overrun,
}

/// What to do about missed slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overrun {
    /// Step as if nothing had happened; the memory takes the gap for one period.
    Continue,
    /// Reset the memory, then step.
    Reset,
    /// Use the fallback action in this slot; the memory stays, and the next slot is a step again.
    Fallback,
}

impl Overrun {
    pub(super) fn verdict(self) -> Verdict {
        match self {
            Self::Continue => Verdict::Step,
            Self::Reset => Verdict::ResetAndStep,
            Self::Fallback => Verdict::Fallback,
        }
    }
}

/// Why a schedule cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScheduleError {
    /// `steps` or `ticks` is zero.
    Zero,
    /// The training period is shorter than a tick, or longer than 2^30 ticks.
    Period,
    /// The loop polls less often than the policy is to step: `poll` is longer than the training period, rounded up.
    Poll,
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zero => "steps and ticks must not be zero",
            Self::Period => "the training period must be at least one tick and at most 2^30",
            Self::Poll => "polls are further apart than steps",
        })
    }
}

impl core::error::Error for ScheduleError {}

/// Longest training period in ticks: a poll may miss one and still tell late from backwards.
const MAX_PERIOD: u32 = 1 << 30;

/// Positions in time, measured in units of which a training period has `ticks` and a tick has `steps`.
///
/// A *phase* counts units from half a period before the last slot that was served; once that is done it is below one
/// period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    steps: NonZeroU32,
    ticks: NonZeroU32,
    /// The phase from which on a poll is near enough to the next slot, one to one and a half periods.
    due: u64,
}

impl Grid {
    pub(super) const fn new(schedule: &Schedule) -> Result<Self, ScheduleError> {
        let (Some(steps), Some(ticks)) = (NonZeroU32::new(schedule.steps), NonZeroU32::new(schedule.ticks))
        else {
            return Err(ScheduleError::Zero);
        };
        let whole = ticks.get() / steps.get();
        if whole == 0 || whole > MAX_PERIOD {
            return Err(ScheduleError::Period);
        }
        let period = ticks.get() as u64;
        let (scale, rounded_down) = (steps.get() as u64, schedule.poll.saturating_sub(1) as u64);
        if rounded_down * scale >= period {
            return Err(ScheduleError::Poll);
        }
        let poll = schedule.poll as u64 * scale;
        let early = if poll < period { poll / 2 } else { period / 2 };
        let due = period + period / 2 - early;
        Ok(Self { steps, ticks, due })
    }

    /// The phase at a slot.
    pub(super) fn origin(&self) -> u64 {
        u64::from(self.ticks.get() / 2)
    }

    /// Lets `passed` ticks pass; if a slot is due, serves the nearest one and returns how many that is further on, with
    /// the new phase.
    ///
    /// Before, the phase is below 1.5 * 2^32, and what is added at most 2^31 * 2^32: nothing overflows.
    pub(super) fn pass(&self, phase: &mut u64, passed: u32) -> Option<(u32, u32)> {
        let period = NonZeroU64::from(self.ticks);
        *phase = phase.wrapping_add(u64::from(passed).wrapping_mul(u64::from(self.steps.get())));
        if *phase < self.due {
            return None;
        }
        let mut slots = 1;
        *phase = phase.wrapping_sub(period.get());
        if *phase >= period.get() {
            slots = u32::try_from(*phase / period).unwrap_or(u32::MAX).saturating_add(1);
            *phase %= period;
        }
        Some((slots, u32::try_from(*phase).unwrap_or(u32::MAX)))
    }

    /// Ticks from a slot to a phase below one period, rounded towards zero.
    pub(super) fn late(&self, phase: u32) -> i32 {
        let slot = self.ticks.get() / 2;
        let ticks = i32::try_from(phase.abs_diff(slot) / self.steps).unwrap_or(i32::MAX);
        if phase < slot { ticks.wrapping_neg() } else { ticks }
    }
}
