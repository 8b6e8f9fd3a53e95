//! Dense products of small matrices, the inner loop of everything here.
//!
//! `c[m, n] += a[m, k] · b[k, n]`. `a` has free strides, so one routine serves the product, and the
//! product with `a` transposed. Every element of `c` is summed over `k` in order with fused
//! multiply-adds, whatever the blocking: the bits depend on neither the block sizes nor the
//! vector width.

use super::Real;

/// Where `a` lies: element `(i, k)` is at `i * row + k * col`.
#[derive(Clone, Copy)]
pub struct Strides {
    /// Distance between rows.
    pub row: usize,
    /// Distance between columns.
    pub col: usize,
}

/// Rows of `k` that stay in the second-level cache.
const PANEL: usize = 256;

/// `c += a · b`; `b` and `c` are row-major with `n` columns.
#[inline(always)]
pub fn gemm<T: Real>((m, n, k): (usize, usize, usize), a: &[T], strides: Strides, b: &[T], c: &mut [T]) {
    let mut start = 0;
    while start < k {
        let depth = PANEL.min(k - start);
        let a = &a[start * strides.col..];
        let b = &b[start * n..(start + depth) * n];
        let mut j = 0;
        while j < n {
            let left = n - j;
            let step = if left >= 64 {
                columns::<T, 64, 4>(m, n, j, a, strides, b, c)
            } else if left >= 32 {
                columns::<T, 32, 6>(m, n, j, a, strides, b, c)
            } else if left >= 16 {
                columns::<T, 16, 8>(m, n, j, a, strides, b, c)
            } else if left >= 8 {
                columns::<T, 8, 8>(m, n, j, a, strides, b, c)
            } else if left >= 4 {
                columns::<T, 4, 8>(m, n, j, a, strides, b, c)
            } else {
                columns::<T, 1, 8>(m, n, j, a, strides, b, c)
            };
            j += step;
        }
        start += depth;
    }
}

/// All rows of `W` columns from `j` on; gives back `W`.
#[inline(always)]
fn columns<T: Real, const W: usize, const R: usize>(
    m: usize,
    n: usize,
    j: usize,
    a: &[T],
    strides: Strides,
    b: &[T],
    c: &mut [T],
) -> usize {
    let mut i = 0;
    while i + R <= m {
        tile::<T, W, R>(n, i, j, a, strides, b, c);
        i += R;
    }
    while i < m {
        tile::<T, W, 1>(n, i, j, a, strides, b, c);
        i += 1;
    }
    W
}

#[inline(always)]
fn tile<T: Real, const W: usize, const R: usize>(
    n: usize,
    i: usize,
    j: usize,
    a: &[T],
    strides: Strides,
    b: &[T],
    c: &mut [T],
) {
    let mut sums = [[T::ZERO; W]; R];
    for (r, sum) in sums.iter_mut().enumerate() {
        sum.copy_from_slice(&c[(i + r) * n + j..][..W]);
    }
    for (k, row) in b.chunks_exact(n).enumerate() {
        let row: &[T; W] = row[j..j + W].try_into().expect("W columns were asked for");
        for (r, sum) in sums.iter_mut().enumerate() {
            let factor = a[(i + r) * strides.row + k * strides.col];
            for (sum, &b) in sum.iter_mut().zip(row) {
                *sum = factor.fma(b, *sum);
            }
        }
    }
    for (r, sum) in sums.iter().enumerate() {
        c[(i + r) * n + j..][..W].copy_from_slice(sum);
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
