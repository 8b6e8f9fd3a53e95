//! Dense products of small matrices, the inner loop of everything here.
//!
//! `c[m, n] = start + a[m, k] · b[k, n]`. `a` lies row after row or column after column, so one
//! routine serves the product, and the product with `a` transposed. Every element of `c` is summed over
//! `k` in order with fused multiply-adds, whatever the blocking: the bits depend on neither the
//! block sizes nor the vector width.

mod finish;
mod layout;

use std::ops::Range;

use self::finish::{Finish, Store};
pub use self::finish::{Scaled, ShiftedScaled, Start};
pub use self::layout::{At, ByColumn, ByRow, Every, Rows, Within};
use self::layout::{Order, array};
use super::Real;

/// Terms after which sums are put away, so that the rows of `b` over the columns of a tile stay in the first-level
/// cache for the next tile. Rows that lie a power of two apart share few of its places.
const PANEL: usize = 128;

/// Rows of a tile: with two registers each they are 12 accumulators, of the 16 that AVX2 has.
const TALL: usize = 6;

/// Rows of a tile where there are 32 registers. Rows of `a` need an address each.
const TALLER: usize = 8;

/// Rows of a tile where there are 32 registers and the elements of a column of `a` follow each other, so that one
/// address will do.
const TALLEST: usize = 12;

/// `c += a · b`; `b` and `c` are row-major with `n` columns.
pub fn gemm<T: Real>(size: (usize, usize, usize), a: &[T], order: impl Order, b: &[T], c: &mut [T]) {
    let every = Every(size.1);
    gemm_rows(size, (a, order), (b, every), Start::Sum, (c, every));
}

/// `c = a · b`, whatever was there; `b` and `c` are row-major with `n` columns.
pub fn product<T: Real>(size: (usize, usize, usize), a: &[T], order: impl Order, b: &[T], c: &mut [T]) {
    let every = Every(size.1);
    gemm_rows(size, (a, order), (b, every), Start::Zero, (c, every));
}

/// `c = a · b + bias` for every row of `c`, whatever was there; all row-major.
pub fn affine<T: Real>(size: (usize, usize, usize), a: &[T], b: &[T], bias: &[T], c: &mut [T]) {
    let every = Every(size.1);
    gemm_rows(size, (a, ByRow(Every(size.2))), (b, every), Start::Row(bias), (c, every));
}

/// `c = start + a · b`, where the rows of `b` and `c` lie where they say.
///
/// A function of its own, so that it is compiled once per instruction set: pasted into every
/// caller, the accumulators of some copies ended on the stack.
#[inline(never)]
pub fn gemm_rows<T: Real>(
    size: (usize, usize, usize),
    (a, order): (&[T], impl Order),
    (b, b_rows): (&[T], impl Rows),
    start: Start<'_, T>,
    (c, c_rows): (&mut [T], impl Rows),
) {
    let (m, n, k) = size;
    if k == 0 {
        (0..m).for_each(|row| start.set(0, &mut c[c_rows.start(row)..][..n]));
        return;
    }
    pulp::Arch::new().dispatch(Gemm { size, a, order, b, b_rows, start, c, c_rows, finish: Store });
}

/// What `finish` makes of `a · b` and what is in `c`, where the rows of `a` and `c` lie where they say; of at least
/// one term.
#[inline(never)]
pub fn gemm_finished<T: Real>(
    size: (usize, usize, usize),
    (a, a_rows): (&[T], At<'_>),
    b: &[T],
    finish: impl Finish<T>,
    (c, c_rows): (&mut [T], At<'_>),
) {
    debug_assert!(size.2 > 0, "sums without a term are not finished");
    let (order, b_rows, start) = (ByRow(a_rows), Every(size.1), Start::Zero);
    pulp::Arch::new().dispatch(Gemm { size, a, order, b, b_rows, start, c, c_rows, finish });
}

struct Gemm<'a, T, A, B, C, F> {
    size: (usize, usize, usize),
    a: &'a [T],
    order: A,
    b: &'a [T],
    b_rows: B,
    start: Start<'a, T>,
    c: &'a mut [T],
    c_rows: C,
    finish: F,
}

impl<T: Real, A: Order, B: Rows, C: Rows, F: Finish<T>> pulp::WithSimd for Gemm<'_, T, A, B, C, F> {
    type Output = ();

    /// A row of a tile is two registers wide.
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        match (size_of::<S::f32s>(), A::TALL) {
            (64, TALLEST) => self.run::<32, 16, TALLEST>(),
            (64, _) => self.run::<32, 16, TALLER>(),
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

impl<T: Real, A: Order, B: Rows, C: Rows, F: Finish<T>> Gemm<'_, T, A, B, C, F> {
    #[inline(always)]
    fn run<const WIDE: usize, const HALF: usize, const MOST: usize>(mut self) {
        let (_, n, k) = self.size;
        for start in (0..k).step_by(F::PANEL) {
            let panel = start..k.min(start.saturating_add(F::PANEL));
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
        let Self { a, order, b, b_rows, start, ref mut c, c_rows, finish, .. } = *self;
        // A choice for each row would keep the sums out of the registers.
        let sums: [[T; W]; R] = match start {
            Start::Zero if panel.start == 0 => [[T::ZERO; W]; R],
            Start::Row(row) if panel.start == 0 => [array(row, j); R],
            _ => std::array::from_fn(|r| array(c, c_rows.start(i + r) + j)),
        };
        let rows = b_rows.each(b, panel.clone(), j);
        let sums = order.add(sums, a, i, panel.clone(), rows);
        for (r, &sums) in sums.iter().enumerate() {
            let to = &mut c[c_rows.start(i + r) + j..];
            finish.put(i + r, j, sums, to.first_chunk_mut().expect("a row of `c`"));
        }
        R
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
        gemm((m, n, 0), &[], ByColumn(Every(m)), &[], &mut c);
        assert_eq!(c, vec![7.0; m * n]);
        affine((m, n, 0), &[], &[], &row, &mut c);
        assert_eq!(c, row.repeat(m));
        product((m, n, 0), &[], ByRow(Every(0)), &[], &mut c);
        assert_eq!(c, vec![0.0; m * n]);
    }

    #[test]
    fn sums_are_added_times_a_factor_to_rows_that_are_named() {
        let mut rng = stream(2, "gemm");
        for (m, n, k) in [(1, 1, 1), (9, 64, 64), (13, 35, 7), (3, 17, 300)] {
            let mut draw = |len| (0..len).map(|_| f64::from(rng.unit()) - 0.5).collect::<Vec<_>>();
            // Twice as many rows as are used, in descending order.
            let (a, b, c, shift) = (draw(2 * m * k), draw(k * n), draw(2 * m * n), draw(n));
            let factors: Vec<f32> = draw(m).into_iter().map(|factor| factor as f32).collect();
            let row = |r: usize| 2 * (m - r) - 1;
            let (mut scaled, mut shifted) = (c.clone(), c.clone());
            for r in 0..m {
                for j in 0..n {
                    let sum = (0..k).fold(0.0, |sum, p| a[row(r) * k + p].mul_add(b[p * n + j], sum));
                    let (at, factor) = (row(r) * n + j, f64::from(factors[r]));
                    scaled[at] = factor.mul_add(sum, c[at]);
                    shifted[at] = factor.mul_add(sum + shift[j], c[at]);
                }
            }
            let places = |width: usize| (0..m).map(|r| row(r) * width).collect::<Vec<_>>();
            let (from, to) = (places(k), places(n));
            let mut got = c.clone();
            gemm_finished((m, n, k), (&a, At(&from)), &b, Scaled(&factors), (&mut got, At(&to)));
            assert_eq!(got, scaled);
            let mut got = c;
            let finish = ShiftedScaled(&factors, &shift);
            gemm_finished((m, n, k), (&a, At(&from)), &b, finish, (&mut got, At(&to)));
            assert_eq!(got, shifted);
        }
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
            gemm((m, n, k), &a, ByRow(Every(k)), &b, &mut got);
            assert_eq!(got, want);
            let bias = vec![1.0; n];
            let mut got = vec![f64::NAN; m * n];
            affine((m, n, k), &a, &b, &bias, &mut got);
            assert_eq!(got, want);
            let turned = transpose(m, k, &a);
            let mut got = vec![1.0; m * n];
            gemm((m, n, k), &turned, ByColumn(Every(m)), &b, &mut got);
            assert_eq!(got, want);
        }
    }
}
