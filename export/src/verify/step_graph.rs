//! What every engine of the one-step ONNX graph shares: sizes, recurrent states, greedy actions.

use super::Answer;
use crate::error::ExportError;
use crate::frozen::Frozen;
use crate::record::{TeamStep, greedy, input_rows};
use crate::spec::AgentSpec;

/// Sizes of the graph and the states that go round it.
pub(super) struct StepGraph {
    spec: AgentSpec,
    hidden_dim: usize,
    /// `[N, H]`
    hidden: Vec<f32>,
}

/// The inputs of one run.
pub(super) struct Inputs {
    /// Extents of `rows`: N, I.
    pub(super) rows_shape: [usize; 2],
    /// `[N, I]`
    pub(super) rows: Vec<f32>,
    /// Extents of `hidden`: N, H.
    pub(super) hidden_shape: [usize; 2],
    /// `[N, H]`
    pub(super) hidden: Vec<f32>,
}

impl StepGraph {
    pub(super) fn new(frozen: &Frozen) -> Result<Self, ExportError> {
        let hidden_dim = frozen.hidden_dims()?.iter().sum();
        let hidden = vec![0.0; frozen.spec.n_agents * hidden_dim];
        Ok(Self { spec: frozen.spec.clone(), hidden_dim, hidden })
    }

    pub(super) fn begin(&mut self) {
        self.hidden.fill(0.0);
    }

    pub(super) fn inputs(&self, step: &TeamStep<'_>) -> Inputs {
        let n = self.spec.n_agents;
        Inputs {
            rows_shape: [n, self.spec.input_dim()],
            rows: input_rows(&self.spec, step),
            hidden_shape: [n, self.hidden_dim],
            hidden: self.hidden.clone(),
        }
    }

    /// Takes the outputs of one run; the error tells which of them has the wrong size.
    pub(super) fn answer(
        &mut self,
        step: &TeamStep<'_>,
        q: &[f32],
        hidden: &[f32],
    ) -> Result<Answer, String> {
        let (n, a) = (self.spec.n_agents, self.spec.n_actions());
        if hidden.len() != self.hidden.len() || q.len() != n * a {
            return Err(format!("gave {} Q-values and {} states", q.len(), hidden.len()));
        }
        self.hidden.copy_from_slice(hidden);
        let action = (0..n)
            .map(|i| greedy(&q[i * a..][..a], &step.available[i * a..][..a]))
            .collect::<Option<Vec<_>>>()
            .ok_or("no action is available")?;
        Ok(Answer { q: q.to_vec(), action })
    }
}
