//! The product where every row has a source of its own: rows with an entry in column k of the
//! source meet `W[k]` together.

use std::ops::Range;

use rayon::prelude::*;

use super::Block;
use crate::nn::Sparse;
use crate::nn::kernel::gathered::add_scaled;
use crate::nn::kernel::{
    At, ByColumn, Every, Real, Scaled, ShiftedScaled, Start, gemm_finished, gemm_rows, vectorised,
};

/// Rows whose gradients meet at once: with 64 numbers each they stay in the first-level cache.
const ROWS: usize = 64;

/// Rows that meet all of W before the next ones do: with 64 numbers each, what goes in and what comes out stay in the
/// second-level cache.
const BLOCK: usize = 1024;

/// Rows whose entries are sorted at once where they have all columns in common.
const SIDE: usize = 16;

/// Columns of the source whose gradients are made by one task: they stay in the second-level cache beside a block of rows.
const COLUMNS: usize = 8;

/// The entries of a block of rows of the source, those of one column together, in the order of the rows.
pub(super) struct Entries {
    /// The first row.
    first: usize,
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
        let mut guess = 0;
        let run = |(columns, _): (&[u32], _)| {
            guess = Sparse::run(columns, guess);
            guess
        };
        let runs: Vec<usize> = sources.clone().map(run).collect();
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
        let mut sources = sources;
        let mut local = 0..rows.len() as u32;
        for runs in runs.chunks(SIDE) {
            let sources: Vec<_> = sources.by_ref().take(SIDE).collect();
            let numbers: Vec<u32> = local.by_ref().take(SIDE).collect();
            let common = runs.iter().copied().min().unwrap_or(0);
            // A square at a time: each row has an entry in each of these columns.
            for (column, next) in next[..common].iter_mut().enumerate() {
                let range = *next..*next + runs.len();
                *next = range.end;
                made.rows[range.clone()].copy_from_slice(&numbers);
                made.values[range]
                    .iter_mut()
                    .zip(&sources)
                    .for_each(|(to, (_, values))| *to = values[column]);
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
    fn column(&self, column: usize) -> (&[u32], &[f32]) {
        let range = self.starts[column]..self.starts[column + 1];
        (&self.rows[range.clone()], &self.values[range])
    }
}

/// Where rows of `width` numbers begin.
#[inline(always)]
fn places(rows: &[u32], width: usize, to: &mut Vec<usize>) {
    to.clear();
    to.extend(rows.iter().map(|&row| row as usize * width));
}

impl Block {
    /// `out` of the rows that have `entries`, without scale and shift.
    #[inline(always)]
    pub(super) fn own_forward<T: Real>(&self, entries: &[Entries], h: &[T], w: &[T], out: &mut [T]) {
        let (m, d) = (self.dims.m, self.dims.d);
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for (entries, (h, out)) in entries.iter().zip(h.chunks(BLOCK * m).zip(out.chunks_mut(BLOCK * d))) {
            for (column, w) in w.chunks_exact((m + 1) * d).enumerate() {
                let (rows, values) = entries.column(column);
                if rows.is_empty() {
                    continue;
                }
                places(rows, m, &mut from);
                places(rows, d, &mut to);
                let (w, constant) = w.split_at(m * d);
                let finish = ShiftedScaled(values, constant);
                gemm_finished((rows.len(), d, m), (h, At(&from)), w, finish, (out, At(&to)));
            }
        }
    }

    /// `dh` of the rows that have `entries`, without scale; `turned` is `[K, D + 1, M]`.
    #[inline(always)]
    pub(super) fn own_input_grads<T: Real>(
        &self,
        entries: &[Entries],
        turned: &[T],
        grad: &[T],
        dh: &mut [T],
    ) {
        let (m, d) = (self.dims.m, self.dims.d);
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for (entries, (grad, dh)) in entries.iter().zip(grad.chunks(BLOCK * d).zip(dh.chunks_mut(BLOCK * m)))
        {
            for (column, turned) in turned.chunks_exact((d + 1) * m).enumerate() {
                let (rows, values) = entries.column(column);
                if rows.is_empty() {
                    continue;
                }
                places(rows, d, &mut from);
                places(rows, m, &mut to);
                gemm_finished((rows.len(), m, d), (grad, At(&from)), turned, Scaled(values), (dh, At(&to)));
            }
        }
    }

    /// dW `[K, M + 1, D]`: one task per some k over all blocks, so that no partial sums exist.
    pub(super) fn own_weight_grads<T: Real>(&self, shards: &[Vec<Entries>], h: &[T], grad: &[T]) -> Vec<T> {
        let (k, m, d) = (self.dims.k, self.dims.m, self.dims.d);
        let mut dw = vec![T::ZERO; k * (m + 1) * d];
        dw.par_chunks_mut(COLUMNS * (m + 1) * d).enumerate().for_each(|(index, dw)| {
            let (this, first) = (self, index * COLUMNS);
            vectorised!(<T>(this: &Block, first: usize, shards: &[Vec<Entries>], h: &[T], grad: &[T], dw: &mut [T]) {
                this.own_column_grads(first, shards, h, grad, dw);
            });
        });
        dw
    }

    /// dW of the columns of the source from `first` on, `[.., M + 1, D]`.
    #[inline(always)]
    fn own_column_grads<T: Real>(
        &self,
        first: usize,
        shards: &[Vec<Entries>],
        h: &[T],
        grad: &[T],
        dw: &mut [T],
    ) {
        let (m, d) = (self.dims.m, self.dims.d);
        let (mut from, mut to, mut scaled) = (Vec::new(), Vec::new(), vec![T::ZERO; ROWS * d]);
        for entries in shards.iter().flatten() {
            let (h, grad) = (&h[entries.first * m..], &grad[entries.first * d..]);
            for (column, dw) in dw.chunks_exact_mut((m + 1) * d).enumerate() {
                let (dw, constant) = dw.split_at_mut(m * d);
                let (rows, values) = entries.column(first + column);
                for (rows, values) in rows.chunks(ROWS).zip(values.chunks(ROWS)) {
                    places(rows, m, &mut from);
                    places(rows, d, &mut to);
                    let size = (m, d, rows.len());
                    let h = (h, ByColumn(At(&from)));
                    if values.iter().all(|value| value.to_bits() == 1.0_f32.to_bits()) {
                        to.iter().for_each(|&at| add_scaled(constant, T::ONE, &grad[at..][..d]));
                        gemm_rows(size, h, (grad, At(&to)), Start::Sum, (dw, Every(d)));
                    } else {
                        scale_rows(values, grad, &to, &mut scaled, constant);
                        gemm_rows(size, h, (&scaled, Every(d)), Start::Sum, (dw, Every(d)));
                    }
                }
            }
        }
        let scale = T::from_f64(self.source.scale);
        dw.iter_mut().for_each(|dw| *dw = scale * *dw);
    }
}

/// `scaled_r = values_r from[places_r..]`, rows as long as `sum`; and their sum added to `sum`.
#[inline(always)]
fn scale_rows<T: Real>(values: &[f32], from: &[T], places: &[usize], scaled: &mut [T], sum: &mut [T]) {
    const LANES: usize = 64;
    let d = sum.len();
    let mut chunks = sum.chunks_exact_mut(LANES);
    let mut at = 0;
    for sum in &mut chunks {
        // An array of its own stays in registers over all rows.
        let mut sums: [T; LANES] = Start::Sum.first(0, sum);
        for ((&value, place), scaled) in values.iter().zip(places).zip(scaled.chunks_exact_mut(d)) {
            let (value, from) = (T::of(value), &from[place + at..][..LANES]);
            for ((sum, to), &from) in sums.iter_mut().zip(&mut scaled[at..][..LANES]).zip(from) {
                let product = value * from;
                (*to, *sum) = (product, *sum + product);
            }
        }
        sum.copy_from_slice(&sums);
        at += LANES;
    }
    let rest = chunks.into_remainder();
    for ((&value, place), scaled) in values.iter().zip(places).zip(scaled.chunks_exact_mut(d)) {
        let value = T::of(value);
        for ((sum, to), &from) in rest.iter_mut().zip(&mut scaled[at..]).zip(&from[place + at..]) {
            let product = value * from;
            (*to, *sum) = (product, *sum + product);
        }
    }
}
