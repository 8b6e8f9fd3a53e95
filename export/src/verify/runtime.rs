//! The model file in the embedded runtime: the very code that runs on a device.

use std::fmt::Display;

use ddn_runtime::{AgentInput, Model};

use super::{Answer, Engine};
use crate::error::ExportError;
use crate::record::TeamStep;
use crate::spec::AgentSpec;

const NAME: &str = "runtime";

/// A policy loaded from the bytes of its model file, with one memory per agent.
pub struct Runtime {
    /// A policy borrows its file, so it is opened anew for each step of the team.
    file: Vec<u8>,
    spec: AgentSpec,
    memory_len: usize,
    /// `[N, memory_len]`
    memory: Vec<f32>,
    scratch: Vec<f32>,
}

impl Runtime {
    /// Loads the bytes of a model file for agents of the given sizes.
    ///
    /// # Errors
    /// [`ExportError::Engine`] if the runtime refuses them, or they carry known answers that it
    /// does not reproduce to the bit.
    pub fn load(spec: &AgentSpec, file: Vec<u8>) -> Result<Self, ExportError> {
        let model = Model::open(&file).map_err(|e| failed("loading", e))?;
        let memory_len = model.memory_len();
        let mut memory = vec![0.0; memory_len * spec.n_agents];
        let mut scratch = vec![0.0; model.scratch_len()];
        if model.recording().is_some() {
            model.verify(&mut memory, &mut scratch).map(drop).map_err(|e| failed("testing itself", e))?;
        } else {
            drop(model);
        }
        Ok(Self { spec: spec.clone(), memory_len, memory, scratch, file })
    }
}

impl Engine for Runtime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn begin(&mut self) {
        self.memory.fill(0.0);
    }

    fn step(&mut self, step: &TeamStep<'_>) -> Result<Answer, ExportError> {
        let model = Model::open(&self.file).map_err(|e| failed("loading", e))?;
        let policy = model.assume_verified();
        let (n, o, a) = (self.spec.n_agents, self.spec.obs_dim, self.spec.n_actions());
        let mut answer = Answer { q: Vec::with_capacity(n * a), action: Vec::with_capacity(n) };
        for agent_id in 0..n {
            let input = AgentInput {
                obs: &step.obs[agent_id * o..][..o],
                last_action: step.last_action[agent_id],
                agent_id,
                available: &step.available[agent_id * a..][..a],
            };
            let memory = &mut self.memory[agent_id * self.memory_len..][..self.memory_len];
            let action = policy.act(memory, input, &mut self.scratch).map_err(|e| failed("running", e))?;
            answer.q.extend_from_slice(action.q);
            answer.action.push(action.index);
        }
        Ok(answer)
    }
}

fn failed(during: &'static str, reason: impl Display) -> ExportError {
    ExportError::Engine { engine: NAME, during, reason: reason.to_string() }
}
