//! External distillation: the follower learns from the leader at three depths.

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use super::agent::Unroll;
use super::mixer::LossTerms;
use crate::nn::kernel::{kl, squared_distance};
use crate::replay::Batch;

/// Weights and readings of L_B, L_F and L_Q.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DistillConfig {
    /// Weight of L_B, the distance of the block outputs; 0 leaves it out.
    pub block: f64,
    /// Weight of L_F, the divergence of the features.
    pub features: f64,
    /// Weight of L_Q, the divergence of the utilities.
    pub q: f64,
    /// Over the D dimensions of the block output: `sum` or `mean`.
    pub block_reduce: Reduce,
    /// What L_F compares: softmaxes by divergence, or values by squared distance.
    pub features_loss: FeaturesLoss,
    /// τ of the softmaxes.
    pub temperature: f64,
    /// Count agents that can do one thing only (frozen, dead) in L_B and L_F as well.
    pub count_idle_agents: bool,
}

/// How a squared distance is reduced over features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduce {
    /// Sum.
    #[default]
    Sum,
    /// Mean.
    Mean,
}

/// How features are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeaturesLoss {
    /// Kullback-Leibler divergence of softmaxes.
    #[default]
    Kl,
    /// Squared distance, summed over features.
    Mse,
}

impl Default for DistillConfig {
    fn default() -> Self {
        Self {
            block: 1.0,
            features: 1.0,
            q: 1.0,
            block_reduce: Reduce::Sum,
            features_loss: FeaturesLoss::Kl,
            temperature: 1.0,
            count_idle_agents: false,
        }
    }
}

/// L_B, L_F and L_Q of one batch, both networks unrolled over all T + 1 frames.
///
/// L_B is a mean over agents, L_F and L_Q are sums over agents; all are means over existing steps.
/// The leader is detached here: no gradient reaches the GGN. L_Q runs over available actions only.
///
/// # Errors
/// If the shapes disagree.
///
/// Paper: arXiv 2502.03125, Eq. (6) and (7); `docs/paper.md`, readings 5 to 7.
pub fn distillation(
    batch: &Batch,
    leader: &Unroll,
    follower: &Unroll,
    config: &DistillConfig,
) -> Result<LossTerms> {
    let mut terms = LossTerms::new();
    let rows = batch.inputs.rows();
    let weights = batch.agent_weights(!config.count_idle_agents);
    if config.block != 0.0
        && let (Some(leader), Some(follower)) = (&leader.block, &follower.block)
    {
        let width = match config.block_reduce {
            Reduce::Sum => 1.0,
            Reduce::Mean => follower.dim(1)? as f64,
        };
        let share = 1.0 / (batch.agents as f64 * width);
        let weights: Vec<f64> = weights.iter().map(|&weight| weight * share).collect();
        terms.push(("distill_block", config.block, squared_distance(leader, follower, &weights)?));
    }
    if config.features != 0.0 {
        let (leader, follower) = (&leader.features, &follower.features);
        let loss = match config.features_loss {
            FeaturesLoss::Kl => kl(leader, follower, &weights, None, config.temperature)?,
            FeaturesLoss::Mse => squared_distance(leader, follower, &weights)?,
        };
        terms.push(("distill_features", config.features, loss));
    }
    if config.q != 0.0 {
        let flat = |q: &Tensor| q.reshape((rows, batch.actions_each));
        let weights = batch.agent_weights(false);
        let allowed = Some(batch.available.as_slice());
        let loss = kl(&flat(&leader.q)?, &flat(&follower.q)?, &weights, allowed, config.temperature)?;
        terms.push(("distill_q", config.q, loss));
    }
    Ok(terms)
}
