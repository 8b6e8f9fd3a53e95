//! Value decomposition networks: the team's value is the sum of the agents'.

use candle_core::Result;
use candle_core::Tensor;
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::{JointStep, Mixer, MixerKind, MixerShape};

/// `Q_tot = Σ_i Q_i(τ_i, u_i)`. No parameters, no state.
///
/// Source: Sunehag et al., arXiv 1706.05296.
#[derive(Debug)]
pub struct Vdn;

/// VDN has nothing to set.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VdnConfig {}

impl Mixer for Vdn {
    fn q_tot(&self, step: &JointStep<'_>) -> Result<Tensor> {
        step.q_taken.sum_keepdim(2)
    }
}

impl MixerKind for Vdn {
    const NAME: &'static str = "vdn";
    const ABOUT: &'static str = "sum of the agents' values (Sunehag et al. 2017)";
    type Config = VdnConfig;

    fn new(_: &VdnConfig, _: MixerShape, _: &VarBuilder<'_>) -> Result<Self> {
        Ok(Self)
    }
}
