//! Trained parameters to a frozen policy.

use std::collections::BTreeMap;

use crate::error::ExportError;
use crate::frozen::{Frozen, Tensor};
use crate::graph::{self, LayerKind};
use crate::spec::{AgentSpec, InputKind};

/// Where the network that ships lies in a checkpoint, for one way of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Name of the training scheme.
    pub scheme: &'static str,
    /// What the names of its parameters begin with in the checkpoint; the rest is unique.
    pub prefixes: &'static [&'static str],
    /// Its layers.
    pub graph: &'static str,
    /// The parts of its agent input, in order.
    pub inputs: &'static [InputKind],
}

/// What most networks see.
const ORDINARY: &[InputKind] = &[InputKind::Obs, InputKind::LastAction, InputKind::AgentId];

/// Every scheme whose network can be frozen.
pub const NETWORKS: &[Network] = &[
    Network { scheme: "ddn", prefixes: &["lpn."], graph: graph::LPN, inputs: ORDINARY },
    Network { scheme: "plain", prefixes: &["agent."], graph: graph::PLAIN, inputs: ORDINARY },
    Network { scheme: "ctds", prefixes: &["student."], graph: graph::PLAIN, inputs: ORDINARY },
    Network { scheme: "ptde", prefixes: &["agent.", "student."], graph: graph::INFORMED, inputs: ORDINARY },
    Network { scheme: "igm-da", prefixes: &["learner."], graph: graph::PLAIN, inputs: &InputKind::ALL },
];

/// The network of a training scheme.
///
/// # Errors
/// [`ExportError::Unknown`] with the schemes that can be frozen.
pub fn network(scheme: &str) -> Result<&'static Network, ExportError> {
    NETWORKS.iter().find(|n| n.scheme == scheme).ok_or_else(|| ExportError::Unknown {
        what: "training scheme",
        name: scheme.into(),
        known: NETWORKS.iter().map(|n| n.scheme).collect::<Vec<_>>().join(", "),
    })
}

/// Builds the policy from its trained parameters, whose names are relative to
/// [`Network::prefixes`]: shape and values of each.
///
/// `block_scale` multiplies the product of a personalised block while training; it is folded
/// into the block's weights here, so that the device need not multiply.
///
/// # Errors
/// If the parameters do not fit the graph of the network.
pub fn freeze(
    network: &Network,
    spec: AgentSpec,
    config_sha256: String,
    block_scale: f32,
    parameters: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
) -> Result<Frozen, ExportError> {
    let layers = graph::from_text(network.graph)?;
    let mut tensors: BTreeMap<String, Tensor> =
        parameters.into_iter().map(|(name, (shape, data))| (name, Tensor { shape, data })).collect();
    for block in layers.iter().filter(|layer| layer.kind == LayerKind::Block) {
        if let Some(weight) = tensors.get_mut(&block.tensor("weight")) {
            weight.data.iter_mut().for_each(|w| *w *= block_scale);
        }
    }
    let frozen =
        Frozen { spec, config_sha256, layers, tensors, sparse: false, obs_range: None, known_answers: None };
    frozen.check()?;
    Ok(frozen)
}
