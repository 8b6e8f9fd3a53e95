//! A frozen network in integers: int8 weights with a unit for each row, int16 between the layers.
//!
//! ```text
//! Frozen ── fold ──> Frozen ── trace over recorded steps ──> units of all slots, grams of all layers ── build ──> Quantized
//! ```
//!
//! What the integers mean is written in `docs/format.md`; the runtime computes with them alone.

mod build;
mod gram;
mod rows;
mod trace;

use std::collections::BTreeMap;
use std::panic::resume_unwind;

use crate::archive::{self, Numbers, Typed};
use crate::error::ExportError;
use crate::fold;
use crate::frozen::{Frozen, Tensor};
use crate::kat::KnownAnswers;
use crate::record::Recording;
use crate::safetensors::OBS_RANGE;
use crate::spec::AgentSpec;
use crate::verify::{Report, Runtime, compare};

/// Names of the number formats of `--quantize`.
pub const FORMATS: &[&str] = &["int8"];

/// How much the weights of a row may make up for each other's rounding, from not at all to nearly freely: the
/// `lift` of [`gram::Gram::rule`].
const LIFTS: &[f64] =
    &[1e9, 3.0, 1.0, 0.5, 0.3, 0.2, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01, 0.005, 0.003, 0.002, 0.001];

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
    /// Rounds `frozen`; the recordings show which ranges its slots need, and which errors cancel. Of several ways to
    /// round, the one is taken by which most actions on the recordings stay what they were.
    ///
    /// # Errors
    /// If a recording contradicts the network, or int8 cannot express it: more than 256 inputs of a dense layer, a layer
    /// whose range does not fit, an unknown pattern around a block.
    pub fn int8(frozen: &Frozen, recordings: &[Recording]) -> Result<Self, ExportError> {
        frozen.check()?;
        let folded = fold::constant_rows(frozen)?;
        let trace = trace::Trace::of(&folded, recordings)?;
        let (folded, trace) = (&folded, &trace);
        let tries: Vec<Result<(Report, Self), ExportError>> = std::thread::scope(|scope| {
            let tries = LIFTS.iter().map(|lift| {
                scope.spawn(move || {
                    let made = Self::of(frozen, build::network(folded, trace, *lift)?);
                    let mut runtime = Runtime::load(&made.spec, made.encode()?)?;
                    Ok((compare(&mut runtime, &made.spec, recordings)?, made))
                })
            });
            let tries: Vec<_> = tries.collect();
            tries.into_iter().map(|tried| tried.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        });
        let mut refused = None;
        let made =
            tries.into_iter().filter_map(|tried| tried.map_err(|error| refused.get_or_insert(error)).ok());
        let better = |one: &Report, other: &Report| {
            let further = other.largest_difference.total_cmp(&one.largest_difference);
            one.equal_actions.cmp(&other.equal_actions).then(further).is_gt()
        };
        let best = made.reduce(|best, next| if better(&next.0, &best.0) { next } else { best });
        best.map(|(_, made)| made)
            .ok_or_else(|| refused.unwrap_or_else(|| unsupported("no way to round it is known".into())))
    }

    /// What `frozen` came to in integers.
    fn of(frozen: &Frozen, (graph, mut tensors): (String, Typed)) -> Self {
        if let Some(Tensor { shape, data }) = frozen.obs_range.clone() {
            tensors.insert(OBS_RANGE.to_owned(), (shape, Numbers::F32(data)));
        }
        let mut metadata = frozen.metadata();
        metadata.insert("ddn.graph", graph);
        metadata.insert("ddn.quantized", FORMATS[0].to_owned());
        Self { spec: frozen.spec.clone(), metadata, tensors, known_answers: None }
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
