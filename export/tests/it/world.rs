//! An environment of numbers: what is seen is a function of the seed and the step, and the reward of the actions.

use ddn_export::spec::AgentSpec;
use ddn_trainer::env::{End, Env, EnvSpec, Frame, Step};
use ddn_trainer::error::EnvError;

use crate::common::Numbers;

/// Steps of an episode.
const LIMIT: usize = 12;

pub(crate) struct World {
    spec: EnvSpec,
    numbers: Numbers,
    step: usize,
}

impl World {
    pub(crate) fn new(agents: &AgentSpec) -> Self {
        let spec = EnvSpec {
            name: agents.environment.clone(),
            n_agents: agents.n_agents,
            actions: agents.actions.clone(),
            obs_dim: agents.obs_dim,
            state_dim: 1,
            teacher_dim: 0,
            episode_limit: LIMIT,
            obs_layout: agents.obs_layout.clone(),
            best_return: None,
        };
        Self { spec, numbers: Numbers::new(0), step: 0 }
    }

    fn fill(&mut self, frame: &mut Frame) {
        frame.obs.iter_mut().for_each(|value| *value = self.numbers.next());
        // One of three actions is closed to every second agent.
        frame
            .available
            .iter_mut()
            .enumerate()
            .for_each(|(i, free)| *free = !i.is_multiple_of(3) || self.step.is_multiple_of(2));
        frame.alive.fill(true);
    }
}

impl Env for World {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, frame: &mut Frame) -> Result<(), EnvError> {
        (self.numbers, self.step) = (Numbers::new(seed), 0);
        self.fill(frame);
        Ok(())
    }

    fn step(&mut self, actions: &[usize], frame: &mut Frame) -> Result<Step, EnvError> {
        self.step += 1;
        let reward = actions.iter().zip(&frame.obs).map(|(action, seen)| seen * *action as f32).sum();
        self.fill(frame);
        Ok(Step { reward, end: (self.step == LIMIT).then_some(End::Truncated), won: None })
    }
}
