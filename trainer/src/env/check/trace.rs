//! What was seen of an episode, and where two of them differ.

use std::time::Duration;

use crate::env::{EnvSpec, Frame, Step};

/// One step and the frame that it led to.
pub(super) struct Moment {
    pub(super) actions: Vec<usize>,
    pub(super) step: Step,
    pub(super) frame: Frame,
}

/// One episode.
pub(super) struct Trace {
    pub(super) episode: usize,
    pub(super) seed: u64,
    pub(super) first: Frame,
    pub(super) moments: Vec<Moment>,
    /// What [`Env::save`] gave after this many steps.
    pub(super) saved: Option<(usize, Vec<u8>)>,
    /// Spent inside of `step`.
    pub(super) time: Duration,
}

impl Trace {
    pub(super) fn total(&self) -> f64 {
        self.moments.iter().map(|moment| f64::from(moment.step.reward)).sum()
    }

    /// The frame after `t` steps.
    pub(super) fn frame(&self, t: usize) -> &Frame {
        t.checked_sub(1).map_or(&self.first, |last| &self.moments[last].frame)
    }
}

/// Bit for bit.
pub(super) fn same_step(a: &Step, b: &Step) -> bool {
    a.reward.to_bits() == b.reward.to_bits() && (a.end, a.won) == (b.end, b.won)
}

/// The first place where two frames differ.
pub(super) fn difference(want: &Frame, got: &Frame, spec: &EnvSpec) -> Option<String> {
    let (obs, view, actions) = (spec.obs_dim, spec.teacher_dim, spec.n_actions());
    let of_agent =
        |field: &str, k: usize, dim: usize| format!("{field} of agent {}, index {}", k / dim, k % dim);
    None.or_else(|| Some(of_agent("obs", floats(&want.obs, &got.obs)?, obs)))
        .or_else(|| Some(format!("state, index {}", floats(&want.state, &got.state)?)))
        .or_else(|| Some(of_agent("mask", flags(&want.available, &got.available)?, actions)))
        .or_else(|| Some(format!("alive of agent {}", flags(&want.alive, &got.alive)?)))
        .or_else(|| Some(of_agent("teacher view", floats(&want.teacher, &got.teacher)?, view)))
}

/// Bit for bit.
fn floats(want: &[f32], got: &[f32]) -> Option<usize> {
    first(want, got, |a, b| a.to_bits() == b.to_bits())
}

fn flags(want: &[bool], got: &[bool]) -> Option<usize> {
    first(want, got, |a, b| a == b)
}

fn first<T>(want: &[T], got: &[T], same: impl Fn(&T, &T) -> bool) -> Option<usize> {
    let differs = want.iter().zip(got).position(|(a, b)| !same(a, b));
    differs.or((want.len() != got.len()).then_some(want.len().min(got.len())))
}
