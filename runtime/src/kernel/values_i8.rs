//! `values_i8`: a last layer in integers, int16 to numbers.
//!
//! ```text
//! y_j = b_j + scale_j float(sum_i W_ji x_i)
//! ```

use super::dot_i8::{Weights, ordered, padded};
use super::{Inputs, Kernel, Parts, Slot};
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::LayerFault;
use crate::model::Row;

/// Tensors `weight` `[out, in]` of int8, its rows padded with zeros to a multiple of eight; `bias` and `scale` `[out]` of
/// `F32`.
#[derive(Clone, Debug)]
pub(crate) struct ValuesI8<'m> {
    weight: Weights<'m>,
    bias: Row<'m>,
    scale: Row<'m>,
    input: usize,
}

impl ValuesI8<'_> {
    /// From the numbers that `plan` writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Self {
        Self { weight: Weights::built(plan), bias: plan.row(), scale: plan.row(), input: plan.count() }
    }
}

impl<'m> Kernel<'m> for ValuesI8<'m> {
    const NAME: &'static str = "values_i8";

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [input] = parts.halves()?;
        let (rows, weight) = parts.weights("weight", input)?;
        let (_, bias) = parts.tensor("bias", 1)?;
        let bias = bias.row(0);
        if padded(bias.len()) != rows {
            return Err(LayerFault::Width);
        }
        Ok(Self { weight, bias, scale: parts.vector("scale", bias.len())?.row(0), input })
    }

    #[cfg(feature = "build")]
    fn plan(&self, plan: &mut Writer<'_>) {
        self.weight.plan(plan);
        plan.row(self.bias);
        plan.row(self.scale);
        plan.count(self.input);
    }

    fn output(&self) -> Slot {
        Slot::F32(self.bias.len())
    }

    fn work_dim(&self) -> usize {
        Slot::I16(self.input).words()
    }

    fn run(&self, [x, ..]: Inputs<'_>, _: &mut [f32], work: &mut [f32], output: &mut [f32]) {
        let x = ordered(x, work);
        let rows = output.chunks_mut(4).zip(self.bias.0.chunks(4)).zip(self.scale.0.chunks(4));
        for (block, ((output, bias), scale)) in rows.enumerate() {
            let dots = self.weight.dot4(4 * block, x);
            for (((output, dot), bias), scale) in output.iter_mut().zip(dots).zip(bias).zip(scale) {
                *output = bias + scale * dot as f32;
            }
        }
    }
}
