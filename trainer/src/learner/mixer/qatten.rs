//! Qatten: heads of attention over the agents share the team's value out.

use candle_core::{D, Result, Tensor};
use candle_nn::VarBuilder;
use candle_nn::ops::softmax;
use serde::{Deserialize, Serialize};

use super::{JointStep, LossTerms, Mixer, MixerKind, MixerShape, TdBatch, masked_mean, masked_square};
use crate::error::ConfigError;
use crate::learner::{check_number, check_width};
use crate::nn::Mlp;
use crate::nn::kernel::{Activation, sparse_linear};
use crate::nn::params::linear_params;

/// `Q_tot = c(s) + Σ_k w_k(s) Σ_i λ_{k,i} Q_i`, where `λ_k` is the softmax over agents of
/// `q_k(s) · (K_k x_i + b_k) / √D` and `w_k = |MLP(s)_k|`. Monotone in each agent's value.
///
/// The paper's keys read SMAC's features of a unit, which are part of its state. Other environments
/// have none there, so a key reads what the agent itself reads: x_i, the observation, the last
/// action, the id.
///
/// Source: Yang et al., arXiv 2002.03939; sizes as in the public extensions of
/// PyMARL.
#[derive(Debug)]
pub struct Qatten {
    /// One per head, `[S] → [D]`.
    queries: Vec<Mlp>,
    /// Of all heads, head after head: `[K·D, I]`, `[K·D]`.
    keys: (Tensor, Tensor),
    weights: Option<Mlp>,
    c: Mlp,
    key_dim: usize,
    regularise: f64,
}

/// Sizes, and two variants.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QattenConfig {
    /// K; public code 4.
    pub heads: usize,
    /// D, width of queries and keys; public code 32.
    pub key: usize,
    /// Hidden units of the queries and of the heads' weights; public code 64.
    pub hyper: usize,
    /// Hidden units of c(s); public code 32.
    pub embed: usize,
    /// Whether heads have weights `w_k(s)`; else they are 1.
    pub weighted: bool,
    /// Weight of the loss term `attention`; 0 leaves it out. 0.001 in the code of QPLEX.
    pub regularise: f64,
}

impl Default for QattenConfig {
    fn default() -> Self {
        Self { heads: 4, key: 32, hyper: 64, embed: 32, weighted: true, regularise: 0.0 }
    }
}

impl Qatten {
    /// Products of query and key before they are scaled, `[B·T, K, N]`.
    fn products(&self, step: &JointStep<'_>) -> Result<Tensor> {
        let (b, t, n) = step.q_taken.dims3()?;
        let (rows, heads, d) = (b * t, self.queries.len(), self.key_dim);
        let queries = self
            .queries
            .iter()
            .map(|query| query.sparse(step.state).map(Tensor::from))
            .collect::<Result<Vec<_>>>()?;
        let queries = Tensor::stack(&queries, 1)?;
        let (weight, bias) = &self.keys;
        let keys = sparse_linear(&step.own_inputs(), weight, bias, Activation::None)?;
        let keys = keys.reshape((rows, n, heads, d))?;
        keys.broadcast_mul(&queries.unsqueeze(1)?)?.sum(D::Minus1)?.transpose(1, 2)?.contiguous()
    }

    fn mix(&self, step: &JointStep<'_>, products: &Tensor) -> Result<Tensor> {
        let (b, t, n) = step.q_taken.dims3()?;
        let shares = softmax(&(products * (1.0 / (self.key_dim as f64).sqrt()))?, D::Minus1)?;
        let mut heads = shares.broadcast_mul(&step.q_taken.reshape((b * t, 1, n))?)?.sum(2)?;
        if let Some(weights) = &self.weights {
            heads = (heads * weights.sparse(step.state)?.abs()?)?;
        }
        (heads.sum_keepdim(1)? + &*self.c.sparse(step.state)?)?.reshape((b, t, 1))
    }
}

impl Mixer for Qatten {
    fn q_tot(&self, step: &JointStep<'_>) -> Result<Tensor> {
        self.mix(step, &self.products(step)?)
    }

    /// `attention` is the sum over heads of the mean squared product of query and key.
    fn losses(&self, td: &TdBatch<'_>) -> Result<LossTerms> {
        let products = self.products(&td.taken)?;
        let q_tot = self.mix(&td.taken, &products)?;
        let mut terms = vec![("td", 1.0, masked_square(&q_tot, td)?)];
        if self.regularise > 0.0 {
            let (b, t, _) = q_tot.dims3()?;
            let size = products.sqr()?.mean_keepdim(2)?.sum(1)?.reshape((b, t, 1))?;
            terms.push(("attention", self.regularise, masked_mean(&size, td.mask)?));
        }
        Ok(terms)
    }
}

impl MixerKind for Qatten {
    const NAME: &'static str = "qatten";
    const ABOUT: &'static str = "heads of attention over the agents (Yang et al. 2020)";
    type Config = QattenConfig;

    fn check(config: &QattenConfig) -> std::result::Result<(), ConfigError> {
        check_width("mixer.heads", config.heads)?;
        check_width("mixer.key", config.key)?;
        check_width("mixer.heads × mixer.key", config.heads * config.key)?;
        check_width("mixer.hyper", config.hyper)?;
        check_width("mixer.embed", config.embed)?;
        check_number("mixer.regularise", config.regularise, 0.0..=1e6)
    }

    fn new(config: &QattenConfig, shape: MixerShape, vb: &VarBuilder<'_>) -> Result<Self> {
        let &QattenConfig { heads, key, hyper, embed, weighted, regularise } = config;
        let MixerShape { state, input, .. } = shape;
        let query = |k: usize| Mlp::new(&vb.pp("query").pp(k), &[state, hyper, key]);
        let weights = || Mlp::new(&vb.pp("weight"), &[state, hyper, heads]);
        Ok(Self {
            queries: (0..heads).map(query).collect::<Result<_>>()?,
            keys: linear_params(&vb.pp("key"), input, heads * key)?,
            weights: weighted.then(weights).transpose()?,
            c: Mlp::new(&vb.pp("c"), &[state, embed, 1])?,
            key_dim: key,
            regularise,
        })
    }
}
