//! `sparse`: [`linear`](super::linear) with its matrix stored by columns, so that a column whose input is zero costs
//! nothing. For layers that see the agent input, which is mostly zeros.

use super::{Inputs, Kernel, Parts, Slot};
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::LayerFault;
use crate::model::matrix::Matrix;

/// Tensors `weight` `[in, out]` and `bias` `[out]`.
#[derive(Clone, Debug)]
pub(crate) struct Sparse<'m> {
    weight: Matrix<'m>,
    bias: Matrix<'m>,
}

impl Sparse<'_> {
    /// From the numbers that `plan` writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Self {
        Self { weight: plan.matrix(), bias: plan.matrix() }
    }
}

impl<'m> Kernel<'m> for Sparse<'m> {
    const NAME: &'static str = "sparse";

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [input] = parts.widths()?;
        let (_, bias) = parts.tensor("bias", 1)?;
        let weight = parts.matrix("weight", bias.cols())?;
        if weight.rows() == input { Ok(Self { weight, bias }) } else { Err(LayerFault::Width) }
    }

    #[cfg(feature = "build")]
    fn plan(&self, plan: &mut Writer<'_>) {
        plan.matrix(&self.weight);
        plan.matrix(&self.bias);
    }

    fn output(&self) -> Slot {
        Slot::F32(self.bias.cols())
    }

    fn run(&self, [x, ..]: Inputs<'_>, _: &mut [f32], _: &mut [f32], output: &mut [f32]) {
        self.bias.row(0).copy_to(output);
        for (k, &x) in x.iter().enumerate() {
            if x == 0.0 {
                continue;
            }
            for (output, weight) in output.iter_mut().zip(self.weight.row(k).0) {
                *output += x * weight;
            }
        }
    }
}
