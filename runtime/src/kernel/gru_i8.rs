//! `gru_i8`: the gated recurrent unit of [`gru`](super::gru) in integers; its state is int16 in units of 2^-15.
//!
//! Arguments of the gates are in units of 2^-13, gates and candidate in units of 2^-15:
//!
//! ```text
//! r  = sigmoid(W_ir x + W_hr h + b_r)
//! z  = sigmoid(W_iz x + W_hz h + b_z)
//! n  = tanh(W_in x + b_in + r (W_hn h + b_hn))
//! h' = n + z (h - n)
//! ```

use super::dot_i8::{PAD, ROWS, Weights, ordered};
#[cfg(not(ddn_mve))]
use super::dot_i8::{saturated, scaled};
#[cfg(ddn_mve)]
use super::simd::mve::gates;
#[cfg(not(ddn_mve))]
use super::table::{sigmoid, tanh};
use super::{Inputs, Kernel, Parts, Slot, halves, halves_mut};
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::LayerFault;

/// Tensors `weight_ih` `[3 H, I]` and `weight_hh` `[3 H, H]` of int8, gates in the order r, z, n; `scale_ih` and
/// `scale_hh` `[3 H]` and `bias` `[4 H]` (r, z, input and state part of n) of int32. I and H are multiples of eight.
#[derive(Clone, Debug)]
pub(crate) struct GruI8<'m> {
    weight_ih: Weights<'m>,
    weight_hh: Weights<'m>,
    scale_ih: &'m [i32],
    scale_hh: &'m [i32],
    bias: &'m [i32],
    input: usize,
    hidden: usize,
}

impl GruI8<'_> {
    /// From the numbers that `plan` writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Self {
        Self {
            weight_ih: Weights::built(plan),
            weight_hh: Weights::built(plan),
            scale_ih: plan.slice(),
            scale_hh: plan.slice(),
            bias: plan.slice(),
            input: plan.count(),
            hidden: plan.count(),
        }
    }
}

impl<'m> Kernel<'m> for GruI8<'m> {
    const NAME: &'static str = "gru_i8";

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [input] = parts.halves()?;
        let (gates, weight_ih) = parts.weights("weight_ih", input)?;
        let hidden = gates / 3;
        let (rows, weight_hh) = parts.weights("weight_hh", hidden)?;
        if !gates.is_multiple_of(3 * PAD) || rows != gates {
            return Err(LayerFault::Width);
        }
        let scale_ih = parts.integers("scale_ih", gates)?;
        let scale_hh = parts.integers("scale_hh", gates)?;
        let bias = parts.integers("bias", gates + hidden)?;
        Ok(Self { weight_ih, weight_hh, scale_ih, scale_hh, bias, input, hidden })
    }

    #[cfg(feature = "build")]
    fn plan(&self, plan: &mut Writer<'_>) {
        self.weight_ih.plan(plan);
        self.weight_hh.plan(plan);
        plan.slice(self.scale_ih);
        plan.slice(self.scale_hh);
        plan.slice(self.bias);
        plan.count(self.input);
        plan.count(self.hidden);
    }

    fn output(&self) -> Slot {
        Slot::I16(self.hidden)
    }

    fn memory_dim(&self) -> usize {
        self.hidden / 2
    }

    /// The input and the state in order.
    fn work_dim(&self) -> usize {
        Slot::I16(self.input).words().saturating_add(Slot::I16(self.hidden).words())
    }

    /// Some hidden units at a time, all six products of each; the old state is needed until the last one is done.
    #[inline(never)]
    fn run(&self, [x, ..]: Inputs<'_>, memory: &mut [f32], work: &mut [f32], output: &mut [f32]) {
        let Some((ordered_x, ordered_h)) = work.split_at_mut_checked(Slot::I16(self.input).words()) else {
            return;
        };
        let (ordered_x, ordered_h) = (ordered(x, ordered_x), ordered(memory, ordered_h));
        let (ih, hh) = (&self.weight_ih, &self.weight_hh);
        let outputs = halves_mut(output).chunks_mut(UNITS).zip(halves(memory).chunks(UNITS));
        for (block, (output, old)) in outputs.enumerate() {
            let (row, units) = (UNITS * block, output.len());
            let mut sums = [[0; UNITS]; 4];
            for (gate, sums) in sums.iter_mut().enumerate() {
                for (sum, bias) in sums.iter_mut().zip(part(self.bias, gate * self.hidden + row, units)) {
                    *sum = *bias;
                }
            }
            let [reset, update, input, state] =
                sums.each_mut().map(|sums| sums.get_mut(..units).unwrap_or_default());
            for (gate, sums) in [&mut *reset, &mut *update, &mut *input].into_iter().enumerate() {
                let first = gate * self.hidden + row;
                ih.add(first, ordered_x, part(self.scale_ih, first, units), sums);
            }
            for (gate, sums) in [&mut *reset, &mut *update, &mut *state].into_iter().enumerate() {
                let first = gate * self.hidden + row;
                hh.add(first, ordered_h, part(self.scale_hh, first, units), sums);
            }
            gates([reset, update, input, state], old, output);
        }
        for (memory, output) in halves_mut(memory).iter_mut().zip(halves(output)) {
            *memory = *output;
        }
    }
}

/// Hidden units computed together.
const UNITS: usize = ROWS;

/// The new states of many units from their old ones and their sums.
#[cfg(not(ddn_mve))]
#[inline(always)]
fn gates([reset, update, input, state]: [&[i32]; 4], old: &[i16], output: &mut [i16]) {
    let units = output.iter_mut().zip(old).zip(reset).zip(update).zip(input).zip(state);
    for (((((output, old), reset), update), input), state) in units {
        let n = tanh(input.wrapping_add(scaled(state.wrapping_mul(2), sigmoid(*reset) << 16)));
        let blend = sigmoid(*update) * (i32::from(*old) - n);
        *output = saturated(n + ((blend + (1 << 14)) >> 15));
    }
}

/// Elements `first..first + count`.
fn part(values: &[i32], first: usize, count: usize) -> &[i32] {
    values.get(first..).and_then(|values| values.get(..count)).unwrap_or_default()
}
