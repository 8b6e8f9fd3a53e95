//! What can go wrong; a disagreement between boards and host is no error, but a [`crate::Verdict`].

use std::path::PathBuf;
use std::time::Duration;

use ddn_fleet_board::Refusal;
use ddn_runtime::{ActError, ModelError, VerifyError};
use ddn_trainer::error::{ConfigError, EnvError};
use ddn_trainer::signal::Stop;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// Arguments that cannot go together.
    #[error("{0}")]
    Usage(String),
    /// The experiment file.
    #[error("the experiment")]
    Config(#[from] ConfigError),
    /// The environment.
    #[error("the environment")]
    Env(#[from] EnvError),
    /// A file that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is no policy.
    #[error("{} is not a policy: {reason}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: ModelError,
    },
    /// A policy whose file has changed, or that does not repeat its recorded answers.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: VerifyError,
    },
    /// The policy was trained for another task.
    #[error("{} was not trained for this environment: {differ}; name the experiment it was trained in with --config", path.display())]
    Contract {
        /// The policy's file.
        path: PathBuf,
        /// What differs.
        differ: String,
    },
    /// The host's own run cannot take a step.
    #[error("agent {agent} on the host: {reason}")]
    Host {
        /// Which agent.
        agent: usize,
        /// Why not.
        reason: ActError,
    },
    /// QEMU does not start.
    #[error("board {board}: cannot start {}; install QEMU for Arm (Debian: qemu-system-arm) or say where it is with --qemu", qemu.display())]
    Start {
        /// Which board.
        board: usize,
        /// The program.
        qemu: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// QEMU ended.
    #[error("board {board} died at `{during}`: QEMU ended, {status}{said}")]
    Died {
        /// Which board.
        board: usize,
        /// The request it was to answer.
        during: &'static str,
        /// How it ended.
        status: String,
        /// The last it wrote to its standard error.
        said: String,
    },
    /// A board that says nothing, or nothing that is whole.
    #[error(
        "board {board} does not answer `{during}`: asked {tries} times, {broken} broken frames came back, patience is {wait:?} each"
    )]
    Silent {
        /// Which board.
        board: usize,
        /// The request.
        during: &'static str,
        /// How often it was asked.
        tries: u32,
        /// Frames that could not be read.
        broken: u32,
        /// How long each time.
        wait: Duration,
    },
    /// A board that will not do what it was asked for.
    #[error("board {board} refuses `{during}`: {why}")]
    Refused {
        /// Which board.
        board: usize,
        /// The request.
        during: &'static str,
        /// Its reason.
        why: Refusal,
    },
    /// A board that answers something else.
    #[error(
        "board {board} answers `{during}` with another message; is this firmware `agent` of the same version?"
    )]
    Answer {
        /// Which board.
        board: usize,
        /// The request.
        during: &'static str,
    },
    /// A board with another image than it should have.
    #[error(
        "board {board}: {differ}; build the firmware again, with DDN_POLICY naming the same file as --policy"
    )]
    Image {
        /// Which board.
        board: usize,
        /// What differs.
        differ: String,
    },
    /// A signal.
    #[error("stopped by a signal")]
    Stopped(Stop),
}

impl FleetError {
    /// The exit code of a program that stops on this error: 2 usage, 3 environment, 5 boards and files, 6 no policy,
    /// 130 and 143 a signal.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config(_) | Self::Contract { .. } | Self::Image { .. } => 2,
            Self::Env(_) | Self::Host { .. } => 3,
            Self::Read { .. }
            | Self::Start { .. }
            | Self::Died { .. }
            | Self::Silent { .. }
            | Self::Refused { .. }
            | Self::Answer { .. } => 5,
            Self::Policy { .. } | Self::Damaged { .. } => 6,
            Self::Stopped(stop) => stop.exit_code(),
        }
    }
}
