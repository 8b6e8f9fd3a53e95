//! What the integrator decides, once, about everything that can go wrong.

use core::fmt;

use crate::model::AgentSpec;

/// The rules of a [`Guarded`](super::Guarded) policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules<'r> {
    /// The action when the policy has none, below `n_actions`: one that is safe at any time.
    pub fallback: usize,
    /// What becomes of the memory when steps are lost.
    pub forget: Forget,
    /// The greatest age of an observation, in a unit of the caller's choice; [`u32::MAX`] if any age will do.
    pub max_age: u32,
    /// The range the observations are known to have, if it is known.
    pub calibration: Option<Calibration<'r>>,
}

/// When faults reset the recurrent memory.
///
/// Whatever is chosen, [`ActError::NotANumber`](crate::ActError::NotANumber) resets it at once: it may hold what is
/// not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forget {
    /// Never: the memory keeps the state of the last good step.
    Never,
    /// With the n-th fault in a row, n at least 1.
    After(u32),
}

impl Forget {
    /// Whether the fault that makes it `in_a_row` is the one that resets.
    pub(super) fn now(self, in_a_row: u32) -> bool {
        matches!(self, Self::After(n) if n == in_a_row)
    }
}

/// The range that the observations of training had, bounds included.
///
/// `low`, `high`: `[obs_dim]`. An element without a bound has an infinite one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration<'r> {
    /// The least value of each element.
    pub low: &'r [f32],
    /// The greatest value of each element.
    pub high: &'r [f32],
    /// What happens if an element lies outside.
    pub beyond: Beyond,
}

/// What happens to an observation of which an element lies beyond its range. It is counted in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// The policy gets it as it is.
    Count,
    /// The policy gets it with each element moved to the nearest bound.
    Clamp,
    /// The fallback action is used.
    Fallback,
}

impl Calibration<'_> {
    /// The first element of a finite observation, `[obs_dim]`, that lies outside. `None` if the observation is not
    /// finite.
    pub(super) fn beyond(&self, obs: &[f32]) -> Option<usize> {
        let mut bounds = obs.iter().zip(self.low).zip(self.high);
        let at = bounds.position(|((value, low), high)| value < low || value > high)?;
        obs.iter().all(|value| value.is_finite()).then_some(at)
    }

    /// Writes a finite observation with each element within its bounds, and returns it.
    pub(super) fn clamp<'s>(&self, obs: &[f32], clamped: &'s mut [f32]) -> &'s [f32] {
        let bounds = obs.iter().zip(self.low).zip(self.high);
        for (to, ((value, low), high)) in clamped.iter_mut().zip(bounds) {
            // Not `f32::clamp`, which may panic, nor `max` and `min`, which are calls on a Cortex-M4F.
            *to = if value < low {
                *low
            } else if value > high {
                *high
            } else {
                *value
            };
        }
        clamped
    }

    /// Two bounds for each element, that leave it a finite value.
    fn check(&self, obs_dim: usize) -> Result<(), RulesError> {
        for bounds in [self.low, self.high] {
            if bounds.len() != obs_dim {
                return Err(RulesError::Calibration { want: obs_dim, got: bounds.len() });
            }
        }
        let empty =
            |(low, high): (&f32, &f32)| !(low <= high && *low < f32::INFINITY && *high > f32::NEG_INFINITY);
        match self.low.iter().zip(self.high).position(empty) {
            Some(at) => Err(RulesError::Bounds { at }),
            None => Ok(()),
        }
    }
}

impl Rules<'_> {
    pub(super) fn check(&self, spec: &AgentSpec<'_>) -> Result<(), RulesError> {
        if self.fallback >= spec.n_actions() {
            return Err(RulesError::Fallback { actions: spec.n_actions(), got: self.fallback });
        }
        if self.forget == Forget::After(0) {
            return Err(RulesError::Forget);
        }
        self.calibration.map_or(Ok(()), |calibration| calibration.check(spec.obs_dim()))
    }
}

/// Why a policy cannot be guarded by these rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RulesError {
    /// The fallback is not an action of the policy.
    Fallback {
        /// Actions there are.
        actions: usize,
        /// The fallback.
        got: usize,
    },
    /// The memory would be reset after no fault at all.
    Forget,
    /// The bounds of the calibrated range are not one for each element of the observation.
    Calibration {
        /// Bounds needed.
        want: usize,
        /// Bounds given.
        got: usize,
    },
    /// The bounds of an element leave it no finite value, or one is not a number.
    Bounds {
        /// Which element.
        at: usize,
    },
    /// The memory is shorter than [`Policy::memory_len`](crate::Policy::memory_len).
    Memory {
        /// Floats needed.
        want: usize,
        /// Floats given.
        got: usize,
    },
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fallback { actions, got } => {
                write!(f, "fallback: action {got} does not exist, there are {actions}")
            }
            Self::Forget => f.write_str("forget: counts faults from 1"),
            Self::Calibration { want, got } => {
                write!(f, "calibration: {want} bounds needed, {got} given")
            }
            Self::Bounds { at } => write!(f, "calibration: bounds of element {at} contain no finite number"),
            Self::Memory { want, got } => write!(f, "memory: {want} floats needed, {got} given"),
        }
    }
}

impl core::error::Error for RulesError {}
