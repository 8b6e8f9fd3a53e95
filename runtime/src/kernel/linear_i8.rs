//! `linear_i8`: `y = W x + b` in integers, int16 to int16.
//!
//! ```text
//! y_j = saturate(b_j + round(scale_j sum_i W_ji x_i / 2^32))
//! ```

use super::dot_i8::{ROWS, Weights, ordered, saturated};
use super::{Inputs, Kernel, Parts, Slot, halves_mut};
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::LayerFault;

/// Tensors `weight` `[out, in]` of int8, `bias` and `scale` `[out]` of int32; in and out are multiples of eight.
#[derive(Clone, Debug)]
pub(crate) struct LinearI8<'m> {
    weight: Weights<'m>,
    bias: &'m [i32],
    scale: &'m [i32],
    input: usize,
}

impl LinearI8<'_> {
    /// From the numbers that `plan` writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Self {
        Self { weight: Weights::built(plan), bias: plan.slice(), scale: plan.slice(), input: plan.count() }
    }
}

impl<'m> Kernel<'m> for LinearI8<'m> {
    const NAME: &'static str = "linear_i8";

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [input] = parts.halves()?;
        let (rows, weight) = parts.weights("weight", input)?;
        Ok(Self { weight, bias: parts.integers("bias", rows)?, scale: parts.integers("scale", rows)?, input })
    }

    #[cfg(feature = "build")]
    fn plan(&self, plan: &mut Writer<'_>) {
        self.weight.plan(plan);
        plan.slice(self.bias);
        plan.slice(self.scale);
        plan.count(self.input);
    }

    fn output(&self) -> Slot {
        Slot::I16(self.bias.len())
    }

    fn work_dim(&self) -> usize {
        Slot::I16(self.input).words()
    }

    fn run(&self, [x, ..]: Inputs<'_>, _: &mut [f32], work: &mut [f32], output: &mut [f32]) {
        let x = ordered(x, work);
        let outputs = halves_mut(output).chunks_mut(ROWS);
        let (bias, scale) = (self.bias.chunks(ROWS), self.scale.chunks(ROWS));
        for (block, ((output, bias), scale)) in outputs.zip(bias).zip(scale).enumerate() {
            let mut sums = [0; ROWS];
            for (sum, bias) in sums.iter_mut().zip(bias) {
                *sum = *bias;
            }
            let sums = sums.get_mut(..bias.len()).unwrap_or_default();
            self.weight.add(ROWS * block, x, scale, sums);
            for (output, sum) in output.iter_mut().zip(sums) {
                *output = saturated(*sum);
            }
        }
    }
}
