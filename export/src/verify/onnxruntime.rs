//! The ONNX file in Microsoft's ONNX Runtime, loaded as a shared library when asked for.

use std::fmt::Display;
use std::sync::OnceLock;

use ort::environment::Environment;
use ort::session::Session;
use ort::value::TensorRef;

use super::step_graph::StepGraph;
use super::{Answer, Engine};
use crate::error::ExportError;
use crate::frozen::Frozen;
use crate::record::TeamStep;

const NAME: &str = "onnxruntime";

/// A policy loaded from its ONNX bytes, on one thread.
pub struct OnnxRuntime {
    session: Session,
    graph: StepGraph,
}

impl OnnxRuntime {
    /// Loads the bytes of an ONNX file; `frozen` gives the sizes. The shared library is the one
    /// that the environment variable `ORT_DYLIB_PATH` names.
    ///
    /// # Errors
    /// [`ExportError::OnnxRuntimeMissing`] if the library cannot be loaded,
    /// [`ExportError::Engine`] if it refuses the bytes.
    pub fn load(frozen: &Frozen, onnx_bytes: &[u8]) -> Result<Self, ExportError> {
        let session = session(environment()?, onnx_bytes).map_err(|e| failed("loading", e))?;
        Ok(Self { session, graph: StepGraph::new(frozen)? })
    }
}

impl Engine for OnnxRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn begin(&mut self) {
        self.graph.begin();
    }

    fn step(&mut self, step: &TeamStep<'_>) -> Result<Answer, ExportError> {
        let fail = |e: ort::Error| failed("running", e);
        let inputs = self.graph.inputs(step);
        let rows = TensorRef::from_array_view((inputs.rows_shape, &inputs.rows[..]));
        let hidden = TensorRef::from_array_view((inputs.hidden_shape, &inputs.hidden[..]));
        let (rows, hidden) = (rows.map_err(fail)?, hidden.map_err(fail)?);
        let outputs = self.session.run(ort::inputs!["input" => rows, "hidden" => hidden]).map_err(fail)?;
        let (_, q) = outputs["q"].try_extract_tensor::<f32>().map_err(fail)?;
        let (_, next) = outputs["hidden_next"].try_extract_tensor::<f32>().map_err(fail)?;
        self.graph.answer(step, q, next).map_err(|e| failed("answering", e))
    }
}

/// The library's environment, of which a process can have one only.
fn environment() -> Result<&'static Environment, ExportError> {
    static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();
    let open = || {
        let path = std::env::var_os("ORT_DYLIB_PATH")
            .filter(|path| !path.is_empty())
            .ok_or("ORT_DYLIB_PATH is not set")?;
        let builder = ort::init_from(std::path::Path::new(&path)).map_err(|e| e.to_string())?;
        builder.with_name("ddn").with_telemetry(false).build().map_err(|e| e.to_string())
    };
    ENVIRONMENT
        .get_or_init(open)
        .as_ref()
        .map_err(|reason| ExportError::OnnxRuntimeMissing { reason: reason.clone() })
}

fn session(environment: &Environment, onnx_bytes: &[u8]) -> Result<Session, String> {
    let builder = Session::builder(environment).map_err(|e| e.to_string())?;
    let mut builder = builder.with_intra_threads(1).map_err(|e| e.to_string())?;
    builder.commit_from_memory(onnx_bytes).map_err(|e| e.to_string())
}

fn failed(during: &'static str, reason: impl Display) -> ExportError {
    ExportError::Engine { engine: NAME, during, reason: reason.to_string() }
}
