//! `y = activation(x Wᵀ + b)` over many rows.

use candle_core::{CpuStorage, CustomOp3, DType, Device, Layout, Result, Shape, Tensor, WithDType};

use super::{Order, Read, Real, elements, fill_shards, gemm, shard, sum_shards, transpose, vectorised};
use crate::phases::timed;

/// What follows the affine map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// max(0, y)
    Relu,
}

/// `x` `[R, I]`, `weight` `[O, I]`, `bias` `[O]`; gives `[R, O]`.
///
/// # Errors
/// If the shapes disagree.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor, activation: Activation) -> Result<Tensor> {
    let op = Linear { activation, input_grad: x.track_op() };
    x.contiguous()?.apply_op3(weight, bias, op)
}

struct Linear {
    activation: Activation,
    input_grad: bool,
}

impl Linear {
    fn forward<T: Real>(&self, x: &[T], w: &[T], b: &[T], (rows, i, o): (usize, usize, usize)) -> Vec<T> {
        let turned = transpose(o, i, w);
        let mut y = vec![T::ZERO; rows * o];
        let (turned, activation) = (turned.as_slice(), self.activation);
        fill_shards(&mut y, rows, o, |index, y| {
            let rows = shard(rows, index);
            let x = &x[rows.start * i..rows.end * i];
            let rows = rows.len();
            vectorised!(<T>(rows: usize, i: usize, o: usize, x: &[T], turned: &[T], b: &[T], y: &mut [T], activation: Activation) {
                for row in y.chunks_exact_mut(o) {
                    row.copy_from_slice(b);
                }
                gemm((rows, o, i), x, Order::Rows(i), turned, y);
                if activation == Activation::Relu {
                    relu(y);
                }
            });
        });
        y
    }

    fn backward<T: Real>(&self, x: &Tensor, w: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Grads> {
        let (rows, i) = x.dims2()?;
        let o = w.dim(0)?;
        let (x, w, y, grad) = (Read::new(x)?, Read::new(w)?, Read::new(y)?, Read::new(grad)?);
        let (x, w, y, grad) = (x.slice::<T>()?, w.slice::<T>()?, y.slice::<T>()?, grad.slice::<T>()?);
        let rows_in = if self.input_grad { rows } else { 0 };
        let mut dx = vec![T::ZERO; rows_in * i];
        let parts = fill_shards(&mut dx, rows_in, i, |index, dx| {
            let rows = shard(rows, index);
            let x = &x[rows.start * i..rows.end * i];
            let y = &y[rows.start * o..rows.end * o];
            let mut dy = grad[rows.start * o..rows.end * o].to_vec();
            let mut sums = vec![T::ZERO; o * i + o];
            let (grad, dw, rows, options) =
                (dy.as_mut_slice(), sums.as_mut_slice(), rows.len(), (self.activation, self.input_grad));
            vectorised!(<T>(rows: usize, i: usize, o: usize, x: &[T], w: &[T], y: &[T], grad: &mut [T], dx: &mut [T], dw: &mut [T], options: (Activation, bool)) {
                if options.0 == Activation::Relu {
                    cut_dead(grad, y);
                }
                let (dw, db) = dw.split_at_mut(o * i);
                add_rows(grad, db);
                gemm((o, i, rows), grad, Order::Columns(o), x, dw);
                if options.1 {
                    gemm((rows, i, o), grad, Order::Rows(o), w, dx);
                }
            });
            sums
        });
        let mut dw = sum_shards(parts);
        let db = dw.split_off(o * i);
        let cpu = &Device::Cpu;
        let dx = self.input_grad.then(|| Tensor::from_vec(dx, (rows, i), cpu)).transpose()?;
        Ok((dx, Some(Tensor::from_vec(dw, (o, i), cpu)?), Some(Tensor::from_vec(db, o, cpu)?)))
    }
}

type Grads = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

/// max(0, y) in place.
#[inline(always)]
pub(super) fn relu<T: Real>(y: &mut [T]) {
    for y in y {
        *y = if *y > T::ZERO { *y } else { T::ZERO };
    }
}

/// Zeroes the gradient where the unit was off.
#[inline(always)]
pub(super) fn cut_dead<T: Real>(grad: &mut [T], y: &[T]) {
    for (grad, &y) in grad.iter_mut().zip(y) {
        *grad = if y > T::ZERO { *grad } else { T::ZERO };
    }
}

/// Adds all rows of `from` into `to`.
#[inline(always)]
pub(super) fn add_rows<T: Real>(from: &[T], to: &mut [T]) {
    for row in from.chunks_exact(to.len()) {
        for (to, &row) in to.iter_mut().zip(row) {
            *to += row;
        }
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "ddn-linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        timed!("linear forward", lx.dims()[0] * lw.shape().elem_count());
        let (rows, i) = lx.shape().dims2()?;
        let (o, wi) = lw.shape().dims2()?;
        if wi != i || lb.shape().dims1()? != o {
            candle_core::bail!(
                "linear: input {:?}, weight {:?}, bias {:?}",
                lx.shape(),
                lw.shape(),
                lb.shape()
            );
        }
        let shape = (rows, i, o);
        let out = match x {
            CpuStorage::F64(_) => f64::to_cpu_storage_owned(self.forward::<f64>(
                elements(x, lx)?,
                elements(w, lw)?,
                elements(b, lb)?,
                shape,
            )),
            _ => f32::to_cpu_storage_owned(self.forward::<f32>(
                elements(x, lx)?,
                elements(w, lw)?,
                elements(b, lb)?,
                shape,
            )),
        };
        Ok((out, (rows, o).into()))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Grads> {
        timed!("linear backward", (1 + usize::from(self.input_grad)) * x.dim(0)? * w.elem_count());
        match x.dtype() {
            DType::F64 => self.backward::<f64>(x, w, y, &grad.contiguous()?),
            _ => self.backward::<f32>(x, w, y, &grad.contiguous()?),
        }
    }
}
