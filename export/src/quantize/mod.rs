//! A frozen network in integers: int8 weights with a unit for each row, int16 between the layers.
//!
//! ```text
//! Frozen ── fold ──> Frozen ── trace over recorded steps ──> units of all slots ── build ──> Quantized
//! ```
//!
//! What the integers mean is written in `docs/format.md`; the runtime computes with them alone.

mod build;
mod rows;
mod trace;

use std::collections::BTreeMap;

use crate::archive::{self, Numbers, Typed};
use crate::error::ExportError;
use crate::fold;
use crate::frozen::{Frozen, Tensor};
use crate::kat::KnownAnswers;
use crate::record::Recording;
use crate::safetensors::OBS_RANGE;
use crate::spec::AgentSpec;

/// Names of the number formats of `--quantize`.
pub const FORMATS: &[&str] = &["int8"];

/// A network in integers.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// What the agent perceives and can do.
    pub spec: AgentSpec,
    /// The metadata of its file.
    pub metadata: BTreeMap<&'static str, String>,
    /// Shapes and numbers by name.
    pub tensors: Typed,
    /// A short recorded run with its answers, for a self-test on the device.
    pub known_answers: Option<KnownAnswers>,
}

impl Quantized {
    /// Rounds `frozen`; the recordings show which ranges its slots need.
    ///
    /// # Errors
    /// If a recording contradicts the network, or int8 cannot express it: more than 256 inputs of a dense layer, a layer
    /// whose range does not fit, an unknown pattern around a block.
    pub fn int8(frozen: &Frozen, recordings: &[Recording]) -> Result<Self, ExportError> {
        frozen.check()?;
        let folded = fold::constant_rows(frozen)?;
        let trace = trace::Trace::of(&folded, recordings)?;
        let (graph, mut tensors) = build::network(&folded, &trace)?;
        if let Some(Tensor { shape, data }) = frozen.obs_range.clone() {
            tensors.insert(OBS_RANGE.to_owned(), (shape, Numbers::F32(data)));
        }
        let mut metadata = frozen.metadata();
        metadata.insert("ddn.graph", graph);
        metadata.insert("ddn.quantized", FORMATS[0].to_owned());
        Ok(Self { spec: frozen.spec.clone(), metadata, tensors, known_answers: None })
    }

    /// The bytes of its model file.
    ///
    /// # Errors
    /// If the known answers contradict the agent description.
    pub fn encode(&self) -> Result<Vec<u8>, ExportError> {
        let mut tensors = self.tensors.clone();
        if let Some(answers) = &self.known_answers {
            answers.check(&self.spec)?;
            tensors.extend(archive::numbers(&answers.tensors(&self.spec)));
        }
        Ok(archive::encode(&self.metadata, &tensors))
    }
}

/// The error that says why this network stays in floats.
fn unsupported(reason: String) -> ExportError {
    ExportError::Unsupported { format: "int8", reason }
}
