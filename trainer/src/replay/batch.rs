//! Episodes as the learner wants them: padded to the longest, sparse, with a mask.

use std::sync::Arc;

use rayon::prelude::*;

use crate::env::EnvSpec;
use crate::learner::agent::Span;
use crate::learner::slow::Kept;
use crate::learner::view::View;
use crate::nn::Sparse;
use crate::nn::sparse::Builder;
use crate::replay::{Episode, PackedRows, Sampled};

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
    /// Teacher views `[B·(T+1)·N, V]`; of width 0 where the episodes keep none.
    pub teacher: Sparse,
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
    /// `[B]`, what slow networks made of the episodes; empty where that is not to be kept, as where inputs, state or
    /// teacher views are no longer those of the replay.
    pub kept: Vec<Arc<Kept>>,
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
    end_input(builder, spec, agent, last_action);
}

/// Ends the row of an agent's input, which has its observation.
fn end_input(builder: &mut Builder, spec: &EnvSpec, agent: usize, last_action: Option<usize>) {
    if let Some(action) = last_action {
        builder.push(spec.obs_dim + action, 1.0);
    }
    builder.push(spec.obs_dim + spec.n_actions() + agent, 1.0);
    builder.end_row();
}

/// Row `t` of `rows`, cut into `agents` parts of `width`: columns and values of each.
pub(super) fn by_agent(
    rows: Option<&PackedRows>,
    t: usize,
    agents: usize,
    width: usize,
) -> Vec<Vec<(usize, f32)>> {
    let mut parts = vec![Vec::new(); agents];
    if let Some(rows) = rows {
        rows.for_each(t, |column, value| parts[column / width].push((column % width, value)));
    }
    parts
}

impl Batch {
    /// Multiplies every reward by `factor`.
    pub fn scale_rewards(&mut self, factor: f32) {
        self.reward.iter_mut().for_each(|reward| *reward *= factor);
    }

    /// Pads `episodes` to the longest of them.
    #[must_use]
    pub fn new(spec: &EnvSpec, episodes: &[&Episode]) -> Self {
        let steps = episodes.iter().map(|episode| episode.len()).max().unwrap_or(0);
        let has_teacher = !episodes.is_empty() && episodes.iter().all(|episode| episode.teacher.is_some());
        let parts: Vec<Part> =
            episodes.par_iter().map(|episode| Part::new(spec, episode, steps, has_teacher)).collect();
        let joined = |rows: fn(&Part) -> &Builder, width: usize| {
            let rows: Vec<&Builder> = parts.iter().map(rows).collect();
            Builder::concat(width, &rows).build()
        };
        let teacher_dim = if has_teacher { spec.teacher_dim } else { 0 };
        Self {
            episodes: episodes.len(),
            steps,
            agents: spec.n_agents,
            actions_each: spec.n_actions(),
            inputs: joined(|part| &part.inputs, input_dim(spec)),
            state: joined(|part| &part.state, spec.state_dim),
            teacher: joined(|part| &part.teacher, teacher_dim),
            available: concat(&parts, |part| &part.available),
            actions: concat(&parts, |part| &part.actions),
            reward: concat(&parts, |part| &part.reward),
            terminated: concat(&parts, |part| &part.terminated),
            mask: concat(&parts, |part| &part.mask),
            lengths: episodes.iter().map(|episode| episode.len() + 1).collect(),
            kept: Vec::new(),
        }
    }

    /// The same of episodes that replay gave, of which what slow networks make may be kept.
    #[must_use]
    pub fn sampled(spec: &EnvSpec, sampled: &[Sampled<'_>]) -> Self {
        let episodes: Vec<&Episode> = sampled.iter().map(|sampled| sampled.episode).collect();
        let kept = sampled.iter().map(|sampled| Arc::clone(sampled.kept)).collect();
        Self { kept, ..Self::new(spec, &episodes) }
    }

    /// The named episodes, padded as they are here.
    #[must_use]
    pub fn select(&self, episodes: &[usize]) -> Self {
        let (t, n) = (self.steps, self.agents);
        let rows = |each: usize| episodes.iter().map(move |&b| b * each..(b + 1) * each);
        Self {
            episodes: episodes.len(),
            steps: t,
            agents: n,
            actions_each: self.actions_each,
            inputs: self.inputs.select(rows((t + 1) * n)),
            state: self.state.select(rows(t + 1)),
            teacher: self.teacher.select(rows((t + 1) * n)),
            available: parts(&self.available, episodes, (t + 1) * n * self.actions_each),
            actions: parts(&self.actions, episodes, t * n),
            reward: parts(&self.reward, episodes, t),
            terminated: parts(&self.terminated, episodes, t),
            mask: parts(&self.mask, episodes, t),
            lengths: episodes.iter().map(|&b| self.lengths[b]).collect(),
            kept: episodes.iter().filter_map(|&b| self.kept.get(b).cloned()).collect(),
        }
    }

    /// All frames, for a network to be unrolled over.
    #[must_use]
    pub fn span(&self) -> Span<'_> {
        let lengths = Some(self.lengths.as_slice());
        Span { episodes: self.episodes, frames: self.steps + 1, agents: self.agents, lengths }
    }

    /// Frames `[B·N]` up to the last step at which an agent has a choice.
    ///
    /// A follower whose later rows count in no loss need not be unrolled over them: captors freeze for
    /// good, the dead stay dead.
    #[must_use]
    pub fn lengths_of_choice(&self) -> Vec<usize> {
        let (n, frames, a) = (self.agents, self.steps + 1, self.actions_each);
        let mut lengths = vec![0; self.episodes * n];
        let episodes = self.available.chunks_exact(frames * n * a).zip(&self.lengths);
        for ((available, &exist), lengths) in episodes.zip(lengths.chunks_exact_mut(n)) {
            for (t, available) in available.chunks_exact(n * a).take(exist - 1).enumerate() {
                for (available, length) in available.chunks_exact(a).zip(&mut *lengths) {
                    if has_choice(available) {
                        *length = t + 1;
                    }
                }
            }
        }
        lengths
    }

    /// The agents' inputs without the entries of the frames after `lengths` `[B·N]`.
    #[must_use]
    pub fn inputs_until(&self, lengths: &[usize]) -> Sparse {
        let (n, frames) = (self.agents, self.steps + 1);
        self.inputs.keep(|row| row / n % frames < lengths[row / n / frames * n + row % n])
    }

    /// Everything that networks may look at.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        let (inputs, state, teacher) = (&self.inputs, &self.state, &self.teacher);
        View { inputs, state, teacher, available: &self.available, span: self.span() }
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
        let (n, frames, a) = (self.agents, self.steps + 1, self.actions_each);
        let mut weights = vec![0.0; self.inputs.rows()];
        for (b, weights) in weights.chunks_exact_mut(frames * n).enumerate() {
            let mask = &self.mask[b * self.steps..][..self.steps];
            for ((t, weights), &exists) in weights.chunks_exact_mut(n).enumerate().zip(mask) {
                let available = &self.available[(b * frames + t) * n * a..][..n * a];
                for (weight, available) in weights.iter_mut().zip(available.chunks_exact(a)) {
                    if exists > 0.0 && (!only_free || has_choice(available)) {
                        *weight = each;
                    }
                }
            }
        }
        weights
    }
}

/// Whether an agent may take one action or another.
fn has_choice(available: &[bool]) -> bool {
    available.iter().filter(|&&yes| yes).count() > 1
}

/// The parts of `each` numbers that `indices` name.
fn parts<T: Copy>(numbers: &[T], indices: &[usize], each: usize) -> Vec<T> {
    indices.iter().flat_map(|&index| &numbers[index * each..][..each]).copied().collect()
}

/// The numbers of all parts, one part after the other.
fn concat<T: Copy>(parts: &[Part], numbers: fn(&Part) -> &Vec<T>) -> Vec<T> {
    parts.iter().map(|part| numbers(part).as_slice()).collect::<Vec<_>>().concat()
}

/// What one episode is of a batch; the fields are those of [`Batch`].
struct Part {
    inputs: Builder,
    state: Builder,
    teacher: Builder,
    available: Vec<bool>,
    actions: Vec<u32>,
    reward: Vec<f32>,
    terminated: Vec<f32>,
    mask: Vec<f32>,
}

impl Part {
    /// Pads `episode` to `steps`.
    fn new(spec: &EnvSpec, episode: &Episode, steps: usize, has_teacher: bool) -> Self {
        let (n, a, o) = (spec.n_agents, spec.n_actions(), spec.obs_dim);
        let views = episode.teacher.as_ref().filter(|_| has_teacher);
        let v = if has_teacher { spec.teacher_dim } else { 0 };
        let mut teacher = Builder::new(v);
        let length = episode.len();
        let rows = (steps + 1) * n;
        let mut inputs = Builder::with_room(input_dim(spec), rows, episode.obs.entries() + 2 * rows);
        let mut state = Builder::with_room(spec.state_dim, steps + 1, episode.state.entries());
        let mut available = vec![true; (steps + 1) * n * a];
        available[..(length + 1) * n * a].fill(false);
        for t in 0..=length {
            episode.state.for_each(t, |column, value| state.push(column, value));
            state.end_row();
            let last = |agent: usize| (t > 0).then(|| usize::from(episode.actions[(t - 1) * n + agent]));
            let (mut agent, mut first) = (0, 0);
            episode.obs.for_each(t, |column, value| {
                while column >= first + o {
                    end_input(&mut inputs, spec, agent, last(agent));
                    (agent, first) = (agent + 1, first + o);
                }
                inputs.push(column - first, value);
            });
            (agent..n).for_each(|agent| end_input(&mut inputs, spec, agent, last(agent)));
            for view in by_agent(views, t, n, v) {
                view.into_iter().for_each(|(column, value)| teacher.push(column, value));
                teacher.end_row();
            }
            episode.available.for_each(t, |column, _| available[t * n * a + column] = true);
        }
        for _ in length..steps {
            state.end_row();
            for _ in 0..n {
                inputs.end_row();
                teacher.end_row();
            }
        }
        let padded = |taken: &mut dyn Iterator<Item = f32>| {
            let mut padded: Vec<f32> = taken.collect();
            padded.resize(steps, 0.0);
            padded
        };
        let mut actions: Vec<u32> = episode.actions.iter().map(|&action| u32::from(action)).collect();
        actions.resize(steps * n, 0);
        let mut ends = (0..length).map(|t| f32::from(u8::from(episode.terminated && t + 1 == length)));
        Self {
            inputs,
            state,
            teacher,
            available,
            actions,
            reward: padded(&mut episode.rewards.iter().copied()),
            terminated: padded(&mut ends),
            mask: padded(&mut (0..length).map(|_| 1.0)),
        }
    }
}
