//! QTRAN-base: an unrestricted value of the joint action, and utilities that agree with it on what
//! is best.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::{JointStep, LossTerms, Mixer, MixerKind, MixerShape, TdBatch, masked_mean, masked_square};
use crate::error::ConfigError;
use crate::learner::{check_number, check_width};
use crate::nn::kernel::{Activation, linear};
use crate::nn::mlp::{Mlp, joint_linear};
use crate::nn::params::linear_params;
use crate::nn::sparse::Sparse;

/// `Q_jt = MLP([s; Σ_i g(h_i, u_i)])` learns from the reward, the utilities learn from `Q_jt`:
///
/// ```text
/// L_opt  = (Σ_i max_a Q_i - [Q_jt(τ, ū)] + V(s))²            ū: the greedy joint action
/// L_nopt = min(0, Σ_i Q_i(u_i) - [Q_jt(τ, u)] + V(s))²       [·]: without gradient
/// ```
///
/// `Q_jt` reads the agents' recurrent features with gradients, so that its error trains them too.
/// Acting uses the utilities.
///
/// Source: Son et al., arXiv 1905.05408, QTRAN-base; sizes as in PyMARL.
#[derive(Debug)]
pub struct Qtran {
    /// g, two layers; the first reads `[onehot u_i; h_i]`.
    encoder: [(Tensor, Tensor); 2],
    joint: Mlp,
    v: Mlp,
    shape: MixerShape,
    opt: f64,
    nopt: f64,
}

/// Sizes and weights.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QtranConfig {
    /// Hidden units of both layers of `Q_jt` and of `V`; PyMARL 64.
    pub embed: usize,
    /// Weight of `L_opt`; PyMARL 1.
    pub opt: f64,
    /// Weight of `L_nopt`; PyMARL 0.1.
    pub nopt: f64,
}

impl Default for QtranConfig {
    fn default() -> Self {
        Self { embed: 64, opt: 1.0, nopt: 0.1 }
    }
}

impl Qtran {
    /// `Σ_i g(h_i, u_i)`, `[B·T, H + A]`. The second layer is linear, so the sum comes before it.
    fn encode(&self, step: &JointStep<'_>) -> Result<Tensor> {
        let MixerShape { agents, actions, hidden, .. } = self.shape;
        let picks = Sparse::one_hot(actions, &step.actions.flatten_all()?.to_vec1()?);
        let Some(features) = step.hidden else {
            candle_core::bail!("qtran: no recurrent features of the agents")
        };
        let features = features.reshape(((), hidden))?;
        let each = joint_linear(&picks, &features, &self.encoder[0])?.relu()?;
        let sum = each.reshape(((), agents, hidden + actions))?.sum(1)?;
        let (weight, bias) = &self.encoder[1];
        Ok(linear(&sum, weight, &(bias * agents as f64)?, Activation::None)?.into())
    }
}

impl Mixer for Qtran {
    fn reads_hidden(&self) -> bool {
        true
    }

    /// `Q_jt`.
    fn q_tot(&self, step: &JointStep<'_>) -> Result<Tensor> {
        let (b, t, _) = step.q_taken.dims3()?;
        self.joint.joint(step.state, &self.encode(step)?)?.reshape((b, t, 1))
    }

    fn losses(&self, td: &TdBatch<'_>) -> Result<LossTerms> {
        let joint = self.q_tot(&td.taken)?;
        let hidden = td.greedy.hidden.map(Tensor::detach);
        let best = self.q_tot(&JointStep { hidden: hidden.as_ref(), ..td.greedy.clone() })?.detach();
        let v = self.v.sparse(td.taken.state)?.reshape(joint.shape())?;
        let opt = ((td.greedy.q_taken.sum_keepdim(2)? - best)? + &v)?;
        let nopt = ((td.taken.q_taken.sum_keepdim(2)? - joint.detach())? + v)?;
        Ok(vec![
            ("td", 1.0, masked_square(&joint, td)?),
            ("opt", self.opt, masked_mean(&opt.sqr()?, td.mask)?),
            // min(0, x)² = max(0, -x)²
            ("nopt", self.nopt, masked_mean(&nopt.neg()?.relu()?.sqr()?, td.mask)?),
        ])
    }
}

impl MixerKind for Qtran {
    const NAME: &'static str = "qtran";
    const ABOUT: &'static str = "joint value that the sum of utilities is held to (Son et al. 2019, base)";
    type Config = QtranConfig;

    fn check(config: &QtranConfig) -> std::result::Result<(), ConfigError> {
        check_width("mixer.embed", config.embed)?;
        check_number("mixer.opt", config.opt, 0.0..=1e6)?;
        check_number("mixer.nopt", config.nopt, 0.0..=1e6)
    }

    fn new(config: &QtranConfig, shape: MixerShape, vb: &VarBuilder<'_>) -> Result<Self> {
        let MixerShape { actions, state, hidden, .. } = shape;
        let (width, embed) = (actions + hidden, config.embed);
        Ok(Self {
            encoder: [
                linear_params(&vb.pp("encoder.0"), width, width)?,
                linear_params(&vb.pp("encoder.1"), width, width)?,
            ],
            joint: Mlp::new(&vb.pp("joint"), &[state + width, embed, embed, 1])?,
            v: Mlp::new(&vb.pp("v"), &[state, embed, embed, 1])?,
            shape,
            opt: config.opt,
            nopt: config.nopt,
        })
    }
}
