//! Replays recorded episodes through engines that load the exported bytes, and compares.
//!
//! ```text
//! recorded observations, last actions ─► engine, its own recurrent state ─► q, action
//!                     trained network's q, action ─────────────────────────► compare
//! ```
//!
//! An engine keeps its own recurrent state over the whole episode, as the device does, so an
//! error that grows with time is seen.

mod compare;
mod onnxruntime;
mod runtime;
mod step_graph;
mod tract;

pub use compare::{Difference, Report, TOLERANCE, compare};
pub use onnxruntime::OnnxRuntime;
pub use runtime::Runtime;
pub use tract::Tract;

use crate::error::ExportError;
use crate::exporter::Exporter as _;
use crate::frozen::Frozen;
use crate::onnx::Onnx;
use crate::record::TeamStep;
use crate::safetensors::Safetensors;

/// What an engine answers to one step of the whole team, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// `[N, A]`
    pub q: Vec<f32>,
    /// `[N]`, the available action of the largest value.
    pub action: Vec<usize>,
}

/// Something that can run an exported policy.
pub trait Engine {
    /// Name on the command line and in reports.
    fn name(&self) -> &'static str;

    /// Starts an episode: every agent's recurrent state becomes zero.
    fn begin(&mut self);

    /// One control step of all agents.
    ///
    /// # Errors
    /// [`ExportError::Engine`] if the policy cannot be run.
    fn step(&mut self, step: &TeamStep<'_>) -> Result<Answer, ExportError>;
}

/// The trained network itself: its recorded answers are what the engines are held to.
pub const REFERENCE: &str = "candle";

/// Names of the engines that [`load`] knows, in the order of a report.
pub const ENGINES: &[&str] = &["runtime", "onnxruntime", "tract"];

/// Exports the policy in memory, in the format that the engine reads, and loads it.
///
/// # Errors
/// [`ExportError::Unknown`] for a name that is not in [`ENGINES`]; otherwise if the policy
/// cannot be exported, or the engine cannot load it.
pub fn load(name: &str, frozen: &Frozen) -> Result<Box<dyn Engine>, ExportError> {
    match name {
        "runtime" => Ok(Box::new(Runtime::load(&frozen.spec, Safetensors.encode(frozen)?)?)),
        "onnxruntime" => Ok(Box::new(OnnxRuntime::load(frozen, &Onnx.encode(frozen)?)?)),
        "tract" => Ok(Box::new(Tract::load(frozen, &Onnx.encode(frozen)?)?)),
        _ => Err(ExportError::Unknown {
            what: "engine",
            name: name.into(),
            known: [&[REFERENCE], ENGINES].concat().join(", "),
        }),
    }
}

/// Stops on the first sign that any engine disagrees.
///
/// # Errors
/// [`ExportError::Mismatch`] with the names of the engines that do.
pub fn refuse(reports: &[Report]) -> Result<(), ExportError> {
    let engines: Vec<&str> = reports.iter().filter(|r| r.mismatches > 0).map(|r| r.engine.as_str()).collect();
    if engines.is_empty() {
        return Ok(());
    }
    Err(ExportError::Mismatch { engines: engines.join(", ") })
}
