//! Single agent steps out of the replay, for networks without memory.

use std::ops::Range;

use super::batch::{by_agent, push_input};
use super::{Episode, ReplayBuffer, input_dim};
use crate::env::EnvSpec;
use crate::nn::Sparse;
use crate::nn::sparse::Builder;
use crate::seed::Draw;

/// R agent steps, each with the state in which it was made. No padding.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Agent inputs `[R, I]`: observation, last action, agent id.
    pub inputs: Sparse,
    /// `[R, S]`
    pub state: Sparse,
}

impl Rows {
    /// The steps that `which` names: episode, step, agent.
    fn of<'e>(spec: &EnvSpec, which: impl Iterator<Item = (&'e Episode, usize, usize)>) -> Self {
        let (n, o) = (spec.n_agents, spec.obs_dim);
        let (mut inputs, mut state) = (Builder::new(input_dim(spec)), Builder::new(spec.state_dim));
        for (episode, t, agent) in which {
            let last = (t > 0).then(|| usize::from(episode.actions[(t - 1) * n + agent]));
            let seen = by_agent(Some(&episode.obs), t, n, o).swap_remove(agent);
            push_input(&mut inputs, spec, agent, last, seen.into_iter());
            episode.state.for_each(t, |column, value| state.push(column, value));
            state.end_row();
        }
        Self { inputs: inputs.build(), state: state.build() }
    }

    /// Every agent step of one episode, in order.
    #[must_use]
    pub fn all(spec: &EnvSpec, episode: &Episode) -> Self {
        let n = spec.n_agents;
        Self::of(spec, (0..episode.len() * n).map(|k| (episode, k / n, k % n)))
    }

    /// `count` agent steps of the episodes in `range`, each drawn anew, all equally likely.
    ///
    /// `None` where these episodes have no steps.
    #[must_use]
    pub fn sample(
        spec: &EnvSpec,
        replay: &ReplayBuffer,
        range: Range<usize>,
        count: usize,
        rng: &mut impl Draw,
    ) -> Option<Self> {
        let episodes: Vec<&Episode> = replay.iter().skip(range.start).take(range.len()).collect();
        let ends: Vec<usize> = episodes
            .iter()
            .scan(0, |end, episode| {
                *end += episode.len() * spec.n_agents;
                Some(*end)
            })
            .collect();
        let total = *ends.last().filter(|total| **total > 0)?;
        let drawn: Vec<usize> = (0..count).map(|_| rng.below(total)).collect();
        let place = |k: usize| {
            let index = ends.partition_point(|&end| end <= k);
            let within = k - if index == 0 { 0 } else { ends[index - 1] };
            (episodes[index], within / spec.n_agents, within % spec.n_agents)
        };
        Some(Self::of(spec, drawn.into_iter().map(place)))
    }

    /// R
    #[must_use]
    pub fn len(&self) -> usize {
        self.inputs.rows()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
