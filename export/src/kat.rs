//! Known answers: recorded steps stored next to the weights, so that a device can test itself.

use std::collections::BTreeMap;

use crate::error::ExportError;
use crate::frozen::Tensor;
use crate::spec::AgentSpec;

/// Steps of the self-test that every model file carries.
pub const SELF_TEST_STEPS: usize = 16;

/// S agent steps with their answers, row-major. A step without a last action begins an episode.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownAnswers {
    /// `[S, O]`
    pub obs: Vec<f32>,
    /// `[S]`
    pub last_action: Vec<Option<usize>>,
    /// `[S]`, index of the agent.
    pub agent: Vec<usize>,
    /// `[S, A]`
    pub available: Vec<bool>,
    /// `[S, A]`
    pub q: Vec<f32>,
    /// `[S]`, the available action of the largest value.
    pub action: Vec<usize>,
}

/// One agent step without its answer.
#[derive(Clone, Copy, Debug)]
pub struct Question<'r> {
    /// `[O]`
    pub obs: &'r [f32],
    /// The previous action; `None` begins an episode.
    pub last_action: Option<usize>,
    /// Index of the agent.
    pub agent: usize,
    /// `[A]`
    pub available: &'r [bool],
}

impl KnownAnswers {
    /// S, the number of steps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.action.len()
    }

    /// Whether there are no steps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.action.is_empty()
    }

    /// Appends one step with its answer; `q`: `[A]`.
    pub fn push(&mut self, question: &Question<'_>, q: &[f32], action: usize) {
        self.obs.extend_from_slice(question.obs);
        self.last_action.push(question.last_action);
        self.agent.push(question.agent);
        self.available.extend_from_slice(question.available);
        self.q.extend_from_slice(q);
        self.action.push(action);
    }

    /// The steps as tensors of floats: `kat.obs` `[S, O]`, `kat.last_action` `[S]` with -1 for
    /// none, `kat.agent` `[S]`, `kat.available` `[S, A]` of zeros and ones, `kat.q` `[S, A]`,
    /// `kat.action` `[S]`.
    #[must_use]
    pub fn tensors(&self, spec: &AgentSpec) -> BTreeMap<String, Tensor> {
        let (s, o, a) = (self.len(), spec.obs_dim, spec.n_actions());
        let last = self.last_action.iter().map(|l| l.map_or(-1.0, index)).collect();
        let free = self.available.iter().map(|&k| if k { 1.0 } else { 0.0 }).collect();
        [
            ("kat.obs", Tensor::new(&[s, o], self.obs.clone())),
            ("kat.last_action", Tensor::new(&[s], last)),
            ("kat.agent", Tensor::new(&[s], self.agent.iter().copied().map(index).collect())),
            ("kat.available", Tensor::new(&[s, a], free)),
            ("kat.q", Tensor::new(&[s, a], self.q.clone())),
            ("kat.action", Tensor::new(&[s], self.action.iter().copied().map(index).collect())),
        ]
        .into_iter()
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .collect()
    }

    /// Checks every length against the agent description.
    ///
    /// # Errors
    /// [`ExportError::Corrupt`].
    pub fn check(&self, spec: &AgentSpec) -> Result<(), ExportError> {
        let (s, o, a) = (self.len(), spec.obs_dim, spec.n_actions());
        for (what, got, want) in [
            ("kat.obs", self.obs.len(), s * o),
            ("kat.last_action", self.last_action.len(), s),
            ("kat.agent", self.agent.len(), s),
            ("kat.available", self.available.len(), s * a),
            ("kat.q", self.q.len(), s * a),
        ] {
            if got != want {
                let reason = format!("holds {got} values, expected {want}");
                return Err(ExportError::Corrupt { what: what.into(), reason });
            }
        }
        Ok(())
    }
}

/// A small index as a float; exact below 2^24, far above any number of agents or actions.
#[allow(clippy::cast_precision_loss)]
fn index(i: usize) -> f32 {
    i as f32
}
