//! QMIX: a mixing network whose weights, generated from the state, are never negative.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::{JointStep, Mixer, MixerKind, MixerShape};
use crate::error::ConfigError;
use crate::learner::check_width;
use crate::nn::Mlp;
use crate::nn::kernel::{Activation, blend, elu, sparse_linear};
use crate::nn::params::linear_params;

/// `Q_tot = ELU(q |W_1(s)| + b_1(s)) · |w_f(s)| + V(s)`, monotone in each agent's value.
///
/// Source: Rashid et al., arXiv 1803.11485; sizes as in PyMARL.
#[derive(Debug)]
pub struct Qmix {
    w1: Mlp,
    b1: (Tensor, Tensor),
    wf: Mlp,
    v: Mlp,
}

/// Sizes of the mixing network.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QmixConfig {
    /// E, hidden units of the mixing network; PyMARL 32.
    pub embed: usize,
    /// Hidden units of the networks that generate its weights; PyMARL 64.
    pub hyper: usize,
}

impl Default for QmixConfig {
    fn default() -> Self {
        Self { embed: 32, hyper: 64 }
    }
}

impl Mixer for Qmix {
    fn q_tot(&self, step: &JointStep<'_>) -> Result<Tensor> {
        let (b, t, n) = step.q_taken.dims3()?;
        let rows = b * t;
        let w1 = self.w1.sparse(step.state)?;
        let b1 = sparse_linear(step.state, &self.b1.0, &self.b1.1, Activation::None)?;
        let wf = self.wf.sparse(step.state)?;
        let v = self.v.sparse(step.state)?;
        let hidden = elu(&(blend(&step.q_taken.reshape((rows, n))?, &w1)? + &*b1)?)?;
        let q_tot = (blend(&hidden, &wf)? + &*v)?;
        q_tot.reshape((b, t, 1))
    }
}

impl MixerKind for Qmix {
    const NAME: &'static str = "qmix";
    const ABOUT: &'static str = "monotone mixing network generated from the state (Rashid et al. 2018)";
    type Config = QmixConfig;

    fn check(config: &QmixConfig) -> std::result::Result<(), ConfigError> {
        check_width("mixer.embed", config.embed)?;
        check_width("mixer.hyper", config.hyper)
    }

    fn new(config: &QmixConfig, shape: MixerShape, vb: &VarBuilder<'_>) -> Result<Self> {
        let MixerShape { agents, state, .. } = shape;
        let &QmixConfig { embed, hyper } = config;
        Ok(Self {
            w1: Mlp::new(&vb.pp("w1"), &[state, hyper, agents * embed])?,
            b1: linear_params(&vb.pp("b1"), state, embed)?,
            wf: Mlp::new(&vb.pp("wf"), &[state, hyper, embed])?,
            v: Mlp::new(&vb.pp("v"), &[state, embed, 1])?,
        })
    }
}
