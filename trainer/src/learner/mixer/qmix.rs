//! QMIX: a mixing network whose weights, generated from the state, are never negative.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::{JointStep, Mixer, MixerKind, MixerShape};
use crate::error::ConfigError;
use crate::learner::check_width;
use crate::nn::kernel::{MixingWeights, mixing};
use crate::nn::params::linear_params;

/// `Q_tot = ELU(q |W_1(s)| + b_1(s)) · |w_f(s)| + V(s)`, monotone in each agent's value.
///
/// Source: Rashid et al., arXiv 1803.11485; sizes as in PyMARL.
#[derive(Debug)]
pub struct Qmix {
    w1: [(Tensor, Tensor); 2],
    b1: (Tensor, Tensor),
    wf: [(Tensor, Tensor); 2],
    v: [(Tensor, Tensor); 2],
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

/// Layers `0` and `1`; `widths` of the input, the hidden units and the output.
fn two_layers(vb: &VarBuilder<'_>, [input, hidden, output]: [usize; 3]) -> Result<[(Tensor, Tensor); 2]> {
    Ok([linear_params(&vb.pp(0), input, hidden)?, linear_params(&vb.pp(1), hidden, output)?])
}

impl Mixer for Qmix {
    fn q_tot(&self, step: &JointStep<'_>) -> Result<Tensor> {
        let (b, t, n) = step.q_taken.dims3()?;
        let weights = MixingWeights { w1: &self.w1, b1: &self.b1, wf: &self.wf, v: &self.v };
        mixing(&step.q_taken.reshape((b * t, n))?, step.state, weights)?.reshape((b, t, 1))
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
            w1: two_layers(&vb.pp("w1"), [state, hyper, agents * embed])?,
            b1: linear_params(&vb.pp("b1"), state, embed)?,
            wf: two_layers(&vb.pp("wf"), [state, hyper, embed])?,
            v: two_layers(&vb.pp("v"), [state, embed, 1])?,
        })
    }
}
