//! Dense products of small matrices, the inner loop of everything here.
//!
//! `c[m, n] += a[m, k] · b[k, n]`. `a` has free strides, so one routine serves the product, and the
//! product with `a` transposed. Every element of `c` is summed over `k` in order with fused
//! multiply-adds, whatever the blocking: the bits depend on neither the block sizes nor the
//! vector width.

use std::ops::Range;

use super::Real;

/// Where `a` lies: element `(i, k)` is at `i * row + k * col`.
#[derive(Clone, Copy)]
pub struct Strides {
    /// Distance between rows.
    pub row: usize,
    /// Distance between columns.
    pub col: usize,
}

/// Where the rows of a row-major matrix begin.
pub trait Rows: Copy {
    /// The place of the first element of a row.
    fn start(self, row: usize) -> usize;
}

/// One row after the other, this far apart.
#[derive(Clone, Copy)]
pub struct Every(pub usize);

impl Rows for Every {
    #[inline(always)]
    fn start(self, row: usize) -> usize {
        row * self.0
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
}

/// Rows of `k` that stay in the second-level cache.
const PANEL: usize = 256;

/// `c += a · b`; `b` and `c` are row-major with `n` columns.
pub fn gemm<T: Real>(size: (usize, usize, usize), a: &[T], strides: Strides, b: &[T], c: &mut [T]) {
    let every = Every(size.1);
    gemm_rows(size, (a, strides), (b, every), (c, every));
}

/// `c += a · b`, where the rows of `b` and `c` lie where they say.
///
/// A function of its own, so that it is compiled once per instruction set: pasted into every
/// caller, the accumulators of some copies ended on the stack.
#[inline(never)]
pub fn gemm_rows<T: Real>(
    size: (usize, usize, usize),
    (a, strides): (&[T], Strides),
    (b, b_rows): (&[T], impl Rows),
    (c, c_rows): (&mut [T], impl Rows),
) {
    pulp::Arch::new().dispatch(Gemm { size, a, strides, b, b_rows, c, c_rows });
}

struct Gemm<'a, T, B, C> {
    size: (usize, usize, usize),
    a: &'a [T],
    strides: Strides,
    b: &'a [T],
    b_rows: B,
    c: &'a mut [T],
    c_rows: C,
}

impl<T: Real, B: Rows, C: Rows> pulp::WithSimd for Gemm<'_, T, B, C> {
    type Output = ();

    /// A tile of `c` must not need more registers than there are: 16 of 512 bits, or 8 of 256.
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        if size_of::<S::f32s>() == 64 { self.run::<32, 16, 8>() } else { self.run::<16, 8, 4>() }
    }
}

/// How many of the rows that are left the next tile takes: two equal tiles do more at once than a
/// tall one and a flat one.
#[inline(always)]
fn height(left: usize, tall: usize) -> usize {
    if left >= 2 * tall {
        tall
    } else if left > tall {
        left.div_ceil(2)
    } else {
        left
    }
}

impl<T: Real, B: Rows, C: Rows> Gemm<'_, T, B, C> {
    #[inline(always)]
    fn run<const WIDE: usize, const HALF: usize, const TALL: usize>(mut self) {
        let (_, n, k) = self.size;
        for start in (0..k).step_by(PANEL) {
            let panel = start..k.min(start + PANEL);
            let mut j = 0;
            while j < n {
                j += match n - j {
                    left if left >= WIDE => self.columns::<WIDE, TALL>(j, panel.clone()),
                    left if left >= HALF => self.columns::<HALF, TALL>(j, panel.clone()),
                    left if left >= 8 => self.columns::<8, TALL>(j, panel.clone()),
                    left if left >= 4 => self.columns::<4, TALL>(j, panel.clone()),
                    _ => self.columns::<1, TALL>(j, panel.clone()),
                };
            }
        }
    }

    /// All rows of `W` columns from `j` on; gives back `W`.
    #[inline(always)]
    fn columns<const W: usize, const TALL: usize>(&mut self, j: usize, panel: Range<usize>) -> usize {
        let (m, ..) = self.size;
        let mut i = 0;
        while i < m {
            i += match height(m - i, TALL) {
                height if height >= TALL => self.tile::<W, TALL>(i, j, &panel),
                6 => self.tile::<W, 6>(i, j, &panel),
                5 => self.tile::<W, 5>(i, j, &panel),
                4 | 7 => self.tile::<W, 4>(i, j, &panel),
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
        let Self { a, strides, b, b_rows, ref mut c, c_rows, .. } = *self;
        let mut sums = [[T::ZERO; W]; R];
        for (r, sum) in sums.iter_mut().enumerate() {
            sum.copy_from_slice(&c[c_rows.start(i + r) + j..][..W]);
        }
        let a = &a[panel.start * strides.col..];
        for (k, row) in panel.clone().enumerate() {
            // A copy: it stays in registers for all rows of the tile.
            let row: [T; W] = b[b_rows.start(row) + j..][..W].try_into().expect("W columns were asked for");
            for (r, sum) in sums.iter_mut().enumerate() {
                let factor = a[(i + r) * strides.row + k * strides.col];
                for (sum, &b) in sum.iter_mut().zip(&row) {
                    *sum = factor.fma(b, *sum);
                }
            }
        }
        for (r, sum) in sums.iter().enumerate() {
            c[c_rows.start(i + r) + j..][..W].copy_from_slice(sum);
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
    fn agrees_with_the_textbook_for_odd_sizes_and_both_orders_of_a() {
        let mut rng = stream(1, "gemm");
        for (m, n, k) in [(1, 1, 1), (5, 7, 3), (13, 101, 300), (8, 64, 257), (3, 6, 64)] {
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
            gemm((m, n, k), &a, Strides { row: k, col: 1 }, &b, &mut got);
            assert_eq!(got, want);
            let turned = transpose(m, k, &a);
            let mut got = vec![1.0; m * n];
            gemm((m, n, k), &turned, Strides { row: 1, col: m }, &b, &mut got);
            assert_eq!(got, want);
        }
    }
}
