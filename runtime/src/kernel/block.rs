//! `block`: the observation layer whose weights and biases depend on the observation itself.
//!
//! A linear layer's matrix would be `W(h)[k, j] = W[k, M, j] + sum_m h_m W[k, m, j]`, one per step. It is never formed:
//!
//! ```text
//! out_j = b_j + sum_k x_k (W[k, M, j] + sum_m h_m W[k, m, j])
//! ```
//!
//! is summed with the terms of `x_k = 0` and `h_m = 0` left out. One-hot parts of an observation and a rectified `h`
//! make most terms zero; leaving them out changes no value, because weights are finite.

use super::{Inputs, Kernel, Parts, Slot};
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::LayerFault;
use crate::model::matrix::Matrix;

/// Output columns computed together: their sums stay in registers.
const TILE: usize = 8;

/// Tensor `weight` `[I, M + 1, D]`. Inputs `h` `[M]`, `x` `[I]`, `b` `[D]`.
#[derive(Clone, Debug)]
pub(crate) struct Block<'m> {
    weight: Matrix<'m>,
    width: usize,
}

impl Block<'_> {
    /// From the numbers that `plan` writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Self {
        Self { weight: plan.matrix(), width: plan.count() }
    }
}

impl<'m> Kernel<'m> for Block<'m> {
    const NAME: &'static str = "block";

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [h, x, b] = parts.widths()?;
        let ([inputs, slices, width], weight) = parts.tensor("weight", 3)?;
        let fits = inputs == x && h.checked_add(1) == Some(slices) && width == b;
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

    fn run(&self, [h, x, b, _]: Inputs<'_>, _: &mut [f32], _: &mut [f32], output: &mut [f32]) {
        for (output, b) in output.iter_mut().zip(b) {
            *output = *b;
        }
        let slices = h.len() + 1;
        for (k, &x) in x.iter().enumerate() {
            if x == 0.0 {
                continue;
            }
            let first = k * slices;
            let constant = self.weight.row(first + h.len());
            let terms = Terms { weight: &self.weight, first, h };
            let (tiles, rest) = output.as_chunks_mut::<TILE>();
            let (constants, constant_rest) = constant.0.as_chunks::<TILE>();
            for (tile, (output, constant)) in tiles.iter_mut().zip(constants).enumerate() {
                let mut sums = *constant;
                terms.add(tile * TILE, &mut sums);
                for (output, sum) in output.iter_mut().zip(sums) {
                    *output += x * sum;
                }
            }
            let begin = self.width / TILE * TILE;
            for (j, (output, &sum)) in rest.iter_mut().zip(constant_rest).enumerate() {
                let mut sum = [sum];
                terms.add(begin + j, &mut sum);
                *output += x * sum[0];
            }
        }
    }
}

/// The slices that `h` scales, for one `k`.
struct Terms<'a, 'm> {
    weight: &'a Matrix<'m>,
    first: usize,
    h: &'a [f32],
}

impl Terms<'_, '_> {
    /// Adds `sum_m h_m W[k, m, j]` for the columns from `first_column` on.
    #[inline(always)]
    fn add<const N: usize>(&self, first_column: usize, sums: &mut [f32; N]) {
        for (m, &h) in self.h.iter().enumerate() {
            if h == 0.0 {
                continue;
            }
            let row = self.weight.row(self.first + m).0.get(first_column..).unwrap_or_default();
            for (sum, weight) in sums.iter_mut().zip(row) {
                *sum += h * weight;
            }
        }
    }
}
