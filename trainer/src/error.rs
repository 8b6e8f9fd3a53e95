//! One small error type per boundary.

use std::io;
use std::path::{Path, PathBuf};

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
    /// The environment has no scripted policy of this name.
    #[error("unknown policy \"{policy}\"; this environment has: {}", listed(known))]
    Policy {
        /// The name that was asked for.
        policy: String,
        /// The names that there are.
        known: Vec<&'static str>,
    },
    /// A saved state cannot be taken up.
    #[error("cannot restore the environment: {reason}")]
    Restore {
        /// Why.
        reason: String,
    },
    /// The process of the environment failed while an episode was played; that episode is lost,
    /// the next reset starts the process again.
    #[error("the environment failed, its episode is lost: {reason}")]
    Lost {
        /// What happened.
        reason: String,
    },
    /// The environment cannot be started, or failed too often.
    #[error("the environment is gone: {reason}")]
    Gone {
        /// What happened.
        reason: String,
    },
    /// The environment broke the contract of [`crate::env::Env`].
    #[error("the environment breaks its contract: {0}")]
    Contract(String),
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
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

/// What can go wrong between the processes of one run.
#[derive(Debug, Error)]
pub enum RankError {
    /// Processes were started together by a program that cannot join them.
    #[error(
        "{name} says that a launcher started several processes; build with `--features ddn-trainer/mpi` to train on all of them"
    )]
    NotBuilt {
        /// The launcher's variable.
        name: &'static str,
    },
    /// MPI did not let this process join.
    #[error(
        "MPI does not see what {name} tells; start it with the launcher of the MPI that this program was built for"
    )]
    Refused {
        /// The launcher's variable.
        name: &'static str,
    },
    /// Another rank has come to another point.
    #[error("rank {rank} is not where this one is; start all ranks with the same program and arguments")]
    OutOfStep {
        /// Which.
        rank: usize,
    },
    /// What must be the same is not.
    #[error(
        "{what}: rank {rank} differs from rank 0; start all ranks with the same program, files and arguments"
    )]
    Differs {
        /// Of what.
        what: String,
        /// Whose.
        rank: usize,
    },
    /// Another rank is gone, or a message cannot be sent.
    #[error("between the ranks: {0}")]
    Message(String),
}

/// What can go wrong while learning.
#[derive(Debug, Error)]
pub enum LearnError {
    /// Something between the processes of a run.
    #[error(transparent)]
    Ranks(#[from] RankError),
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

/// What can go wrong with the files of a checkpoint.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The file system refused something.
    #[error("cannot {doing} {}: {source}; earlier checkpoints are untouched", path.display())]
    Io {
        /// The attempted action, as a verb.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// Another process writes this run.
    #[error(
        "{} is held by another process: wait for it, stop it, or choose another run directory",
        path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The bytes are not those that were saved.
    #[error("{} is damaged: {reason}; restore it from a copy, or resume without naming it", path.display())]
    Damaged {
        /// The checkpoint.
        path: PathBuf,
        /// What disagrees.
        reason: String,
    },
    /// Checkpoints are there, but not one of them can be read.
    #[error(
        "all {tried} checkpoints in {} are damaged (the newest: {newest}); \
         restore one from a copy, or start again in an empty directory",
        dir.display()
    )]
    NoneValid {
        /// The run directory.
        dir: PathBuf,
        /// How many were tried.
        tried: usize,
        /// Why the newest was refused.
        newest: String,
    },
    /// Written by a release with another layout.
    #[error("{} has checkpoint format {found}, this program reads {known}: use the release that wrote it", path.display())]
    Format {
        /// The checkpoint.
        path: PathBuf,
        /// Format version in its manifest.
        found: u32,
        /// Format version of this program.
        known: u32,
    },
    /// A file holds what this program cannot take up.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file name that a checkpoint cannot hold.
    #[error("{name:?} cannot name a file of a checkpoint: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// A valid checkpoint of a later update is in the way.
    #[error(
        "{} is newer than update {update}: resume from it, or write to another run directory",
        path.display()
    )]
    Newer {
        /// The later checkpoint.
        path: PathBuf,
        /// The update that was to be saved.
        update: u64,
    },
}

/// What can go wrong with the measurements of a run.
#[derive(Debug, Error)]
pub enum MetricsError {
    /// The file system refused something.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// The attempted action, as a verb.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// A new run was to begin where one already is.
    #[error("{} already holds measurements: resume that run, or choose another directory", path.display())]
    Exists {
        /// The file that is not empty.
        path: PathBuf,
    },
    /// The file does not reach as far as the checkpoint says.
    #[error(
        "{} has {have} bytes, the checkpoint was saved at {want}: restore the file, \
         resume an earlier checkpoint, or start again in an empty directory",
        path.display()
    )]
    Short {
        /// The file.
        path: PathBuf,
        /// Its length.
        have: u64,
        /// The recorded length.
        want: u64,
    },
    /// A line that is not a record, or a recorded length inside a line.
    #[error("{}, line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A value with the name of a column that every record has.
    #[error("a value cannot be called {0:?}: every record has a column of that name")]
    Key(String),
}

impl CheckpointError {
    /// `path` holds what this program cannot take up.
    #[must_use]
    pub fn content(path: &Path, reason: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), reason: reason.into() }
    }
}

/// What can end a command of the trainer.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The config is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An environment failed.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// Learning failed.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A log cannot be written or read.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// There is a run already.
    #[error("{} holds a run already: `ddn-train resume {}` goes on with it, --out names another place", dir.display(), dir.display())]
    Exists {
        /// Its directory.
        dir: PathBuf,
    },
    /// What was named is one checkpoint of a run.
    #[error("{} is one checkpoint of a run: `ddn-train resume` wants the folder of the run, which holds it", dir.display())]
    OneCheckpoint {
        /// The checkpoint's directory.
        dir: PathBuf,
    },
    /// There is no run.
    #[error("{} holds no run: a run directory has a config.toml and ckpt_* folders", dir.display())]
    NoRun {
        /// The directory.
        dir: PathBuf,
    },
}
