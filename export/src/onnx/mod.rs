//! ONNX: one control step of all agents as a stateless graph, for servers and desktop tools.
//!
//! ```text
//! input [agents, I], hidden [agents, H] ─► q [agents, A], hidden_next [agents, H]
//! ```
//!
//! The caller carries `hidden`: zeros at the start of an episode, then the last `hidden_next`.
//! The number of agents is free. Operators are of set 17; the metadata holds the same contract
//! as the model file.

mod builder;
mod lower;
pub mod proto;

use prost::Message;

use crate::error::ExportError;
use crate::exporter::Exporter;
use crate::frozen::Frozen;
use crate::graph::LayerKind;
use builder::Builder;
use proto::{
    DimensionProto, Extent, FLOAT, GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// Version of the file format; 8 goes with operator set 17.
const IR_VERSION: i64 = 8;
/// Version of the operators.
const OPSET: i64 = 17;

/// Writes `policy.onnx`.
pub struct Onnx;

impl Exporter for Onnx {
    fn name(&self) -> &'static str {
        "onnx"
    }

    fn file_name(&self) -> &'static str {
        "policy.onnx"
    }

    fn encode(&self, frozen: &Frozen) -> Result<Vec<u8>, ExportError> {
        Ok(model(frozen)?.encode_to_vec())
    }
}

/// The ONNX model of a frozen policy.
///
/// # Errors
/// If the policy contradicts itself, or has not exactly one recurrent layer.
pub fn model(frozen: &Frozen) -> Result<ModelProto, ExportError> {
    frozen.check()?;
    let [hidden] = frozen.hidden_dims()?[..] else {
        return Err(ExportError::Unsupported {
            format: "onnx",
            reason: "it needs exactly one recurrent layer".into(),
        });
    };
    if frozen.layers.last().is_some_and(|layer| layer.kind == LayerKind::Gru) {
        return Err(ExportError::Unsupported {
            format: "onnx",
            reason: "the Q-values cannot be the recurrent state itself".into(),
        });
    }
    let mut build = Builder::default();
    lower::lower(frozen, &mut build)?;
    let graph = GraphProto {
        node: build.nodes,
        name: "policy".into(),
        initializer: build.initializers,
        input: vec![per_agent(lower::INPUT, frozen.spec.input_dim()), per_agent(lower::HIDDEN, hidden)],
        output: vec![per_agent(lower::Q, frozen.spec.n_actions()), per_agent(lower::HIDDEN_NEXT, hidden)],
    };
    let metadata = frozen.metadata().into_iter();
    Ok(ModelProto {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: metadata
            .map(|(key, value)| StringStringEntryProto { key: key.into(), value })
            .collect(),
    })
}

/// The inverse of [`Onnx::encode`].
///
/// # Errors
/// [`ExportError::Corrupt`] if the bytes are no ONNX model.
pub fn decode(bytes: &[u8]) -> Result<ModelProto, ExportError> {
    let corrupt = |reason: String| ExportError::Corrupt { what: "onnx".into(), reason };
    let model = ModelProto::decode(bytes).map_err(|e| corrupt(e.to_string()))?;
    if model.graph.is_none() {
        return Err(corrupt("has no graph".into()));
    }
    Ok(model)
}

/// An array of floats with one row per agent.
fn per_agent(name: &str, width: usize) -> ValueInfoProto {
    let width = i64::try_from(width).unwrap_or(i64::MAX);
    let dim = [Extent::Symbol("agents".into()), Extent::Value(width)]
        .map(|value| DimensionProto { value: Some(value) });
    let shape = Some(TensorShapeProto { dim: dim.to_vec() });
    let tensor_type = Some(TensorTypeProto { elem_type: FLOAT, shape });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
}
