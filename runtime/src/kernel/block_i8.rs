//! `block_i8`: the personalised layer in integers.
//!
//! ```text
//! out_j = saturate(b_j + scale sum_k round(x_k gain_kj sum_m h_m W[k, j, m] / 2^32) / 2^32)
//! ```
//!
//! Rows whose `x_k` is zero cost nothing. The constant row of [`block`](super::block) is part of what makes `b`.

use super::dot_i8::{MAX_TERMS, Weights, padded, saturated, scaled};
use super::{Inputs, Kernel, Parts, Slot, halves, halves_mut, words_mut};
use crate::error::LayerFault;

/// Tensors `weight` `[I, D, M]` of int8, `gain` `[I, D]` of int16, `scale` `[1]` of int32. Inputs `h` `[M]`, `x` (I padded
/// to a multiple of four), `b` `[D]`; D and M are multiples of four.
#[derive(Clone, Debug)]
pub(crate) struct BlockI8<'m> {
    weight: Weights<'m>,
    gain: &'m [i16],
    scale: i32,
    width: usize,
}

impl<'m> Kernel<'m> for BlockI8<'m> {
    const NAME: &'static str = "block_i8";

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [h, x, width] = parts.halves()?;
        let ([rows, columns, terms], weight) = parts.bytes("weight", 3)?;
        if padded(rows) != x || columns != width || terms != h || terms > MAX_TERMS {
            return Err(LayerFault::Width);
        }
        let gain = parts.halves_of("gain", [rows, width])?;
        let &[scale] = parts.integers("scale", 1)? else { return Err(LayerFault::Width) };
        Ok(Self { weight: Weights::new(weight, terms), gain, scale, width })
    }

    fn output(&self) -> Slot {
        Slot::I16(self.width)
    }

    fn work_dim(&self) -> usize {
        self.width
    }

    fn run(&self, [h, x, b, _]: Inputs<'_>, _: &mut [f32], work: &mut [f32], output: &mut [f32]) {
        let (h, sums) = (halves(h), words_mut(work));
        sums.fill(0);
        let gains = self.gain.chunks_exact(self.width.max(1));
        for (k, (&x, gains)) in halves(x).iter().zip(gains).enumerate().filter(|(_, (x, _))| **x != 0) {
            let (sums, _) = sums.as_chunks_mut::<4>();
            for (block, (sums, gains)) in sums.iter_mut().zip(gains.as_chunks::<4>().0).enumerate() {
                let dots = self.weight.dot4(k * self.width + 4 * block, h);
                for ((sum, gain), dot) in sums.iter_mut().zip(gains).zip(dots) {
                    *sum = sum.wrapping_add(scaled(dot, i32::from(x) * i32::from(*gain)));
                }
            }
        }
        for ((output, sum), b) in halves_mut(output).iter_mut().zip(sums).zip(halves(b)) {
            *output = saturated(i32::from(*b) + scaled(*sum, self.scale));
        }
    }
}
