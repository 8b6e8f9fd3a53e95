//! QMIX: a mixing network whose weights, generated from the state, are never negative.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::{JointStep, Mixer, MixerKind, MixerShape};
use crate::nn::Sparse;
use crate::nn::kernel::{Activation, blend, linear, sparse_linear};
use crate::nn::params::linear_params;

/// `Q_tot = ELU(q |W_1(s)| + b_1(s)) · |w_f(s)| + V(s)`, monotone in each agent's value.
///
/// Source: Rashid et al., arXiv 1803.11485; sizes as in PyMARL.
#[derive(Debug)]
pub struct Qmix {
    w1: Hyper,
    b1: (Tensor, Tensor),
    wf: Hyper,
    v: Hyper,
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

/// Linear, ReLU, linear over the state.
type Hyper = [(Tensor, Tensor); 2];

fn hyper(vb: &VarBuilder<'_>, input: usize, hidden: usize, out: usize) -> Result<Hyper> {
    Ok([linear_params(&vb.pp("0"), input, hidden)?, linear_params(&vb.pp("1"), hidden, out)?])
}

fn run([first, second]: &Hyper, state: &Sparse) -> Result<Tensor> {
    let hidden = sparse_linear(state, &first.0, &first.1, Activation::Relu)?;
    linear(&hidden, &second.0, &second.1, Activation::None)
}

impl Mixer for Qmix {
    fn q_tot(&self, step: &JointStep<'_>) -> Result<Tensor> {
        let (b, t, n) = step.q_taken.dims3()?;
        let rows = b * t;
        let w1 = run(&self.w1, step.state)?;
        let b1 = sparse_linear(step.state, &self.b1.0, &self.b1.1, Activation::None)?;
        let wf = run(&self.wf, step.state)?;
        let v = run(&self.v, step.state)?;
        let hidden = (blend(&step.q_taken.reshape((rows, n))?, &w1)? + b1)?.elu(1.0)?;
        let q_tot = (blend(&hidden, &wf)? + v)?;
        q_tot.reshape((b, t, 1))
    }
}

impl MixerKind for Qmix {
    const NAME: &'static str = "qmix";
    const ABOUT: &'static str = "monotone mixing network generated from the state (Rashid et al. 2018)";
    type Config = QmixConfig;

    fn new(config: &QmixConfig, shape: MixerShape, vb: &VarBuilder<'_>) -> Result<Self> {
        let MixerShape { agents, state, .. } = shape;
        let &QmixConfig { embed, hyper: width } = config;
        for (key, width) in [("embed", embed), ("hyper", width)] {
            crate::learner::check_width(key, width)
                .map_err(|error| candle_core::Error::Msg(error.to_string()))?;
        }
        Ok(Self {
            w1: hyper(&vb.pp("w1"), state, width, agents * embed)?,
            b1: linear_params(&vb.pp("b1"), state, embed)?,
            wf: hyper(&vb.pp("wf"), state, width, embed)?,
            v: hyper(&vb.pp("v"), state, embed, 1)?,
        })
    }
}
