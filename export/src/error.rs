//! What can go wrong while freezing, checking and writing.

use std::path::PathBuf;

use ddn_trainer::error::{EnvError, LearnError, TrainError};
use thiserror::Error;

use crate::verify::REFERENCE;

/// Errors of this crate. [`ExportError::exit_code`] sorts them for the command line.
#[derive(Debug, Error)]
pub enum ExportError {
    /// A layer of the graph cannot be what it claims.
    #[error("layer {index} ({layer}): {reason}")]
    Layer {
        /// Position in the graph, from 0.
        index: usize,
        /// The layer as the file spells it.
        layer: String,
        /// What is wrong.
        reason: String,
    },
    /// A tensor that a layer reads is not there.
    #[error("tensor {name} is missing")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A tensor has the wrong shape.
    #[error("tensor {name}: expected shape {want:?}, got {got:?}")]
    Shape {
        /// Its name.
        name: String,
        /// The shape that the graph asks for.
        want: Vec<usize>,
        /// The shape that came.
        got: Vec<usize>,
    },
    /// The description of the agent contradicts itself or cannot be written.
    #[error("agent description, {field}: {reason}")]
    Spec {
        /// The field at fault.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The network that ships has not learned yet what it ships for.
    #[error(
        "the network that ships learns in a second phase, of which {made} of {steps} gradient steps are \
         made; finish the run with `ddn-train resume`, then export"
    )]
    Unfinished {
        /// Gradient steps made.
        made: u64,
        /// Gradient steps of the whole phase.
        steps: u64,
    },
    /// A format cannot express this graph.
    #[error("{format} cannot express this graph: {reason}")]
    Unsupported {
        /// Name of the exporter.
        format: &'static str,
        /// Why.
        reason: String,
    },
    /// A recorded episode contradicts the agent description or itself.
    #[error("recorded episode {episode}: {reason}")]
    Recording {
        /// Index of the episode.
        episode: usize,
        /// What is wrong.
        reason: String,
    },
    /// A file or a checkpoint cannot be understood.
    #[error("{what}: {reason}")]
    Corrupt {
        /// The file, or the part of it.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// An engine failed to load or to run the policy.
    #[error("engine {engine}, {during}: {reason}")]
    Engine {
        /// Name of the engine.
        engine: &'static str,
        /// What it was doing.
        during: &'static str,
        /// What it said.
        reason: String,
    },
    /// The shared library of ONNX Runtime cannot be loaded.
    #[error(
        "engine onnxruntime: {reason}; run `pip install onnxruntime` and set \
         ORT_DYLIB_PATH=<site-packages>/onnxruntime/capi/libonnxruntime.so.<version>, \
         or leave the engine out with --engines"
    )]
    OnnxRuntimeMissing {
        /// Why it cannot be loaded.
        reason: String,
    },
    /// An engine disagrees with the trainer; nothing was written.
    #[error("{engines} disagree with the trained network; no file was written")]
    Mismatch {
        /// Names of the engines, joined by commas.
        engines: String,
    },
    /// The rounded policy acts too differently; nothing was written.
    #[error(
        "int8 takes the same action in {share:.2} % of {steps} agent steps, {wanted:.2} % are wanted \
         (--min-agreement); no file was written"
    )]
    Disagreement {
        /// Per cent of equal actions.
        share: f64,
        /// Steps compared.
        steps: usize,
        /// What was asked for, per cent.
        wanted: f64,
    },
    /// A policy that was trained for other agents than those of an environment.
    #[error(
        "the policy is not for this environment; {what}: `{file}` in the file, `{env}` in the environment; give \
         the config.toml of the run that it comes from"
    )]
    OtherEnvironment {
        /// What differs.
        what: &'static str,
        /// As the file has it.
        file: String,
        /// As the environment has it.
        env: String,
    },
    /// An environment cannot be made, or failed.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// A name on the command line that no registry knows.
    #[error("unknown {what} `{name}`; known: {known}")]
    Unknown {
        /// Format or engine.
        what: &'static str,
        /// The name.
        name: String,
        /// What there is, joined by commas.
        known: String,
    },
    /// Options that cannot go together.
    #[error("{0}")]
    Usage(String),
    /// Reading or writing failed; the source tells why.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl ExportError {
    /// The exit code of a program that stops on this error: 1 a check failed, 2 usage,
    /// 3 an environment failed, 5 input or output, 6 corrupt input.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Engine { .. } | Self::Mismatch { .. } | Self::Disagreement { .. } => 1,
            Self::Unfinished { .. }
            | Self::OnnxRuntimeMissing { .. }
            | Self::Unsupported { .. }
            | Self::OtherEnvironment { .. }
            | Self::Env(EnvError::Config { .. })
            | Self::Unknown { .. }
            | Self::Usage(_) => 2,
            Self::Env(_) => 3,
            Self::Io { .. } => 5,
            Self::Layer { .. }
            | Self::MissingTensor { .. }
            | Self::Shape { .. }
            | Self::Spec { .. }
            | Self::Recording { .. }
            | Self::Corrupt { .. } => 6,
        }
    }

    /// Why the trainer cannot make an environment.
    #[must_use]
    pub fn building(error: TrainError) -> Self {
        Self::trainer(REFERENCE, "building")(error)
    }

    /// What the trainer could not do with the trained network, which is `engine` here.
    pub(crate) fn trainer(engine: &'static str, during: &'static str) -> impl FnOnce(TrainError) -> Self {
        move |error| match error {
            TrainError::Env(error) | TrainError::Learn(LearnError::Env(error)) => Self::Env(error),
            TrainError::Config(error) => Self::Usage(error.to_string()),
            other => Self::Engine { engine, during, reason: other.to_string() },
        }
    }

    /// Wraps an error of the file system with the path it is about.
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_path_buf(), source }
    }
}
