//! Independent learners: every agent has a temporal-difference problem of its own.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::{JointStep, Mixer, MixerKind, MixerShape};

/// No mixing: K = N values, `Q_i(τ_i, u_i)`, each with its own target from the team's reward.
///
/// The loss is the mean over agents, as in PyMARL. Source: Tan 1993; Tampuu et al., arXiv 1511.08779.
#[derive(Debug)]
pub struct Iql;

/// Independent learners have nothing to set.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IqlConfig {}

impl Mixer for Iql {
    fn q_tot(&self, step: &JointStep<'_>) -> Result<Tensor> {
        Ok(step.q_taken.clone())
    }
}

impl MixerKind for Iql {
    const NAME: &'static str = "iql";
    const ABOUT: &'static str = "no mixing, one target per agent: the floor of a study (Tan 1993)";
    type Config = IqlConfig;

    fn new(_: &IqlConfig, _: MixerShape, _: &VarBuilder<'_>) -> Result<Self> {
        Ok(Self)
    }
}
