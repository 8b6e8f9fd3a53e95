//! Internal distillation: how badly a network predicts another one on a state is how new the
//! state is, and newness is paid for.

use candle_core::{DType, Result, Tensor};
use candle_nn::{Init, VarBuilder};
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
    /// Errors in units of their running root mean square, so that the reward does not fade while the
    /// predictor learns: a root mean square of `coefficient` per step, less only while errors fall faster
    /// than the running one follows.
    pub normalise: bool,
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
            normalise: false,
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
    /// Weight and weighted sum of the mean squares so far, `[2]`; only where errors are normalised.
    unit: Option<Tensor>,
    config: IdmConfig,
}

/// What is kept of older errors at each update.
const KEPT: f64 = 0.9;

/// What the prediction errors of a batch come to.
pub struct Curiosity {
    /// r_I, `[B, T]`, 0 on padding.
    pub reward: Vec<f64>,
    /// L_I, to be minimised by the predictor.
    pub loss: Tensor,
    /// Mean square of the errors, before they are brought to a unit.
    pub square: f64,
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
        let unit = || vb.get_with_hints(2, "unit", Init::Const(0.0)).map(|unit| unit.detach());
        let unit = config.normalise.then(unit).transpose()?;
        Ok(Self { predictor: net(vb.pp("predictor"))?, target, unit, config: config.clone() })
    }

    /// Takes the mean square of a whole batch's errors into the running one.
    ///
    /// # Errors
    /// If candle cannot write.
    pub fn settle(&self, square: f64) -> Result<()> {
        let Some(unit) = &self.unit else { return Ok(()) };
        let before: Vec<f64> = unit.to_dtype(DType::F64)?.to_vec1()?;
        let now = [KEPT * before[0] + (1.0 - KEPT), KEPT * before[1] + (1.0 - KEPT) * square];
        unit.slice_set(&Tensor::new(&now, unit.device())?.to_dtype(unit.dtype())?, 0, 0)
    }

    /// What an error is divided by: the running root mean square, or that of this batch before there is one.
    fn unit(&self, square: f64) -> Result<f64> {
        let Some(unit) = &self.unit else { return Ok(1.0) };
        let before: Vec<f64> = unit.to_dtype(DType::F64)?.to_vec1()?;
        let square = if before[0] > 0.0 { before[1] / before[0] } else { square };
        Ok(if square > 0.0 { square.sqrt() } else { 1.0 })
    }

    /// Features of states `[R, S]`, `[R, F]`.
    fn features(net: &[(Tensor, Tensor); 2], state: &Sparse) -> Result<Tensor> {
        let hidden = sparse_linear(state, &net[0].0, &net[0].1, Activation::Relu)?;
        Ok(linear(&hidden, &net[1].0, &net[1].1, Activation::None)?.into())
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
        let errors: Vec<f64> = errors.to_dtype(DType::F64)?.to_vec1()?;
        let frame = |k: usize| k / batch.steps * frames + k % batch.steps;
        let squares =
            (0..batch.mask.len()).map(|k| f64::from(batch.mask[k]) * (errors[frame(k)] / width).powi(2));
        let square = squares.sum::<f64>() / batch.filled().max(1.0);
        let unit = width * self.unit(square)?;
        let factor = |k: usize| {
            let pays = match self.config.mu_mode {
                MuMode::RewardBernoulli => f64::from(u8::from(draws[k])),
                MuMode::PredictorMask => 1.0,
                MuMode::Scale => self.config.mu,
            };
            f64::from(batch.mask[k]) * pays * self.config.coefficient / unit
        };
        let reward = (0..batch.mask.len()).map(|k| factor(k) * errors[frame(k)]).collect();

        let trains =
            |k: usize| batch.mask[k] > 0.0 && (self.config.mu_mode != MuMode::PredictorMask || draws[k]);
        let count = (0..batch.mask.len()).filter(|&k| trains(k)).count().max(1) as f64;
        let mut weights = vec![0.0; batch.state.rows()];
        for k in (0..batch.mask.len()).filter(|&k| trains(k)) {
            weights[frame(k)] = 1.0 / (count * width);
        }
        Ok(Curiosity { reward, loss: squared_distance(&target, &predicted, &weights)?, square })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{EnvSpec, registry};
    use crate::nn::Params;
    use crate::replay::Episode;
    use crate::rollout::{Plan, Player, play};

    fn batch() -> (EnvSpec, Vec<Episode>) {
        let table =
            "kind = \"predator-prey\"\nrows = 4\ncols = 4\npredators = 2\nprey = 1\nepisode_limit = 6\n";
        let mut envs = registry::build_many(&toml::from_str(table).unwrap(), 4).unwrap();
        let plan = Plan { seed: 1, purpose: "test", first: 0, count: 4, epsilon: 1.0, record: false };
        let played = play(Player::Random, &mut envs, &plan).unwrap();
        (envs[0].spec().clone(), played.into_iter().map(|played| played.episode).collect())
    }

    #[test]
    fn normalised_rewards_keep_their_size_while_errors_fade() {
        let (spec, episodes) = batch();
        let batch = Batch::new(&spec, &episodes.iter().collect::<Vec<_>>());
        let config = IdmConfig { normalise: true, coefficient: 0.25, ..IdmConfig::default() };
        let params = Params::new(1, DType::F32);
        let idm = Idm::new(&params.builder(), &config, spec.state_dim).unwrap();
        let plain = IdmConfig { normalise: false, ..config };
        let raw = Idm::new(&params.builder(), &plain, spec.state_dim).unwrap();
        let draws = vec![true; batch.mask.len()];
        let square_of = |reward: &[f64]| reward.iter().map(|r| r * r).sum::<f64>() / batch.filled();
        for (round, shrink) in [1.0, 0.1, 0.01].into_iter().enumerate() {
            // A predictor that is nearer to its target.
            for (name, var) in params.vars().iter().filter(|(name, _)| name.starts_with("predictor")) {
                let target = params
                    .vars()
                    .into_iter()
                    .find(|(other, _)| *other == name.replace("predictor", "target"));
                let target = target.unwrap().1;
                let moved = ((var.as_tensor() - target.as_tensor()).unwrap() * shrink).unwrap();
                var.set(&(moved + target.as_tensor()).unwrap()).unwrap();
            }
            let before = raw.curiosity_with(&batch, &draws).unwrap();
            assert!((square_of(&before.reward) / 0.0625 / before.square - 1.0).abs() < 1e-6);
            if round == 0 {
                // Nothing was seen: the batch is its own measure.
                let reward = idm.curiosity_with(&batch, &draws).unwrap().reward;
                assert!((square_of(&reward) - 0.0625).abs() < 1e-6);
            }
            for _ in 0..2000 {
                idm.settle(before.square).unwrap();
            }
            let after = idm.curiosity_with(&batch, &draws).unwrap();
            assert!(
                (square_of(&after.reward) - 0.0625).abs() < 1e-3,
                "round {round}: {}",
                square_of(&after.reward)
            );
            assert!((after.square - before.square).abs() < 1e-12 * before.square);
        }
        // Half-way: a weighted mean of old and new, here after one step from nothing.
        idm.unit
            .as_ref()
            .unwrap()
            .slice_set(&Tensor::new(&[0.0_f32, 0.0], &candle_core::Device::Cpu).unwrap(), 0, 0)
            .unwrap();
        idm.settle(4.0).unwrap();
        assert!((idm.unit(1.0).unwrap() - 2.0).abs() < 1e-6);
        idm.settle(0.0).unwrap();
        assert!((idm.unit(1.0).unwrap() - (4.0_f64 * KEPT / (1.0 + KEPT)).sqrt()).abs() < 1e-6);
    }
}
