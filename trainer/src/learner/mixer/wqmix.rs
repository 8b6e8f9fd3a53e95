//! Weighted QMIX: joint actions that QMIX cannot represent weigh little where they are overrated.

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::qmix::{Qmix, QmixConfig};
use super::{JointStep, LossTerms, Mixer, MixerKind, MixerShape, TdBatch, masked_mean, masked_square};
use crate::error::ConfigError;
use crate::learner::agent::{Agent, Input, Span};
use crate::learner::{check_number, check_width};
use crate::nn::Mlp;

/// Two branches that learn from one target `y = r + γ Q̂⁻(s', u*')`, u* the greedy joint action of
/// the monotone branch:
///
/// * `Q̂ = MLP([s; q̂_1 … q̂_N]) + MLP(s)`, unrestricted; q̂_i are utilities of agents of its own,
///   recurrent and fed with what a local agent reads, under every scheme;
/// * `Q_tot`, QMIX over the team's agents, whose squared error is weighted by `weighting`.
///
/// Source: Rashid et al., arXiv 2006.10800; sizes as in the authors' code.
#[derive(Debug)]
pub struct Wqmix {
    monotone: Qmix,
    agent: Agent,
    central: Mlp,
    v: Mlp,
    weighting: Weighting,
    alpha: f64,
}

/// Which errors keep their full weight; all others weigh α.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weighting {
    /// Optimistic: where `Q_tot < y`.
    #[default]
    Ow,
    /// Centrally: where u = u*, or `y > Q̂⁻(s, u*)`.
    Cw,
}

/// Sizes and weights.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WqmixConfig {
    /// Which errors keep their weight.
    pub weighting: Weighting,
    /// α, the weight of the others; 0.1 in the authors' configs.
    pub alpha: f64,
    /// As in QMIX; 32.
    pub embed: usize,
    /// As in QMIX; 64.
    pub hyper: usize,
    /// Width of the recurrent agents of the central branch; 64.
    pub central_hidden: usize,
    /// Hidden units of the layers of Q̂; 256.
    pub central_embed: usize,
}

impl Default for WqmixConfig {
    fn default() -> Self {
        let QmixConfig { embed, hyper } = QmixConfig::default();
        Self {
            weighting: Weighting::default(),
            alpha: 0.1,
            embed,
            hyper,
            central_hidden: 64,
            central_embed: 256,
        }
    }
}

impl WqmixConfig {
    fn monotone(&self) -> QmixConfig {
        QmixConfig { embed: self.embed, hyper: self.hyper }
    }
}

impl Wqmix {
    /// Q̂(s, u), `[B, T, 1]`.
    fn q_star(&self, step: &JointStep<'_>) -> Result<Tensor> {
        let (b, t, n) = step.q_taken.dims3()?;
        let frames = step.agent_inputs.rows() / (b * n);
        let span = Span { episodes: b, frames, agents: n, lengths: step.lengths };
        let q = self.agent.unroll(&Input::Sparse(step.agent_inputs), span, None)?.q;
        let q = q.narrow(1, step.span.start, t)?.contiguous()?;
        let q = q.gather(&step.actions.unsqueeze(3)?.contiguous()?, 3)?.reshape((b * t, n))?;
        (self.central.joint(step.state, &q)? + &*self.v.sparse(step.state)?)?.reshape((b, t, 1))
    }

    /// w of every step, `[B, T, 1]`; no gradient passes.
    fn weights(&self, q_tot: &Tensor, td: &TdBatch<'_>) -> Result<Tensor> {
        let (b, t, n) = td.taken.q_taken.dims3()?;
        let numbers = |values: &Tensor| values.flatten_all()?.to_dtype(candle_core::DType::F64)?.to_vec1();
        let y: Vec<f64> = numbers(td.target)?;
        let keeps: Vec<bool> = match self.weighting {
            Weighting::Ow => numbers(q_tot)?.iter().zip(&y).map(|(q_tot, y)| q_tot < y).collect(),
            Weighting::Cw => {
                let greedy_value: Vec<f64> = numbers(&td.slow.bootstrap(&td.greedy)?)?;
                let actions = |step: &JointStep<'_>| step.actions.flatten_all()?.to_vec1::<u32>();
                let (taken, greedy) = (actions(&td.taken)?, actions(&td.greedy)?);
                let same = taken.chunks_exact(n).zip(greedy.chunks_exact(n)).map(|(u, best)| u == best);
                same.zip(y.iter().zip(greedy_value)).map(|(same, (&y, best))| same || y > best).collect()
            }
        };
        let weights = keeps.into_iter().map(|keeps| if keeps { 1.0 } else { self.alpha }).collect();
        Tensor::from_vec(weights, (b, t, 1), &Device::Cpu)?.to_dtype(q_tot.dtype())
    }
}

impl Mixer for Wqmix {
    /// The monotone branch.
    fn q_tot(&self, step: &JointStep<'_>) -> Result<Tensor> {
        self.monotone.q_tot(step)
    }

    /// The central branch.
    fn bootstrap(&self, greedy: &JointStep<'_>) -> Result<Tensor> {
        self.q_star(greedy)
    }

    fn losses(&self, td: &TdBatch<'_>) -> Result<LossTerms> {
        let q_tot = self.q_tot(&td.taken)?;
        let weights = self.weights(&q_tot, td)?;
        let weighted = ((q_tot - td.target)?.sqr()? * weights)?;
        Ok(vec![
            ("td", 1.0, masked_mean(&weighted, td.mask)?),
            ("central", 1.0, masked_square(&self.q_star(&td.taken)?, td)?),
        ])
    }
}

impl MixerKind for Wqmix {
    const NAME: &'static str = "wqmix";
    const ABOUT: &'static str = "QMIX with errors weighted by an unrestricted value (Rashid et al. 2020)";
    type Config = WqmixConfig;

    fn check(config: &WqmixConfig) -> std::result::Result<(), ConfigError> {
        Qmix::check(&config.monotone())?;
        check_width("mixer.central_hidden", config.central_hidden)?;
        check_width("mixer.central_embed", config.central_embed)?;
        check_number("mixer.alpha", config.alpha, 0.0..=1.0)
    }

    fn new(config: &WqmixConfig, shape: MixerShape, vb: &VarBuilder<'_>) -> Result<Self> {
        let MixerShape { agents, actions, state, input, .. } = shape;
        let (wide, central) = (config.central_embed, vb.pp("central"));
        Ok(Self {
            monotone: Qmix::new(&config.monotone(), shape, &vb.pp("monotone"))?,
            agent: Agent::new(&central.pp("agent"), input, config.central_hidden, actions)?,
            central: Mlp::new(&central.pp("mixer"), &[state + agents, wide, wide, wide, 1])?,
            v: Mlp::new(&central.pp("v"), &[state, wide, 1])?,
            weighting: config.weighting,
            alpha: config.alpha,
        })
    }
}
