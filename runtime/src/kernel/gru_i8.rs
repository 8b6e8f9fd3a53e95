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

use super::dot_i8::{Weights, saturated, scaled};
use super::table::{sigmoid, tanh};
use super::{Inputs, Kernel, Parts, Slot, halves, halves_mut};
use crate::error::LayerFault;

/// Tensors `weight_ih` `[3 H, I]` and `weight_hh` `[3 H, H]` of int8, gates in the order r, z, n; `scale_ih` and
/// `scale_hh` `[3 H]` and `bias` `[4 H]` (r, z, input and state part of n) of int32. I and H are multiples of four.
#[derive(Clone, Debug)]
pub(crate) struct GruI8<'m> {
    weight_ih: Weights<'m>,
    weight_hh: Weights<'m>,
    scale_ih: [&'m [i32]; 3],
    scale_hh: [&'m [i32]; 3],
    bias: [&'m [i32]; 4],
    hidden: usize,
}

impl<'m> Kernel<'m> for GruI8<'m> {
    const NAME: &'static str = "gru_i8";

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [input] = parts.halves()?;
        let (gates, weight_ih) = parts.weights("weight_ih", input)?;
        let hidden = gates / 3;
        let (rows, weight_hh) = parts.weights("weight_hh", hidden)?;
        if !gates.is_multiple_of(12) || rows != gates {
            return Err(LayerFault::Width);
        }
        let scale_ih = gates_of(parts.integers("scale_ih", gates)?, hidden);
        let scale_hh = gates_of(parts.integers("scale_hh", gates)?, hidden);
        let bias = gates_of(parts.integers("bias", gates + hidden)?, hidden);
        Ok(Self { weight_ih, weight_hh, scale_ih, scale_hh, bias, hidden })
    }

    fn output(&self) -> Slot {
        Slot::I16(self.hidden)
    }

    fn memory_dim(&self) -> usize {
        self.hidden / 2
    }

    /// Four hidden units at a time, all six products of each; the old state is needed until the last one is done.
    fn run(&self, [x, ..]: Inputs<'_>, memory: &mut [f32], _: &mut [f32], output: &mut [f32]) {
        let (x, h) = (halves(x), halves(memory));
        let outputs = halves_mut(output).as_chunks_mut::<4>().0;
        for (block, (output, old)) in outputs.iter_mut().zip(h.as_chunks::<4>().0).enumerate() {
            let unit = 4 * block;
            let input = |gate| {
                part(&self.weight_ih, gate_row(gate, self.hidden, unit), x, self.scale_ih.get(gate), unit)
            };
            let state = |gate| {
                part(&self.weight_hh, gate_row(gate, self.hidden, unit), h, self.scale_hh.get(gate), unit)
            };
            let bias = |gate: usize| four(self.bias.get(gate), unit);
            let reset = add(add(input(0), state(0)), bias(0)).map(sigmoid);
            let update = add(add(input(1), state(1)), bias(1)).map(sigmoid);
            let candidate = add(input(2), bias(2)).into_iter().zip(add(state(2), bias(3)));
            let units = output.iter_mut().zip(old).zip(reset).zip(update).zip(candidate);
            for ((((output, old), r), z), (input, state)) in units {
                let n = tanh(input.wrapping_add(scaled(state.wrapping_mul(2), r << 16)));
                let old = i32::from(*old);
                *output = saturated(n + ((z * (old - n) + (1 << 14)) >> 15));
            }
        }
        for (memory, output) in halves_mut(memory).iter_mut().zip(outputs.as_flattened()) {
            *memory = *output;
        }
    }
}

/// `N` vectors of the length `hidden`, one after another.
fn gates_of<const N: usize>(all: &[i32], hidden: usize) -> [&[i32]; N] {
    let mut gates = [&[][..]; N];
    for (gate, part) in gates.iter_mut().zip(all.chunks_exact(hidden.max(1))) {
        *gate = part;
    }
    gates
}

fn gate_row(gate: usize, hidden: usize, unit: usize) -> usize {
    gate * hidden + unit
}

/// Four sums of one gate, in the units of its argument.
#[inline(always)]
fn part(weight: &Weights<'_>, row: usize, v: &[i16], scale: Option<&&[i32]>, unit: usize) -> [i32; 4] {
    let mut sums = weight.dot4(row, v);
    for (sum, scale) in sums.iter_mut().zip(four(scale, unit)) {
        *sum = scaled(*sum, scale);
    }
    sums
}

/// Elements `unit..unit + 4`.
#[inline(always)]
fn four(values: Option<&&[i32]>, unit: usize) -> [i32; 4] {
    values.and_then(|values| values.get(unit..)?.first_chunk::<4>()).copied().unwrap_or_default()
}

#[inline(always)]
fn add([a, b, c, d]: [i32; 4], [p, q, r, s]: [i32; 4]) -> [i32; 4] {
    [a.wrapping_add(p), b.wrapping_add(q), c.wrapping_add(r), d.wrapping_add(s)]
}
