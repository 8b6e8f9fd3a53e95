//! The same team on the host: one policy, one memory per agent.

use ddn_runtime::{AgentInput, Policy};

use crate::episode::{Choice, Team, View};
use crate::error::FleetError;

/// Every agent of a policy, in this process.
pub struct Hosted<'p> {
    policy: &'p Policy<'p>,
    memory: Vec<Vec<f32>>,
    last_action: Vec<Option<usize>>,
    scratch: Vec<f32>,
}

impl<'p> Hosted<'p> {
    /// The policy's whole team.
    #[must_use]
    pub fn new(policy: &'p Policy<'p>) -> Self {
        let n_agents = policy.spec().n_agents();
        Self {
            policy,
            memory: vec![vec![0.0; policy.memory_len()]; n_agents],
            last_action: vec![None; n_agents],
            scratch: vec![0.0; policy.scratch_len()],
        }
    }
}

impl Team for Hosted<'_> {
    fn reset(&mut self) -> Result<(), FleetError> {
        self.memory.iter_mut().for_each(|memory| self.policy.reset(memory));
        self.last_action.fill(None);
        Ok(())
    }

    fn act(&mut self, views: &[View<'_>]) -> Result<Vec<Choice>, FleetError> {
        let agents = views.iter().zip(&mut self.memory).zip(&mut self.last_action).enumerate();
        agents
            .map(|(agent_id, ((view, memory), last_action))| {
                let View { obs, available } = *view;
                let input = AgentInput { obs, last_action: *last_action, agent_id, available };
                let action = self
                    .policy
                    .act(memory, input, &mut self.scratch)
                    .map_err(|reason| FleetError::Host { agent: agent_id, reason })?;
                *last_action = Some(action.index);
                Ok(Choice { action: action.index, q: action.q[action.index] })
            })
            .collect()
    }
}
