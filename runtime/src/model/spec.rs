//! What a policy expects of the world it acts in, read from the file's metadata.

use core::hint::black_box;

use super::archive::Archive;
use super::header::{Text, same};
use super::split::{cut, split};
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::ModelError;

/// Version of the file format this crate reads, the value of `ddn.format`. See `docs/format.md`.
pub const FORMAT: &str = "1";

/// A part of the agent input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The observation.
    Obs,
    /// One-hot of the agent's previous action, zeros at the first step of an episode.
    LastAction,
    /// One-hot of the agent.
    AgentId,
    /// 1 for each available action, else 0.
    Available,
}

/// How `ddn.inputs` calls them.
const PARTS: [(&str, Part); 4] = [
    ("obs", Part::Obs),
    ("last_action", Part::LastAction),
    ("agent_id", Part::AgentId),
    ("available", Part::Available),
];

/// Sizes, names and contracts of the agents a policy was trained for.
///
/// Source: the metadata keys `ddn.…`, see `docs/format.md`.
#[derive(Clone, Debug)]
pub struct AgentSpec<'m> {
    obs_dim: usize,
    n_actions: usize,
    n_agents: usize,
    /// The first `n_inputs` of them.
    inputs: [(Part, usize); PARTS.len()],
    n_inputs: usize,
    actions: &'m [u8],
    obs: Text<'m>,
    environment: Text<'m>,
    config: Text<'m>,
    contract: Text<'m>,
}

impl<'m> AgentSpec<'m> {
    /// Floats of one agent's observation.
    pub fn obs_dim(&self) -> usize {
        self.obs_dim
    }

    /// Number of actions.
    pub fn n_actions(&self) -> usize {
        self.n_actions
    }

    /// Number of agents.
    pub fn n_agents(&self) -> usize {
        self.n_agents
    }

    /// The parts of the agent input with their widths, in the order they are concatenated.
    pub fn inputs(&self) -> &[(Part, usize)] {
        self.inputs.get(..self.n_inputs).unwrap_or_default()
    }

    /// The actions' names, `n_actions` of them.
    pub fn actions(&self) -> impl Iterator<Item = &'m str> + use<'m> {
        split(self.actions, b',').map(|name| core::str::from_utf8(name).unwrap_or_default())
    }

    /// How an observation is laid out, in words; empty if the file does not say.
    pub fn obs_layout(&self) -> Text<'m> {
        self.obs
    }

    /// The environment it was trained in; empty if the file does not say.
    pub fn environment(&self) -> Text<'m> {
        self.environment
    }

    /// SHA-256 of the training configuration, in hexadecimal; empty if the file does not say.
    pub fn config(&self) -> Text<'m> {
        self.config
    }

    /// SHA-256 of everything a caller must agree with (inputs, actions, observation layout), in hexadecimal; empty if
    /// the file does not say. Firmware compares it with the value it was compiled for.
    pub fn contract(&self) -> Text<'m> {
        self.contract
    }

    /// Floats of the agent input.
    pub(crate) fn input_dim(&self) -> Option<usize> {
        self.inputs().iter().try_fold(0_usize, |sum, (_, width)| sum.checked_add(*width))
    }

    /// Of a file that is not read yet.
    pub(crate) fn new() -> Self {
        Self {
            obs_dim: 0,
            n_actions: 0,
            n_agents: 0,
            inputs: [(Part::Obs, 0); PARTS.len()],
            n_inputs: 0,
            actions: &[],
            obs: Text::EMPTY,
            environment: Text::EMPTY,
            config: Text::EMPTY,
            contract: Text::EMPTY,
        }
    }

    /// From the numbers that [`AgentSpec::plan`] writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> AgentSpec<'static> {
        let (obs_dim, n_actions, n_agents) = (plan.count(), plan.count(), plan.count());
        let n_inputs = plan.count();
        let mut inputs = [(Part::Obs, 0); PARTS.len()];
        let mut index = 0;
        while index < n_inputs {
            let part = plan.count();
            assert!(index < inputs.len() && part < PARTS.len(), "a plan has an input that does not exist");
            inputs[index] = (PARTS[part].1, plan.count());
            index += 1;
        }
        AgentSpec {
            obs_dim,
            n_actions,
            n_agents,
            inputs,
            n_inputs,
            actions: plan.slice(),
            obs: Text::built(plan),
            environment: Text::built(plan),
            config: Text::built(plan),
            contract: Text::built(plan),
        }
    }

    #[cfg(feature = "build")]
    pub(crate) fn plan(&self, plan: &mut Writer<'_>) {
        for size in [self.obs_dim, self.n_actions, self.n_agents, self.n_inputs] {
            plan.count(size);
        }
        for (part, width) in self.inputs() {
            plan.count(PARTS.iter().position(|(_, known)| known == part).unwrap_or(PARTS.len()));
            plan.count(*width);
        }
        plan.slice(self.actions);
        for text in [self.obs, self.environment, self.config, self.contract] {
            text.plan(plan);
        }
    }

    /// Reads and cross-checks the metadata.
    #[inline(never)]
    pub(crate) fn read(&mut self, archive: &Archive<'m>) -> Result<(), ModelError> {
        if !same(bytes(archive, "ddn.format")?, FORMAT.as_bytes()) {
            return Err(ModelError::Version);
        }
        if !same(bytes(archive, "ddn.gates")?, b"rzn") {
            return Err(ModelError::Value { key: "ddn.gates" });
        }
        let agents = natural(bytes(archive, "ddn.agents")?);
        self.n_agents = agents.ok_or(ModelError::Value { key: "ddn.agents" })?;
        let texts = [
            (&mut self.obs, "ddn.obs"),
            (&mut self.environment, "ddn.environment"),
            (&mut self.config, "ddn.config"),
            (&mut self.contract, "ddn.contract"),
        ];
        for (text, key) in texts {
            *text = archive.metadata(key).unwrap_or(Text::EMPTY);
        }
        self.actions = bytes(archive, "ddn.actions")?;
        for action in split(self.actions, b',') {
            if action.is_empty() {
                return Err(ModelError::Value { key: "ddn.actions" });
            }
            self.n_actions += 1;
        }
        for input in split(bytes(archive, "ddn.inputs")?, b',') {
            self.push(input).ok_or(ModelError::Value { key: "ddn.inputs" })?;
        }
        Ok(())
    }

    /// Adds `part:width`, each part once and with the width the counts ask for.
    fn push(&mut self, input: &[u8]) -> Option<()> {
        let (name, width) = cut(input, b':')?;
        let width = natural(width)?;
        let (_, part) = *black_box(&PARTS[..]).iter().find(|(known, _)| same(name, known.as_bytes()))?;
        let want = match part {
            Part::Obs => width,
            Part::LastAction | Part::Available => self.n_actions,
            Part::AgentId => self.n_agents,
        };
        let twice = |(other, _): &(Part, usize)| {
            black_box(()); // one copy of the loop
            *other == part
        };
        if width != want || black_box(self.inputs()).iter().any(twice) {
            return None;
        }
        if part == Part::Obs {
            self.obs_dim = width;
        }
        *self.inputs.get_mut(self.n_inputs)? = (part, width);
        self.n_inputs += 1;
        Some(())
    }
}

/// A value that must be there and be written without escapes.
#[inline(never)]
pub(crate) fn bytes<'m>(archive: &Archive<'m>, key: &'static str) -> Result<&'m [u8], ModelError> {
    let text = archive.metadata(key).ok_or(ModelError::Missing { key })?;
    text.bytes().ok_or(ModelError::Value { key })
}

/// A positive decimal number without sign or leading zero.
#[inline(never)]
fn natural(text: &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    for &byte in text {
        black_box(());
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 || value == 0 && digit == 0 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(usize::from(digit))?;
    }
    (value > 0).then_some(value)
}
