//! `y = activation(x Wᵀ + b)` where `x` is constant and mostly zero: zeros cost nothing.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp2, DType, Device, Layout, Result, Shape, Tensor, WithDType};

use super::linear::{add_rows, cut_dead, relu};
use super::{
    Activation, Read, Real, each_shard, elements, fill_shards, shard, sum_shards, transpose, vectorised,
};
use crate::nn::sparse::Sparse;
use crate::phases::timed;

/// `x` `[R, I]` sparse, `weight` `[O, I]`, `bias` `[O]`; gives `[R, O]`.
///
/// # Errors
/// If the shapes disagree.
pub fn sparse_linear(x: &Sparse, weight: &Tensor, bias: &Tensor, activation: Activation) -> Result<Tensor> {
    weight.apply_op2(bias, SparseLinear { x: x.clone(), activation })
}

struct SparseLinear {
    x: Sparse,
    activation: Activation,
}

/// `to += factor * from`
#[inline(always)]
pub(super) fn add_scaled<T: Real>(to: &mut [T], factor: T, from: &[T]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = factor.fma(from, *to);
    }
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
    for (row, y) in rows.zip(y.chunks_exact_mut(o)) {
        y.copy_from_slice(b);
        let (columns, values) = x.row(row);
        for (&column, &value) in columns.iter().zip(values) {
            add_scaled(y, T::of(value), &w[column as usize * o..][..o]);
        }
    }
}

type Grads = (Option<Tensor>, Option<Tensor>);

impl SparseLinear {
    fn forward<T: Real>(&self, w: &[T], b: &[T]) -> Vec<T> {
        let (rows, i, o) = (self.x.rows(), self.x.width(), b.len());
        let turned = transpose(o, i, w);
        let mut y = vec![T::ZERO; rows * o];
        let (x, turned, activation) = (&self.x, turned.as_slice(), self.activation);
        fill_shards(&mut y, rows, o, |index, y| {
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

    fn backward<T: Real>(&self, y: &Tensor, grad: &Tensor) -> Result<Grads> {
        let (rows, o) = y.dims2()?;
        let i = self.x.width();
        let (y, grad) = (Read::new(y)?, Read::new(grad)?);
        let (y, grad) = (y.slice::<T>()?, grad.slice::<T>()?);
        let parts = each_shard(|index| {
            let rows = shard(rows, index);
            let mut sums = vec![T::ZERO; (i + 1) * o];
            let mut dy = grad[rows.start * o..rows.end * o].to_vec();
            let (x, grad, to, activation) =
                (&self.x, dy.as_mut_slice(), sums.as_mut_slice(), self.activation);
            let y = &y[rows.start * o..rows.end * o];
            vectorised!(<T>(rows: Range<usize>, i: usize, o: usize, x: &Sparse, y: &[T], grad: &mut [T], to: &mut [T], activation: Activation) {
                if activation == Activation::Relu {
                    cut_dead(grad, y);
                }
                add_rows(grad, &mut to[i * o..]);
                for (row, dy) in rows.zip(grad.chunks_exact(o)) {
                    let (columns, values) = x.row(row);
                    for (&column, &value) in columns.iter().zip(values) {
                        add_scaled(&mut to[column as usize * o..][..o], T::of(value), dy);
                    }
                }
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
        let (o, i) = lw.shape().dims2()?;
        if i != self.x.width() || lb.shape().dims1()? != o {
            candle_core::bail!("sparse linear: input of {}, weight {:?}", self.x.width(), lw.shape());
        }
        let out = match w {
            CpuStorage::F64(_) => {
                f64::to_cpu_storage_owned(self.forward::<f64>(elements(w, lw)?, elements(b, lb)?))
            }
            _ => f32::to_cpu_storage_owned(self.forward::<f32>(elements(w, lw)?, elements(b, lb)?)),
        };
        Ok((out, (self.x.rows(), o).into()))
    }

    fn bwd(&self, w: &Tensor, _: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Grads> {
        timed!("sparse linear backward", self.x.entries() * w.dim(0)?);
        let grad = grad.contiguous()?;
        match w.dtype() {
            DType::F64 => self.backward::<f64>(y, &grad),
            _ => self.backward::<f32>(y, &grad),
        }
    }
}
