//! `sparse`: [`linear`](super::linear) with its matrix stored by columns, so that a column whose input is zero costs
//! nothing. For layers that see the agent input, which is mostly zeros.

use super::{Inputs, Kernel, Parts, Slot};
use crate::error::LayerFault;
use crate::model::matrix::Matrix;

/// Tensors `weight` `[in, out]` and `bias` `[out]`.
#[derive(Clone, Debug)]
pub(crate) struct Sparse<'m> {
    weight: Matrix<'m>,
    bias: Matrix<'m>,
}

impl<'m> Kernel<'m> for Sparse<'m> {
    const NAME: &'static str = "sparse";

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [input] = parts.widths()?;
        let (_, bias) = parts.tensor("bias", 1)?;
        let weight = parts.matrix("weight", bias.cols())?;
        if weight.rows() == input { Ok(Self { weight, bias }) } else { Err(LayerFault::Width) }
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
