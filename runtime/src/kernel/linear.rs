//! `linear`: `y = W x + b`.

use super::{Inputs, Kernel, Parts, Slot};
use crate::error::LayerFault;
use crate::model::matrix::Matrix;

/// Tensors `weight` `[out, in]` and `bias` `[out]`.
#[derive(Clone, Debug)]
pub(crate) struct Linear<'m> {
    weight: Matrix<'m>,
    bias: Matrix<'m>,
}

impl<'m> Kernel<'m> for Linear<'m> {
    const NAME: &'static str = "linear";

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [input] = parts.widths()?;
        let weight = parts.matrix("weight", input)?;
        let bias = parts.vector("bias", weight.rows())?;
        Ok(Self { weight, bias })
    }

    fn output(&self) -> Slot {
        Slot::F32(self.weight.rows())
    }

    fn run(&self, [x, ..]: Inputs<'_>, _: &mut [f32], _: &mut [f32], output: &mut [f32]) {
        self.bias.row(0).copy_to(output);
        for (block, output) in output.chunks_mut(4).enumerate() {
            let dots = self.weight.dot4(4 * block, x);
            for (output, dot) in output.iter_mut().zip(dots) {
                *output += dot;
            }
        }
    }
}
