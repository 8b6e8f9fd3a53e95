//! The recurrent agent network: fc1, ReLU, GRU, fc2, shared by all agents.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::nn::Sparse;
use crate::nn::kernel::{Activation, Weights, Wire, linear, recurrent, sparse_linear};
use crate::nn::params::{gru_params, linear_params};

/// How many rows a span of frames has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// B, episodes.
    pub episodes: usize,
    /// Frames of each, padding included.
    pub frames: usize,
    /// N
    pub agents: usize,
    /// Frames that exist, of each episode `[B]` or of each agent `[B·N]`; `None` where all do. The
    /// recurrent part skips the others, where hidden state and utilities are zeros.
    pub lengths: Option<&'a [usize]>,
}

impl Span<'_> {
    /// B·T·N
    #[must_use]
    pub fn rows(&self) -> usize {
        self.episodes * self.frames * self.agents
    }
}

/// What an agent network made of a span of frames.
#[derive(Clone, Debug)]
pub struct Unroll {
    /// Output of the personalisation block `[B·T·N, D]`; `None` for an agent without one.
    pub block: Option<Wire>,
    /// After the first layer's ReLU, `[B·T·N, H]`.
    pub features: Wire,
    /// Recurrent features `[B, T, N, H]`.
    pub hidden: Tensor,
    /// Utilities Q_i(τ_i, ·) `[B, T, N, A]`.
    pub q: Tensor,
}

/// What the first layer reads: rows of numbers, or rows that are mostly zero.
pub enum Input<'a> {
    /// `[R, I]`
    Dense(&'a Wire),
    /// `[R, I]`
    Sparse(&'a Sparse),
}

/// fc1 `[H, I]`, GRU `[3H, H]` twice, fc2 `[A, H]`.
#[derive(Clone, Debug)]
pub struct Agent {
    fc1: (Tensor, Tensor),
    input_gates: (Tensor, Tensor),
    hidden_gates: (Tensor, Tensor),
    fc2: (Tensor, Tensor),
}

impl Agent {
    /// Creates or finds the parameters under `vb`; drawn as PyTorch draws them.
    ///
    /// # Errors
    /// If they exist with another shape.
    pub fn new(vb: &VarBuilder<'_>, input: usize, hidden: usize, actions: usize) -> Result<Self> {
        let [input_gates, hidden_gates] = gru_params(vb, hidden)?;
        Ok(Self {
            fc1: linear_params(&vb.pp("fc1"), input, hidden)?,
            input_gates,
            hidden_gates,
            fc2: linear_params(&vb.pp("fc2"), hidden, actions)?,
        })
    }

    /// Unrolls over all frames of `span`, from `start` `[B, N, H]` or from zeros.
    ///
    /// # Errors
    /// If the input does not have the span's rows.
    pub fn unroll(&self, input: &Input<'_>, span: Span<'_>, start: Option<&Tensor>) -> Result<Unroll> {
        let Span { episodes, frames, agents, lengths } = span;
        let (w, b) = &self.fc1;
        let features = match input {
            Input::Dense(x) => linear(*x, w, b, Activation::Relu)?,
            Input::Sparse(x) => sparse_linear(x, w, b, Activation::Relu)?,
        };
        let weights = Weights {
            input: (&self.input_gates.0, &self.input_gates.1),
            hidden: (&self.hidden_gates.0, &self.hidden_gates.1),
            output: (&self.fc2.0, &self.fc2.1),
        };
        let (hidden, q) = recurrent(&features, (episodes, frames, agents), weights, start, lengths)?;
        Ok(Unroll { block: None, features, hidden: hidden.into(), q: q.into() })
    }
}
