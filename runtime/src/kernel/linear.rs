//! `linear`: `y = W x + b`.

use super::batch::{self, Lanes};
use super::{Inputs, Kernel, LaneInputs, Parts, Slot};
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::LayerFault;
use crate::model::matrix::Matrix;

/// Tensors `weight` `[out, in]` and `bias` `[out]`.
#[derive(Clone, Debug)]
pub(crate) struct Linear<'m> {
    pub(super) weight: Matrix<'m>,
    pub(super) bias: Matrix<'m>,
}

impl Linear<'_> {
    /// From the numbers that `plan` writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Self {
        Self { weight: plan.matrix(), bias: plan.matrix() }
    }
}

impl<'m> Kernel<'m> for Linear<'m> {
    const NAME: &'static str = "linear";
    const HAS_LANES: bool = true;

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [input] = parts.widths()?;
        let weight = parts.matrix("weight", input)?;
        let bias = parts.vector("bias", weight.rows())?;
        Ok(Self { weight, bias })
    }

    #[cfg(feature = "build")]
    fn plan(&self, plan: &mut Writer<'_>) {
        plan.matrix(&self.weight);
        plan.matrix(&self.bias);
    }

    fn output(&self) -> Slot {
        Slot::F32(self.weight.rows())
    }

    fn run(&self, [x, ..]: Inputs<'_>, _: &mut [f32], _: &mut [f32], output: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        let done = super::host::linear(self, x, output);
        #[cfg(not(target_arch = "x86_64"))]
        let done = 0;
        self.rows_from(done, x, output.get_mut(done..).unwrap_or_default());
    }

    #[cfg(target_arch = "x86_64")]
    fn arranged_len(&self) -> usize {
        self.weight.arranged_len(self.weight.rows())
    }

    #[cfg(target_arch = "x86_64")]
    fn arrange(&mut self, room: &mut &'m mut [f32]) {
        self.weight.arrange(self.weight.rows(), room);
    }

    fn run_lanes(&self, [x, ..]: LaneInputs<'_>, _: &mut [Lanes], output: &mut [Lanes]) {
        batch::linear(self, x, output);
    }
}

impl Linear<'_> {
    /// The rows from `first` on.
    #[inline(always)]
    pub(super) fn rows_from(&self, first: usize, x: &[f32], output: &mut [f32]) {
        for (block, output) in output.chunks_mut(4).enumerate() {
            let values = self.weight.affine4(&self.bias, first + 4 * block, x);
            for (output, value) in output.iter_mut().zip(values) {
                *output = value;
            }
        }
    }
}
