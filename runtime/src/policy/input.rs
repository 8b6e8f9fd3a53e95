//! The agent input: the observation and what else the network was trained to see, in the order of `ddn.inputs`.

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
    pub(super) fn seen(self) -> Seen<'a> {
        let Self { obs, last_action, agent_id, available } = self;
        Seen { obs, last_action, agent_id, available: Mask::Flags(available) }
    }
}

/// An [`AgentInput`] whose mask may come from a file.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) obs: &'a [f32],
    pub(super) last_action: Option<usize>,
    pub(super) agent_id: usize,
    pub(super) available: Mask<'a>,
}

/// Which actions are available.
#[derive(Clone, Copy)]
pub(super) enum Mask<'a> {
    Flags(&'a [bool]),
    /// As a file has it: 1 for each available action.
    Numbers(&'a [f32]),
}

impl Mask<'_> {
    fn len(self) -> usize {
        match self {
            Self::Flags(flags) => flags.len(),
            Self::Numbers(numbers) => numbers.len(),
        }
    }

    /// Whether an action is available.
    #[inline(always)]
    pub(super) fn allows(self, action: usize) -> bool {
        match self {
            Self::Flags(flags) => flags.get(action).is_some_and(|flag| *flag),
            Self::Numbers(numbers) => numbers.get(action).is_some_and(|number| *number > 0.0),
        }
    }
}

impl Seen<'_> {
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
        // The same work whatever is seen: what is not finite has the exponent 255, and sets bit 8 of one more.
        let seen = self.obs.iter().fold(0, |seen, value| seen | ((value.to_bits() >> 23 & 0xff) + 1));
        if seen & 0x100 != 0 {
            return Err(ActError::NotFinite);
        }
        if !(0..self.available.len()).any(|action| self.available.allows(action)) {
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
                Part::Obs => {
                    for (slot, value) in slots.iter_mut().zip(self.obs) {
                        *slot = *value;
                    }
                }
                Part::LastAction => one_hot(slots, self.last_action),
                Part::AgentId => one_hot(slots, Some(self.agent_id)),
                Part::Available => {
                    for (action, slot) in slots.iter_mut().enumerate() {
                        *slot = if self.available.allows(action) { 1.0 } else { 0.0 };
                    }
                }
            }
            rest = after;
        }
    }
}

fn one_hot(slots: &mut [f32], hot: Option<usize>) {
    slots.fill(0.0);
    if let Some(slot) = hot.and_then(|index| slots.get_mut(index)) {
        *slot = 1.0;
    }
}
