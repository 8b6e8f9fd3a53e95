//! Matrices that stay in the file: little-endian bytes in, `f32` out, no copy and no alignment asked for.
//!
//! Every dot product of this crate is computed here, in one order of operations: four partial sums over the columns
//! `c mod 4`, added as `(p0 + p1) + (p2 + p3)`. The order does not depend on the target or on how rows are grouped.

/// A row-major matrix of `f32` in the bytes of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'m> {
    bytes: &'m [u8],
    rows: usize,
    cols: usize,
}

impl<'m> Matrix<'m> {
    /// `bytes` holds `4 * rows * cols` bytes.
    pub(crate) fn new(bytes: &'m [u8], rows: usize, cols: usize) -> Self {
        Self { bytes, rows, cols }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// The bytes of one row; empty if there is no such row.
    pub(crate) fn row(&self, row: usize) -> Row<'m> {
        let width = self.cols.saturating_mul(4);
        let begin = row.saturating_mul(width);
        Row(self.bytes.get(begin..begin.saturating_add(width)).unwrap_or_default())
    }

    /// Dot products of the rows `first..first + 4` with `x`, 0 for rows that do not exist.
    ///
    /// Two rows at a time, so that `x` is loaded once for both: eight sums fit the registers of a Cortex-M4F without
    /// spilling, sixteen do not.
    pub(crate) fn dot4(&self, first: usize, x: &[f32]) -> [f32; 4] {
        let width = self.cols.wrapping_mul(4); // no overflow: a row is part of the file
        let rest = self.bytes.get(first.wrapping_mul(width)..).unwrap_or_default();
        let (a, rest) = rest.split_at_checked(width).unwrap_or_default();
        let (b, rest) = rest.split_at_checked(width).unwrap_or_default();
        let (c, rest) = rest.split_at_checked(width).unwrap_or_default();
        let (d, _) = rest.split_at_checked(width).unwrap_or_default();
        let [a, b] = dot2(a, b, x);
        let [c, d] = dot2(c, d, x);
        [a, b, c, d]
    }
}

/// A row of `f32` in the bytes of a file.
#[derive(Clone, Copy, Debug)]
pub struct Row<'m>(pub(crate) &'m [u8]);

impl<'m> Row<'m> {
    /// How many floats there are.
    pub fn len(self) -> usize {
        self.0.len() / 4
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The floats from left to right.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = f32> + Clone + use<'m> {
        self.0.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }

    /// Writes the floats to the front of `to`, as many as fit.
    pub fn copy_to(self, to: &mut [f32]) {
        for (to, value) in to.iter_mut().zip(self.iter()) {
            *to = value;
        }
    }
}

/// Two rows times `x`. The rows have the same length, or one of them is missing.
#[inline(always)]
fn dot2(a: &[u8], b: &[u8], x: &[f32]) -> [f32; 2] {
    if b.is_empty() {
        return [dot(a, x), 0.0];
    }
    let (a, a_tail) = a.as_chunks::<16>();
    let (b, b_tail) = b.as_chunks::<16>();
    let (x, x_tail) = x.as_chunks::<4>();
    let (mut sums_a, mut sums_b) = ([0.0; 4], [0.0; 4]);
    for ((x, a), b) in x.iter().zip(a).zip(b) {
        add(&mut sums_a, x, a);
        add(&mut sums_b, x, b);
    }
    add_tail(&mut sums_a, x_tail, a_tail);
    add_tail(&mut sums_b, x_tail, b_tail);
    [total(sums_a), total(sums_b)]
}

/// One row times `x`, in the same order as [`dot2`].
fn dot(row: &[u8], x: &[f32]) -> f32 {
    let (row, row_tail) = row.as_chunks::<16>();
    let (x, x_tail) = x.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (x, row) in x.iter().zip(row) {
        add(&mut sums, x, row);
    }
    add_tail(&mut sums, x_tail, row_tail);
    total(sums)
}

#[inline(always)]
fn add(sums: &mut [f32; 4], x: &[f32; 4], row: &[u8; 16]) {
    let (weights, _) = row.as_chunks::<4>();
    for ((sum, x), weight) in sums.iter_mut().zip(x).zip(weights) {
        *sum += x * f32::from_le_bytes(*weight);
    }
}

#[inline(always)]
fn add_tail(sums: &mut [f32; 4], x: &[f32], row: &[u8]) {
    for ((sum, x), weight) in sums.iter_mut().zip(x).zip(Row(row).iter()) {
        *sum += x * weight;
    }
}

#[inline(always)]
fn total([a, b, c, d]: [f32; 4]) -> f32 {
    (a + b) + (c + d)
}
