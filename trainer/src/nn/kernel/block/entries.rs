//! The entries of a source by columns, a block of rows after the other.

use std::ops::Range;

use super::Block;
use crate::nn::Sparse;

/// Rows that meet all of W before the next ones do: with 64 numbers each, what goes in and what comes out stay in the
/// second-level cache.
pub(super) const BLOCK: usize = 1024;

/// Rows whose entries are sorted at once where they have all columns in common.
const SIDE: usize = 16;

/// The entries of a block of rows of the source, those of one column together, in the order of the rows.
pub(super) struct Entries {
    /// The first row.
    pub(super) first: usize,
    /// Where the entries of a column begin; one more than columns.
    starts: Vec<usize>,
    /// Numbered from the first.
    rows: Vec<u32>,
    values: Vec<f32>,
}

impl Entries {
    /// Of `rows`, block after block.
    pub(super) fn blocks(block: &Block, rows: Range<usize>) -> Vec<Self> {
        let starts = rows.clone().step_by(BLOCK);
        starts.map(|start| Self::new(block, start..rows.end.min(start + BLOCK))).collect()
    }

    fn new(block: &Block, rows: Range<usize>) -> Self {
        let sources = rows.clone().map(|row| block.source_of(row));
        let mut runs = Vec::with_capacity(rows.len());
        for (columns, _) in sources.clone() {
            runs.push(Sparse::run(columns, runs.last().copied().unwrap_or(0)));
        }
        let mut starts = vec![0; block.dims.k + 1];
        for ((columns, _), &run) in sources.clone().zip(&runs) {
            starts[1..=run].iter_mut().for_each(|start| *start += 1);
            columns[run..].iter().for_each(|&column| starts[column as usize + 1] += 1);
        }
        for column in 1..starts.len() {
            starts[column] += starts[column - 1];
        }
        let (mut next, count) = (starts.clone(), starts[block.dims.k]);
        let mut made = Self { first: rows.start, starts, rows: vec![0; count], values: vec![0.0; count] };
        let (mut sources, mut local) = (sources, 0..rows.len() as u32);
        for runs in runs.chunks(SIDE) {
            let sources: Vec<_> = sources.by_ref().take(SIDE).collect();
            let numbers: Vec<u32> = local.by_ref().take(SIDE).collect();
            let common = runs.iter().copied().min().unwrap_or(0);
            // A square at a time: each row has an entry in each of these columns.
            for (column, next) in next[..common].iter_mut().enumerate() {
                let range = *next..*next + runs.len();
                *next = range.end;
                made.rows[range.clone()].copy_from_slice(&numbers);
                for (to, (_, values)) in made.values[range].iter_mut().zip(&sources) {
                    *to = values[column];
                }
            }
            for ((columns, values), number) in sources.into_iter().zip(numbers) {
                for (&column, &value) in columns[common..].iter().zip(&values[common..]) {
                    let at = &mut next[column as usize];
                    (made.rows[*at], made.values[*at]) = (number, value);
                    *at += 1;
                }
            }
        }
        made
    }

    /// Rows and values of a column.
    #[inline(always)]
    pub(super) fn column(&self, column: usize) -> (&[u32], &[f32]) {
        let range = self.starts[column]..self.starts[column + 1];
        (&self.rows[range.clone()], &self.values[range])
    }
}
