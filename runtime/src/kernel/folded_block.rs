//! `folded_block`: [`block`](super::block) without its constant row, which is part of what makes `b`; its matrix is stored
//! so that a product runs along `h`.
//!
//! ```text
//! out_j = b_j + sum_k x_k (sum_m h_m W[k, j, m])
//! ```
//!
//! The terms of `x_k = 0` are left out.

use super::{Inputs, Kernel, Parts, Slot};
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::LayerFault;
use crate::model::matrix::Matrix;

/// Tensor `weight` `[I, D, M]`. Inputs `h` `[M]`, `x` `[I]`, `b` `[D]`.
#[derive(Clone, Debug)]
pub(crate) struct FoldedBlock<'m> {
    pub(super) weight: Matrix<'m>,
    pub(super) width: usize,
}

impl FoldedBlock<'_> {
    /// From the numbers that `plan` writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Self {
        Self { weight: plan.matrix(), width: plan.count() }
    }
}

impl<'m> Kernel<'m> for FoldedBlock<'m> {
    const NAME: &'static str = "folded_block";

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [h, x, b] = parts.widths()?;
        let ([inputs, width, terms], weight) = parts.tensor("weight", 3)?;
        let fits = inputs == x && terms == h && width == b;
        if fits { Ok(Self { weight, width }) } else { Err(LayerFault::Width) }
    }

    #[cfg(feature = "build")]
    fn plan(&self, plan: &mut Writer<'_>) {
        plan.matrix(&self.weight);
        plan.count(self.width);
    }

    fn output(&self) -> Slot {
        Slot::F32(self.width)
    }

    #[cfg(target_arch = "x86_64")]
    fn arranged_len(&self) -> usize {
        self.weight.arranged_len(self.width)
    }

    #[cfg(target_arch = "x86_64")]
    fn arrange(&mut self, room: &mut &'m mut [f32]) {
        self.weight.arrange(self.width, room);
    }

    #[inline(never)]
    fn run(&self, [h, x, b, _]: Inputs<'_>, _: &mut [f32], _: &mut [f32], output: &mut [f32]) {
        for (output, b) in output.iter_mut().zip(b) {
            *output = *b;
        }
        #[cfg(target_arch = "x86_64")]
        let done = super::host::folded_block(self, h, x, output);
        #[cfg(not(target_arch = "x86_64"))]
        let done = 0;
        self.columns_from(done, h, x, output.get_mut(done..).unwrap_or_default());
    }
}

impl FoldedBlock<'_> {
    /// Adds to the columns from `first` on.
    #[inline(always)]
    pub(super) fn columns_from(&self, first: usize, h: &[f32], x: &[f32], output: &mut [f32]) {
        for (k, &x) in x.iter().enumerate() {
            if x == 0.0 {
                continue;
            }
            for (block, output) in output.chunks_mut(4).enumerate() {
                // The last block of a row may reach into the next; the zip leaves that out.
                let dots = self.weight.dot4(k * self.width + first + 4 * block, h);
                for (output, dot) in output.iter_mut().zip(dots) {
                    *output += x * dot;
                }
            }
        }
    }
}
