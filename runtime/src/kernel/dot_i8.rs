//! Products of int8 weights with int16 activations, summed in 32 bits: exact, so any order gives the same bits.
//!
//! Every vector is padded with zeros to a multiple of eight.

use super::simd;
#[cfg(ddn_mve)]
use super::simd::mve::add;
pub(super) use super::simd::ordered;
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;

/// Most terms of a product: 256 times 127 times 32767 stays below 2^30.
pub(crate) const MAX_TERMS: usize = 256;
/// Rows computed together: their sums are on the stack.
pub(crate) const ROWS: usize = if cfg!(ddn_mve) { 64 } else { 32 };
/// What widths are rounded up to.
pub(crate) const PAD: usize = 8;

/// `n` rounded up to whole groups.
pub(crate) fn padded(n: usize) -> usize {
    n.checked_next_multiple_of(PAD).unwrap_or(usize::MAX)
}

/// A row-major matrix of int8 in a file; rows and columns are multiples of eight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights<'m> {
    values: &'m [i8],
    cols: usize,
}

impl<'m> Weights<'m> {
    /// `values` holds whole rows of `cols`.
    pub(crate) const fn new(values: &'m [i8], cols: usize) -> Self {
        Self { values, cols }
    }

    /// From the numbers that [`Weights::plan`] writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Weights<'static> {
        let values = plan.slice();
        Weights::new(values, plan.count())
    }

    #[cfg(feature = "build")]
    pub(crate) fn plan(&self, plan: &mut Writer<'_>) {
        plan.slice(self.values);
        plan.count(self.cols);
    }

    pub(crate) fn row(&self, row: usize) -> &'m [i8] {
        self.rows(row, 1)
    }

    /// Rows one after another.
    fn rows(&self, first: usize, count: usize) -> &'m [i8] {
        let begin = first.wrapping_mul(self.cols); // no overflow: a row is part of the file
        self.values.get(begin..).and_then(|rest| rest.get(..count * self.cols)).unwrap_or_default()
    }

    /// Dot products of the rows `first..first + 4` with `x`, which is [`ordered`].
    pub(crate) fn dot4(&self, first: usize, x: &[f32]) -> [i32; 4] {
        simd::dot4(self.rows(first, 4), x)
    }

    /// Adds to each sum the product of its row, from `first` on, with `x`, which is [`ordered`], [`scaled`]. Rows come in
    /// multiples of eight.
    pub(crate) fn add(&self, first: usize, x: &[f32], scale: &[i32], sums: &mut [i32]) {
        add(self.rows(first, sums.len()), x, scale, sums);
    }
}

/// One copy of the loop in flash, and its registers to itself.
#[cfg(not(ddn_mve))]
#[inline(never)]
fn add(rows: &[i8], x: &[f32], scale: &[i32], sums: &mut [i32]) {
    let (scale, sums) = (scale.as_chunks::<4>().0, sums.as_chunks_mut::<4>().0);
    let mut rest = rows;
    for (scale, sums) in scale.iter().zip(sums) {
        let Some((block, after)) = rest.split_at_checked(8 * x.len()) else { return };
        rest = after;
        let dots = simd::dot4(block, x);
        for ((sum, dot), scale) in sums.iter_mut().zip(dots).zip(scale) {
            *sum = sum.wrapping_add(scaled(dot, *scale));
        }
    }
}

/// The upper half of a product of 32 bits with 32, rounded to nearest, ties up: one instruction on a Cortex-M4.
#[inline(always)]
pub(crate) fn scaled(a: i32, b: i32) -> i32 {
    ((i64::from(a) * i64::from(b) + (1 << 31)) >> 32) as i32
}

/// Moved into the range of int16.
#[inline(always)]
pub(crate) fn saturated(value: i32) -> i16 {
    value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}
