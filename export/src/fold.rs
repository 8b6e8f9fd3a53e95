//! Moves the constant row of a block into the layer that makes its bias: the same sum, of which less is left to skip.
//!
//! ```text
//! b_j + sum_k x_k W[k, M, j] = bias_j + sum_k (shift_jk + W[k, M, j]) x_k
//! ```

use crate::error::ExportError;
use crate::frozen::Frozen;
use crate::graph::LayerKind;

/// The network with every block's constant row zero.
///
/// # Errors
/// [`ExportError::Unsupported`] if a block's bias is not made by a linear layer from the block's own input.
pub fn constant_rows(frozen: &Frozen) -> Result<Frozen, ExportError> {
    let mut folded = frozen.clone();
    for block in frozen.layers.iter().filter(|layer| layer.kind == LayerKind::Block) {
        let (input, bias) = (block.inputs[1], block.inputs[2]);
        let makes_bias = |slot| frozen.layers.iter().filter(move |layer| layer.output == slot);
        let mut makers = makes_bias(bias);
        let (Some(shift), None) = (makers.next(), makers.next()) else {
            return Err(unsupported(format!("the bias of block `{}` is not one layer's output", block.name)));
        };
        let readers = frozen.layers.iter().filter(|layer| layer.inputs.contains(&bias)).count();
        if shift.kind != LayerKind::Linear || shift.inputs != [input] || readers != 1 {
            let reason = format!("the bias of block `{}` is not a linear function of its input", block.name);
            return Err(unsupported(reason));
        }
        let (weight, shift) = (block.tensor("weight"), shift.tensor("weight"));
        let [inputs, slices, width] = frozen.tensor(&weight)?.shape[..] else {
            return Err(unsupported(format!("tensor {weight} is not a block's")));
        };
        for k in 0..inputs {
            for j in 0..width {
                let at = (k * slices + slices - 1) * width + j;
                let constant = frozen.tensor(&weight)?.data[at];
                if let Some(weight) = folded.tensors.get_mut(&weight) {
                    weight.data[at] = 0.0;
                }
                if let Some(shift) = folded.tensors.get_mut(&shift) {
                    shift.data[j * inputs + k] += constant;
                }
            }
        }
    }
    Ok(folded)
}

fn unsupported(reason: String) -> ExportError {
    ExportError::Unsupported { format: "a folded block", reason }
}
