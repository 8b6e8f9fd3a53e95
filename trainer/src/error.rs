//! One small error type per boundary.

use thiserror::Error;

/// What can go wrong between the trainer and an environment.
#[derive(Debug, Error)]
pub enum EnvError {
    /// The `[env]` table asks for something that cannot be built.
    #[error("[env] {key}: {reason}")]
    Config {
        /// The key at fault.
        key: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// An agent chose an action that the mask forbids.
    #[error("agent {agent}: action {action} is not available now")]
    Unavailable {
        /// Index of the agent.
        agent: usize,
        /// Index of the action.
        action: usize,
    },
    /// The wrong number of actions was given.
    #[error("expected one action for each of {want} agents, got {got}")]
    Actions {
        /// N.
        want: usize,
        /// What came.
        got: usize,
    },
    /// A step was asked for outside an episode.
    #[error("the episode is over (or none was started): call reset first")]
    NotRunning,
    /// A saved state cannot be taken up.
    #[error("cannot restore the environment: {reason}")]
    Restore {
        /// Why.
        reason: String,
    },
    /// The environment broke the contract of [`crate::env::Env`].
    #[error("the environment breaks its contract: {0}")]
    Contract(String),
}
