//! Where the elements of the matrices of a product lie.
//!
//! Unsafe, since it is up to the compiler whether it sees that rows of `a` are as long as the sums: where it does not and
//! checks a bound per row and column, a product takes a third longer, and what it makes of one changes with the next.
#![allow(unsafe_code)]

use std::hint::black_box;
use std::ops::Range;

use super::{TALLER, TALLEST};
use crate::nn::kernel::Real;

/// Where the rows of a row-major matrix begin, or the columns of another.
pub trait Rows: Copy {
    /// The place of the first element of a row.
    fn start(self, row: usize) -> usize;

    /// Of each row in `range`, the `W` elements from column `at` on.
    fn each<T: Copy, const W: usize>(
        self,
        matrix: &[T],
        range: Range<usize>,
        at: usize,
    ) -> impl Iterator<Item = [T; W]>;
}

/// One row after the other, this far apart.
#[derive(Clone, Copy)]
pub struct Every(pub usize);

impl Rows for Every {
    #[inline(always)]
    fn start(self, row: usize) -> usize {
        row * self.0
    }

    /// No bound is checked per row.
    #[inline(always)]
    fn each<T: Copy, const W: usize>(
        self,
        matrix: &[T],
        range: Range<usize>,
        at: usize,
    ) -> impl Iterator<Item = [T; W]> {
        let rows = matrix[range.start * self.0..range.end * self.0].chunks_exact(self.0);
        rows.map(move |row| array(row, at))
    }
}

/// Parts of rows that lie this far apart, from a column on.
#[derive(Clone, Copy)]
pub struct Within(pub usize, pub usize);

impl Rows for Within {
    #[inline(always)]
    fn start(self, row: usize) -> usize {
        row * self.0 + self.1
    }

    #[inline(always)]
    fn each<T: Copy, const W: usize>(
        self,
        matrix: &[T],
        range: Range<usize>,
        at: usize,
    ) -> impl Iterator<Item = [T; W]> {
        Every(self.0).each(matrix, range, self.1 + at)
    }
}

/// Rows of a larger matrix, named by their places.
#[derive(Clone, Copy)]
pub struct At<'a>(pub &'a [usize]);

impl Rows for At<'_> {
    #[inline(always)]
    fn start(self, row: usize) -> usize {
        self.0[row]
    }

    #[inline(always)]
    fn each<T: Copy, const W: usize>(
        self,
        matrix: &[T],
        range: Range<usize>,
        at: usize,
    ) -> impl Iterator<Item = [T; W]> {
        self.0[range].iter().map(move |&start| array(matrix, start + at))
    }
}

/// How the elements of `a` follow each other.
pub trait Order: Copy {
    /// The most rows that a tile has where there are 32 registers.
    const TALL: usize;

    /// `sums + a · rows`: rows from `row` on and columns `panel` of `a`.
    fn add<T: Real, const W: usize, const R: usize>(
        self,
        sums: [[T; W]; R],
        a: &[T],
        row: usize,
        panel: Range<usize>,
        rows: impl Iterator<Item = [T; W]>,
    ) -> [[T; W]; R];
}

/// Row after row: where they begin.
#[derive(Clone, Copy)]
pub struct ByRow<R>(pub R);

impl<P: Rows> Order for ByRow<P> {
    const TALL: usize = TALLER;

    #[inline(always)]
    fn add<T: Real, const W: usize, const R: usize>(
        self,
        mut sums: [[T; W]; R],
        a: &[T],
        row: usize,
        panel: Range<usize>,
        rows: impl Iterator<Item = [T; W]>,
    ) -> [[T; W]; R] {
        let len = panel.len();
        // A compiler that sees how far apart rows are has one address for all of them and computes the others anew for
        // every column, on units that the products need.
        let begin = |r: usize| black_box(a[self.0.start(row + r) + panel.start..][..len].as_ptr());
        let a: [*const T; R] = std::array::from_fn(begin);
        for (k, b) in (0..len).zip(rows) {
            // SAFETY: `k` is less than `len`, the length of the slice that the address is of.
            add(&mut sums, a.map(|row| unsafe { *row.add(k) }), b);
        }
        sums
    }
}

/// Column after column: where they begin.
#[derive(Clone, Copy)]
pub struct ByColumn<C>(pub C);

impl<P: Rows> Order for ByColumn<P> {
    const TALL: usize = TALLEST;

    #[inline(always)]
    fn add<T: Real, const W: usize, const R: usize>(
        self,
        mut sums: [[T; W]; R],
        a: &[T],
        row: usize,
        panel: Range<usize>,
        rows: impl Iterator<Item = [T; W]>,
    ) -> [[T; W]; R] {
        for (k, b) in panel.zip(rows) {
            add(&mut sums, array(a, self.0.start(k) + row), b);
        }
        sums
    }
}

/// `W` elements from `at` on, as a copy: it stays in registers.
#[inline(always)]
pub(super) fn array<T: Copy, const W: usize>(from: &[T], at: usize) -> [T; W] {
    from[at..at + W].try_into().expect("a slice of this length")
}

/// `sums_r += factors_r · row`
#[inline(always)]
fn add<T: Real, const W: usize, const R: usize>(sums: &mut [[T; W]; R], factors: [T; R], row: [T; W]) {
    for (sum, factor) in sums.iter_mut().zip(factors) {
        for (sum, b) in sum.iter_mut().zip(row) {
            *sum = factor.fma(b, *sum);
        }
    }
}
