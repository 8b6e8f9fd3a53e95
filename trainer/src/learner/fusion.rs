//! The personalisation block with the agent network behind it: the common shape of GGN and LPN.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use super::agent::{Agent, Input, Span, Unroll};
use crate::nn::Sparse;
use crate::nn::kernel::{BlockWeights, Source, ToWire, block, elu};
use crate::nn::params::linear_params;

/// Sizes and scale of one personalised network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FusionConfig {
    /// M, width of the hypernetwork's hidden layer.
    pub hyper: usize,
    /// H, units of the agent network.
    pub hidden: usize,
    /// c, scale of the generated product. At 1 the product drowns the local part and its weights
    /// move too far with every step; `docs/paper.md`, reading 4.
    pub scale: f64,
    /// What follows the block.
    pub activation: BlockActivation,
}

/// A nonlinearity after the block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockActivation {
    /// Literal reading of the paper.
    #[default]
    None,
    /// As PTDE's code has it.
    Elu,
}

impl Default for FusionConfig {
    fn default() -> Self {
        Self { hyper: 64, hidden: 64, scale: 0.01, activation: BlockActivation::None }
    }
}

/// `Ŝ = c · s W(x) + B(x)`, then the agent network.
#[derive(Clone, Debug)]
pub struct Fusion {
    hyper: (Tensor, Tensor),
    shift: (Tensor, Tensor),
    weight: Tensor,
    agent: Agent,
    scale: f64,
    activation: BlockActivation,
}

impl Fusion {
    /// For agent inputs of width `input`, a source of width `source` and block outputs of width
    /// `width`.
    ///
    /// # Errors
    /// If parameters exist with another shape.
    pub fn new(
        vb: &VarBuilder<'_>,
        config: &FusionConfig,
        (input, source, width): (usize, usize, usize),
        actions: usize,
    ) -> Result<Self> {
        let bound = 1.0 / (config.hyper as f64).sqrt();
        let init = Init::Uniform { lo: -bound, up: bound };
        let weight = vb.pp("block").get_with_hints((source, config.hyper + 1, width), "weight", init)?;
        Ok(Self {
            hyper: linear_params(&vb.pp("hyper"), input, config.hyper)?,
            shift: linear_params(&vb.pp("shift"), input, width)?,
            weight,
            agent: Agent::new(vb, width, config.hidden, actions)?,
            scale: config.scale,
            activation: config.activation,
        })
    }

    /// Unrolls over `span`; `source` has one row per `share` rows of `x`.
    ///
    /// # Errors
    /// If the rows do not fit the span.
    pub fn unroll(
        &self,
        x: &Sparse,
        source: &Sparse,
        share: usize,
        span: Span<'_>,
        start: Option<&Tensor>,
    ) -> Result<Unroll> {
        let source = Source { rows: source.clone(), share, scale: self.scale };
        let weights = BlockWeights {
            hyper: (&self.hyper.0, &self.hyper.1),
            shift: (&self.shift.0, &self.shift.1),
            product: &self.weight,
        };
        let fused = block(x, &source, weights)?;
        let fused = match self.activation {
            BlockActivation::None => fused,
            BlockActivation::Elu => elu(&fused)?.to_wire()?,
        };
        let unroll = self.agent.unroll(&Input::Dense(&fused), span, start)?;
        Ok(Unroll { block: Some(fused), ..unroll })
    }
}
