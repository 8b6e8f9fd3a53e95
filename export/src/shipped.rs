//! An exported file beside the environment that its policy is to act in.

use ddn_trainer::env::EnvSpec;

use crate::archive;
use crate::error::ExportError;
use crate::spec::{AgentSpec, InputKind};
use crate::verify::Runtime;

/// Loads the bytes of a model file, in floats or in integers, into the embedded runtime, for agents of `env`.
///
/// # Errors
/// [`ExportError::OtherEnvironment`] names what differs between the contract in the file and the environment;
/// [`ExportError::Corrupt`] where the file cannot be used at all.
pub fn open(file: Vec<u8>, env: &EnvSpec) -> Result<Runtime, ExportError> {
    // As every safetensors file does after the length of its header.
    if file.get(8) != Some(&b'{') {
        let reason = "is none: give a `policy.safetensors`, or `policy_int8.safetensors`".into();
        return Err(ExportError::Corrupt { what: "model file".into(), reason });
    }
    let (metadata, _) = archive::decode(&file)?;
    let entry = |key: &str| {
        let reason =
            || ExportError::Corrupt { what: "model file".into(), reason: format!("{key} is missing") };
        metadata.get(key).map(String::as_str).ok_or_else(reason)
    };
    let inputs = entry("ddn.inputs")?;
    let spec = AgentSpec {
        environment: env.name.clone(),
        n_agents: env.n_agents,
        actions: env.actions.clone(),
        obs_dim: env.obs_dim,
        obs_layout: env.obs_layout.clone(),
        inputs: inputs.split(',').map(kind).collect::<Result<_, _>>()?,
    };
    for (what, key, here) in [
        ("environment", "ddn.environment", spec.environment.clone()),
        ("number of agents", "ddn.agents", spec.n_agents.to_string()),
        ("actions", "ddn.actions", spec.actions.join(",")),
        ("observation", "ddn.obs", spec.obs_layout.clone()),
        ("widths of the inputs", "ddn.inputs", spec.inputs_text()),
        ("contract", "ddn.contract", spec.contract()),
    ] {
        let there = entry(key)?;
        if there != here {
            return Err(ExportError::OtherEnvironment { what, file: there.to_owned(), env: here });
        }
    }
    Runtime::load(&spec, file)
        .map_err(|error| ExportError::Corrupt { what: "model file".into(), reason: error.to_string() })
}

/// The kind of one part, spelt `name:width`.
fn kind(part: &str) -> Result<InputKind, ExportError> {
    let name = part.split(':').next().unwrap_or(part);
    InputKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| ExportError::Corrupt {
        what: "model file".into(),
        reason: format!("ddn.inputs names `{name}`, which no agent here has"),
    })
}
