//! `gru`: a gated recurrent unit; its output is the hidden state it keeps.
//!
//! ```text
//! r  = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
//! z  = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
//! n  = tanh(W_in x + b_in + r (W_hn h + b_hn))
//! h' = (1 - z) n + z h
//! ```

use super::batch::{self, Lanes};
use super::math::{sigmoid, tanh};
use super::{Inputs, Kernel, LaneInputs, Parts, Slot};
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::LayerFault;
use crate::model::matrix::Matrix;

/// Tensors `weight_ih` `[3 H, I]`, `weight_hh` `[3 H, H]`, `bias_ih` and `bias_hh` `[3 H]`, gates in the order r, z, n.
#[derive(Clone, Debug)]
pub(crate) struct Gru<'m> {
    pub(super) weight_ih: Matrix<'m>,
    pub(super) weight_hh: Matrix<'m>,
    pub(super) bias_ih: Matrix<'m>,
    pub(super) bias_hh: Matrix<'m>,
    pub(super) hidden: usize,
}

impl Gru<'_> {
    /// From the numbers that `plan` writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Self {
        Self {
            weight_ih: plan.matrix(),
            weight_hh: plan.matrix(),
            bias_ih: plan.matrix(),
            bias_hh: plan.matrix(),
            hidden: plan.count(),
        }
    }
}

impl<'m> Kernel<'m> for Gru<'m> {
    const NAME: &'static str = "gru";
    const HAS_LANES: bool = true;

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [input] = parts.widths()?;
        let weight_ih = parts.matrix("weight_ih", input)?;
        let gates = weight_ih.rows();
        let hidden = gates / 3;
        let weight_hh = parts.matrix("weight_hh", hidden)?;
        if !gates.is_multiple_of(3) || weight_hh.rows() != gates {
            return Err(LayerFault::Width);
        }
        let bias_ih = parts.vector("bias_ih", gates)?;
        let bias_hh = parts.vector("bias_hh", gates)?;
        Ok(Self { weight_ih, weight_hh, bias_ih, bias_hh, hidden })
    }

    #[cfg(feature = "build")]
    fn plan(&self, plan: &mut Writer<'_>) {
        plan.matrix(&self.weight_ih);
        plan.matrix(&self.weight_hh);
        plan.matrix(&self.bias_ih);
        plan.matrix(&self.bias_hh);
        plan.count(self.hidden);
    }

    fn output(&self) -> Slot {
        Slot::F32(self.hidden)
    }

    fn memory_dim(&self) -> usize {
        self.hidden
    }

    #[inline(never)]
    fn run(&self, [x, ..]: Inputs<'_>, memory: &mut [f32], _: &mut [f32], output: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        let done = super::host::gru(self, x, memory, output);
        #[cfg(not(target_arch = "x86_64"))]
        let done = 0;
        self.units_from(done, x, memory, output.get_mut(done..).unwrap_or_default());
        for (memory, output) in memory.iter_mut().zip(output) {
            *memory = *output;
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn arranged_len(&self) -> usize {
        self.weight_ih.arranged_len(self.hidden).saturating_add(self.weight_hh.arranged_len(self.hidden))
    }

    #[cfg(target_arch = "x86_64")]
    fn arrange(&mut self, room: &mut &'m mut [f32]) {
        self.weight_ih.arrange(self.hidden, room);
        self.weight_hh.arrange(self.hidden, room);
    }

    fn run_lanes(&self, [x, ..]: LaneInputs<'_>, memory: &mut [Lanes], output: &mut [Lanes]) {
        batch::gru(self, x, memory, output);
    }
}

impl Gru<'_> {
    /// The hidden units from `first` on, four at a time, all six products of each; the old state is needed until the last
    /// one is done.
    #[inline(always)]
    pub(super) fn units_from(&self, first: usize, x: &[f32], h: &[f32], output: &mut [f32]) {
        let old = h.get(first..).unwrap_or_default();
        for (block, (output, old)) in output.chunks_mut(4).zip(old.chunks(4)).enumerate() {
            let sources = [(&self.weight_ih, &self.bias_ih, x), (&self.weight_hh, &self.bias_hh, h)];
            let mut products = [[[0.0; 4]; 3]; 2];
            for ((weight, bias, v), products) in sources.into_iter().zip(&mut products) {
                let mut row = first + 4 * block;
                for products in products {
                    *products = weight.affine4(bias, row, v);
                    row += self.hidden;
                }
            }
            for (output, old) in output.iter_mut().zip(old) {
                *output = *old;
            }
            let [[ri, zi, ni], [rs, zs, ns]] = &products;
            gates([[ri, zi, ni], [rs, zs, ns]], output);
        }
    }
}

/// The new states of many units from their old states `h` and their products, the input's and the state's, each for r, z
/// and n.
#[inline(always)]
pub(super) fn gates(products: [[&[f32]; 3]; 2], h: &mut [f32]) {
    let [[ri, zi, ni], [rs, zs, ns]] = products;
    let products = ri.iter().zip(rs).zip(zi.iter().zip(zs)).zip(ni.iter().zip(ns));
    for (h, (((ri, rs), (zi, zs)), (ni, ns))) in h.iter_mut().zip(products) {
        let (r, z) = (sigmoid(ri + rs), sigmoid(zi + zs));
        let n = tanh(ni + r * ns);
        *h = (1.0 - z) * n + z * *h;
    }
}
