//! The model file that the embedded runtime reads, and the longer replay file beside it.

use std::collections::BTreeMap;

use crate::archive;
use crate::error::ExportError;
use crate::exporter::Exporter;
use crate::frozen::Frozen;
use crate::kat::KnownAnswers;
use crate::layout;

/// Name of the replay file in the output directory.
pub const EPISODES: &str = "episodes.safetensors";
/// Name of the tensor with the range of the observations.
pub const OBS_RANGE: &str = "obs.range";
/// Name of the model file in integers.
pub const INT8: &str = "policy_int8.safetensors";
/// Name of the replay file for the model file in integers.
pub const INT8_EPISODES: &str = "episodes_int8.safetensors";

/// Writes `policy.safetensors`: contract and graph as metadata, weights and known answers as
/// tensors.
pub struct Safetensors;

impl Exporter for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    fn file_name(&self) -> &'static str {
        "policy.safetensors"
    }

    fn encode(&self, frozen: &Frozen) -> Result<Vec<u8>, ExportError> {
        frozen.check()?;
        let (graph, mut tensors) = layout::of(frozen)?;
        tensors.extend(frozen.obs_range.iter().map(|range| (OBS_RANGE.to_owned(), range.clone())));
        if let Some(answers) = &frozen.known_answers {
            answers.check(&frozen.spec)?;
            tensors.extend(answers.tensors(&frozen.spec));
        }
        let mut metadata = frozen.metadata();
        metadata.insert("ddn.graph", graph);
        Ok(archive::encode(&metadata, &archive::numbers(&tensors)))
    }
}

/// The bytes of `episodes.safetensors`: recorded agent episodes, to be replayed on a device
/// with the policy of the same contract.
///
/// # Errors
/// [`ExportError::Corrupt`] if `answers` do not fit the agent description.
pub fn episodes(frozen: &Frozen, answers: &KnownAnswers) -> Result<Vec<u8>, ExportError> {
    answers.check(&frozen.spec)?;
    let mut metadata: BTreeMap<&'static str, String> = frozen.metadata();
    metadata.retain(|key, _| !matches!(*key, "ddn.graph" | "ddn.gates"));
    Ok(archive::encode(&metadata, &archive::numbers(&answers.tensors(&frozen.spec))))
}
