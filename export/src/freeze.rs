//! Trained parameters to a frozen policy.

use std::collections::BTreeMap;

use crate::error::ExportError;
use crate::frozen::{Frozen, Tensor};
use crate::graph::{self, LayerKind};
use crate::spec::AgentSpec;

/// Where the network that ships lies in a checkpoint, for one way of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Name of the training scheme.
    pub scheme: &'static str,
    /// What the names of its parameters begin with in the checkpoint.
    pub prefix: &'static str,
    /// Its layers.
    pub graph: &'static str,
}

/// Every scheme whose network can be frozen.
pub const NETWORKS: &[Network] = &[
    Network { scheme: "ddn", prefix: "lpn.", graph: graph::LPN },
    Network { scheme: "plain", prefix: "agent.", graph: graph::PLAIN },
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
/// [`Network::prefix`]: shape and values of each.
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
    let frozen = Frozen { spec, config_sha256, layers, tensors, known_answers: None };
    frozen.check()?;
    Ok(frozen)
}
