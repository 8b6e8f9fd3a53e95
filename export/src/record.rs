//! Episodes recorded with the trained network: what it saw and what it answered.

use crate::error::ExportError;
use crate::frozen::Tensor;
use crate::spec::{AgentSpec, InputKind};

/// One episode of the whole team, greedy over the available actions. T steps, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    /// T.
    pub n_steps: usize,
    /// `[T, N, O]`
    pub obs: Vec<f32>,
    /// `[T, N]`; `None` exactly at the first step.
    pub last_action: Vec<Option<usize>>,
    /// `[T, N, A]`, at least one per row.
    pub available: Vec<bool>,
    /// `[T, N, A]`, the trained network's answers.
    pub q: Vec<f32>,
    /// `[T, N]`, the actions it chose.
    pub action: Vec<usize>,
}

/// What the whole team perceives at one step, row-major.
#[derive(Clone, Copy, Debug)]
pub struct TeamStep<'r> {
    /// `[N, O]`
    pub obs: &'r [f32],
    /// `[N]`; `None` at the first step of an episode.
    pub last_action: &'r [Option<usize>],
    /// `[N, A]`
    pub available: &'r [bool],
}

impl Recording {
    /// Checks every length, index and mask against the agent description.
    ///
    /// # Errors
    /// [`ExportError::Recording`] with `episode`, the number to print.
    pub fn check(&self, spec: &AgentSpec, episode: usize) -> Result<(), ExportError> {
        let fail = |reason: String| Err(ExportError::Recording { episode, reason });
        let (rows, actions) = (self.n_steps * spec.n_agents, spec.n_actions());
        if rows == 0 {
            return fail("has no steps".into());
        }
        for (what, got, want) in [
            ("obs", self.obs.len(), rows * spec.obs_dim),
            ("last_action", self.last_action.len(), rows),
            ("available", self.available.len(), rows * actions),
            ("q", self.q.len(), rows * actions),
            ("action", self.action.len(), rows),
        ] {
            if got != want {
                return fail(format!("{what} holds {got} values, expected {want}"));
            }
        }
        for row in 0..rows {
            let (step, agent) = (row / spec.n_agents, row % spec.n_agents);
            let place = format!("step {step}, agent {agent}");
            match self.last_action[row] {
                Some(last) if last >= actions => {
                    return fail(format!("{place}: last action {last} of {actions}"));
                }
                last if last.is_none() != (step == 0) => {
                    return fail(format!("{place}: a last action is absent only at the first step"));
                }
                _ => {}
            }
            if !self.available[row * actions..][..actions].contains(&true) {
                return fail(format!("{place}: no action is available"));
            }
            if self.action[row] >= actions {
                return fail(format!("{place}: action {} of {actions}", self.action[row]));
            }
        }
        Ok(())
    }

    /// What the team perceives at step `t` of a recording that passed [`Recording::check`].
    #[must_use]
    pub fn step(&self, spec: &AgentSpec, t: usize) -> TeamStep<'_> {
        let (n, o, a) = (spec.n_agents, spec.obs_dim, spec.n_actions());
        TeamStep {
            obs: &self.obs[t * n * o..][..n * o],
            last_action: &self.last_action[t * n..][..n],
            available: &self.available[t * n * a..][..n * a],
        }
    }
}

/// The agent inputs of the whole team, `[N, I]`: the parts of the specification side by side.
#[must_use]
pub fn input_rows(spec: &AgentSpec, step: &TeamStep<'_>) -> Vec<f32> {
    let (n, o, a) = (spec.n_agents, spec.obs_dim, spec.n_actions());
    let mut rows = Vec::with_capacity(n * spec.input_dim());
    for agent in 0..n {
        for part in &spec.inputs {
            match part {
                InputKind::Obs => rows.extend_from_slice(&step.obs[agent * o..][..o]),
                InputKind::LastAction => {
                    rows.extend((0..a).map(|k| one_if(step.last_action[agent] == Some(k))));
                }
                InputKind::AgentId => rows.extend((0..n).map(|k| one_if(k == agent))),
                InputKind::Available => {
                    rows.extend(step.available[agent * a..][..a].iter().map(|&k| one_if(k)));
                }
            }
        }
    }
    rows
}

/// The least and the greatest value of each element of an observation, over all agents and steps, `[2, O]`.
#[must_use]
pub fn obs_range(spec: &AgentSpec, recordings: &[Recording]) -> Tensor {
    let mut low = vec![f32::INFINITY; spec.obs_dim];
    let mut high = vec![f32::NEG_INFINITY; spec.obs_dim];
    for obs in recordings.iter().flat_map(|recording| recording.obs.chunks_exact(spec.obs_dim)) {
        for ((low, high), value) in low.iter_mut().zip(&mut high).zip(obs) {
            (*low, *high) = (low.min(*value), high.max(*value));
        }
    }
    Tensor::new(&[2, spec.obs_dim], [low, high].concat())
}

/// Share of the agent inputs of an episode that is not zero, from 0 to 1.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn density(spec: &AgentSpec, recording: &Recording) -> f64 {
    let rows = (0..recording.n_steps).flat_map(|t| input_rows(spec, &recording.step(spec, t)));
    let (seen, all) = rows.fold((0, 0), |(seen, all), value| (seen + usize::from(value != 0.0), all + 1));
    seen as f64 / all.max(1) as f64
}

/// The available action of the largest value. Ties go to the lowest index and NaN never wins;
/// if every available value is NaN, the first available action.
///
/// `q`, `available`: `[A]`. `None` where no action is available.
#[must_use]
pub fn greedy(q: &[f32], available: &[bool]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (action, _) in available.iter().enumerate().filter(|&(_, &free)| free) {
        match best {
            Some(b) if !(q[action] > q[b] || (q[b].is_nan() && !q[action].is_nan())) => {}
            _ => best = Some(action),
        }
    }
    best
}

fn one_if(condition: bool) -> f32 {
    if condition { 1.0 } else { 0.0 }
}
