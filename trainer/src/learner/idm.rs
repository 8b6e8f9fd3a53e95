//! Internal distillation: how badly a network predicts another one on a state is how new the
//! state is, and newness is paid for.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::edm::Reduce;
use crate::nn::kernel::{Activation, linear, sparse_linear, squared_distance};
use crate::nn::params::linear_params;
use crate::nn::{OptimiserConfig, Sparse};
use crate::replay::Batch;
use crate::seed::Draw;

/// Sizes and readings of the intrinsic reward.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdmConfig {
    /// Off: the ablation without intrinsic reward.
    pub enabled: bool,
    /// μ of Eq. (9); the paper's best is 0.75.
    pub mu: f64,
    /// What μ does.
    pub mu_mode: MuMode,
    /// Over the features of the prediction error.
    pub reduce: Reduce,
    /// Factor on the intrinsic reward.
    pub coefficient: f64,
    /// Hidden units of predictor and target.
    pub hidden: usize,
    /// Output features of both.
    pub features: usize,
    /// Optimiser of the predictor.
    pub optimiser: OptimiserConfig,
}

/// Readings of μ, "a random mask probability".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MuMode {
    /// Each step's intrinsic reward is kept with probability μ.
    #[default]
    RewardBernoulli,
    /// Each step trains the predictor with probability μ; the reward is paid always.
    PredictorMask,
    /// The intrinsic reward is multiplied by μ.
    Scale,
}

impl Default for IdmConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            mu: 0.75,
            mu_mode: MuMode::RewardBernoulli,
            reduce: Reduce::Mean,
            coefficient: 1.0,
            hidden: 64,
            features: 64,
            optimiser: OptimiserConfig::adam(),
        }
    }
}

/// A predictor that learns and a target that does not, both linear-ReLU-linear on the state.
#[derive(Clone, Debug)]
pub struct Idm {
    predictor: [(Tensor, Tensor); 2],
    target: [(Tensor, Tensor); 2],
    config: IdmConfig,
}

/// What the prediction errors of a batch come to.
pub struct Curiosity {
    /// r_I, `[B, T]`, 0 on padding.
    pub reward: Vec<f64>,
    /// L_I, to be minimised by the predictor.
    pub loss: Tensor,
}

impl Idm {
    /// `predictor.*` learns; `target.*` must be kept out of every optimiser.
    ///
    /// # Errors
    /// If parameters exist with another shape.
    pub fn new(vb: &VarBuilder<'_>, config: &IdmConfig, state: usize) -> Result<Self> {
        let net = |vb: VarBuilder<'_>| -> Result<[(Tensor, Tensor); 2]> {
            Ok([
                linear_params(&vb.pp("0"), state, config.hidden)?,
                linear_params(&vb.pp("1"), config.hidden, config.features)?,
            ])
        };
        let target = net(vb.pp("target"))?.map(|(w, b)| (w.detach(), b.detach()));
        Ok(Self { predictor: net(vb.pp("predictor"))?, target, config: config.clone() })
    }

    /// Features of states `[R, S]`, `[R, F]`.
    fn features(net: &[(Tensor, Tensor); 2], state: &Sparse) -> Result<Tensor> {
        let hidden = sparse_linear(state, &net[0].0, &net[0].1, Activation::Relu)?;
        linear(&hidden, &net[1].0, &net[1].1, Activation::None)
    }

    /// One draw of μ per step `[B, T]`.
    pub fn draws(&self, batch: &Batch, rng: &mut impl Draw) -> Vec<bool> {
        batch.mask.iter().map(|_| f64::from(rng.unit()) < self.config.mu).collect()
    }

    /// Errors of all existing steps, with the draws of μ `[B, T]` given.
    ///
    /// # Errors
    /// If the state has another width.
    ///
    /// Paper: arXiv 2502.03125, Eq. (8) to (10); `docs/paper.md`, readings 8 and 9.
    pub fn curiosity_with(&self, batch: &Batch, draws: &[bool]) -> Result<Curiosity> {
        let frames = batch.steps + 1;
        let predicted = Self::features(&self.predictor, &batch.state)?;
        let target = Self::features(&self.target, &batch.state)?;
        let width = match self.config.reduce {
            Reduce::Sum => 1.0,
            Reduce::Mean => self.config.features as f64,
        };
        let errors = (predicted.detach() - &target)?.sqr()?.sum(1)?;
        let errors: Vec<f64> = errors.to_dtype(candle_core::DType::F64)?.to_vec1()?;
        let frame = |k: usize| k / batch.steps * frames + k % batch.steps;
        let factor = |k: usize| {
            let pays = match self.config.mu_mode {
                MuMode::RewardBernoulli => f64::from(u8::from(draws[k])),
                MuMode::PredictorMask => 1.0,
                MuMode::Scale => self.config.mu,
            };
            f64::from(batch.mask[k]) * pays * self.config.coefficient / width
        };
        let reward = (0..batch.mask.len()).map(|k| factor(k) * errors[frame(k)]).collect();

        let trains =
            |k: usize| batch.mask[k] > 0.0 && (self.config.mu_mode != MuMode::PredictorMask || draws[k]);
        let count = (0..batch.mask.len()).filter(|&k| trains(k)).count().max(1) as f64;
        let mut weights = vec![0.0; batch.state.rows()];
        for k in (0..batch.mask.len()).filter(|&k| trains(k)) {
            weights[frame(k)] = 1.0 / (count * width);
        }
        Ok(Curiosity { reward, loss: squared_distance(&target, &predicted, &weights)? })
    }
}
