//! `linear_i8`: `y = W x + b` in integers, int16 to int16.
//!
//! ```text
//! y_j = saturate((b_j + sum_i W_ji x_i) scale_j / 2^32)
//! ```

use super::dot_i8::{Weights, saturated, scaled};
use super::{Inputs, Kernel, Parts, Slot, halves, halves_mut};
use crate::error::LayerFault;

/// Tensors `weight` `[out, in]` of int8, `bias` and `scale` `[out]` of int32; in and out are multiples of four.
#[derive(Clone, Debug)]
pub(crate) struct LinearI8<'m> {
    weight: Weights<'m>,
    bias: &'m [i32],
    scale: &'m [i32],
}

impl<'m> Kernel<'m> for LinearI8<'m> {
    const NAME: &'static str = "linear_i8";

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [input] = parts.halves()?;
        let (rows, weight) = parts.weights("weight", input)?;
        Ok(Self { weight, bias: parts.integers("bias", rows)?, scale: parts.integers("scale", rows)? })
    }

    fn output(&self) -> Slot {
        Slot::I16(self.bias.len())
    }

    fn run(&self, [x, ..]: Inputs<'_>, _: &mut [f32], _: &mut [f32], output: &mut [f32]) {
        let x = halves(x);
        let (outputs, _) = halves_mut(output).as_chunks_mut::<4>();
        let (bias, scale) = (self.bias.as_chunks::<4>().0, self.scale.as_chunks::<4>().0);
        for (block, ((output, bias), scale)) in outputs.iter_mut().zip(bias).zip(scale).enumerate() {
            let dots = self.weight.dot4(4 * block, x);
            for (((output, dot), bias), scale) in output.iter_mut().zip(dots).zip(bias).zip(scale) {
                *output = saturated(scaled(dot.wrapping_add(*bias), *scale));
            }
        }
    }
}
