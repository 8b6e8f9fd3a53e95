//! Recorded steps: what one agent saw, and what the policy answered. A policy file carries a few to test itself with,
//! an episode file many to replay.

use super::archive::Archive;
use super::matrix::{Matrix, Row};
use super::spec::AgentSpec;
use super::split::cut;
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
        let mut archive = Archive::new(file);
        archive.read()?;
        let recording = Self::read(&archive, spec)?.ok_or(ModelError::Recording { name: "kat.obs" })?;
        recording.check(spec).map_or(Ok(recording), |name| Err(ModelError::Recording { name }))
    }

    /// `None` if the file has no `kat.obs`. Only shapes are checked.
    pub(crate) fn read(archive: &Archive<'m>, spec: &AgentSpec<'_>) -> Result<Option<Self>, ModelError> {
        let Some(obs) = archive.part("kat", "obs") else {
            return Ok(None);
        };
        let [_, steps, _] = obs.shape;
        let tensor = |name, rank, shape| tensor(archive, name, rank, shape);
        let matrix = |name, cols| Ok(Matrix::new(tensor(name, 2, [1, steps, cols])?, steps, cols));
        let row = |name| tensor(name, 1, [1, 1, steps]).map(Row);
        Ok(Some(Self {
            obs: matrix("kat.obs", spec.obs_dim())?,
            last_action: row("kat.last_action")?,
            agent: row("kat.agent")?,
            available: matrix("kat.available", spec.n_actions())?,
            q: matrix("kat.q", spec.n_actions())?,
            action: row("kat.action")?,
        }))
    }

    /// The first tensor that holds anything but natural numbers below its count.
    pub(crate) fn check(&self, spec: &AgentSpec<'_>) -> Option<&'static str> {
        let below = |row: Row<'_>, count| row.iter().all(|value| natural(value).is_some_and(|v| v < count));
        let or_none =
            |value: f32| value.to_bits() == NONE || natural(value).is_some_and(|v| v < spec.n_actions());
        if !self.last_action.iter().all(or_none) {
            Some("kat.last_action")
        } else if !below(self.agent, spec.n_agents()) {
            Some("kat.agent")
        } else if !below(self.action, spec.n_actions()) {
            Some("kat.action")
        } else {
            None
        }
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

/// The values of a tensor of this shape.
fn tensor<'m>(
    archive: &Archive<'m>,
    name: &'static str,
    rank: usize,
    shape: [usize; 3],
) -> Result<&'m [f32], ModelError> {
    let (layer, part) = cut(name, b'.').unwrap_or_default();
    let found = archive.part(layer, part).filter(|tensor| tensor.rank == rank && tensor.shape == shape);
    found.and_then(|tensor| tensor.f32s()).ok_or(ModelError::Recording { name })
}

/// The bits of -1, which stands for "none".
const NONE: u32 = (-1.0_f32).to_bits();

/// A float that is a natural number.
fn natural(value: f32) -> Option<usize> {
    let index = value as u16; // saturates
    (f32::from(index).to_bits() == value.to_bits()).then_some(usize::from(index))
}
