//! Dense products of small matrices, the inner loop of everything here.
//!
//! `c[m, n] = start + a[m, k] · b[k, n]`. `a` lies row after row or column after column, so one
//! routine serves the product, and the product with `a` transposed. Every element of `c` is summed over
//! `k` in order with fused multiply-adds, whatever the blocking: the bits depend on neither the
//! block sizes nor the vector width.

use std::hint::black_box;
use std::ops::Range;

use super::Real;

/// How the elements of `a` follow each other.
#[derive(Clone, Copy)]
pub enum Order {
    /// Row after row, this far apart.
    Rows(usize),
    /// Column after column, this far apart.
    Columns(usize),
}

/// Where the rows of a row-major matrix begin.
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

/// `W` elements from `at` on, as a copy: it stays in registers.
#[inline(always)]
fn array<T: Copy, const W: usize>(from: &[T], at: usize) -> [T; W] {
    from[at..at + W].try_into().expect("a slice of this length")
}

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
    pub(super) fn set(self, at: usize, to: &mut [T]) {
        match self {
            Self::Sum => (),
            Self::Zero => to.fill(T::ZERO),
            Self::Row(row) => to.copy_from_slice(&row[at..][..to.len()]),
        }
    }

    /// What the sums of `W` elements from column `at` on begin with; `to` begins with what is there.
    #[inline(always)]
    pub(super) fn first<const W: usize>(self, at: usize, to: &[T]) -> [T; W] {
        match self {
            Self::Sum => array(to, 0),
            Self::Zero => [T::ZERO; W],
            Self::Row(row) => array(row, at),
        }
    }
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

/// Rows of `k` that stay in the second-level cache.
const PANEL: usize = 256;

/// Rows of a tile: with two registers each they are 12 accumulators, of the 16 that AVX2 has.
const TALL: usize = 6;

/// Rows of a tile where there are 32 registers. Rows of `a` need an address each.
const TALLER: usize = 8;

/// Rows of a tile where there are 32 registers and the elements of a column of `a` follow each other, so that one
/// address will do.
const TALLEST: usize = 12;

/// `c += a · b`; `b` and `c` are row-major with `n` columns.
pub fn gemm<T: Real>(size: (usize, usize, usize), a: &[T], order: Order, b: &[T], c: &mut [T]) {
    let every = Every(size.1);
    gemm_rows(size, (a, order), (b, every), Start::Sum, (c, every));
}

/// `c = a · b`, whatever was there; `b` and `c` are row-major with `n` columns.
pub fn product<T: Real>(size: (usize, usize, usize), a: &[T], order: Order, b: &[T], c: &mut [T]) {
    let every = Every(size.1);
    gemm_rows(size, (a, order), (b, every), Start::Zero, (c, every));
}

/// `c = a · b + bias` for every row of `c`, whatever was there; all row-major.
pub fn affine<T: Real>(size: (usize, usize, usize), a: &[T], b: &[T], bias: &[T], c: &mut [T]) {
    let every = Every(size.1);
    gemm_rows(size, (a, Order::Rows(size.2)), (b, every), Start::Row(bias), (c, every));
}

/// `c = start + a · b`, where the rows of `b` and `c` lie where they say.
///
/// A function of its own, so that it is compiled once per instruction set: pasted into every
/// caller, the accumulators of some copies ended on the stack.
#[inline(never)]
pub fn gemm_rows<T: Real>(
    size: (usize, usize, usize),
    (a, order): (&[T], Order),
    (b, b_rows): (&[T], impl Rows),
    start: Start<'_, T>,
    (c, c_rows): (&mut [T], impl Rows),
) {
    let (m, n, k) = size;
    if k == 0 {
        (0..m).for_each(|row| start.set(0, &mut c[c_rows.start(row)..][..n]));
        return;
    }
    pulp::Arch::new().dispatch(Gemm { size, a, order, b, b_rows, start, c, c_rows });
}

struct Gemm<'a, T, B, C> {
    size: (usize, usize, usize),
    a: &'a [T],
    order: Order,
    b: &'a [T],
    b_rows: B,
    start: Start<'a, T>,
    c: &'a mut [T],
    c_rows: C,
}

impl<T: Real, B: Rows, C: Rows> pulp::WithSimd for Gemm<'_, T, B, C> {
    type Output = ();

    /// A row of a tile is two registers wide.
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        match (size_of::<S::f32s>(), self.order) {
            (64, Order::Columns(_)) => self.run::<32, 16, TALLEST>(),
            (64, Order::Rows(_)) => self.run::<32, 16, TALLER>(),
            _ => self.run::<16, 8, TALL>(),
        }
    }
}

/// How many of the rows that are left the next tile takes, at most `most`: two tiles of much the same height do
/// more at once than a tall one and a flat one.
#[inline(always)]
fn height(left: usize, most: usize) -> usize {
    if most == TALLEST && (left == TALLEST || left > 2 * TALLER) {
        TALLEST
    } else if most >= TALLER && (left == TALLER || left > 2 * TALL) {
        TALLER
    } else if left >= 2 * TALL {
        TALL
    } else if left > TALL {
        left.div_ceil(2)
    } else {
        left
    }
}

impl<T: Real, B: Rows, C: Rows> Gemm<'_, T, B, C> {
    #[inline(always)]
    fn run<const WIDE: usize, const HALF: usize, const MOST: usize>(mut self) {
        let (_, n, k) = self.size;
        for start in (0..k).step_by(PANEL) {
            let panel = start..k.min(start + PANEL);
            let mut j = 0;
            while j < n {
                j += match n - j {
                    left if left >= WIDE => self.columns::<WIDE, MOST>(j, panel.clone()),
                    left if left >= HALF => self.columns::<HALF, MOST>(j, panel.clone()),
                    left if left >= 8 => self.columns::<8, MOST>(j, panel.clone()),
                    left if left >= 4 => self.columns::<4, MOST>(j, panel.clone()),
                    _ => self.columns::<1, MOST>(j, panel.clone()),
                };
            }
        }
    }

    /// All rows of `W` columns from `j` on; gives back `W`.
    #[inline(always)]
    fn columns<const W: usize, const MOST: usize>(&mut self, j: usize, panel: Range<usize>) -> usize {
        let (m, ..) = self.size;
        let mut i = 0;
        while i < m {
            i += match height(m - i, MOST) {
                TALLEST if MOST == TALLEST => self.tile::<W, TALLEST>(i, j, &panel),
                TALLER if MOST >= TALLER => self.tile::<W, TALLER>(i, j, &panel),
                TALL => self.tile::<W, TALL>(i, j, &panel),
                5 => self.tile::<W, 5>(i, j, &panel),
                4 => self.tile::<W, 4>(i, j, &panel),
                3 => self.tile::<W, 3>(i, j, &panel),
                2 => self.tile::<W, 2>(i, j, &panel),
                _ => self.tile::<W, 1>(i, j, &panel),
            };
        }
        W
    }

    /// `R` rows of `W` columns from `(i, j)` on; gives back `R`.
    #[inline(always)]
    fn tile<const W: usize, const R: usize>(&mut self, i: usize, j: usize, panel: &Range<usize>) -> usize {
        let Self { a, order, b, b_rows, start, ref mut c, c_rows, .. } = *self;
        // A choice for each row would keep the sums out of the registers.
        let sums: [[T; W]; R] = match start {
            Start::Zero if panel.start == 0 => [[T::ZERO; W]; R],
            Start::Row(row) if panel.start == 0 => [array(row, j); R],
            _ => std::array::from_fn(|r| array(c, c_rows.start(i + r) + j)),
        };
        let rows = b_rows.each(b, panel.clone(), j);
        let sums = match order {
            Order::Rows(stride) => {
                let len = panel.len();
                // A compiler that sees how far apart rows are has one address for all of them and computes the others
                // anew for every column, on units that the products need.
                let row = |r: usize| black_box(&a[(i + r) * stride + panel.start..]);
                let a = std::array::from_fn(|r| &row(r)[..len]);
                add_by_row(sums, a, len, rows)
            }
            Order::Columns(stride) => add_by_column(sums, &a[panel.start * stride + i..], stride, rows),
        };
        for (r, sum) in sums.iter().enumerate() {
            c[c_rows.start(i + r) + j..][..W].copy_from_slice(sum);
        }
        R
    }
}

/// `sums + a · rows`, where each row of `a` has `len` elements: known to the compiler, which then
/// checks no bound.
#[inline(always)]
fn add_by_row<T: Real, const W: usize, const R: usize>(
    mut sums: [[T; W]; R],
    a: [&[T]; R],
    len: usize,
    rows: impl Iterator<Item = [T; W]>,
) -> [[T; W]; R] {
    for (k, row) in (0..len).zip(rows) {
        add(&mut sums, std::array::from_fn(|r| a[r][k]), row);
    }
    sums
}

/// `sums + a · rows`, where a column of `a` begins every `stride` elements.
#[inline(always)]
fn add_by_column<T: Real, const W: usize, const R: usize>(
    mut sums: [[T; W]; R],
    a: &[T],
    stride: usize,
    rows: impl Iterator<Item = [T; W]>,
) -> [[T; W]; R] {
    for (column, row) in a.chunks(stride).zip(rows) {
        add(&mut sums, array(column, 0), row);
    }
    sums
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

/// `[rows, cols]` to `[cols, rows]`.
pub fn transpose<T: Real>(rows: usize, cols: usize, from: &[T]) -> Vec<T> {
    let mut to = vec![T::ZERO; rows * cols];
    for (r, row) in from.chunks_exact(cols).enumerate() {
        for (c, &value) in row.iter().enumerate() {
            to[c * rows + r] = value;
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Draw, stream};

    #[test]
    fn a_product_without_terms_is_what_sums_begin_with() {
        let (m, n) = (13, 35);
        let row: Vec<f64> = (0..n).map(|j| j as f64).collect();
        let mut c = vec![7.0; m * n];
        gemm((m, n, 0), &[], Order::Columns(m), &[], &mut c);
        assert_eq!(c, vec![7.0; m * n]);
        affine((m, n, 0), &[], &[], &row, &mut c);
        assert_eq!(c, row.repeat(m));
        product((m, n, 0), &[], Order::Rows(0), &[], &mut c);
        assert_eq!(c, vec![0.0; m * n]);
    }

    #[test]
    fn agrees_with_the_textbook_for_odd_sizes_and_both_orders_of_a() {
        let mut rng = stream(1, "gemm");
        for (m, n, k) in
            [(1, 1, 1), (5, 7, 3), (13, 101, 300), (8, 64, 257), (3, 6, 64), (11, 33, 5), (2, 40, 9)]
        {
            let mut draw = |len| (0..len).map(|_| f64::from(rng.unit()) - 0.5).collect::<Vec<_>>();
            let (a, b) = (draw(m * k), draw(k * n));
            let mut want = vec![1.0; m * n];
            for i in 0..m {
                for p in 0..k {
                    for j in 0..n {
                        want[i * n + j] = a[i * k + p].mul_add(b[p * n + j], want[i * n + j]);
                    }
                }
            }
            let mut got = vec![1.0; m * n];
            gemm((m, n, k), &a, Order::Rows(k), &b, &mut got);
            assert_eq!(got, want);
            let bias = vec![1.0; n];
            let mut got = vec![f64::NAN; m * n];
            affine((m, n, k), &a, &b, &bias, &mut got);
            assert_eq!(got, want);
            let turned = transpose(m, k, &a);
            let mut got = vec![1.0; m * n];
            gemm((m, n, k), &turned, Order::Columns(m), &b, &mut got);
            assert_eq!(got, want);
        }
    }
}
