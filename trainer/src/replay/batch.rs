//! Episodes as the learner wants them: padded to the longest, sparse, with a mask.

use crate::env::EnvSpec;
use crate::learner::agent::Span;
use crate::nn::Sparse;
use crate::nn::sparse::Builder;
use crate::replay::Episode;

/// B episodes of up to T steps. The only place that pads.
///
/// Rows of frames are ordered `(b, t)`, rows of agents `(b, t, n)`.
#[derive(Clone, Debug)]
pub struct Batch {
    /// B
    pub episodes: usize,
    /// T, the longest episode of the batch.
    pub steps: usize,
    /// N
    pub agents: usize,
    /// A
    pub actions_each: usize,
    /// Agent inputs `[B·(T+1)·N, I]`: observation, last action, agent id.
    pub inputs: Sparse,
    /// `[B·(T+1), S]`
    pub state: Sparse,
    /// `[B, T+1, N, A]`; all true on padding.
    pub available: Vec<bool>,
    /// `[B, T, N]`; 0 on padding.
    pub actions: Vec<u32>,
    /// `[B, T]`
    pub reward: Vec<f32>,
    /// `[B, T]`, 1 where the task ended at this step.
    pub terminated: Vec<f32>,
    /// `[B, T]`, 1 where the step exists.
    pub mask: Vec<f32>,
    /// `[B]`, frames that exist: one more than steps.
    pub lengths: Vec<usize>,
}

/// I, the width of an agent's input: observation, one-hot of its last action, one-hot of its id.
#[must_use]
pub fn input_dim(spec: &EnvSpec) -> usize {
    spec.obs_dim + spec.n_actions() + spec.n_agents
}

/// Adds one agent's input as a row: the observation through `obs`, then last action and id.
pub fn push_input(
    builder: &mut Builder,
    spec: &EnvSpec,
    agent: usize,
    last_action: Option<usize>,
    obs: impl Iterator<Item = (usize, f32)>,
) {
    for (column, value) in obs {
        builder.push(column, value);
    }
    if let Some(action) = last_action {
        builder.push(spec.obs_dim + action, 1.0);
    }
    builder.push(spec.obs_dim + spec.n_actions() + agent, 1.0);
    builder.end_row();
}

impl Batch {
    /// Pads `episodes` to the longest of them.
    #[must_use]
    pub fn new(spec: &EnvSpec, episodes: &[&Episode]) -> Self {
        let (n, a, o) = (spec.n_agents, spec.n_actions(), spec.obs_dim);
        let steps = episodes.iter().map(|episode| episode.len()).max().unwrap_or(0);
        let mut inputs = Builder::new(input_dim(spec));
        let mut state = Builder::new(spec.state_dim);
        let mut batch = Self {
            episodes: episodes.len(),
            steps,
            agents: n,
            actions_each: a,
            inputs: Builder::new(0).build(),
            state: Builder::new(0).build(),
            available: Vec::with_capacity(episodes.len() * (steps + 1) * n * a),
            actions: Vec::with_capacity(episodes.len() * steps * n),
            reward: Vec::new(),
            terminated: Vec::new(),
            mask: Vec::new(),
            lengths: episodes.iter().map(|episode| episode.len() + 1).collect(),
        };
        for episode in episodes {
            let length = episode.len();
            for t in 0..=steps {
                if t > length {
                    state.end_row();
                    (0..n).for_each(|_| inputs.end_row());
                    batch.available.extend(std::iter::repeat_n(true, n * a));
                } else {
                    episode.state.for_each(t, |column, value| state.push(column, value));
                    state.end_row();
                    let mut seen: Vec<Vec<(usize, f32)>> = vec![Vec::new(); n];
                    episode.obs.for_each(t, |column, value| seen[column / o].push((column % o, value)));
                    for (agent, seen) in seen.into_iter().enumerate() {
                        let last = (t > 0).then(|| usize::from(episode.actions[(t - 1) * n + agent]));
                        push_input(&mut inputs, spec, agent, last, seen.into_iter());
                    }
                    let from = batch.available.len();
                    batch.available.resize(from + n * a, false);
                    episode.available.for_each(t, |column, _| batch.available[from + column] = true);
                }
                if t < steps {
                    let exists = t < length;
                    batch.actions.extend(
                        (0..n).map(
                            |agent| {
                                if exists { u32::from(episode.actions[t * n + agent]) } else { 0 }
                            },
                        ),
                    );
                    batch.reward.push(if exists { episode.rewards[t] } else { 0.0 });
                    let last = exists && t + 1 == length && episode.terminated;
                    batch.terminated.push(f32::from(u8::from(last)));
                    batch.mask.push(f32::from(u8::from(exists)));
                }
            }
        }
        batch.inputs = inputs.build();
        batch.state = state.build();
        batch
    }

    /// All frames, for a network to be unrolled over.
    #[must_use]
    pub fn span(&self) -> Span<'_> {
        let lengths = Some(self.lengths.as_slice());
        Span { episodes: self.episodes, frames: self.steps + 1, agents: self.agents, lengths }
    }

    /// How many steps exist.
    #[must_use]
    pub fn filled(&self) -> f64 {
        self.mask.iter().map(|&mask| f64::from(mask)).sum()
    }

    /// Weights `[B·(T+1)·N]` of the rows that a loss over agents counts: 1 / filled steps where the
    /// step exists, 0 on padding and on the frame after the last step.
    ///
    /// With `only_free`, also 0 for agents that can do one thing only (frozen, dead).
    #[must_use]
    pub fn agent_weights(&self, only_free: bool) -> Vec<f64> {
        let each = 1.0 / self.filled().max(1.0);
        let mut weights = Vec::with_capacity(self.inputs.rows());
        for row in 0..self.inputs.rows() {
            let frame = row / self.agents;
            let (b, t) = (frame / (self.steps + 1), frame % (self.steps + 1));
            let exists = t < self.steps && self.mask[b * self.steps + t] > 0.0;
            let choices =
                self.available[row * self.actions_each..][..self.actions_each].iter().filter(|&&yes| yes);
            let counts = exists && (!only_free || choices.count() > 1);
            weights.push(if counts { each } else { 0.0 });
        }
        weights
    }
}
