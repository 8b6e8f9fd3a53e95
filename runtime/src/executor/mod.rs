//! When to take a step: the recurrent memory advances at the rate of training, however fast the control loop runs.
//!
//! ```text
//! clock ── Executor::poll ──> Verdict: hold the last action | take a step | reset, then take a step | fall back
//! ```
//!
//! A recurrent network knows time only by counting its steps. Stepped at 33 Hz it lives 3.3 times as fast as the
//! 10 Hz it was trained at, so between two steps the caller holds the last action. Steps are due on a fixed grid of
//! *slots*, one per training period, that begins with the first poll: rounding never adds up, and rates that are not
//! a whole number of ticks are exact. A step is taken by the poll nearest to its slot. If the loop stalls for longer,
//! the slots that passed are *missed*; they are never caught up on, since the observations that belonged to them are
//! gone. What follows is declared: [`Overrun`].
//!
//! Time is a `u32` that counts ticks of the caller's clock and wraps around, as a hardware timer does; of a clock with
//! 64 bits, pass the lower 32. Two polls must be less than 2^31 ticks apart: a larger difference means that the clock
//! went back. A clock that stands still is not noticed.
//!
//! An executor calls nothing and holds no action: it says what to do, and works with a bare
//! [`Policy`](crate::Policy), a [`Guarded`](crate::Guarded) one, or several agents that step together.
//!
//! # Example
//!
//! A loop at 33 Hz with a clock of milliseconds runs a policy trained at 10 Hz.
//!
//! ```
//! use ddn_runtime::executor::{Executor, Overrun, Schedule, Verdict};
//! use ddn_runtime::guard::{Forget, Guarded, Rules};
//! use ddn_runtime::{AgentInput, Memory, Model};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let header = concat!(
//! #     r#"{"__metadata__":{"ddn.actions":"left,right","ddn.agents":"1","ddn.format":"1","ddn.gates":"rzn","#,
//! #     r#""ddn.graph":"linear:0>1:fc","ddn.inputs":"obs:2"},"#,
//! #     r#""fc.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"#,
//! #     r#""fc.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]}}"#,
//! # );
//! # let header = format!("{header:0$}", header.len().next_multiple_of(8)); // aligns the data
//! # let mut file = (header.len() as u64).to_le_bytes().to_vec();
//! # file.extend_from_slice(header.as_bytes());
//! # file.extend([0.0_f32, 0.0, 1.0, 0.0, 0.0, 1.0].iter().flat_map(|v| v.to_le_bytes()));
//! # let observe = |now: u32| ([0.25, 0.5], now);
//! let policy = Model::open(&file)?.assume_verified();
//! let rules = Rules { fallback: 0, forget: Forget::After(3), max_age: 150, calibration: None };
//! let mut agent = Guarded::new(&policy, Memory::<64>::new(), rules)?;
//! let mut scratch = [0.0; 256];
//!
//! let schedule = Schedule { steps: 10, ticks: 1000, poll: 30, tolerated: 0, overrun: Overrun::Fallback };
//! let mut executor = Executor::new(schedule)?;
//! let mut action = 0;
//! for now in (0..=1000).step_by(30) {
//!     let (obs, taken_at) = observe(now);
//!     let available = [true, true];
//!     let verdict = executor.poll(now).verdict;
//!     if verdict == Verdict::ResetAndStep {
//!         agent.reset();
//!     }
//!     action = match verdict {
//!         Verdict::Hold => action,
//!         Verdict::Fallback => agent.miss(&available).action,
//!         Verdict::Step | Verdict::ResetAndStep => {
//!             let input =
//!                 AgentInput { obs: &obs, last_action: agent.last_action(), agent_id: 0, available: &available };
//!             agent.step(input, now.wrapping_sub(taken_at), &mut scratch).action
//!         }
//!     };
//!     // … the actuators get `action` …
//! }
//! assert_eq!((action, executor.timing().steps, executor.timing().missed), (1, 11, 0)); // at 0 and 10 in a second
//! # Ok(())
//! # }
//! ```

mod schedule;
mod timing;

pub use schedule::{Overrun, Schedule, ScheduleError};
pub use timing::Timing;

use schedule::Grid;

/// What the caller does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Holds the last action; the memory stays as it is.
    Hold,
    /// Takes a step of the policy.
    Step,
    /// Resets the memory, then takes a step: slots were missed and [`Overrun::Reset`] is declared.
    ResetAndStep,
    /// Uses the fallback action until the next step: slots were missed and [`Overrun::Fallback`] is declared.
    Fallback,
}

/// The answer to one poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Poll {
    /// What to do.
    pub verdict: Verdict,
    /// Ticks from the time the slot was due to now, negative if this is earlier; 0 with [`Verdict::Hold`].
    pub late: i32,
    /// Slots that passed since the one before without a poll near them; 0 with [`Verdict::Hold`].
    pub missed: u32,
    /// Ticks the clock went back since the last poll, 0 if it did not. The verdict is then [`Verdict::Hold`].
    pub backwards: u32,
}

impl Poll {
    const HOLD: Self = Self { verdict: Verdict::Hold, late: 0, missed: 0, backwards: 0 };
}

/// Decides at which polls the memory advances.
///
/// There is at most one step for each slot, from half a poll interval before it to half a training period after it: any
/// `m` consecutive steps span more than `m - 1.5` training periods less half a poll interval. No slot is missed while
/// polls are never further apart than half a training period and half a poll interval together; nor if there is one
/// poll for each, less than half a period away from it.
///
/// A clock that goes back gives no credit: the grid moves back with it. If that was a single false reading, the return
/// counts as time that passed, and one step may come early by as much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executor {
    grid: Grid,
    tolerated: u32,
    overrun: Overrun,
    /// The clock at the last poll; `None` before the first.
    last: Option<u32>,
    /// Where on the grid the last poll was.
    phase: u64,
    timing: Timing,
}

impl Executor {
    /// Waits for the first poll.
    ///
    /// # Errors
    /// If the schedule cannot be kept.
    pub const fn new(schedule: Schedule) -> Result<Self, ScheduleError> {
        let grid = match Grid::new(&schedule) {
            Ok(grid) => grid,
            Err(error) => return Err(error),
        };
        let Schedule { tolerated, overrun, .. } = schedule;
        Ok(Self { grid, tolerated, overrun, last: None, phase: 0, timing: Timing::new() })
    }

    /// Says what to do at time `now`. Call it at each pass of the control loop.
    ///
    /// The first poll asks for a step, and the grid begins with it.
    pub fn poll(&mut self, now: u32) -> Poll {
        self.timing.poll();
        let Some(last) = self.last.replace(now) else {
            self.phase = self.grid.origin();
            self.timing.step(0, 0);
            return Poll { verdict: Verdict::Step, ..Poll::HOLD };
        };
        let passed = now.wrapping_sub(last);
        if passed > i32::MAX.unsigned_abs() {
            self.timing.backwards();
            return Poll { backwards: passed.wrapping_neg(), ..Poll::HOLD };
        }
        let Some((slots, phase)) = self.grid.pass(&mut self.phase, passed) else {
            return Poll::HOLD;
        };
        let missed = slots.saturating_sub(1);
        let late = self.grid.late(phase);
        let verdict = if missed > self.tolerated { self.overrun.verdict() } else { Verdict::Step };
        if verdict == Verdict::Fallback {
            self.timing.fall_back(late, missed);
        } else {
            self.timing.step(late, missed);
        }
        Poll { verdict, late, missed, backwards: 0 }
    }

    /// Begins anew at the next poll, which asks for a step. Call it with each new episode; the report goes on.
    pub fn restart(&mut self) {
        self.last = None;
    }

    /// What has been seen since the executor was made or the report was last taken.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Hands out the report and begins a new one.
    pub fn take_timing(&mut self) -> Timing {
        core::mem::take(&mut self.timing)
    }
}
