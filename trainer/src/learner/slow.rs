//! What slow networks make of an episode, kept until they change.
//!
//! Between two copies into them, slow networks give the same utilities of the same episode, to the bit, whatever else
//! is in its batch. Replay hands out an episode more than once in that while: of the paper's 5000 episodes 44 of a hundred
//! that are drawn are known on the mean, more while there are fewer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Result, Tensor};

use super::agent::Unroll;
use super::mixer::Mixer;
use crate::nn::Params;
use crate::replay::Batch;

/// Utilities of one episode, `[T + 1, N, A]`, and the [generation](Params::generation) of the parameters that made
/// them.
#[derive(Debug, Default)]
pub struct Kept(Mutex<Option<(u64, Vec<f32>)>>);

impl Kept {
    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_none()
    }

    /// Keeps `q` in the place of what was there.
    pub fn keep(&self, generation: u64, q: &[f32]) {
        *self.lock() = Some((generation, q.to_vec()));
    }

    /// Drops what is kept.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    /// Writes what parameters of `generation` gave to `to`; whether there was anything.
    fn copy(&self, generation: u64, to: &mut [f32]) -> bool {
        match &*self.lock() {
            Some((made, q)) if *made == generation && q.len() == to.len() => {
                to.copy_from_slice(q);
                true
            }
            _ => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(u64, Vec<f32>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What slow networks made of a batch.
#[derive(Clone, Debug)]
pub struct SlowValues {
    /// Utilities `[B, T + 1, N, A]`.
    pub q: Tensor,
    /// Recurrent features `[B, T + 1, N, H]`, where the mixer reads them.
    pub hidden: Option<Tensor>,
}

impl From<Unroll> for SlowValues {
    fn from(Unroll { q, hidden, .. }: Unroll) -> Self {
        Self { q, hidden: Some(hidden) }
    }
}

/// What the slow networks, whose parameters are `params`, make of `batch`. `forward` runs them over a batch; it is given
/// the episodes of which nothing is kept.
///
/// All are run where nothing may be kept: the batch came without [`Batch::kept`], `mixer` wants more than utilities, or
/// numbers are not `f32`. What is kept goes by the parameters alone: one call per set of them and update.
///
/// # Errors
/// If `forward` fails.
pub fn slow_values(
    batch: &Batch,
    params: &Params,
    mixer: &dyn Mixer,
    forward: impl FnOnce(&Batch) -> Result<Unroll>,
) -> Result<SlowValues> {
    if batch.kept.is_empty() || mixer.reads_hidden() || params.dtype() != DType::F32 {
        return Ok(forward(batch)?.into());
    }
    let generation = params.generation();
    let (b, frames, n, a) = (batch.episodes, batch.steps + 1, batch.agents, batch.actions_each);
    let mut q = vec![0.0; b * frames * n * a];
    let mut missing = Vec::new();
    for (episode, q) in q.chunks_exact_mut(frames * n * a).enumerate() {
        if !batch.kept[episode].copy(generation, &mut q[..batch.lengths[episode] * n * a]) {
            missing.push(episode);
        }
    }
    if !missing.is_empty() {
        let made = if missing.len() == b { forward(batch)? } else { forward(&batch.select(&missing))? };
        let made = made.q.flatten_all()?.to_vec1::<f32>()?;
        for (&episode, made) in missing.iter().zip(made.chunks_exact(frames * n * a)) {
            let made = &made[..batch.lengths[episode] * n * a];
            q[episode * frames * n * a..][..made.len()].copy_from_slice(made);
            batch.kept[episode].keep(generation, made);
        }
    }
    Ok(SlowValues { q: Tensor::from_vec(q, (b, frames, n, a), &Device::Cpu)?, hidden: None })
}
