//! Recorded steps: what one agent saw, and what the policy answered. A policy file carries a few to test itself with,
//! an episode file many to replay.

use core::hint::black_box;

use super::archive::Archive;
use super::matrix::{Matrix, Row};
use super::spec::AgentSpec;
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::ModelError;

/// The `kat.…` tensors of a file, checked against a policy's sizes.
#[derive(Clone, Copy, Debug)]
pub struct Recording<'m> {
    steps: usize,
    obs_dim: usize,
    n_actions: usize,
    /// In the order of [`NAMES`].
    values: [&'m [f32]; 6],
}

/// The tensors: first the three of one number a step.
const NAMES: [&str; 6] = ["kat.last_action", "kat.agent", "kat.action", "kat.obs", "kat.available", "kat.q"];

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
    #[inline(never)]
    pub(crate) fn read(archive: &Archive<'m>, spec: &AgentSpec<'_>) -> Result<Option<Self>, ModelError> {
        let part = |name: &'static str| name.get(4..).and_then(|part| archive.part(b"kat", part));
        let Some(obs) = part("kat.obs") else {
            return Ok(None);
        };
        let [_, steps, _] = obs.shape;
        let (obs_dim, n_actions) = (spec.obs_dim(), spec.n_actions());
        let mut recording = Self { steps, obs_dim, n_actions, values: [&[]; 6] };
        let cols = [None, None, None, Some(obs_dim), Some(n_actions), Some(n_actions)];
        let parts = NAMES.iter().zip(recording.values.iter_mut());
        for (cols, (&name, values)) in black_box(&cols[..]).iter().zip(parts) {
            black_box(()); // one copy of the loop
            let (rank, shape) = cols.map_or((1, [1, 1, steps]), |cols| (2, [1, steps, cols]));
            let fits = part(name).filter(|tensor| tensor.rank == rank && tensor.shape == shape);
            *values = fits.and_then(|tensor| tensor.f32s()).ok_or(ModelError::Recording { name })?;
        }
        Ok(Some(recording))
    }

    /// From the numbers that [`Recording::plan`] writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Recording<'static> {
        let (steps, obs_dim, n_actions) = (plan.count(), plan.count(), plan.count());
        let cols = [1, 1, 1, obs_dim, n_actions, n_actions];
        let mut values: [&[f32]; 6] = [&[]; 6];
        let mut index = 0;
        while index < values.len() {
            values[index] = plan.slice();
            let whole = steps.checked_mul(cols[index]);
            assert!(
                steps > 0 && matches!(whole, Some(len) if len == values[index].len()),
                "a plan has no recorded steps"
            );
            index += 1;
        }
        Recording { steps, obs_dim, n_actions, values }
    }

    #[cfg(feature = "build")]
    pub(crate) fn plan(&self, plan: &mut Writer<'_>) {
        for size in [self.steps, self.obs_dim, self.n_actions] {
            plan.count(size);
        }
        for values in self.values {
            plan.slice(values);
        }
    }

    /// The first tensor that holds anything but natural numbers below its count.
    pub(crate) fn check(&self, spec: &AgentSpec<'_>) -> Option<&'static str> {
        let counts = [spec.n_actions(), spec.n_agents(), spec.n_actions()];
        for (index, ((values, count), name)) in self.values.iter().zip(counts).zip(NAMES).enumerate() {
            let below = |value: &f32| natural(*value).is_some_and(|value| value < count);
            let none = |value: &f32| index == 0 && value.to_bits() == NONE;
            if !values.iter().all(|value| below(value) || none(value)) {
                return Some(name);
            }
        }
        None
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.steps
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One step, `None` if there are not so many.
    pub fn step(&self, index: usize) -> Option<RecordedStep<'m>> {
        let [last_action, agent, action, obs, available, q] = self.values;
        let row = |values, cols| Matrix::new(values, self.steps, cols).row(index);
        Some(RecordedStep {
            obs: row(obs, self.obs_dim),
            last_action: natural(*last_action.get(index)?),
            agent: natural(*agent.get(index)?).unwrap_or(usize::MAX),
            available: row(available, self.n_actions),
            q: row(q, self.n_actions),
            action: natural(*action.get(index)?).unwrap_or(usize::MAX),
        })
    }

    /// The steps in order.
    pub fn steps(&self) -> impl Iterator<Item = RecordedStep<'m>> + use<'m> {
        let recording = *self;
        (0..self.steps).map_while(move |index| recording.step(index))
    }
}

/// The bits of -1, which stands for "none".
const NONE: u32 = (-1.0_f32).to_bits();

/// A float that is a natural number.
#[inline(never)]
fn natural(value: f32) -> Option<usize> {
    let index = value as u16; // saturates
    (f32::from(index).to_bits() == value.to_bits()).then_some(usize::from(index))
}
