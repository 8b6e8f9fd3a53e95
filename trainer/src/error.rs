//! One small error type per boundary.

use std::io;
use std::path::PathBuf;

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
