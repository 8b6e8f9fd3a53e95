//! The model file that the embedded runtime reads, and the longer replay file beside it.

use std::collections::BTreeMap;

use crate::archive;
use crate::error::ExportError;
use crate::exporter::Exporter;
use crate::frozen::Frozen;
use crate::kat::KnownAnswers;

/// Name of the replay file in the output directory.
pub const EPISODES: &str = "episodes.safetensors";

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
        let mut tensors = frozen.tensors.clone();
        if let Some(answers) = &frozen.known_answers {
            answers.check(&frozen.spec)?;
            tensors.extend(answers.tensors(&frozen.spec));
        }
        Ok(archive::encode(&frozen.metadata(), &tensors))
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
    Ok(archive::encode(&metadata, &answers.tensors(&frozen.spec)))
}
