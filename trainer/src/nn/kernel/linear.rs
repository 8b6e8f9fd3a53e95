//! `y = activation(x Wᵀ + b)` over many rows.

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Device, Layout, Result, Shape, Tensor};

use super::wire::{self, Slot};
use super::{
    ByColumn, ByRow, Every, Read, Real, ToWire, Wire, affine, elements, gemm, make_shards, shard, sum_shards,
    transpose, vectorised,
};
use crate::phases::timed;

/// What follows the affine map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// max(0, y)
    Relu,
}

/// Rows that go through all steps of an op together: they stay in the cache.
const ROWS: usize = 256;

/// `x` `[R, I]`, `weight` `[O, I]`, `bias` `[O]`; gives `[R, O]`.
///
/// # Errors
/// If the shapes disagree.
pub fn linear(x: &impl ToWire, weight: &Tensor, bias: &Tensor, activation: Activation) -> Result<Wire> {
    let x = x.to_wire()?;
    let (rows, i) = x.dims2()?;
    let (o, wi) = weight.dims2()?;
    if wi != i || bias.dims1()? != o {
        candle_core::bail!(
            "linear: input {:?}, weight {:?}, bias {:?}",
            x.shape(),
            weight.shape(),
            bias.shape()
        );
    }
    let y = Arc::new(Slot::default());
    let op = Linear { activation, x: x.clone(), y: Arc::clone(&y) };
    Wire::new(x.token().apply_op3(weight, bias, op)?, &y, (rows, o))
}

struct Linear {
    activation: Activation,
    x: Wire,
    y: Arc<Slot>,
}

impl Linear {
    fn forward<T: Real>(&self, x: &[T], w: &[T], b: &[T], (rows, i, o): (usize, usize, usize)) -> Vec<T> {
        let turned = transpose(o, i, w);
        let (turned, activation) = (turned.as_slice(), self.activation);
        let (y, _) = make_shards(rows, o, |index, y| {
            let rows = shard(rows, index);
            let x = &x[rows.start * i..rows.end * i];
            vectorised!(<T>(i: usize, o: usize, x: &[T], turned: &[T], b: &[T], y: &mut [T], activation: Activation) {
                for (x, y) in x.chunks(ROWS * i).zip(y.chunks_mut(ROWS * o)) {
                    affine((y.len() / o, o, i), x, turned, b, y);
                    if activation == Activation::Relu {
                        relu(y);
                    }
                }
            });
        });
        y
    }

    fn backward<T: Real>(&self, w: &Tensor) -> Result<Grads> {
        let grad = self.y.gradient()?;
        let y = self.y.result()?;
        let ((rows, i), o, input_grad) = (self.x.dims2()?, w.dim(0)?, self.x.tracks());
        let (x, w, y, grad) = (Read::new(&self.x)?, Read::new(w)?, Read::new(&y)?, Read::new(&grad)?);
        let (x, w, y, grad) = (x.slice::<T>()?, w.slice::<T>()?, y.slice::<T>()?, grad.slice::<T>()?);
        let rows_in = if input_grad { rows } else { 0 };
        let (dx, parts) = make_shards(rows_in, i, |index, dx| {
            let rows = shard(rows, index);
            let x = &x[rows.start * i..rows.end * i];
            let (y, grad) = (&y[rows.start * o..rows.end * o], &grad[rows.start * o..rows.end * o]);
            let mut sums = vec![T::ZERO; o * i + o];
            let (dw, activation) = (sums.as_mut_slice(), self.activation);
            vectorised!(<T>(i: usize, o: usize, x: &[T], w: &[T], y: &[T], grad: &[T], dx: &mut [T], dw: &mut [T], activation: Activation) {
                let (dw, db) = dw.split_at_mut(o * i);
                let mut dy = vec![T::ZERO; ROWS * o];
                let mut dx = dx.chunks_mut(ROWS * i);
                let rows = x.chunks(ROWS * i).zip(y.chunks(ROWS * o)).zip(grad.chunks(ROWS * o));
                for ((x, y), grad) in rows {
                    let (rows, dy) = (y.len() / o, &mut dy[..y.len()]);
                    dy.copy_from_slice(grad);
                    if activation == Activation::Relu {
                        cut_dead(dy, y);
                    }
                    add_rows(dy, db);
                    gemm((o, i, rows), dy, ByColumn(Every(o)), x, dw);
                    if let Some(dx) = dx.next() {
                        gemm((rows, i, o), dy, ByRow(Every(o)), w, dx);
                    }
                }
            });
            sums
        });
        let mut dw = sum_shards(parts);
        let db = dw.split_off(o * i);
        let cpu = &Device::Cpu;
        if input_grad {
            self.x.slot().add(Tensor::from_vec(dx, (rows, i), cpu)?);
        }
        Ok((
            Some(self.x.token().zeros_like()?),
            Some(Tensor::from_vec(dw, (o, i), cpu)?),
            Some(Tensor::from_vec(db, o, cpu)?),
        ))
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
        token: &CpuStorage,
        _: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, i) = self.x.dims2()?;
        timed!("linear forward", rows * lw.shape().elem_count());
        let shape = (rows, i, lb.shape().dims1()?);
        let x = Read::new(&self.x)?;
        match w {
            CpuStorage::F64(_) => {
                let (w, b) = (elements(w, lw)?, elements(b, lb)?);
                self.y.leave(self.forward::<f64>(x.slice()?, w, b, shape));
            }
            _ => {
                let (w, b) = (elements(w, lw)?, elements(b, lb)?);
                self.y.leave(self.forward::<f32>(x.slice()?, w, b, shape));
            }
        }
        Ok(wire::token_storage(token.dtype()))
    }

    fn bwd(&self, _: &Tensor, w: &Tensor, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Grads> {
        timed!("linear backward", (1 + usize::from(self.x.tracks())) * self.x.dim(0)? * w.elem_count());
        match w.dtype() {
            DType::F64 => self.backward::<f64>(w),
            _ => self.backward::<f32>(w),
        }
    }
}
