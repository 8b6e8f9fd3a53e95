//! The order in which a model file keeps its weights: the one that the runtime reads fastest.
//!
//! A block's constant row moves into the layer that makes its bias, its matrix is turned so that a product runs along `h`,
//! and where most of what is seen is zero, the layers that see it are stored by columns.

use std::collections::BTreeMap;

use crate::error::ExportError;
use crate::fold;
use crate::frozen::{Frozen, Tensor};
use crate::graph::{Layer, LayerKind};

/// The graph as a model file spells it, and its tensors.
///
/// # Errors
/// [`ExportError::MissingTensor`].
pub fn of(frozen: &Frozen) -> Result<(String, BTreeMap<String, Tensor>), ExportError> {
    // A block that cannot be folded stays as it is.
    let folded = fold::constant_rows(frozen).ok();
    let network = folded.as_ref().unwrap_or(frozen);
    let mut tensors = network.tensors.clone();
    let mut graph = Vec::new();
    for layer in &network.layers {
        let kind = match layer.kind {
            LayerKind::Block if folded.is_some() => {
                let weight = turned(network.tensor(&layer.tensor("weight"))?);
                tensors.insert(layer.tensor("weight"), weight);
                "folded_block"
            }
            LayerKind::Linear if network.sparse && layer.inputs == [0] => {
                let weight = transposed(network.tensor(&layer.tensor("weight"))?);
                tensors.insert(layer.tensor("weight"), weight);
                "sparse"
            }
            kind => kind.name(),
        };
        graph.push(spelled(layer, kind));
    }
    Ok((graph.join(";"), tensors))
}

/// `[D, I]` to `[I, D]`.
fn transposed(weight: &Tensor) -> Tensor {
    let (rows, columns) = (weight.shape[0], weight.shape[1]);
    let data = (0..rows * columns).map(|i| weight.data[i % rows * columns + i / rows]).collect();
    Tensor { shape: vec![columns, rows], data }
}

/// `[I, M + 1, D]` to `[I, D, M]`; the constant row is left out.
fn turned(weight: &Tensor) -> Tensor {
    let (inputs, slices, width) = (weight.shape[0], weight.shape[1], weight.shape[2]);
    let terms = slices - 1;
    let at = |k: usize, j: usize, m: usize| weight.data[(k * slices + m) * width + j];
    let data =
        (0..inputs * width * terms).map(|i| at(i / (width * terms), i / terms % width, i % terms)).collect();
    Tensor { shape: vec![inputs, width, terms], data }
}

/// A layer with another name for its kind.
fn spelled(layer: &Layer, kind: &str) -> String {
    let inputs: Vec<String> = layer.inputs.iter().map(usize::to_string).collect();
    let name = if layer.name.is_empty() { String::new() } else { format!(":{}", layer.name) };
    format!("{kind}:{}>{}{name}", inputs.join(","), layer.output)
}
