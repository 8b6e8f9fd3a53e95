//! Products of int8 weights with int16 activations, summed in 32 bits: exact, so any order gives the same bits.
//!
//! Every vector is padded with zeros to a multiple of four, so that a row is whole words.

use super::simd;

/// Most terms of a product: 256 times 127 times 32767 leaves room for a bias below 2^30.
pub(crate) const MAX_TERMS: usize = 256;
/// What widths are rounded up to.
pub(crate) const PAD: usize = 4;

/// `n` rounded up to whole words of int8.
pub(crate) fn padded(n: usize) -> usize {
    n.checked_next_multiple_of(PAD).unwrap_or(usize::MAX)
}

/// A row-major matrix of int8 in a file; rows and columns are multiples of four.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights<'m> {
    values: &'m [i8],
    cols: usize,
}

impl<'m> Weights<'m> {
    /// `values` holds whole rows of `cols`.
    pub(crate) fn new(values: &'m [i8], cols: usize) -> Self {
        Self { values, cols }
    }

    pub(crate) fn row(&self, row: usize) -> &'m [i8] {
        let begin = row.wrapping_mul(self.cols); // no overflow: a row is part of the file
        self.values.get(begin..).and_then(|rest| rest.get(..self.cols)).unwrap_or_default()
    }

    /// Dot products of the rows `first..first + 4` with `x`.
    #[inline(always)]
    pub(crate) fn dot4(&self, first: usize, x: &[i16]) -> [i32; 4] {
        let width = self.cols;
        let begin = first.wrapping_mul(width);
        let rest = self.values.get(begin..).unwrap_or_default();
        let (a, rest) = rest.split_at_checked(width).unwrap_or_default();
        let (b, rest) = rest.split_at_checked(width).unwrap_or_default();
        let (c, rest) = rest.split_at_checked(width).unwrap_or_default();
        let (d, _) = rest.split_at_checked(width).unwrap_or_default();
        simd::dot4([a, b, c, d], x)
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
