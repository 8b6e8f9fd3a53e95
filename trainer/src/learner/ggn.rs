//! The global guiding network: the leader, which sees the state.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::agent::{Agent, Input, Span, Unroll};
use super::fusion::{Fusion, FusionConfig};
use crate::nn::Sparse;
use crate::nn::sparse::Builder;

/// How the leader takes in the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateInput {
    /// Through the personalisation block.
    #[default]
    Personalised,
    /// As it is, with the agent's id: the ablation of the paper's Table 3.
    Raw,
}

/// The leader.
#[derive(Clone, Debug)]
pub enum Ggn {
    /// With the personalisation block.
    Personalised(Box<Fusion>),
    /// Fed with state and agent id.
    Raw(Agent),
}

impl Ggn {
    /// Widths of an agent's input, the state, the team, and the block's output.
    ///
    /// # Errors
    /// If parameters exist with another shape.
    pub fn new(
        vb: &VarBuilder<'_>,
        config: &FusionConfig,
        state_input: StateInput,
        (input, state, agents, width): (usize, usize, usize, usize),
        actions: usize,
    ) -> Result<Self> {
        Ok(match state_input {
            StateInput::Personalised => {
                Self::Personalised(Box::new(Fusion::new(vb, config, (input, state, width), actions)?))
            }
            StateInput::Raw => Self::Raw(Agent::new(vb, state + agents, config.hidden, actions)?),
        })
    }

    /// `x` `[B·T·N, I]`, `state` `[B·T, S]`.
    ///
    /// # Errors
    /// If the rows do not fit the span.
    pub fn unroll(
        &self,
        x: &Sparse,
        state: &Sparse,
        span: Span<'_>,
        start: Option<&Tensor>,
    ) -> Result<Unroll> {
        match self {
            Self::Personalised(fusion) => fusion.unroll(x, state, span.agents, span, start),
            Self::Raw(agent) => agent.unroll(&Input::Sparse(&with_ids(state, span.agents)), span, start),
        }
    }
}

/// Each state row once per agent, with the agent's one-hot id behind it.
fn with_ids(state: &Sparse, agents: usize) -> Sparse {
    let mut builder = Builder::new(state.width() + agents);
    for row in 0..state.rows() {
        for agent in 0..agents {
            let (columns, values) = state.row(row);
            for (&column, &value) in columns.iter().zip(values) {
                builder.push(column as usize, value);
            }
            builder.push(state.width() + agent, 1.0);
            builder.end_row();
        }
    }
    builder.build()
}
