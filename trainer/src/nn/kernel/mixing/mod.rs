//! A monotone mixing network, whose weights are made from the state, as one op.
//!
//! ```text
//! state ─► ReLU ─► w1 ─► |·| ─► (×) ─(+)─► ELU ─► (×) ─(+)─► q_tot
//!   │              agents' q ────┘    │             │    │
//!   ├────────────────────────► b1 ────┘             │    │
//!   ├────► ReLU ─► wf ─► |·| ───────────────────────┘    │
//!   └────► ReLU ─► v ────────────────────────────────────┘
//! ```
//!
//! The weights of a few rows are made, used and forgotten while they are in the cache; the backward pass makes them
//! again, which costs less than to keep 256 numbers per row of the paper's Predator-Prey.

mod backward;
mod weights;

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, WithDType};

use self::weights::{Dims, Made, Weights};
use super::sparse_linear::affine_rows;
use super::{ByRow, Every, Real, Start, Within, elements, gemm_rows, make_shards, shard, vectorised};
use crate::nn::Sparse;
use crate::nn::kernel::elu;
use crate::nn::kernel::linear::relu;
use crate::phases::timed;

/// Weight `[out, in]` and bias `[out]` of an affine map.
type Affine = (Tensor, Tensor);

/// The parameters of a mixing network: N agents, E hidden units, H units in the networks that make its weights.
#[derive(Clone, Copy)]
pub struct MixingWeights<'a> {
    /// `[H, S]`, `[N·E, H]`: the first layer's weights.
    pub w1: &'a [Affine; 2],
    /// `[E, S]`: the first layer's bias.
    pub b1: &'a Affine,
    /// `[H, S]`, `[E, H]`: the last layer's weights.
    pub wf: &'a [Affine; 2],
    /// `[E, S]`, `[1, E]`: the last layer's bias.
    pub v: &'a [Affine; 2],
}

/// `q_tot_r = ELU(Σ_n q_rn |w1_rn| + b1_r) · |wf_r| + v_r`, `q` `[R, N]` and `state` `[R, S]`; gives `[R]`.
///
/// # Errors
/// If the shapes disagree, or a size is 0.
///
/// Source: Rashid et al., arXiv 1803.11485.
pub fn mixing(q: &Tensor, state: &Sparse, weights: MixingWeights<'_>) -> Result<Tensor> {
    let MixingWeights { w1, b1, wf, v } = weights;
    let layers = [&w1[0], &wf[0], &v[0], b1, &w1[1], &wf[1], &v[1]];
    let (rows, n) = q.dims2()?;
    let dims = Dims { n, s: state.width(), h: w1[0].1.elem_count(), e: b1.1.elem_count() };
    for ((weight, bias), (out, input)) in layers.iter().zip(dims.layers()) {
        if out * input == 0 || weight.dims() != [out, input] || bias.dims() != [out] || state.rows() != rows {
            candle_core::bail!(
                "mixing: q {:?}, state [{}, {}], weight {:?} and bias {:?} in the place of [{out}, {input}] and [{out}]",
                q.shape(),
                state.rows(),
                state.width(),
                weight.shape(),
                bias.shape(),
            );
        }
    }
    let parts: Vec<Tensor> = layers
        .iter()
        .map(|(weight, bias)| Ok([weight.flatten_all()?, bias.clone()]))
        .collect::<Result<Vec<_>>>()?
        .concat();
    let op = Mixing { state: state.clone(), dims };
    q.contiguous()?.apply_op2(&Tensor::cat(&parts, 0)?, op)
}

/// Rows that go through all steps together: what is made of them stays in the second-level cache.
const ROWS: usize = 64;

struct Mixing {
    state: Sparse,
    dims: Dims,
}

/// |w| without a branch.
#[inline(always)]
fn absolute<T: Real>(w: T) -> T {
    if w < T::ZERO { -w } else { w }
}

impl Mixing {
    fn forward<T: Real>(&self, q: &[T], flat: &[T]) -> Vec<T> {
        let weights = &Weights::new(flat, self.dims);
        let (q_tot, _) = make_shards(self.state.rows(), 1, |index, q_tot| {
            let (this, rows) = (self, shard(self.state.rows(), index));
            let mut made = Made::new(self.dims);
            let made_of = &mut made;
            vectorised!(<T>(this: &Mixing, rows: Range<usize>, weights: &Weights<'_, T>, q: &[T], made_of: &mut Made<T>, q_tot: &mut [T]) {
                let starts = rows.clone().step_by(ROWS);
                for (start, q_tot) in starts.zip(q_tot.chunks_mut(ROWS)) {
                    this.make(start..start + q_tot.len(), weights, q, made_of);
                    let e = this.dims.e;
                    let mixed = made_of.hidden.chunks_exact(e).zip(made_of.wf.chunks_exact(e));
                    for ((q_tot, (hidden, wf)), &v) in q_tot.iter_mut().zip(mixed).zip(&made_of.v) {
                        let sum = hidden.iter().zip(wf).fold(T::ZERO, |sum, (h, &w)| h.fma(absolute(w), sum));
                        *q_tot = sum + v;
                    }
                }
            });
        });
        q_tot
    }

    /// Makes the weights of at most [`ROWS`] rows of `q` and `state`, and what they make of `q`.
    #[inline(always)]
    fn make<T: Real>(&self, rows: Range<usize>, weights: &Weights<'_, T>, q: &[T], made: &mut Made<T>) {
        let Dims { n, h, e, .. } = self.dims;
        let (first, count) = (self.dims.first(), rows.len());
        affine_rows(
            &self.state,
            rows.clone(),
            &weights.first,
            &weights.first_bias,
            &mut made.first[..count * first],
        );
        for row in made.first[..count * first].chunks_exact_mut(first) {
            relu(&mut row[..first - e]);
        }
        let later = |at: usize, (out, input): (usize, usize), turned: &[T], bias: &[T], to: &mut [T]| {
            let (hidden, every) = (ByRow(Within(first, at)), Every(out));
            let (a, start) = ((made.first.as_slice(), hidden), Start::Row(bias));
            gemm_rows((count, out, input), a, (turned, every), start, (to, every));
        };
        later(0, (n * e, h), &weights.w1.turned, weights.w1.bias, &mut made.w1);
        later(h, (e, h), &weights.wf.turned, weights.wf.bias, &mut made.wf);
        later(2 * h, (1, e), &weights.v.turned, weights.v.bias, &mut made.v);
        let q = q[rows.start * n..rows.end * n].chunks_exact(n).zip(made.w1.chunks_exact(n * e));
        let to = made.sums.chunks_exact_mut(e).zip(made.hidden.chunks_exact_mut(e));
        for (((q, w1), first), (sums, hidden)) in q.zip(made.first.chunks_exact(first)).zip(to) {
            sums.fill(T::ZERO);
            for (&q, w1) in q.iter().zip(w1.chunks_exact(e)) {
                sums.iter_mut().zip(w1).for_each(|(sum, &w)| *sum = q.fma(absolute(w), *sum));
            }
            for ((sum, &b1), hidden) in sums.iter_mut().zip(&first[first.len() - e..]).zip(hidden) {
                *sum += b1;
                *hidden = elu::unit(*sum);
            }
        }
    }

    /// Of the forward pass: of the layers that read the state, on entries that are not zero, and of what follows.
    fn multiply_adds(&self) -> (usize, usize) {
        let Dims { n, h, e, .. } = self.dims;
        let later = h * n * e + h * e + e + n * e + e;
        (self.state.entries() * self.dims.first(), self.state.rows() * later)
    }
}

type Grads = (Option<Tensor>, Option<Tensor>);

impl CustomOp2 for Mixing {
    fn name(&self) -> &'static str {
        "ddn-mixing"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        lq: &Layout,
        flat: &CpuStorage,
        lf: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (first, later) = self.multiply_adds();
        timed!("mixing forward", first + later);
        let out = match q {
            CpuStorage::F64(_) => {
                f64::to_cpu_storage_owned(self.forward(elements(q, lq)?, elements(flat, lf)?))
            }
            _ => f32::to_cpu_storage_owned(self.forward(elements(q, lq)?, elements(flat, lf)?)),
        };
        Ok((out, self.state.rows().into()))
    }

    fn bwd(&self, q: &Tensor, flat: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Grads> {
        let (first, later) = self.multiply_adds();
        timed!("mixing backward", first + 2 * later);
        let grad = grad.contiguous()?;
        match q.dtype() {
            DType::F64 => self.backward::<f64>(q, flat, &grad),
            _ => self.backward::<f32>(q, flat, &grad),
        }
    }
}
