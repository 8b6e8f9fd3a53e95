//! Gradients of a mixing network, a few rows at a time.

use std::ops::Range;

use candle_core::{Device, Result, Tensor};

use super::weights::{Dims, Later, Made, Weights};
use super::{Grads, Mixing, ROWS, absolute};
use crate::nn::kernel::elu;
use crate::nn::kernel::linear::{add_rows, cut_dead};
use crate::nn::kernel::sparse_linear::affine_grads;
use crate::nn::kernel::{
    ByColumn, ByRow, Every, Read, Real, Start, Within, gemm_rows, make_shards, shard, sum_shards, transpose,
    vectorised,
};

/// Numbers that are summed side by side.
const LANES: usize = 16;

/// `Σ_e g_e |w_e|`
#[inline(always)]
fn weighed<T: Real>(g: &[T], w: &[T]) -> T {
    let mut sums = [T::ZERO; LANES];
    let (g, w) = (g.chunks_exact(LANES), w.chunks_exact(LANES));
    let rest = g.remainder().iter().zip(w.remainder());
    for (g, w) in g.zip(w) {
        for ((sum, &g), &w) in sums.iter_mut().zip(g).zip(w) {
            *sum = g.fma(absolute(w), *sum);
        }
    }
    let total = sums.into_iter().fold(T::ZERO, |total, sum| total + sum);
    rest.fold(total, |total, (&g, &w)| g.fma(absolute(w), total))
}

/// The gradient of w where that of |w| is `slope`.
#[inline(always)]
fn signed<T: Real>(slope: T, w: T) -> T {
    if w > T::ZERO {
        slope
    } else if w < T::ZERO {
        -slope
    } else {
        T::ZERO
    }
}

/// Gradients of what is made of at most [`ROWS`] rows.
struct Slopes<T> {
    /// `[ROWS, F]`
    first: Vec<T>,
    /// `[ROWS, N·E]`
    w1: Vec<T>,
    /// `[ROWS, E]`
    wf: Vec<T>,
}

/// Gradients of the parameters.
struct Sums<'a, T> {
    /// `[S + 1, F]`, the biases last.
    first: &'a mut [T],
    /// `[N·E, H]`, then `[N·E]`
    w1: &'a mut [T],
    /// `[E, H]`, then `[E]`
    wf: &'a mut [T],
    /// `[1, E]`, then `[1]`
    v: &'a mut [T],
}

impl<'a, T> Sums<'a, T> {
    fn of(all: &'a mut [T], Dims { n, h, e, .. }: Dims) -> Self {
        let later = n * e * (h + 1) + e * (h + 1) + e + 1;
        let (first, rest) = all.split_at_mut(all.len() - later);
        let (w1, rest) = rest.split_at_mut(n * e * (h + 1));
        let (wf, v) = rest.split_at_mut(e * (h + 1));
        Self { first, w1, wf, v }
    }
}

/// Of `y = x Wᵀ + b`: adds the gradients of W and b to `to`, and leaves that of x in the columns from `at` on of
/// `dx`, zero where x is. `x` and `dx` have rows of `width`.
#[inline(always)]
fn later_grads<T: Real>(
    (dy, at): (&[T], usize),
    later: &Later<'_, T>,
    (x, width): (&[T], usize),
    dx: &mut [T],
    to: &mut [T],
) {
    let o = later.bias.len();
    let (rows, i) = (dy.len() / o, later.weight.len() / o);
    let (dw, db) = to.split_at_mut(o * i);
    add_rows(dy, db);
    let part = Within(width, at);
    gemm_rows((o, i, rows), (dy, ByColumn(Every(o))), (x, part), Start::Sum, (dw, Every(i)));
    gemm_rows((rows, i, o), (dy, ByRow(Every(o))), (later.weight, Every(i)), Start::Zero, (dx, part));
    for (dx, x) in dx.chunks_exact_mut(width).zip(x.chunks_exact(width)).take(rows) {
        cut_dead(&mut dx[at..][..i], &x[at..][..i]);
    }
}

impl Mixing {
    pub(super) fn backward<T: Real>(&self, q: &Tensor, flat: &Tensor, grad: &Tensor) -> Result<Grads> {
        let (q, flat, grad) = (Read::new(q)?, Read::new(flat)?, Read::new(grad)?);
        let (q, flat, grad) = (q.slice::<T>()?, flat.slice::<T>()?, grad.slice::<T>()?);
        let Dims { n, s, h, e } = self.dims;
        let weights = &Weights::new(flat, self.dims);
        let rows = self.state.rows();
        let (dq, parts) = make_shards(rows, n, |index, dq| {
            let (this, rows) = (self, shard(rows, index));
            let mut sums = vec![T::ZERO; self.dims.parameters()];
            let sums_of = sums.as_mut_slice();
            vectorised!(<T>(this: &Mixing, rows: Range<usize>, weights: &Weights<'_, T>, q: &[T], grad: &[T], dq: &mut [T], sums_of: &mut [T]) {
                let Dims { n, e, .. } = this.dims;
                let mut made = Made::new(this.dims);
                let room = |width: usize| vec![T::ZERO; ROWS * width];
                let mut slopes = Slopes { first: room(this.dims.first()), w1: room(n * e), wf: room(e) };
                let mut sums = Sums::of(sums_of, this.dims);
                let starts = rows.clone().step_by(ROWS);
                for (start, dq) in starts.zip(dq.chunks_mut(ROWS * n)) {
                    let rows = start..start + dq.len() / n;
                    this.make(rows.clone(), weights, q, &mut made);
                    this.slopes(&q[rows.start * n..rows.end * n], &grad[rows.clone()], &made, &mut slopes, dq);
                    this.add_grads(rows.clone(), weights, &grad[rows], &made, &mut slopes, &mut sums);
                }
            });
            sums
        });
        let mut sums = sum_shards(parts);
        let Sums { first, w1, wf, v } = Sums::of(&mut sums, self.dims);
        let (weight, bias) = first.split_at(s * self.dims.first());
        let weight = transpose(s, self.dims.first(), weight);
        let mut from = 0;
        let mut made = Vec::with_capacity(flat.len());
        for width in [h, h, e, e] {
            made.extend_from_slice(&weight[from * s..(from + width) * s]);
            made.extend_from_slice(&bias[from..from + width]);
            from += width;
        }
        [w1, wf, v].into_iter().for_each(|later| made.extend_from_slice(later));
        let (cpu, len) = (&Device::Cpu, made.len());
        Ok((Some(Tensor::from_vec(dq, (rows, n), cpu)?), Some(Tensor::from_vec(made, len, cpu)?)))
    }

    /// The gradients of the agents' values, of w1, wf and b1.
    #[inline(always)]
    fn slopes<T: Real>(&self, q: &[T], grad: &[T], made: &Made<T>, slopes: &mut Slopes<T>, dq: &mut [T]) {
        let Dims { n, e, .. } = self.dims;
        let first = self.dims.first();
        let of = made.sums.chunks_exact(e).zip(made.hidden.chunks_exact(e)).zip(made.wf.chunks_exact(e));
        let of = of.zip(made.w1.chunks_exact(n * e)).zip(q.chunks_exact(n)).zip(grad);
        let to = slopes.first.chunks_exact_mut(first).zip(slopes.wf.chunks_exact_mut(e));
        let to = to.zip(slopes.w1.chunks_exact_mut(n * e)).zip(dq.chunks_exact_mut(n));
        for ((((((sums, hidden), wf), w1), q), &grad), (((first, dwf), dw1), dq)) in of.zip(to) {
            let (_, db1) = first.split_at_mut(first.len() - e);
            for ((((d, dwf), &sum), &hidden), &wf) in db1.iter_mut().zip(dwf).zip(sums).zip(hidden).zip(wf) {
                *dwf = signed(hidden * grad, wf);
                let dhidden = grad * absolute(wf);
                *d = elu::slope(sum, hidden, dhidden);
            }
            let agents = q.iter().zip(dq).zip(w1.chunks_exact(e)).zip(dw1.chunks_exact_mut(e));
            for (((&q, dq), w1), dw1) in agents {
                *dq = weighed(db1, w1);
                for ((dw1, &w1), &d) in dw1.iter_mut().zip(w1).zip(&*db1) {
                    *dw1 = signed(q * d, w1);
                }
            }
        }
    }

    /// Adds the gradients of the parameters.
    #[inline(always)]
    fn add_grads<T: Real>(
        &self,
        rows: Range<usize>,
        weights: &Weights<'_, T>,
        grad: &[T],
        made: &Made<T>,
        slopes: &mut Slopes<T>,
        sums: &mut Sums<'_, T>,
    ) {
        let Dims { n, h, e, .. } = self.dims;
        let (first, count) = (self.dims.first(), rows.len());
        let x = (made.first.as_slice(), first);
        let Slopes { first: dfirst, w1, wf } = slopes;
        later_grads((&w1[..count * n * e], 0), &weights.w1, x, dfirst, sums.w1);
        later_grads((&wf[..count * e], h), &weights.wf, x, dfirst, sums.wf);
        later_grads((grad, 2 * h), &weights.v, x, dfirst, sums.v);
        affine_grads(&self.state, rows, &dfirst[..count * first], sums.first);
    }
}
