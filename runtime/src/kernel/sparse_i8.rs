//! `sparse_i8`: [`linear_i8`](super::linear_i8) with its matrix stored by columns, so that a column whose input is zero
//! costs nothing. For layers that see the agent input, which is mostly zeros.

use super::dot_i8::{MAX_TERMS, Weights, padded, saturated, scaled};
use super::{Inputs, Kernel, Parts, Slot, halves, halves_mut, words_mut};
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::LayerFault;

/// Tensors `weight` `[in, out]` of int8, `bias` and `scale` `[out]` of int32; out is a multiple of eight, the input is
/// padded to one.
#[derive(Clone, Debug)]
pub(crate) struct SparseI8<'m> {
    weight: Weights<'m>,
    bias: &'m [i32],
    scale: &'m [i32],
}

impl SparseI8<'_> {
    /// From the numbers that `plan` writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Self {
        Self { weight: Weights::built(plan), bias: plan.slice(), scale: plan.slice() }
    }
}

impl<'m> Kernel<'m> for SparseI8<'m> {
    const NAME: &'static str = "sparse_i8";

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [input] = parts.halves()?;
        let (shape, weight) = parts.bytes("weight", 2)?;
        let [_, rows, width] = shape;
        if padded(rows) != input || padded(width) != width || input > 2 * MAX_TERMS {
            return Err(LayerFault::Width);
        }
        let (bias, scale) = (parts.integers("bias", width)?, parts.integers("scale", width)?);
        Ok(Self { weight: Weights::new(weight, width), bias, scale })
    }

    #[cfg(feature = "build")]
    fn plan(&self, plan: &mut Writer<'_>) {
        self.weight.plan(plan);
        plan.slice(self.bias);
        plan.slice(self.scale);
    }

    fn output(&self) -> Slot {
        Slot::I16(self.bias.len())
    }

    fn work_dim(&self) -> usize {
        self.bias.len()
    }

    fn run(&self, [x, ..]: Inputs<'_>, _: &mut [f32], work: &mut [f32], output: &mut [f32]) {
        let sums = words_mut(work);
        sums.fill(0);
        for (k, &x) in halves(x).iter().enumerate().filter(|(_, x)| **x != 0) {
            for (sum, weight) in sums.iter_mut().zip(self.weight.row(k)) {
                *sum = sum.wrapping_add(i32::from(x) * i32::from(*weight));
            }
        }
        let affine = self.bias.iter().zip(self.scale);
        for ((output, sum), (bias, scale)) in halves_mut(output).iter_mut().zip(sums).zip(affine) {
            *output = saturated(bias.wrapping_add(scaled(*sum, *scale)));
        }
    }
}
