//! What the sums of a product begin with, and what becomes of them.

use super::PANEL;
use super::layout::array;
use crate::nn::kernel::Real;

/// What sums begin with.
#[derive(Clone, Copy)]
pub enum Start<'a, T> {
    /// What is there already.
    Sum,
    /// Zero, whatever was there.
    Zero,
    /// The same numbers for every row, whatever was there.
    Row(&'a [T]),
}

impl<T: Real> Start<'_, T> {
    /// Makes `to`, the part of a row from column `at` on, what its sums begin with.
    #[inline(always)]
    pub(in crate::nn::kernel) fn set(self, at: usize, to: &mut [T]) {
        match self {
            Self::Sum => (),
            Self::Zero => to.fill(T::ZERO),
            Self::Row(row) => to.copy_from_slice(&row[at..][..to.len()]),
        }
    }

    /// What the sums of `W` elements from column `at` on begin with; `to` begins with what is there.
    #[inline(always)]
    pub(in crate::nn::kernel) fn first<const W: usize>(self, at: usize, to: &[T]) -> [T; W] {
        match self {
            Self::Sum => array(to, 0),
            Self::Zero => [T::ZERO; W],
            Self::Row(row) => array(row, at),
        }
    }
}

/// What becomes of the sums of a row.
pub trait Finish<T>: Copy {
    /// How many terms are summed before the sums are put away and fetched again.
    const PANEL: usize;

    /// Puts sums of row `row`, columns from `at` on, where they belong.
    fn put<const W: usize>(self, row: usize, at: usize, sums: [T; W], to: &mut [T; W]);
}

/// Sums are the elements of `c`.
#[derive(Clone, Copy)]
pub(super) struct Store;

impl<T: Real> Finish<T> for Store {
    const PANEL: usize = PANEL;

    #[inline(always)]
    fn put<const W: usize>(self, _: usize, _: usize, sums: [T; W], to: &mut [T; W]) {
        *to = sums;
    }
}

/// Sums of row r are multiplied by `factors_r` and added to what is there.
#[derive(Clone, Copy)]
pub struct Scaled<'a>(pub &'a [f32]);

impl<T: Real> Finish<T> for Scaled<'_> {
    const PANEL: usize = usize::MAX;

    #[inline(always)]
    fn put<const W: usize>(self, row: usize, _: usize, sums: [T; W], to: &mut [T; W]) {
        let factor = T::of(self.0[row]);
        for (to, sum) in to.iter_mut().zip(sums) {
            *to = factor.fma(sum, *to);
        }
    }
}

/// As [`Scaled`], where the same row, the second, is added to all sums before they are multiplied.
#[derive(Clone, Copy)]
pub struct ShiftedScaled<'a, T>(pub &'a [f32], pub &'a [T]);

impl<T: Real> Finish<T> for ShiftedScaled<'_, T> {
    const PANEL: usize = usize::MAX;

    #[inline(always)]
    fn put<const W: usize>(self, row: usize, at: usize, mut sums: [T; W], to: &mut [T; W]) {
        let shift: [T; W] = array(self.1, at);
        sums.iter_mut().zip(shift).for_each(|(sum, shift)| *sum += shift);
        Scaled(self.0).put(row, at, sums, to);
    }
}
