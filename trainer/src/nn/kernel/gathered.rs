//! Products of a sparse matrix and a dense one, a few rows at a time.
//!
//! Where rows that follow each other use much the same columns, they are one small dense matrix of
//! those columns, and a product of dense matrices does the work; else the entries are walked along.
//! Every sum runs over the entries in ascending order either way, and a product with a zero changes
//! none, so which way is taken is a matter of speed alone.

use super::{At, ByColumn, ByRow, Every, Real, Start, gemm_rows};
use crate::nn::Sparse;

/// Rows that are looked at together where most numbers are zero: those of neighbours have columns in common.
const GROUP: usize = 8;

/// Matrices with fewer entries than one in so many are not looked at: their rows have little in common.
const SPARSE: usize = 8;

/// A product of dense matrices is this many times as fast as a walk along the entries.
const GAIN: usize = 3;

/// Some rows of a sparse matrix.
pub(super) struct Gathered<'a, T> {
    x: &'a Sparse,
    rows: Vec<usize>,
    /// The used columns C in ascending order, and `[rows, C]`; if zeros are few enough to multiply by.
    dense: Option<(Vec<usize>, Vec<T>)>,
    /// Else, if asked for: column, row of the group, value; those of one column together.
    by_column: Vec<(u32, usize, f32)>,
}

/// A matrix W with one row per column of the sparse one: `width` numbers from `at + k * stride` on.
#[derive(Clone, Copy)]
pub(super) struct Part<'a, T> {
    /// All of W.
    pub w: &'a [T],
    /// Distance of two rows.
    pub stride: usize,
    /// Where in a row to begin.
    pub at: usize,
    /// How far to go.
    pub width: usize,
}

impl<'a, T: Real> Gathered<'a, T> {
    /// The named rows of `x`.
    #[inline(always)]
    pub(super) fn new(x: &'a Sparse, rows: impl Iterator<Item = usize>) -> Self {
        let rows: Vec<usize> = rows.collect();
        if is_sparse(x) {
            return Self { x, rows, dense: None, by_column: Vec::new() };
        }
        let mut used = vec![0_u64; x.width().div_ceil(64)];
        let (mut entries, mut longest) = (0, 0);
        let mut runs = Vec::with_capacity(rows.len());
        for &row in &rows {
            let columns = x.row(row).0;
            let run = Sparse::run(columns, runs.last().copied().unwrap_or(0));
            runs.push(run);
            (entries, longest) = (entries + columns.len(), longest.max(run));
            columns[run..].iter().for_each(|&column| used[column as usize / 64] |= 1 << (column % 64));
        }
        (0..longest).step_by(64).for_each(|at| used[at / 64] |= u64::MAX >> (64 - (longest - at).min(64)));
        let count: usize = used.iter().map(|bits| bits.count_ones() as usize).sum();
        if count * rows.len() > entries * GAIN {
            return Self { x, rows, dense: None, by_column: Vec::new() };
        }
        let mut slots = vec![0; x.width()];
        let mut columns = Vec::with_capacity(count);
        for (word, mut bits) in used.into_iter().enumerate() {
            while bits != 0 {
                let column = 64 * word + bits.trailing_zeros() as usize;
                slots[column] = columns.len();
                columns.push(column);
                bits &= bits - 1;
            }
        }
        let mut values = vec![T::ZERO; rows.len() * count];
        for ((&row, &run), values) in rows.iter().zip(&runs).zip(values.chunks_exact_mut(count.max(1))) {
            let (used, of) = x.row(row);
            values[..run].iter_mut().zip(of).for_each(|(to, &value)| *to = T::of(value));
            for (&column, &value) in used[run..].iter().zip(&of[run..]) {
                values[slots[column as usize]] = T::of(value);
            }
        }
        Self { x, rows, dense: Some((columns, values)), by_column: Vec::new() }
    }

    /// Sorts the entries, so that [`Self::add_transposed`] fetches a wide row of its result once, not
    /// for every entry.
    pub(super) fn by_column(mut self) -> Self {
        if self.dense.is_none() {
            for (step, &row) in self.rows.iter().enumerate() {
                let (columns, values) = self.x.row(row);
                self.by_column
                    .extend(columns.iter().zip(values).map(|(&column, &value)| (column, step, value)));
            }
            self.by_column.sort_by_key(|&(column, ..)| column);
        }
        self
    }

    /// The rows, as they were named.
    pub(super) fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// `to_r += Σ_k x_rk w_k` from `start` on, `to` `[rows, width]`.
    #[inline(always)]
    pub(super) fn multiply(&self, part: Part<'_, T>, start: Start<'_, T>, to: &mut [T]) {
        let width = part.width;
        if let Some((columns, values)) = &self.dense {
            let Part { w, stride, at, .. } = part;
            let starts: Vec<usize> = columns.iter().map(|&column| column * stride + at).collect();
            let order = ByRow(Every(columns.len()));
            let size = (self.rows.len(), width, columns.len());
            gemm_rows(size, (values, order), (w, At(&starts)), start, (to, Every(width)));
            return;
        }
        for (&row, to) in self.rows.iter().zip(to.chunks_exact_mut(width)) {
            multiply_row(self.x.row(row), part, start, to);
        }
    }

    /// `to_k += Σ_r x_rk from_r` in the order of the rows, `from` `[rows, width]`, `to` `[K, width]`.
    #[inline(always)]
    pub(super) fn add_transposed(&self, width: usize, from: &[T], to: &mut [T]) {
        if let Some((columns, values)) = &self.dense {
            let starts: Vec<usize> = columns.iter().map(|&column| column * width).collect();
            let order = ByColumn(Every(columns.len()));
            let size = (columns.len(), width, self.rows.len());
            gemm_rows(size, (values, order), (from, Every(width)), Start::Sum, (to, At(&starts)));
            return;
        }
        for run in self.by_column.chunk_by(|a, b| a.0 == b.0) {
            let terms = run.iter().map(|&(_, row, value)| (row * width, T::of(value)));
            add_weighted(terms, from, Start::Sum, &mut to[run[0].0 as usize * width..][..width]);
        }
        if !self.by_column.is_empty() {
            return;
        }
        for (&row, from) in self.rows.iter().zip(from.chunks_exact(width)) {
            add_transposed_row(self.x.row(row), from, to);
        }
    }
}

/// Whether most of the entries of `x` are not zero.
pub(super) fn is_full(x: &Sparse) -> bool {
    2 * x.entries() >= x.rows() * x.width()
}

/// How many rows of `x` are to be looked at together. Where it is full, products are of dense matrices, of which what is
/// read of the other one should serve several tiles.
pub(super) fn group_of(x: &Sparse) -> usize {
    if is_full(x) { 4 * GROUP } else { GROUP }
}

/// Whether few of the entries of `x` are not zero.
pub(super) fn is_sparse(x: &Sparse) -> bool {
    x.entries() * SPARSE < x.rows() * x.width()
}

/// `to += Σ_k x_k w_k` from `start` on, for one row of a sparse matrix.
#[inline(always)]
pub(super) fn multiply_row<T: Real>(
    (columns, values): (&[u32], &[f32]),
    part: Part<'_, T>,
    start: Start<'_, T>,
    to: &mut [T],
) {
    let Part { w, stride, at, .. } = part;
    let terms = columns.iter().zip(values);
    add_weighted(terms.map(|(&k, &value)| (k as usize * stride + at, T::of(value))), w, start, to);
}

/// `to_k += x_k from` for one row of a sparse matrix.
#[inline(always)]
pub(super) fn add_transposed_row<T: Real>((columns, values): (&[u32], &[f32]), from: &[T], to: &mut [T]) {
    let width = from.len();
    for (&column, &value) in columns.iter().zip(values) {
        add_scaled(&mut to[column as usize * width..][..width], T::of(value), from);
    }
}

/// `to += factor * from`
#[inline(always)]
pub(super) fn add_scaled<T: Real>(to: &mut [T], factor: T, from: &[T]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = factor.fma(from, *to);
    }
}

/// `to += Σ_j values_j from[starts_j..]` from `start` on, for each element in the order of the terms.
#[inline(always)]
pub(super) fn add_weighted<T: Real>(
    terms: impl Iterator<Item = (usize, T)> + Clone,
    from: &[T],
    start: Start<'_, T>,
    to: &mut [T],
) {
    const LANES: usize = 64;
    let mut at = 0;
    let mut chunks = to.chunks_exact_mut(LANES);
    for to in &mut chunks {
        // An array of its own stays in registers over all terms.
        let mut sums: [T; LANES] = start.first(at, to);
        for (place, value) in terms.clone() {
            for (sum, &from) in sums.iter_mut().zip(&from[place + at..][..LANES]) {
                *sum = value.fma(from, *sum);
            }
        }
        to.copy_from_slice(&sums);
        at += LANES;
    }
    let rest = chunks.into_remainder();
    start.set(at, rest);
    for (place, value) in terms {
        add_scaled(rest, value, &from[place + at..][..rest.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Draw, stream};

    /// `rows` x `cols` numbers, of which a share of `filled` is not zero.
    fn matrix(rows: usize, cols: usize, filled: f32, rng: &mut impl Draw) -> Vec<f32> {
        (0..rows * cols).map(|_| if rng.unit() < filled { rng.unit() - 0.5 } else { 0.0 }).collect()
    }

    /// Padding in a matrix that is full elsewhere.
    #[test]
    fn rows_without_entries_are_what_sums_begin_with() {
        let (k, width) = (5, 67);
        let mut rng = stream(2, "gathered");
        let full = matrix(GROUP, k, 1.0, &mut rng);
        let x = Sparse::from_dense(k, &[full, vec![0.0; GROUP * k]].concat());
        let group = Gathered::new(&x, GROUP..2 * GROUP);
        assert!(group.dense.is_some(), "such rows are gathered like the others");
        let (w, row) = (matrix(k, width, 1.0, &mut rng), matrix(1, width, 1.0, &mut rng));
        let part = Part { w: &w, stride: width, at: 0, width };
        let mut got = vec![1.0; GROUP * width];
        group.multiply(part, Start::Row(&row), &mut got);
        assert_eq!(got, row.repeat(GROUP));
        group.multiply(part, Start::Zero, &mut got);
        assert_eq!(got, vec![0.0; GROUP * width]);
    }

    #[test]
    fn both_ways_give_the_bits_of_the_textbook() {
        let (rows, k, width) = (GROUP, 70, 67);
        let mut rng = stream(1, "gathered");
        let mut ways = [false; 2];
        for filled in [0.0, 0.05, 0.2, 0.5, 1.0] {
            let dense = matrix(rows, k, filled, &mut rng);
            let x = Sparse::from_dense(k, &dense);
            let (w, from) = (matrix(k, width, 1.0, &mut rng), matrix(rows, width, 1.0, &mut rng));
            let (mut want, mut want_transposed) = (vec![1.0; rows * width], vec![1.0; k * width]);
            for r in 0..rows {
                for c in 0..k {
                    for j in 0..width {
                        let x = dense[r * k + c];
                        want[r * width + j] = x.mul_add(w[c * width + j], want[r * width + j]);
                        let to = &mut want_transposed[c * width + j];
                        *to = x.mul_add(from[r * width + j], *to);
                    }
                }
            }
            let group = Gathered::new(&x, 0..rows);
            ways[usize::from(group.dense.is_some())] = true;
            let mut got = vec![1.0; rows * width];
            let part = Part { w: &w, stride: width, at: 0, width };
            group.multiply(part, Start::Sum, &mut got);
            assert_eq!(got, want, "{filled}");
            let ones = vec![1.0; width];
            group.multiply(part, Start::Row(&ones), &mut got);
            assert_eq!(got, want, "{filled}");
            group.multiply(part, Start::Zero, &mut got);
            let mut once = vec![0.0; rows * width];
            group.multiply(part, Start::Sum, &mut once);
            assert_eq!(got, once, "{filled}");
            for group in [Gathered::new(&x, 0..rows), Gathered::new(&x, 0..rows).by_column()] {
                let mut got = vec![1.0; k * width];
                group.add_transposed(width, &from, &mut got);
                assert_eq!(got, want_transposed, "{filled}");
            }
        }
        assert_eq!(ways, [true; 2]);
    }
}
