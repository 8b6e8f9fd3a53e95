//! What went wrong, and how often.

use core::fmt;

use crate::error::ActError;

/// Why the fallback action was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The observation is older than [`Rules::max_age`](super::Rules::max_age).
    Stale {
        /// Its age.
        age: u32,
        /// The greatest that is allowed.
        max_age: u32,
    },
    /// The observation lies beyond its calibrated range and [`Beyond::Fallback`](super::Beyond::Fallback) is chosen.
    Beyond {
        /// The first element that does.
        at: usize,
    },
    /// There was no observation, or the executor asked for the fallback: see [`Guarded::miss`](super::Guarded::miss).
    Missed,
    /// The policy cannot act on what it was given. A scratch too short for the guard is a
    /// [`Scratch`](ActError::Scratch) too.
    Act(ActError),
}

impl From<ActError> for Fault {
    fn from(error: ActError) -> Self {
        Self::Act(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { age, max_age } => write!(f, "observation is {age} old, {max_age} is allowed"),
            Self::Beyond { at } => write!(f, "observation: element {at} is beyond its range"),
            Self::Missed => f.write_str("the step was missed"),
            Self::Act(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Fault {}

/// How often each thing happened. Counts stop at their largest value.
///
/// Of each fault exactly one of `stale`, `missed`, `wrong_length`, `wrong_index`, `not_finite`, `no_action`,
/// `not_a_number` and, with [`Beyond::Fallback`](super::Beyond::Fallback), `beyond` counts one more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Decisions, the policy's and fallbacks.
    pub steps: u32,
    /// Fallbacks.
    pub fallbacks: u32,
    /// Observations older than allowed.
    pub stale: u32,
    /// Steps without an observation, or with the executor asking for the fallback.
    pub missed: u32,
    /// Observations, masks, memories or scratch of the wrong length.
    pub wrong_length: u32,
    /// Agents or last actions that do not exist.
    pub wrong_index: u32,
    /// Observations that were infinite or not a number somewhere.
    pub not_finite: u32,
    /// Observations beyond the calibrated range, whatever was done about it.
    pub beyond: u32,
    /// Masks that allowed nothing.
    pub no_action: u32,
    /// Steps at which no available action had a value that is a number.
    pub not_a_number: u32,
    /// Times that faults reset the memory.
    pub resets: u32,
}

impl Counters {
    pub(super) fn step(&mut self) {
        add(&mut self.steps);
    }

    pub(super) fn beyond(&mut self) {
        add(&mut self.beyond);
    }

    pub(super) fn reset(&mut self) {
        add(&mut self.resets);
    }

    /// Counts a fallback and its reason. That an observation was beyond its range has been counted.
    pub(super) fn fault(&mut self, fault: Fault) {
        add(&mut self.fallbacks);
        match fault {
            Fault::Stale { .. } => add(&mut self.stale),
            Fault::Beyond { .. } => {}
            Fault::Missed => add(&mut self.missed),
            Fault::Act(error) => add(match error {
                ActError::Memory { .. }
                | ActError::Scratch { .. }
                | ActError::Obs { .. }
                | ActError::Available { .. } => &mut self.wrong_length,
                ActError::Index => &mut self.wrong_index,
                ActError::NotFinite => &mut self.not_finite,
                ActError::NoAction => &mut self.no_action,
                ActError::NotANumber => &mut self.not_a_number,
            }),
        }
    }
}

fn add(count: &mut u32) {
    *count = count.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stop_at_their_largest_value() {
        let mut counters = Counters { steps: u32::MAX, stale: u32::MAX - 1, ..Counters::default() };
        counters.step();
        for _ in 0..3 {
            counters.fault(Fault::Stale { age: 2, max_age: 1 });
        }
        assert_eq!((counters.steps, counters.stale, counters.fallbacks), (u32::MAX, u32::MAX, 3));
    }
}
