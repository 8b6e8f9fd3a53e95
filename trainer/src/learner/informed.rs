//! A recurrent agent whose last layer is told z besides what the agent remembers.
//!
//! ```text
//! x ─► fc1 ─► ReLU ─► GRU ─► fc ─► ReLU ─┐
//!                                        ├─► fc2 ─► Q
//! z ─────────────────────────────────────┘
//! ```

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::agent::{Span, Unroll};
use crate::nn::Sparse;
use crate::nn::kernel::{Activation, Weights, linear, recurrent, sparse_linear};
use crate::nn::params::{gru_params, linear_params};

/// fc1 `[H, I]`, GRU `[3H, H]` twice, fc `[H, H]`, fc2 `[A, H + Z]`.
#[derive(Clone, Debug)]
pub struct Informed {
    fc1: (Tensor, Tensor),
    input_gates: (Tensor, Tensor),
    hidden_gates: (Tensor, Tensor),
    fc: (Tensor, Tensor),
    fc2: (Tensor, Tensor),
}

impl Informed {
    /// For agent inputs of width `input` and z of width `z`.
    ///
    /// # Errors
    /// If parameters exist with another shape.
    pub fn new(
        vb: &VarBuilder<'_>,
        (input, hidden, z): (usize, usize, usize),
        actions: usize,
    ) -> Result<Self> {
        let [input_gates, hidden_gates] = gru_params(vb, hidden)?;
        Ok(Self {
            fc1: linear_params(&vb.pp("fc1"), input, hidden)?,
            input_gates,
            hidden_gates,
            fc: linear_params(&vb.pp("fc"), hidden, hidden)?,
            fc2: linear_params(&vb.pp("fc2"), hidden + z, actions)?,
        })
    }

    /// Unrolls over all frames of `span`, from `start` `[B, N, H]` or from zeros; `x` `[B·T·N, I]`,
    /// `z` `[B·T·N, Z]`. On padding the utilities are numbers without meaning.
    ///
    /// # Errors
    /// If the rows do not fit the span.
    pub fn unroll(&self, x: &Sparse, z: &Tensor, span: Span<'_>, start: Option<&Tensor>) -> Result<Unroll> {
        let Span { episodes, frames, agents, lengths } = span;
        let features = sparse_linear(x, &self.fc1.0, &self.fc1.1, Activation::Relu)?;
        let weights = Weights {
            input: (&self.input_gates.0, &self.input_gates.1),
            hidden: (&self.hidden_gates.0, &self.hidden_gates.1),
            output: (&self.fc.0, &self.fc.1),
        };
        let (hidden, own) = recurrent(&features, (episodes, frames, agents), weights, start, lengths)?;
        let both = Tensor::cat(&[&own.relu()?.reshape((span.rows(), ()))?, z], 1)?;
        let q = linear(&both, &self.fc2.0, &self.fc2.1, Activation::None)?;
        let q = q.reshape((episodes, frames, agents, ()))?;
        Ok(Unroll { block: None, features, hidden: hidden.into(), q })
    }
}
