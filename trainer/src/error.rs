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

/// What can be wrong with an experiment's config.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("{origin}: {source}")]
    Parse {
        /// File or option.
        origin: String,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A table has an unknown key or a value of the wrong type.
    #[error("[{section}]: {source}")]
    Table {
        /// Which table.
        section: String,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A table cannot be written back.
    #[error("[{section}]: {source}")]
    Unwritable {
        /// Which table.
        section: String,
        /// Why.
        source: Box<toml::ser::Error>,
    },
    /// `kind` is missing or unknown.
    #[error("[{section}] kind = \"{kind}\" is not known; there are: {known}")]
    Kind {
        /// Which table.
        section: String,
        /// What was asked for.
        kind: String,
        /// What there is.
        known: String,
    },
    /// A value that cannot work.
    #[error("{key}: {reason}")]
    Value {
        /// Dotted key.
        key: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// `--set` without a key or a value.
    #[error("--set {0}: write it as a.b=value")]
    Override(String),
    /// The environment refused its table.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// A network could not be built from a table.
    #[error("[{section}]: {source}")]
    Build {
        /// Which table.
        section: String,
        /// Why.
        source: candle_core::Error,
    },
}

impl ConfigError {
    /// A network could not be built from `[section]`.
    #[must_use]
    pub fn build(section: &str, source: candle_core::Error) -> Self {
        Self::Build { section: section.to_owned(), source }
    }

    /// The value of `key` cannot work.
    #[must_use]
    pub fn value(key: &str, reason: impl Into<String>) -> Self {
        Self::Value { key: key.to_owned(), reason: reason.into() }
    }
}

/// What can go wrong while learning.
#[derive(Debug, Error)]
pub enum LearnError {
    /// candle refused something.
    #[error("{during}: {source}")]
    Tensor {
        /// Which part of the update.
        during: &'static str,
        /// Why.
        source: candle_core::Error,
    },
    /// An environment failed.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// A gradient or a loss is not a finite number.
    #[error(
        "diverged at update {update}: {what} is {value}; lower the learning rate or the rewards, the last checkpoint is intact"
    )]
    Diverged {
        /// Gradient steps so far.
        update: u64,
        /// Which number.
        what: String,
        /// Its value.
        value: f64,
    },
}

/// Names the part of the update in which candle failed.
pub trait During<T> {
    /// Wraps candle's error.
    ///
    /// # Errors
    /// The error, with the name.
    fn during(self, during: &'static str) -> Result<T, LearnError>;
}

impl<T> During<T> for candle_core::Result<T> {
    fn during(self, during: &'static str) -> Result<T, LearnError> {
        self.map_err(|source| LearnError::Tensor { during, source })
    }
}
