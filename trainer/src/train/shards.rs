//! Updates in S parts, whichever ranks hold them.
//!
//! ```text
//! shard s: B/S of its episodes ─► losses ─► gradient g_s      g = Σ w_s·g_s, s = 0…S-1 ─► one step, on all ranks
//! ```
//!
//! All parts see the parameters as they were before the update. w_s is the share of the batch's steps that
//! is in part s: losses are means over steps, so that g is the gradient over all of them.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Run;
use crate::error::{During, LearnError, TrainError};
use crate::learner::scheme::Metrics;
use crate::nn::params::Values;
use crate::seed::stream;

/// Updates from one comparison of all parameters to the next.
const COMPARED: u64 = 100;

/// What one shard has come to.
#[derive(Serialize, Deserialize)]
struct Part {
    /// Steps in it.
    filled: f64,
    metrics: Metrics,
    /// One for each optimiser; `None` where it has nothing to do.
    gradients: Vec<Option<Vec<f32>>>,
}

impl Run {
    /// One update, whose metrics are means over the shards by their steps; `None` while there is too
    /// little to learn from.
    pub(super) fn update_in_shards(&mut self) -> Result<Option<Metrics>, TrainError> {
        let mut mine = Vec::new();
        for shard in 0..self.team.shards() as u64 {
            if !self.team.owns(shard) {
                continue;
            }
            match self.part(shard)? {
                Some(part) => mine.push((shard, part)),
                // Every shard holds as many episodes: no other has enough either.
                None => return Ok(None),
            }
        }
        let parts: Vec<Part> = self.team.share(mine)?.into_iter().map(|(_, part)| part).collect();
        let steps: f64 = parts.iter().map(|part| part.filled).sum();
        let mut metrics = Metrics::new();
        for part in &parts {
            for (name, value) in part.metrics.iter().filter(|(name, _)| !name.starts_with("grad_norm_")) {
                *metrics.entry(name.clone()).or_default() += value * part.filled / steps;
            }
        }
        for (index, (name, optimiser)) in self.scheme.optimisers_mut().into_iter().enumerate() {
            let mut sum: Option<Vec<f32>> = None;
            for part in &parts {
                let Some(gradient) = &part.gradients[index] else { continue };
                let weight = (part.filled / steps) as f32;
                let sum = sum.get_or_insert_with(|| vec![0.0; gradient.len()]);
                sum.iter_mut().zip(gradient).for_each(|(sum, &value)| *sum += weight * value);
            }
            if let Some(sum) = sum {
                let norm = optimiser.move_along(&sum).during("moving along the sum of all shards")?;
                metrics.insert(format!("grad_norm_{name}"), norm);
            }
        }
        if (self.counters.update + 1).is_multiple_of(COMPARED) {
            self.compare()?;
        }
        Ok(Some(metrics))
    }

    /// Losses and gradients of one shard.
    fn part(&mut self, shard: u64) -> Result<Option<Part>, TrainError> {
        let (seed, update, shards) = (self.config.seed, self.counters.update, self.team.shards());
        let mut rng = stream(seed, &format!("replay/{update}/{shard}"));
        // Episodes are in order: the first of this shard is among the S oldest.
        let oldest = self.counters.episode - self.replay.len() as u64;
        let first = ((shard + shards as u64 - oldest % shards as u64) % shards as u64) as usize;
        let count = self.config.replay.batch / shards;
        let Some(sampled) = self.replay.sample_of((first, shards), count, &mut rng) else { return Ok(None) };
        let batch = self.config.learner.batch(&self.spec, &sampled);
        let metrics = self.scheme.update(&batch, &mut stream(seed, &format!("update/{update}/{shard}")))?;
        let mut gradients = Vec::new();
        for (_, optimiser) in self.scheme.optimisers_mut() {
            gradients.push(optimiser.take_held().during("reading a gradient")?);
        }
        Ok(Some(Part { filled: batch.filled(), metrics, gradients }))
    }

    /// Refuses parameters that are not the same on all ranks, to the bit.
    fn compare(&self) -> Result<(), TrainError> {
        if self.team.is_alone() {
            return Ok(());
        }
        let mut hash = Sha256::new();
        for (_, set) in self.scheme.params() {
            let values: Values = set.values().during("reading parameters")?;
            for (_, data) in values.values() {
                data.iter().for_each(|value| hash.update(value.to_le_bytes()));
            }
        }
        let what = format!("the parameters after update {}", self.counters.update + 1);
        Ok(self.team.must_agree(&what, &hash.finalize()).map_err(LearnError::from)?)
    }
}
