//! The local policy network: the follower, the part that ships.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::agent::{Span, Unroll};
use super::fusion::{Fusion, FusionConfig};
use crate::nn::Sparse;

/// The follower: the leader's shape with its own input in the place of the state.
///
/// Nothing here can receive the state, so nothing that ships can depend on it.
#[derive(Clone, Debug)]
pub struct Lpn(Fusion);

impl Lpn {
    /// `width` is that of the leader's block output, which L_B compares with.
    ///
    /// # Errors
    /// If parameters exist with another shape.
    pub fn new(
        vb: &VarBuilder<'_>,
        config: &FusionConfig,
        input: usize,
        width: usize,
        actions: usize,
    ) -> Result<Self> {
        Ok(Self(Fusion::new(vb, config, (input, input, width), actions)?))
    }

    /// `x` `[B·T·N, I]`: observation, last action, agent id.
    ///
    /// # Errors
    /// If the rows do not fit the span.
    pub fn unroll(&self, x: &Sparse, span: Span<'_>, start: Option<&Tensor>) -> Result<Unroll> {
        self.0.unroll(x, x, 1, span, start)
    }
}
