//! Moves the scaling of observations into the layers that read them: the device is given raw numbers.
//!
//! ```text
//! x_k = (o_k - mean_k) scale_k      for the elements o of the observation
//! linear  W x + b                =  (W scale) o + (b - W scale mean)
//! block   b_j + Σ_k x_k P_kj(h)  =  b_j + Σ_k o_k scale_k P_kj(h) - Σ_k mean_k scale_k P_kj(h)
//! ```
//!
//! A block's last sum depends on `h`; it goes to the rows of the agent's id, exactly one of which counts.
//!
//! Where an element lies far from 0 for its spread, a pressure in pascals say, these sums would cancel in
//! single precision. A layer that subtracts the means then comes first, which is exact where it matters,
//! and only the scales are moved.

use std::ops::Range;

use crate::error::ExportError;
use crate::frozen::{Frozen, Tensor};
use crate::graph::{Layer, LayerKind};
use crate::spec::InputKind;

/// Means further from 0 than so many units of the scale are subtracted before anything else.
const FAR: f32 = 32.0;

/// The layer that does so.
const CENTRE: &str = "centre";

/// Makes a network that was trained on scaled observations read raw ones.
///
/// # Errors
/// [`ExportError::Unsupported`] if a layer that cannot take the scaling in reads the agent input.
pub fn fold(frozen: &mut Frozen, mean: &[f32], scale: &[f32]) -> Result<(), ExportError> {
    let (obs, id) = (columns(frozen, InputKind::Obs)?, columns(frozen, InputKind::AgentId)?);
    let far = mean.iter().zip(scale).any(|(mean, scale)| (mean * scale).abs() > FAR);
    if far {
        centre(frozen, obs.clone().zip(mean));
    }
    let (read, zeros) = (if far { frozen.layers[0].output } else { 0 }, vec![0.0; mean.len()]);
    let mean = if far { &zeros } else { mean };
    let affine: Vec<(usize, f64, f64)> = obs
        .zip(mean.iter().zip(scale))
        .map(|(k, (&mean, &scale))| (k, f64::from(mean), f64::from(scale)))
        .collect();
    for layer in frozen.layers.clone().into_iter().skip(usize::from(far)) {
        match layer.kind {
            LayerKind::Linear if layer.inputs == [read] => {
                let weight = tensor(frozen, &layer.tensor("weight"))?;
                let width = weight.shape.last().copied().unwrap_or(0);
                let moved: Vec<f64> =
                    weight.data.chunks_exact_mut(width.max(1)).map(|row| scaled(row, 1, &affine)).collect();
                let bias = tensor(frozen, &layer.tensor("bias"))?;
                bias.data.iter_mut().zip(moved).for_each(|(bias, by)| *bias = (f64::from(*bias) + by) as f32);
            }
            LayerKind::Block
                if layer.inputs[1] == read && layer.inputs[0] != read && layer.inputs[2] != read =>
            {
                let weight = tensor(frozen, &layer.tensor("weight"))?;
                let stride: usize = weight.shape[1..].iter().product();
                for at in 0..stride {
                    let by = scaled(&mut weight.data[at..], stride, &affine);
                    for k in id.clone() {
                        let weight = &mut weight.data[at + k * stride];
                        *weight = (f64::from(*weight) + by) as f32;
                    }
                }
            }
            _ if layer.inputs.contains(&read) => {
                let reason = format!("layer {layer} reads observations that were normalised in training");
                return Err(ExportError::Unsupported { format: "a network with learner.normalise", reason });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Puts a layer in front that subtracts the means from the observation, and hands on the rest.
fn centre<'m>(frozen: &mut Frozen, means: impl Iterator<Item = (usize, &'m f32)>) {
    let width = frozen.spec.input_dim();
    let slot = 1 + frozen.layers.iter().map(|layer| layer.output).max().unwrap_or(0);
    for layer in &mut frozen.layers {
        layer.inputs.iter_mut().filter(|input| **input == 0).for_each(|input| *input = slot);
    }
    frozen.layers.insert(0, Layer::new(LayerKind::Linear, &[0], slot, CENTRE));
    let (mut weight, mut bias) = (vec![0.0; width * width], vec![0.0; width]);
    (0..width).for_each(|k| weight[k * width + k] = 1.0);
    means.for_each(|(k, mean)| bias[k] = -mean);
    frozen.tensors.insert(format!("{CENTRE}.weight"), Tensor::new(&[width, width], weight));
    frozen.tensors.insert(format!("{CENTRE}.bias"), Tensor::new(&[width], bias));
}

/// Scales the weights of the observation, which lie `stride` apart; what the means add to the sum.
fn scaled(weights: &mut [f32], stride: usize, affine: &[(usize, f64, f64)]) -> f64 {
    let mut moved = 0.0;
    for &(k, mean, scale) in affine {
        let weight = &mut weights[k * stride];
        let by = f64::from(*weight) * scale;
        *weight = by as f32;
        // Of the weight as it is now, so that its rounding cancels.
        moved -= f64::from(*weight) * mean;
    }
    moved
}

/// Where a part of the agent input lies.
fn columns(frozen: &Frozen, part: InputKind) -> Result<Range<usize>, ExportError> {
    let mut start = 0;
    for &input in &frozen.spec.inputs {
        let width = frozen.spec.width(input);
        if input == part {
            return Ok(start..start + width);
        }
        start += width;
    }
    let reason = format!("the agent input has no {part:?}, where the means of the observation would go");
    Err(ExportError::Unsupported { format: "a network with learner.normalise", reason })
}

fn tensor<'f>(frozen: &'f mut Frozen, name: &str) -> Result<&'f mut Tensor, ExportError> {
    frozen.tensors.get_mut(name).ok_or_else(|| ExportError::MissingTensor { name: name.into() })
}
