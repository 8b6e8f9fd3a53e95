//! Recorded steps: what one agent saw, and what the policy answered. A policy file carries a few to test itself with,
//! an episode file many to replay.

use super::archive::Archive;
use super::matrix::{Matrix, Row};
use super::spec::AgentSpec;
use crate::error::ModelError;

/// The `kat.…` tensors of a file, checked against a policy's sizes.
#[derive(Clone, Copy, Debug)]
pub struct Recording<'m> {
    obs: Matrix<'m>,
    last_action: Row<'m>,
    agent: Row<'m>,
    available: Matrix<'m>,
    q: Matrix<'m>,
    action: Row<'m>,
}

/// One recorded step of one agent. Vectors stay in the file.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RecordedStep<'m> {
    /// The observation, `[obs_dim]`.
    pub obs: Row<'m>,
    /// The previous action. `None` begins an episode: the memory is reset before this step.
    pub last_action: Option<usize>,
    /// Which agent.
    pub agent: usize,
    /// 1 for each available action, else 0, `[n_actions]`.
    pub available: Row<'m>,
    /// The Q-values the policy gave, `[n_actions]`.
    pub q: Row<'m>,
    /// The action it chose.
    pub action: usize,
}

impl<'m> Recording<'m> {
    /// Reads a file of recorded steps for a policy of the given sizes. Metadata is not looked at.
    ///
    /// # Errors
    /// If the file is not valid, a tensor is absent, or one does not fit `spec`.
    pub fn from_bytes(file: &'m [u8], spec: &AgentSpec<'_>) -> Result<Self, ModelError> {
        let archive = Archive::from_bytes(file)?;
        Self::read(&archive, spec)?.ok_or(ModelError::Recording { name: "kat.obs" })
    }

    /// `None` if the file has no `kat.obs`.
    pub(crate) fn read(archive: &Archive<'m>, spec: &AgentSpec<'_>) -> Result<Option<Self>, ModelError> {
        let Some(obs) = archive.tensor("kat.obs") else {
            return Ok(None);
        };
        let [_, steps, _] = obs.shape;
        let matrix = |name, cols| {
            let found =
                archive.tensor(name).filter(|tensor| tensor.rank == 2 && tensor.shape == [1, steps, cols]);
            found.and_then(|tensor| tensor.matrix()).ok_or(ModelError::Recording { name })
        };
        let naturals = |name, count, none| {
            let found =
                archive.tensor(name).filter(|tensor| tensor.rank == 1 && tensor.shape == [1, 1, steps]);
            let row = found.and_then(|tensor| tensor.row()).ok_or(ModelError::Recording { name })?;
            let fits =
                |value: f32| natural(value).is_some_and(|v| v < count) || none && value.to_bits() == NONE;
            let valid = row.iter().all(fits);
            if valid { Ok(row) } else { Err(ModelError::Recording { name }) }
        };
        Ok(Some(Self {
            obs: matrix("kat.obs", spec.obs_dim())?,
            last_action: naturals("kat.last_action", spec.n_actions(), true)?,
            agent: naturals("kat.agent", spec.n_agents(), false)?,
            available: matrix("kat.available", spec.n_actions())?,
            q: matrix("kat.q", spec.n_actions())?,
            action: naturals("kat.action", spec.n_actions(), false)?,
        }))
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.obs.rows()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The steps in order.
    pub fn steps(&self) -> impl Iterator<Item = RecordedStep<'m>> + use<'m> {
        let Self { obs, available, q, .. } = *self;
        let scalars = self.last_action.iter().zip(self.agent.iter()).zip(self.action.iter());
        scalars.enumerate().map(move |(step, ((last_action, agent), action))| RecordedStep {
            obs: obs.row(step),
            last_action: natural(last_action),
            agent: natural(agent).unwrap_or(usize::MAX),
            available: available.row(step),
            q: q.row(step),
            action: natural(action).unwrap_or(usize::MAX),
        })
    }
}

/// The bits of -1, which stands for "none".
const NONE: u32 = (-1.0_f32).to_bits();

/// A float that is a natural number.
fn natural(value: f32) -> Option<usize> {
    let index = value as u16; // saturates
    (f32::from(index).to_bits() == value.to_bits()).then_some(usize::from(index))
}
