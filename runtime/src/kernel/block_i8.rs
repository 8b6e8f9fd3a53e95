//! `block_i8`: the personalised layer in integers.
//!
//! ```text
//! out_j = saturate(b_j + round(scale sum_k round(x_k gain_kj sum_m h_m W[k, j, m] / 2^32) / 2^32))
//! ```
//!
//! Rows whose `x_k` is zero cost nothing. The constant row of [`block`](super::block) is part of what makes `b`.

use super::dot_i8::{MAX_TERMS, PAD, Weights, ordered, padded, saturated, scaled};
use super::{Inputs, Kernel, Parts, Slot, halves, halves_mut, words_mut};
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::LayerFault;

/// Tensors `weight` `[I, D, M]` of int8, `gain` `[I, D]` of int16, `scale` `[1]` of int32. Inputs `h` `[M]`, `x` (I padded
/// to a multiple of eight), `b` `[D]`; D and M are multiples of eight.
#[derive(Clone, Debug)]
pub(crate) struct BlockI8<'m> {
    weight: Weights<'m>,
    gain: &'m [i16],
    scale: i32,
    width: usize,
    hyper: usize,
}

impl BlockI8<'_> {
    /// From the numbers that `plan` writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Self {
        Self {
            weight: Weights::built(plan),
            gain: plan.slice(),
            scale: plan.word().cast_signed(),
            width: plan.count(),
            hyper: plan.count(),
        }
    }
}

impl<'m> Kernel<'m> for BlockI8<'m> {
    const NAME: &'static str = "block_i8";

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [hyper, x, width] = parts.halves()?;
        let ([rows, columns, terms], weight) = parts.bytes("weight", 3)?;
        if padded(rows) != x || columns != width || terms != hyper || terms > MAX_TERMS {
            return Err(LayerFault::Width);
        }
        let gain = parts.halves_of("gain", [rows, width])?;
        let &[scale] = parts.integers("scale", 1)? else { return Err(LayerFault::Width) };
        Ok(Self { weight: Weights::new(weight, terms), gain, scale, width, hyper })
    }

    #[cfg(feature = "build")]
    fn plan(&self, plan: &mut Writer<'_>) {
        self.weight.plan(plan);
        plan.slice(self.gain);
        plan.word(self.scale.cast_unsigned());
        plan.count(self.width);
        plan.count(self.hyper);
    }

    fn output(&self) -> Slot {
        Slot::I16(self.width)
    }

    /// The sums, and `h` in order.
    fn work_dim(&self) -> usize {
        self.width.saturating_add(Slot::I16(self.hyper).words())
    }

    fn run(&self, [h, x, b, _]: Inputs<'_>, _: &mut [f32], work: &mut [f32], output: &mut [f32]) {
        let Some((sums, ordered_h)) = work.split_at_mut_checked(self.width) else { return };
        let ordered_h = ordered(h, ordered_h);
        let sums = words_mut(sums);
        sums.fill(0);
        let gains = self.gain.chunks_exact(self.width.max(1));
        for (k, (&x, gains)) in halves(x).iter().zip(gains).enumerate() {
            if x == 0 {
                continue;
            }
            let gains = gains.as_chunks::<PAD>().0;
            for (block, (sums, gains)) in sums.as_chunks_mut::<PAD>().0.iter_mut().zip(gains).enumerate() {
                let scale = gains.map(|gain| i32::from(x) * i32::from(gain));
                self.weight.add(k * self.width + PAD * block, ordered_h, &scale, sums);
            }
        }
        for ((output, sum), b) in halves_mut(output).iter_mut().zip(sums).zip(halves(b)) {
            *output = saturated(i32::from(*b) + scaled(*sum, self.scale));
        }
    }
}
