//! Environments: a cooperative team task, stepped by one joint action at a time.
//!
//! ```text
//! reset(seed) ─► Frame ─► actions ─► step ─► Frame, reward, end ─► …
//! ```
//!
//! An environment never sees a tensor; it fills flat, row-major buffers that the caller owns.

pub mod check;
pub mod combat;
pub mod matrix_game;
pub mod pace;
pub mod predator_prey;
pub mod python;
pub mod registry;
pub mod repeat;
mod saved;
pub mod scene;

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use self::check::{CheckReport, check_env};
pub use self::registry::{Entry, EnvKind, REGISTRY, build, build_many, resolve};
use self::scene::Scene;
use crate::error::EnvError;

/// Sizes and names that hold for the whole lifetime of an environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvSpec {
    /// Name in the registry.
    pub name: String,
    /// N, agents in the team.
    pub n_agents: usize,
    /// Names of the A actions, in index order.
    pub actions: Vec<String>,
    /// O, floats of one agent's observation.
    pub obs_dim: usize,
    /// S, floats of the global state.
    pub state_dim: usize,
    /// V, floats of one agent's teacher view; 0 where the environment offers none.
    pub teacher_dim: usize,
    /// Steps after which an episode is cut.
    pub episode_limit: usize,
    /// How the observation is laid out, for the contract that ships with a policy.
    pub obs_layout: String,
    /// The highest return that any team can reach, where it is known.
    pub best_return: Option<f32>,
}

impl EnvSpec {
    /// A, the number of actions.
    #[must_use]
    pub fn n_actions(&self) -> usize {
        self.actions.len()
    }

    /// A frame of the right sizes, filled with zeros.
    #[must_use]
    pub fn frame(&self) -> Frame {
        Frame {
            obs: vec![0.0; self.n_agents * self.obs_dim],
            state: vec![0.0; self.state_dim],
            available: vec![false; self.n_agents * self.n_actions()],
            alive: vec![false; self.n_agents],
            teacher: vec![0.0; self.n_agents * self.teacher_dim],
        }
    }
}

/// Everything visible at one time step, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// `[N, O]`
    pub obs: Vec<f32>,
    /// `[S]`
    pub state: Vec<f32>,
    /// `[N, A]`, at least one per agent.
    pub available: Vec<bool>,
    /// `[N]`, false for an agent that can influence nothing any more (frozen, dead).
    pub alive: Vec<bool>,
    /// `[N, V]`, what a privileged teacher of this agent may see; empty where V is 0.
    pub teacher: Vec<f32>,
}

/// Why an episode stopped. Only `Terminated` cuts the bootstrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The task itself is over: nothing follows.
    Terminated,
    /// The clock ran out: the task would go on.
    Truncated,
}

/// What one joint action led to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Shared by the team.
    pub reward: f32,
    /// `None` while the episode runs.
    pub end: Option<End>,
    /// Whether the team won, where the environment knows winning; only at the end.
    pub won: Option<bool>,
}

/// Where the time went in a process that steps environments, since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Inside of the environments' own `step`.
    pub inside: Duration,
    /// From sending steps to having their answer.
    pub waiting: Duration,
}

/// One cooperative Dec-POMDP with a shared reward.
pub trait Env: Send {
    /// Sizes and names; equal at every call.
    fn spec(&self) -> &EnvSpec;

    /// Whether the seed alone decides an episode's course under given actions.
    fn seeded(&self) -> bool {
        true
    }

    /// Says that [`Env::reset`] with this seed comes next, so that an environment that runs
    /// elsewhere may begin; then nothing else may come. Most have nothing to begin.
    ///
    /// # Errors
    /// If the environment cannot start.
    fn begin_reset(&mut self, seed: u64) -> Result<(), EnvError> {
        let _ = seed;
        Ok(())
    }

    /// Says that [`Env::step`] with these actions comes next, likewise.
    ///
    /// # Errors
    /// As [`Env::step`].
    fn begin_step(&mut self, actions: &[usize]) -> Result<(), EnvError> {
        let _ = actions;
        Ok(())
    }

    /// Starts an episode that is a function of `seed` alone, unless it is not [`Env::seeded`], and
    /// fills `frame`.
    ///
    /// # Errors
    /// If the environment cannot start.
    fn reset(&mut self, seed: u64, frame: &mut Frame) -> Result<(), EnvError>;

    /// Applies one action per agent and fills `frame` with what follows.
    ///
    /// # Errors
    /// [`EnvError::Unavailable`] if an action is masked out; the episode is unchanged then.
    fn step(&mut self, actions: &[usize], frame: &mut Frame) -> Result<Step, EnvError>;

    /// The whole state of the running episode, random stream included; `None` where the
    /// environment cannot say.
    fn save(&self) -> Option<Vec<u8>> {
        None
    }

    /// Goes on from what [`Env::save`] gave, and fills `frame` with the frame of that moment.
    ///
    /// # Errors
    /// [`EnvError::Restore`] if the bytes are not of this environment, or it cannot restore.
    fn load(&mut self, saved: &[u8], frame: &mut Frame) -> Result<(), EnvError> {
        let _ = (saved, frame);
        Err(EnvError::Restore { reason: "this environment cannot save or restore".into() })
    }

    /// What the process that steps this environment has spent; told by the first environment of each
    /// process, and `None` where there is none.
    fn spent(&self) -> Option<Spent> {
        None
    }

    /// The running episode as a person would draw it, a few lines of text.
    fn render(&self) -> String {
        String::from("(this environment draws nothing)\n")
    }

    /// The running episode as a picture; `None` where text shows as much, or nothing runs.
    fn scene(&self) -> Option<Scene> {
        None
    }

    /// Policies written by hand for this environment, as landmarks: name, and one line about each.
    fn scripted(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// Fills `actions`, one per agent, with what that one of [`Env::scripted`] does in the running
    /// episode; it draws from `rng`.
    ///
    /// # Errors
    /// [`EnvError::Policy`] if there is none of that name.
    fn choose(&self, policy: &str, rng: &mut ChaCha8Rng, actions: &mut [usize]) -> Result<(), EnvError> {
        let _ = (rng, actions);
        let known = self.scripted().iter().map(|(name, _)| *name).collect();
        Err(EnvError::Policy { policy: policy.into(), known })
    }
}
