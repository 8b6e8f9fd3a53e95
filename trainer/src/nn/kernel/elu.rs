//! Exponential linear unit, on all threads.

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, WithDType};

use super::{Read, Real, elements, make_shards, shard};

/// `x` where it is positive, `e^x - 1` elsewhere; of any shape.
///
/// # Errors
/// If the tensor is not in the memory of the processor.
pub fn elu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Elu)
}

/// The unit.
#[inline(always)]
pub(super) fn unit<T: Real>(x: T) -> T {
    if x > T::ZERO { x } else { x.libm_exp() - T::ONE }
}

/// `grad` times the slope at `x`: below zero that is `e^x`, which is one more than the result `y`.
#[inline(always)]
pub(super) fn slope<T: Real>(x: T, y: T, grad: T) -> T {
    if x > T::ZERO { grad } else { grad * (y + T::ONE) }
}

struct Elu;

impl Elu {
    fn forward<T: Real>(x: &[T]) -> Vec<T> {
        let (y, _) = make_shards(x.len(), 1, |index, y: &mut [T]| {
            for (y, &x) in y.iter_mut().zip(&x[shard(x.len(), index)]) {
                *y = unit(x);
            }
        });
        y
    }

    fn backward<T: Real>(x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let (xs, ys, grads) = (Read::new(x)?, Read::new(y)?, Read::new(grad)?);
        let (xs, ys, grads) = (xs.slice::<T>()?, ys.slice::<T>()?, grads.slice::<T>()?);
        let (dx, _) = make_shards(xs.len(), 1, |index, dx: &mut [T]| {
            let part = shard(xs.len(), index);
            let rows = xs[part.clone()].iter().zip(&ys[part.clone()]).zip(&grads[part]);
            for (dx, ((&x, &y), &grad)) in dx.iter_mut().zip(rows) {
                *dx = slope(x, y, grad);
            }
        });
        Tensor::from_vec(dx, x.shape(), &Device::Cpu)
    }
}

impl CustomOp1 for Elu {
    fn name(&self) -> &'static str {
        "ddn-elu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = match x {
            CpuStorage::F64(_) => f64::to_cpu_storage_owned(Self::forward::<f64>(elements(x, layout)?)),
            _ => f32::to_cpu_storage_owned(Self::forward::<f32>(elements(x, layout)?)),
        };
        Ok((y, layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        Ok(Some(match x.dtype() {
            DType::F64 => Self::backward::<f64>(x, y, &grad)?,
            _ => Self::backward::<f32>(x, y, &grad)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Result, Var};

    use super::elu;

    /// Against candle's own: the same bits forwards and backwards, also at and around zero.
    #[test]
    fn the_same_bits_as_candles() -> Result<()> {
        let x: Vec<f32> = (0..600).map(|i| (i as f32 - 300.0) / 37.0).chain([-0.0, 1e-30, -90.0]).collect();
        let x = Var::from_slice(&x, (67, 9), &Device::Cpu)?;
        let (ours, theirs) = (elu(x.as_tensor())?, x.elu(1.0)?);
        let slope = |y: &candle_core::Tensor| -> Result<Vec<u32>> {
            let loss = (y * y)?.sum_all()?;
            let grads = loss.backward()?;
            let grad = grads.get(x.as_tensor()).map(|grad| grad.flatten_all()?.to_vec1::<f32>());
            Ok(grad.transpose()?.unwrap_or_default().iter().map(|grad| grad.to_bits()).collect())
        };
        assert_eq!(ours.flatten_all()?.to_vec1::<f32>()?, theirs.flatten_all()?.to_vec1::<f32>()?);
        let (ours, theirs) = (slope(&ours)?, slope(&theirs)?);
        assert_eq!((ours.len(), ours), (603, theirs));
        Ok(())
    }
}
