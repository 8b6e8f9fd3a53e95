//! Matrices that stay in the file, no copy made.
//!
//! Every dot product of this crate is computed here, in one order of operations: four partial sums over the columns
//! `c mod 4`, added as `(p0 + p1) + (p2 + p3)`. The order does not depend on the target or on how rows are grouped.

#[cfg(target_arch = "x86_64")]
pub(crate) mod arranged;

/// A row-major matrix in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'m> {
    values: &'m [f32],
    rows: usize,
    cols: usize,
    /// The same once more in another order, see [`Matrix::arrange`]; empty if it was not asked for.
    #[cfg(target_arch = "x86_64")]
    arranged: &'m [f32],
}

impl<'m> Matrix<'m> {
    /// `values` holds `rows * cols` of them.
    pub(crate) const fn new(values: &'m [f32], rows: usize, cols: usize) -> Self {
        Self {
            values,
            rows,
            cols,
            #[cfg(target_arch = "x86_64")]
            arranged: &[],
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// One row; empty if there is no such row.
    pub(crate) fn row(&self, row: usize) -> Row<'m> {
        let begin = row.saturating_mul(self.cols);
        Row(self.values.get(begin..begin.saturating_add(self.cols)).unwrap_or_default())
    }

    /// The rows from `first` on, one after another; empty if there is no such row.
    pub(crate) fn rows_from(&self, first: usize) -> &'m [f32] {
        self.values.get(first.saturating_mul(self.cols)..).unwrap_or_default()
    }

    /// Dot products of the rows `first..first + 4` with `x`; those of rows that do not exist mean nothing.
    ///
    /// All four at once, so that `x` is loaded once for them: their sixteen sums fit the registers of a Cortex-M4F.
    #[inline(always)]
    pub(crate) fn dot4(&self, first: usize, x: &[f32]) -> [f32; 4] {
        let width = self.cols;
        let begin = first.wrapping_mul(width); // no overflow: a row is part of the file
        let rest = self.values.get(begin..).unwrap_or_default();
        let (a, rest) = rest.split_at_checked(width).unwrap_or_default();
        // Where a row is missing, vectors do better with none, scalars with one of the same length.
        let missing = if cfg!(ddn_mve) { &[] } else { a };
        let (b, rest) = rest.split_at_checked(width).unwrap_or((missing, &[]));
        let (c, rest) = rest.split_at_checked(width).unwrap_or((missing, &[]));
        let (d, _) = rest.split_at_checked(width).unwrap_or((missing, &[]));
        dot4([a, b, c, d], x)
    }

    /// The same with the elements of the row `bias` added.
    #[inline(never)]
    pub(crate) fn affine4(&self, bias: &Matrix<'m>, first: usize, x: &[f32]) -> [f32; 4] {
        let [p, q, r, s] = self.dot4(first, x);
        let bias = bias.values.get(first..).unwrap_or_default();
        let [a, b, c, d] = bias.first_chunk::<4>().copied().unwrap_or_else(|| filled(bias));
        [p + a, q + b, r + c, s + d]
    }
}

/// A row of numbers in a file.
#[derive(Clone, Copy, Debug)]
pub struct Row<'m>(pub(crate) &'m [f32]);

impl<'m> Row<'m> {
    /// The floats as they lie in the file.
    pub fn as_slice(self) -> &'m [f32] {
        self.0
    }

    /// How many floats there are.
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The floats from left to right.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = f32> + Clone + use<'m> {
        self.0.iter().copied()
    }

    /// Whether no float is infinite or not a number: what is finite, and nothing else, times 0 is 0. Two instructions a
    /// float on a Cortex-M4F.
    pub(crate) fn is_finite(self) -> bool {
        let (blocks, rest) = self.0.as_chunks::<8>();
        let mut sums = [0.0; 8];
        for block in blocks {
            for (sum, value) in sums.iter_mut().zip(block) {
                *sum += value * 0.0;
            }
        }
        rest.iter().chain(&sums).all(|value| value.is_finite())
    }

    /// Writes the floats to the front of `to`, as many as fit.
    pub fn copy_to(self, to: &mut [f32]) {
        for (to, value) in to.iter_mut().zip(self.iter()) {
            *to = value;
        }
    }
}

/// Four rows times `x`, all of the same length. Written out, because a compiler that looks for small code would not do it.
#[cfg(not(ddn_mve))]
#[inline(always)]
fn dot4([a, b, c, d]: [&[f32]; 4], x: &[f32]) -> [f32; 4] {
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let ((c, c_tail), (d, d_tail)) = (c.as_chunks::<4>(), d.as_chunks::<4>());
    let (x, x_tail) = x.as_chunks::<4>();
    let [mut p, mut q, mut r, mut s] = [[0.0; 4]; 4];
    for ((((x, a), b), c), d) in x.iter().zip(a).zip(b).zip(c).zip(d) {
        p = added(p, x, a);
        q = added(q, x, b);
        r = added(r, x, c);
        s = added(s, x, d);
    }
    if !x_tail.is_empty() {
        // No sum is ever -0, so that adding 0 changes none.
        let x = filled(x_tail);
        p = added(p, &x, &filled(a_tail));
        q = added(q, &x, &filled(b_tail));
        r = added(r, &x, &filled(c_tail));
        s = added(s, &x, &filled(d_tail));
    }
    [total(p), total(q), total(r), total(s)]
}

/// Four columns more.
#[cfg(not(ddn_mve))]
#[inline(always)]
fn added([p, q, r, s]: [f32; 4], [x, y, z, w]: &[f32; 4], [a, b, c, d]: &[f32; 4]) -> [f32; 4] {
    [p + x * a, q + y * b, r + z * c, s + w * d]
}

/// The last columns, and zeros.
#[inline(never)]
fn filled(tail: &[f32]) -> [f32; 4] {
    let mut columns = [0.0; 4];
    for (column, value) in columns.iter_mut().zip(tail) {
        *column = *value;
    }
    columns
}

/// The same for a Cortex-M55, in a form that becomes vector instructions; rows may be missing.
#[cfg(ddn_mve)]
#[inline(always)]
fn dot4([a, b, c, d]: [&[f32]; 4], x: &[f32]) -> [f32; 4] {
    if d.is_empty() {
        return [dot(a, x), dot(b, x), dot(c, x), 0.0];
    }
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let ((c, c_tail), (d, d_tail)) = (c.as_chunks::<4>(), d.as_chunks::<4>());
    let (x, x_tail) = x.as_chunks::<4>();
    let mut sums = [[0.0; 4]; 4];
    for ((((x, a), b), c), d) in x.iter().zip(a).zip(b).zip(c).zip(d) {
        let [p, q, r, s] = &mut sums;
        add(p, x, a);
        add(q, x, b);
        add(r, x, c);
        add(s, x, d);
    }
    for (sums, tail) in sums.iter_mut().zip([a_tail, b_tail, c_tail, d_tail]) {
        add(sums, x_tail, tail);
    }
    sums.map(total)
}

/// One row times `x`, in the same order as [`dot4`].
#[cfg(ddn_mve)]
fn dot(row: &[f32], x: &[f32]) -> f32 {
    let (row, row_tail) = row.as_chunks::<4>();
    let (x, x_tail) = x.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (x, row) in x.iter().zip(row) {
        add(&mut sums, x, row);
    }
    add(&mut sums, x_tail, row_tail);
    total(sums)
}

/// Up to four columns more.
#[cfg(ddn_mve)]
#[inline(always)]
fn add(sums: &mut [f32; 4], x: &[f32], row: &[f32]) {
    for ((sum, x), weight) in sums.iter_mut().zip(x).zip(row) {
        *sum += x * weight;
    }
}

#[inline(always)]
fn total([a, b, c, d]: [f32; 4]) -> f32 {
    (a + b) + (c + d)
}
