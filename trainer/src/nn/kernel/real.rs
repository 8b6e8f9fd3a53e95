//! The number types that a kernel runs in: `f32` to train, `f64` to check gradients.

use std::ops::{Add, AddAssign, Deref, Div, Mul, Neg, Sub};

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, WithDType};

/// A floating-point type with the few functions that kernels need.
///
/// All but `ln` and `libm_exp`, and `exp` in `f64`, are made of additions, multiplications, divisions and fused
/// multiply-adds; no result depends on the vector width.
pub trait Real:
    WithDType
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + PartialOrd
    + Send
    + Sync
    + 'static
{
    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;
    /// `self * a + b`, rounded once.
    fn fma(self, a: Self, b: Self) -> Self;
    /// e to the power of `self`.
    fn exp(self) -> Self;
    /// The same as the standard library rounds it.
    fn libm_exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Square root.
    fn root(self) -> Self;
    /// From the replay's `f32`.
    fn of(value: f32) -> Self;

    /// 1 / (1 + e^-x)
    #[inline(always)]
    fn sigmoid(self) -> Self {
        Self::ONE / (Self::ONE + (-self).exp())
    }

    /// Hyperbolic tangent.
    #[inline(always)]
    fn tanh(self) -> Self {
        let two = Self::ONE + Self::ONE;
        two * (two * self).sigmoid() - Self::ONE
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    #[inline(always)]
    fn fma(self, a: Self, b: Self) -> Self {
        self.mul_add(a, b)
    }

    /// Range reduction by powers of two and a polynomial of degree 6: relative error below 2e-7.
    /// Free of branches, so that loops over it become vector code.
    #[inline(always)]
    fn exp(self) -> Self {
        let x = self.clamp(-87.0, 88.0);
        let shifted = x.mul_add(std::f32::consts::LOG2_E, 12_582_912.0);
        let n = shifted - 12_582_912.0;
        let r = n.mul_add(-0.693_359_4, x);
        let r = n.mul_add(2.121_944_4e-4, r);
        let p = 1.388_888_9e-3_f32;
        let p = p.mul_add(r, 8.333_334e-3);
        let p = p.mul_add(r, 4.166_666_8e-2);
        let p = p.mul_add(r, 1.666_666_7e-1);
        let p = p.mul_add(r, 0.5);
        let p = p.mul_add(r, 1.0);
        let p = p.mul_add(r, 1.0);
        // `shifted` holds n in its low bits: moved into the exponent they make 2^n.
        let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
        p * scale
    }

    fn libm_exp(self) -> Self {
        f32::exp(self)
    }

    fn ln(self) -> Self {
        f32::ln(self)
    }

    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn of(value: f32) -> Self {
        value
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    #[inline(always)]
    fn fma(self, a: Self, b: Self) -> Self {
        self.mul_add(a, b)
    }

    fn exp(self) -> Self {
        f64::exp(self)
    }

    fn libm_exp(self) -> Self {
        f64::exp(self)
    }

    fn ln(self) -> Self {
        f64::ln(self)
    }

    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn of(value: f32) -> Self {
        f64::from(value)
    }
}

/// The elements of a contiguous tensor.
///
/// # Errors
/// If the storage is of another type or not contiguous.
pub fn elements<'a, T: Real>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let all = T::cpu_storage_as_slice(storage)?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&all[start..end]),
        None => candle_core::bail!("a kernel was given a tensor that is not contiguous"),
    }
}

/// Read access to a tensor's elements for the time of a kernel.
pub struct Read<'a> {
    storage: Box<dyn Deref<Target = Storage> + 'a>,
    layout: &'a Layout,
}

impl<'a> Read<'a> {
    /// Takes the read lock of a contiguous tensor.
    ///
    /// # Errors
    /// If the tensor is not contiguous.
    pub fn new(tensor: &'a Tensor) -> Result<Self> {
        if !tensor.is_contiguous() {
            candle_core::bail!("a kernel was given a tensor that is not contiguous");
        }
        let (storage, layout) = tensor.storage_and_layout();
        Ok(Self { storage: Box::new(storage), layout })
    }

    /// The elements, row-major.
    ///
    /// # Errors
    /// If the tensor holds another type, or does not lie in main memory.
    pub fn slice<T: Real>(&self) -> Result<&[T]> {
        match &**self.storage {
            Storage::Cpu(storage) => elements(storage, self.layout),
            _ => candle_core::bail!("kernels run on the CPU only"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Real;

    #[test]
    fn functions_are_close_to_the_true_ones_over_their_range() {
        let mut worst = (0.0_f64, 0.0_f64, 0.0_f64);
        for i in -400_000..400_000_i32 {
            let x = i as f32 * 2e-4;
            let wide = f64::from(x);
            let exp = (f64::from(Real::exp(x)) / wide.exp() - 1.0).abs();
            let tanh = (f64::from(Real::tanh(x)) - wide.tanh()).abs();
            let sigmoid = (f64::from(Real::sigmoid(x)) - 1.0 / (1.0 + (-wide).exp())).abs();
            worst = (worst.0.max(exp), worst.1.max(tanh), worst.2.max(sigmoid));
        }
        assert!(worst.0 < 3e-7 && worst.1 < 3e-7 && worst.2 < 2e-7, "{worst:?}");
    }

    #[test]
    fn extreme_values_stay_finite() {
        for x in [f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30] {
            assert!(Real::exp(x).is_finite() && Real::tanh(x).abs() <= 1.0);
        }
        assert!(Real::exp(f32::NAN).is_nan());
    }
}
