//! The ONNX file in tract, an inference engine in Rust.

use std::fmt::Display;
use std::sync::Arc;

use tract_onnx::prelude::{
    Framework as _, InferenceModelExt as _, IntoRunnable as _, Tensor, TypedRunnableModel, onnx, tvec,
};

use super::step_graph::StepGraph;
use super::{Answer, Engine};
use crate::error::ExportError;
use crate::frozen::Frozen;
use crate::record::TeamStep;

const NAME: &str = "tract";

/// A policy loaded from its ONNX bytes; the number of agents stays symbolic.
pub struct Tract {
    model: Arc<TypedRunnableModel>,
    graph: StepGraph,
}

impl Tract {
    /// Loads the bytes of an ONNX file; `frozen` gives the sizes.
    ///
    /// # Errors
    /// [`ExportError::Engine`] if tract refuses them.
    pub fn load(frozen: &Frozen, mut onnx_bytes: &[u8]) -> Result<Self, ExportError> {
        let model = onnx()
            .model_for_read(&mut onnx_bytes)
            .and_then(|model| model.into_optimized())
            .and_then(|model| model.into_runnable())
            .map_err(|e| failed("loading", format!("{e:#}")))?;
        Ok(Self { model, graph: StepGraph::new(frozen)? })
    }
}

impl Engine for Tract {
    fn name(&self) -> &'static str {
        NAME
    }

    fn begin(&mut self) {
        self.graph.begin();
    }

    fn step(&mut self, step: &TeamStep<'_>) -> Result<Answer, ExportError> {
        let fail = |e: tract_onnx::prelude::TractError| failed("running", format!("{e:#}"));
        let inputs = self.graph.inputs(step);
        let rows = Tensor::from_shape(&inputs.rows_shape, &inputs.rows).map_err(fail)?;
        let hidden = Tensor::from_shape(&inputs.hidden_shape, &inputs.hidden).map_err(fail)?;
        let outputs = self.model.run(tvec![rows.into(), hidden.into()]).map_err(fail)?;
        let q = outputs[0].try_as_plain_ram().map_err(fail)?;
        let next = outputs[1].try_as_plain_ram().map_err(fail)?;
        let (q, next) = (q.as_slice().map_err(fail)?, next.as_slice().map_err(fail)?);
        self.graph.answer(step, q, next).map_err(|e| failed("answering", e))
    }
}

fn failed(during: &'static str, reason: impl Display) -> ExportError {
    ExportError::Engine { engine: NAME, during, reason: reason.to_string() }
}
