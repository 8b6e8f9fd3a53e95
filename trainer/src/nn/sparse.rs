//! Constant matrices that are mostly zero: observations, states, one-hot actions.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};

/// A matrix in compressed rows; shared by reference, never changed.
#[derive(Clone, Debug)]
pub struct Sparse(Arc<Rows>);

#[derive(Debug)]
struct Rows {
    width: usize,
    ends: Vec<u32>,
    columns: Vec<u32>,
    values: Vec<f32>,
}

/// Builds a [`Sparse`] row by row.
#[derive(Debug)]
pub struct Builder(Rows);

impl Builder {
    /// For rows of `width` columns.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self::with_room(width, 0, 0)
    }

    /// For rows of `width` columns, with room for so many `rows` and `entries` that are not zero.
    #[must_use]
    pub fn with_room(width: usize, rows: usize, entries: usize) -> Self {
        let ends = Vec::with_capacity(rows);
        Self(Rows { width, ends, columns: Vec::with_capacity(entries), values: Vec::with_capacity(entries) })
    }

    /// One entry of the current row, right of all before.
    pub fn push(&mut self, column: usize, value: f32) {
        debug_assert!(column < self.0.width);
        let start = self.0.ends.last().map_or(0, |&end| end as usize);
        debug_assert!(self.0.columns[start..].last().is_none_or(|&last| (last as usize) < column));
        if value != 0.0 {
            self.0.columns.push(column as u32);
            self.0.values.push(value);
        }
    }

    /// The entries of a row, `by` columns further right.
    fn extend(&mut self, by: usize, (columns, values): (&[u32], &[f32])) {
        self.0.columns.extend(columns.iter().map(|&column| column + by as u32));
        self.0.values.extend_from_slice(values);
    }

    /// Closes the current row.
    pub fn end_row(&mut self) {
        self.0.ends.push(self.0.columns.len() as u32);
    }

    /// The rows of all `parts`, which have `width` columns, one part after the other.
    #[must_use]
    pub fn concat(width: usize, parts: &[&Self]) -> Self {
        let mut before = 0;
        let mut ends = Vec::with_capacity(parts.iter().map(|part| part.0.ends.len()).sum());
        for part in parts {
            debug_assert_eq!(part.0.width, width);
            ends.extend(part.0.ends.iter().map(|end| end + before));
            before += part.0.columns.len() as u32;
        }
        let (columns, values) = rayon::join(
            || parts.iter().map(|part| part.0.columns.as_slice()).collect::<Vec<_>>().concat(),
            || parts.iter().map(|part| part.0.values.as_slice()).collect::<Vec<_>>().concat(),
        );
        Self(Rows { width, ends, columns, values })
    }

    /// The finished matrix.
    #[must_use]
    pub fn build(self) -> Sparse {
        Sparse(Arc::new(self.0))
    }
}

impl Sparse {
    /// From a dense row-major matrix.
    #[must_use]
    pub fn from_dense(width: usize, dense: &[f32]) -> Self {
        let mut builder = Builder::new(width);
        for row in dense.chunks_exact(width) {
            for (column, &value) in row.iter().enumerate() {
                builder.push(column, value);
            }
            builder.end_row();
        }
        builder.build()
    }

    /// One-hot rows: each holds a 1 in the column that its number in `picks` names.
    #[must_use]
    pub fn one_hot(width: usize, picks: &[u32]) -> Self {
        let mut builder = Builder::new(width);
        for &pick in picks {
            builder.push(pick as usize, 1.0);
            builder.end_row();
        }
        builder.build()
    }

    /// Every `count` consecutive rows as one row of `count` times the width.
    #[must_use]
    pub fn fold(&self, count: usize) -> Self {
        let mut builder = Builder::new(count * self.width());
        for index in 0..self.rows() {
            builder.extend(index % count * self.width(), self.row(index));
            if index % count + 1 == count {
                builder.end_row();
            }
        }
        builder.build()
    }

    /// Rows of both, `other`'s to the right; both have the same number of rows.
    #[must_use]
    pub fn beside(&self, other: &Self) -> Self {
        debug_assert_eq!(self.rows(), other.rows());
        let mut builder = Builder::new(self.width() + other.width());
        for index in 0..self.rows() {
            builder.extend(0, self.row(index));
            builder.extend(self.width(), other.row(index));
            builder.end_row();
        }
        builder.build()
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.0.ends.len()
    }

    /// Number of columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.width
    }

    /// Number of entries that are not zero.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.0.columns.len()
    }

    /// The entries of one row: columns and values.
    #[must_use]
    #[inline(always)]
    pub fn row(&self, index: usize) -> (&[u32], &[f32]) {
        let start = if index == 0 { 0 } else { self.0.ends[index - 1] as usize };
        let range = start..self.0.ends[index] as usize;
        (&self.0.columns[range.clone()], &self.0.values[range])
    }

    /// How many of a row's entries, from the first on, are in the columns 0, 1, 2 and so on: where all numbers of an
    /// observation are given, they are. Found at once where they are as many as `guess`.
    #[must_use]
    #[inline(always)]
    pub fn run(columns: &[u32], guess: usize) -> usize {
        // Columns ascend, so that none is left of its place and all after the first out of place are too.
        let fits = |at: usize| columns.get(at).is_some_and(|&column| column as usize == at);
        if (guess == 0 || fits(guess - 1)) && !fits(guess) {
            return guess;
        }
        let (mut run, mut end) = (0, columns.len());
        while run < end {
            let middle = run.midpoint(end);
            if fits(middle) {
                run = middle + 1;
            } else {
                end = middle;
            }
        }
        run
    }

    /// Whether both are the same matrix, not only equal ones.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The same with the rows emptied that `keep` refuses.
    #[must_use]
    pub fn keep(&self, keep: impl Fn(usize) -> bool) -> Self {
        let mut builder = Builder::with_room(self.width(), self.rows(), self.entries());
        for index in 0..self.rows() {
            if keep(index) {
                builder.extend(0, self.row(index));
            }
            builder.end_row();
        }
        builder.build()
    }

    /// The same with the first `width` columns of the rows that `change` names replaced, zeros included:
    /// `to` is given column and value.
    #[must_use]
    pub fn with_dense(
        &self,
        width: usize,
        change: impl Fn(usize) -> bool,
        to: impl Fn(usize, f32) -> f32,
    ) -> Self {
        let mut builder = Builder::new(self.width());
        let mut dense = vec![0.0; width];
        for index in 0..self.rows() {
            let (columns, values) = self.row(index);
            if change(index) {
                let first = columns.partition_point(|&column| (column as usize) < width);
                dense.fill(0.0);
                for (&column, &value) in columns[..first].iter().zip(values) {
                    dense[column as usize] = value;
                }
                dense.iter().enumerate().for_each(|(column, &value)| builder.push(column, to(column, value)));
                builder.extend(0, (&columns[first..], &values[first..]));
            } else {
                builder.extend(0, (columns, values));
            }
            builder.end_row();
        }
        builder.build()
    }

    /// The rows in `ranges`, in that order.
    #[must_use]
    pub fn select(&self, ranges: impl Iterator<Item = Range<usize>>) -> Self {
        let Self(from) = self;
        let Builder(mut to) = Builder::new(from.width);
        let (mut places, mut count) = (Vec::new(), 0);
        for range in ranges {
            let Some(last) = range.clone().last() else { continue };
            let first = range.start.checked_sub(1).map_or(0, |before| from.ends[before]);
            to.ends.extend(from.ends[range].iter().map(|end| end - first + count));
            places.push(first as usize..from.ends[last] as usize);
            count += from.ends[last] - first;
        }
        (to.columns, to.values) = rayon::join(
            || places.iter().map(|range| &from.columns[range.clone()]).collect::<Vec<_>>().concat(),
            || places.iter().map(|range| &from.values[range.clone()]).collect::<Vec<_>>().concat(),
        );
        Builder(to).build()
    }

    /// Row by row, the columns in the range of each part, one part after the other.
    ///
    /// # Errors
    /// If the parts differ in their number of rows.
    pub fn join(parts: &[(&Self, Range<usize>)]) -> Result<Self> {
        let rows = parts.first().map_or(0, |(part, _)| part.rows());
        if let Some((other, _)) = parts.iter().find(|(part, _)| part.rows() != rows) {
            candle_core::bail!("{rows} rows cannot be joined with {}", other.rows());
        }
        let mut builder = Builder::new(parts.iter().map(|(_, range)| range.len()).sum());
        for row in 0..rows {
            let mut before = 0;
            for (part, range) in parts {
                let (columns, values) = part.row(row);
                for (&column, &value) in columns.iter().zip(values) {
                    if range.contains(&(column as usize)) {
                        builder.push(before + column as usize - range.start, value);
                    }
                }
                before += range.len();
            }
            builder.end_row();
        }
        Ok(builder.build())
    }

    /// As an ordinary tensor `[rows, width]`.
    ///
    /// # Errors
    /// If candle refuses the shape.
    pub fn to_tensor(&self, dtype: DType) -> Result<Tensor> {
        let mut dense = vec![0.0_f32; self.rows() * self.width()];
        for (index, row) in dense.chunks_exact_mut(self.width().max(1)).enumerate() {
            let (columns, values) = self.row(index);
            for (&column, &value) in columns.iter().zip(values) {
                row[column as usize] = value;
            }
        }
        Tensor::from_vec(dense, (self.rows(), self.width()), &Device::Cpu)?.to_dtype(dtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_before_the_first_column_out_of_place() {
        for len in 0..9_u32 {
            for run in 0..=len {
                let columns: Vec<u32> =
                    (0..run).chain((run..len).map(|column| column + 1 + column / 3)).collect();
                for guess in 0..10 {
                    assert_eq!(Sparse::run(&columns, guess), run as usize, "{columns:?}, {guess}");
                }
            }
        }
    }

    #[test]
    fn rows_are_put_together() {
        let dense =
            |rows: &Sparse| -> Vec<Vec<f64>> { rows.to_tensor(DType::F64).unwrap().to_vec2().unwrap() };
        let picks = Sparse::one_hot(3, &[2, 0, 1, 1]);
        assert_eq!(dense(&picks)[0], [0.0, 0.0, 1.0]);
        let pairs = picks.fold(2);
        assert_eq!(dense(&pairs), [[0.0, 0.0, 1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]]);
        let left = Sparse::from_dense(2, &[5.0, 0.0, 0.0, 6.0]);
        let both = dense(&left.beside(&pairs));
        assert_eq!(both[0], [5.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        assert_eq!(both[1], [0.0, 6.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
        let rows = Sparse::from_dense(2, &[1.0, 2.0, 0.0, 0.0, 0.0, 3.0, 4.0, 0.0]);
        let some = rows.select([2..4, 1..1, 0..2, 2..3].into_iter());
        assert_eq!(dense(&some), [[0.0, 3.0], [4.0, 0.0], [1.0, 2.0], [0.0, 0.0], [0.0, 3.0]]);
        assert_eq!(rows.select([2..2, 0..0].into_iter()).rows(), 0);
    }
}
