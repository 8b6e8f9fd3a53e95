//! `y = activation(x Wᵀ + b)` where `x` is constant and mostly zero: zeros cost nothing.

use std::ops::Range;
use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Device, Layout, Result, Shape, Tensor};

use super::gathered::{Gathered, Part, add_transposed_row, group_of, is_sparse, multiply_row};
use super::linear::{add_rows, cut_dead, relu};
use super::wire::{self, Slot};
use super::{
    Activation, Read, Real, Start, Wire, each_shard, elements, make_shards, shard, sum_shards, transpose,
    vectorised,
};
use crate::nn::sparse::Sparse;
use crate::phases::timed;

/// `x` `[R, I]` sparse, `weight` `[O, I]`, `bias` `[O]`; gives `[R, O]`.
///
/// # Errors
/// If the shapes disagree.
pub fn sparse_linear(x: &Sparse, weight: &Tensor, bias: &Tensor, activation: Activation) -> Result<Wire> {
    let (o, i) = weight.dims2()?;
    if i != x.width() || bias.dims1()? != o {
        candle_core::bail!("sparse linear: input of {}, weight {:?}", x.width(), weight.shape());
    }
    let y = Arc::new(Slot::default());
    let op = SparseLinear { x: x.clone(), activation, y: Arc::clone(&y) };
    Wire::new(weight.apply_op2(bias, op)?, &y, (x.rows(), o))
}

struct SparseLinear {
    x: Sparse,
    activation: Activation,
    y: Arc<Slot>,
}

/// `y_r = x_r w + b` for the named rows of `x`, one after the other; `w` is `[I, O]`.
#[inline(always)]
pub(super) fn affine_rows<T: Real>(
    x: &Sparse,
    rows: impl Iterator<Item = usize>,
    w: &[T],
    b: &[T],
    y: &mut [T],
) {
    let o = b.len();
    let part = Part { w, stride: o, at: 0, width: o };
    let mut rows = rows;
    if is_sparse(x) {
        for (row, y) in rows.zip(y.chunks_exact_mut(o)) {
            multiply_row(x.row(row), part, Start::Row(b), y);
        }
        return;
    }
    let group = group_of(x);
    for y in y.chunks_mut(group * o) {
        Gathered::new(x, rows.by_ref().take(group)).multiply(part, Start::Row(b), y);
    }
}

/// `to[..I] += Σ x_r ⊗ dy_r`, `to[I] += Σ dy_r`, in the order of the rows.
#[inline(always)]
pub(super) fn affine_grads<T: Real>(x: &Sparse, rows: impl Iterator<Item = usize>, dy: &[T], to: &mut [T]) {
    let width = to.len() / (x.width() + 1);
    let (weights, bias) = to.split_at_mut(x.width() * width);
    add_rows(dy, bias);
    let mut rows = rows;
    if is_sparse(x) {
        for (row, dy) in rows.zip(dy.chunks_exact(width)) {
            add_transposed_row(x.row(row), dy, weights);
        }
        return;
    }
    let group = group_of(x);
    for dy in dy.chunks(group * width) {
        Gathered::new(x, rows.by_ref().take(group)).add_transposed(width, dy, weights);
    }
}

type Grads = (Option<Tensor>, Option<Tensor>);

impl SparseLinear {
    fn forward<T: Real>(&self, w: &[T], b: &[T]) -> Vec<T> {
        let (rows, i, o) = (self.x.rows(), self.x.width(), b.len());
        let turned = transpose(o, i, w);
        let (x, turned, activation) = (&self.x, turned.as_slice(), self.activation);
        let (y, _) = make_shards(rows, o, |index, y| {
            let rows = shard(rows, index);
            vectorised!(<T>(rows: Range<usize>, x: &Sparse, turned: &[T], b: &[T], y: &mut [T], activation: Activation) {
                affine_rows(x, rows, turned, b, y);
                if activation == Activation::Relu {
                    relu(y);
                }
            });
        });
        y
    }

    fn backward<T: Real>(&self) -> Result<Grads> {
        let grad = self.y.gradient()?;
        let y = self.y.result()?;
        let (rows, o) = y.dims2()?;
        let i = self.x.width();
        let (y, grad) = (Read::new(&y)?, Read::new(&grad)?);
        let (y, grad) = (y.slice::<T>()?, grad.slice::<T>()?);
        let parts = each_shard(|index| {
            let rows = shard(rows, index);
            let mut sums = vec![T::ZERO; (i + 1) * o];
            let mut dy = grad[rows.start * o..rows.end * o].to_vec();
            let (x, grad, to, activation) =
                (&self.x, dy.as_mut_slice(), sums.as_mut_slice(), self.activation);
            let y = &y[rows.start * o..rows.end * o];
            vectorised!(<T>(rows: Range<usize>, x: &Sparse, y: &[T], grad: &mut [T], to: &mut [T], activation: Activation) {
                if activation == Activation::Relu {
                    cut_dead(grad, y);
                }
                affine_grads(x, rows, grad, to);
            });
            sums
        });
        let mut dw = sum_shards(parts);
        let db = dw.split_off(i * o);
        let dw = transpose(i, o, &dw);
        let cpu = &Device::Cpu;
        Ok((Some(Tensor::from_vec(dw, (o, i), cpu)?), Some(Tensor::from_vec(db, o, cpu)?)))
    }
}

impl CustomOp2 for SparseLinear {
    fn name(&self) -> &'static str {
        "ddn-sparse-linear"
    }

    fn cpu_fwd(
        &self,
        w: &CpuStorage,
        lw: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        timed!("sparse linear forward", self.x.entries() * lb.shape().elem_count());
        match w {
            CpuStorage::F64(_) => self.y.leave(self.forward::<f64>(elements(w, lw)?, elements(b, lb)?)),
            _ => self.y.leave(self.forward::<f32>(elements(w, lw)?, elements(b, lb)?)),
        }
        Ok(wire::token_storage(w.dtype()))
    }

    fn bwd(&self, w: &Tensor, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Grads> {
        timed!("sparse linear backward", self.x.entries() * w.dim(0)?);
        match w.dtype() {
            DType::F64 => self.backward::<f64>(),
            _ => self.backward::<f32>(),
        }
    }
}
