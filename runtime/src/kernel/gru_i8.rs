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

use super::dot_i8::{PAD, Weights, ordered, saturated, scaled};
use super::table::{sigmoid, tanh};
use super::{Inputs, Kernel, Parts, Slot, halves, halves_mut};
use crate::error::LayerFault;

/// Tensors `weight_ih` `[3 H, I]` and `weight_hh` `[3 H, H]` of int8, gates in the order r, z, n; `scale_ih` and
/// `scale_hh` `[3 H]` and `bias` `[4 H]` (r, z, input and state part of n) of int32. I and H are multiples of eight.
#[derive(Clone, Debug)]
pub(crate) struct GruI8<'m> {
    weight_ih: Weights<'m>,
    weight_hh: Weights<'m>,
    scale_ih: [&'m [[i32; PAD]]; 3],
    scale_hh: [&'m [[i32; PAD]]; 3],
    bias: [&'m [[i32; PAD]]; 4],
    input: usize,
    hidden: usize,
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
        let scale_ih = gates_of(parts.integers("scale_ih", gates)?, hidden);
        let scale_hh = gates_of(parts.integers("scale_hh", gates)?, hidden);
        let bias = gates_of(parts.integers("bias", gates + hidden)?, hidden);
        Ok(Self { weight_ih, weight_hh, scale_ih, scale_hh, bias, input, hidden })
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

    /// Eight hidden units at a time, all six products of each; the old state is needed until the last one is done.
    fn run(&self, [x, ..]: Inputs<'_>, memory: &mut [f32], work: &mut [f32], output: &mut [f32]) {
        let Some((ordered_x, ordered_h)) = work.split_at_mut_checked(Slot::I16(self.input).words()) else {
            return;
        };
        ordered(x, ordered_x);
        ordered(memory, ordered_h);
        let (hidden, ih, hh) = (self.hidden, &self.weight_ih, &self.weight_hh);
        let ([ir, iz, i_n], [hr, hz, hn]) = (self.scale_ih, self.scale_hh);
        let [r, z, input, state] = self.bias;
        let biases = r.iter().zip(z).zip(input).zip(state);
        let scales = ir.iter().zip(iz).zip(i_n).zip(hr.iter().zip(hz).zip(hn));
        let outputs = halves_mut(output).as_chunks_mut::<PAD>().0;
        let units = outputs.iter_mut().zip(halves(memory).as_chunks::<PAD>().0);
        for (block, ((units, scales), biases)) in units.zip(scales).zip(biases).enumerate() {
            let (row, (output, old)) = (PAD * block, units);
            let (((ir, iz), i_n), ((hr, hz), hn)) = scales;
            let (((mut reset, mut update), mut input), mut state) = copied(biases);
            ih.add8(row, ordered_x, ir, &mut reset);
            ih.add8(row + hidden, ordered_x, iz, &mut update);
            ih.add8(row + 2 * hidden, ordered_x, i_n, &mut input);
            hh.add8(row, ordered_h, hr, &mut reset);
            hh.add8(row + hidden, ordered_h, hz, &mut update);
            hh.add8(row + 2 * hidden, ordered_h, hn, &mut state);
            let units = output.iter_mut().zip(old).zip(reset).zip(update).zip(input).zip(state);
            for (((((output, old), reset), update), input), state) in units {
                let n = tanh(input.wrapping_add(scaled(state.wrapping_mul(2), sigmoid(reset) << 16)));
                let blend = sigmoid(update) * (i32::from(*old) - n);
                *output = saturated(n + ((blend + (1 << 14)) >> 15));
            }
        }
        for (memory, output) in halves_mut(memory).iter_mut().zip(outputs.as_flattened()) {
            *memory = *output;
        }
    }
}

/// Arguments of eight units: of both gates, and the two parts of the candidate's.
type Arguments<T> = (((T, T), T), T);

#[inline(always)]
fn copied((((a, b), c), d): Arguments<&[i32; PAD]>) -> Arguments<[i32; PAD]> {
    (((*a, *b), *c), *d)
}

/// `N` vectors of the length `hidden`, one after another, by eight.
fn gates_of<const N: usize>(all: &[i32], hidden: usize) -> [&[[i32; PAD]]; N] {
    let mut gates = [&[][..]; N];
    for (gate, part) in gates.iter_mut().zip(all.chunks_exact(hidden.max(1))) {
        *gate = part.as_chunks().0;
    }
    gates
}
