//! The agent input: the observation and what else the network was trained to see, in the order of `ddn.inputs`.

use core::iter::Copied;
use core::slice::Iter;

use crate::error::ActError;
use crate::model::{AgentSpec, Part};

/// What one agent perceives at one step.
///
/// All fields are always given; the policy reads those of its inputs, and the mask for its choice.
#[derive(Clone, Copy, Debug)]
pub struct AgentInput<'a> {
    /// The observation, `[obs_dim]`, finite.
    pub obs: &'a [f32],
    /// The agent's previous action, `None` at the first step of an episode.
    pub last_action: Option<usize>,
    /// Which agent this is, below `n_agents`.
    pub agent_id: usize,
    /// Which actions may be chosen, `[n_actions]`.
    pub available: &'a [bool],
}

impl<'a> AgentInput<'a> {
    #[inline(always)]
    pub(super) fn seen(self) -> Seen<Copied<Iter<'a, f32>>, Copied<Iter<'a, bool>>> {
        let Self { obs, last_action, agent_id, available } = self;
        Seen { obs: obs.iter().copied(), last_action, agent_id, available: available.iter().copied() }
    }
}

/// An [`AgentInput`] whose numbers may come from a slice or from a file.
pub(super) struct Seen<O, V> {
    pub(super) obs: O,
    pub(super) last_action: Option<usize>,
    pub(super) agent_id: usize,
    pub(super) available: V,
}

impl<O, V> Seen<O, V>
where
    O: ExactSizeIterator<Item = f32> + Clone,
    V: ExactSizeIterator<Item = bool> + Clone,
{
    /// Finds everything that can be wrong, before anything is written.
    pub(super) fn check(&self, spec: &AgentSpec<'_>) -> Result<(), ActError> {
        if self.obs.len() != spec.obs_dim() {
            return Err(ActError::Obs { want: spec.obs_dim(), got: self.obs.len() });
        }
        if self.available.len() != spec.n_actions() {
            return Err(ActError::Available { want: spec.n_actions(), got: self.available.len() });
        }
        if self.agent_id >= spec.n_agents()
            || self.last_action.is_some_and(|action| action >= spec.n_actions())
        {
            return Err(ActError::Index);
        }
        if !self.obs.clone().all(f32::is_finite) {
            return Err(ActError::NotFinite);
        }
        if !self.available.clone().any(|available| available) {
            return Err(ActError::NoAction);
        }
        Ok(())
    }

    /// Writes the agent input `x`, `[input_dim]`.
    pub(super) fn encode(&self, spec: &AgentSpec<'_>, x: &mut [f32]) {
        let mut rest = x;
        for (part, width) in spec.inputs() {
            let Some((slots, after)) = rest.split_at_mut_checked(*width) else {
                return;
            };
            match part {
                Part::Obs => write(slots, self.obs.clone()),
                Part::LastAction => one_hot(slots, self.last_action),
                Part::AgentId => one_hot(slots, Some(self.agent_id)),
                Part::Available => {
                    write(slots, self.available.clone().map(|yes| if yes { 1.0 } else { 0.0 }))
                }
            }
            rest = after;
        }
    }
}

fn write(slots: &mut [f32], values: impl Iterator<Item = f32>) {
    for (slot, value) in slots.iter_mut().zip(values) {
        *slot = value;
    }
}

fn one_hot(slots: &mut [f32], hot: Option<usize>) {
    slots.fill(0.0);
    if let Some(slot) = hot.and_then(|index| slots.get_mut(index)) {
        *slot = 1.0;
    }
}
