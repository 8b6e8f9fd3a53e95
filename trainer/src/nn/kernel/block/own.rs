//! The product where every row has a source of its own: rows with an entry in column k of the
//! source meet `W[k]` together.

use std::ops::Range;

use rayon::prelude::*;

use super::Block;
use crate::nn::kernel::gathered::add_scaled;
use crate::nn::kernel::{
    At, ByColumn, Every, Real, Scaled, ShiftedScaled, Start, gemm_finished, gemm_rows, shard, vectorised,
};

/// Rows whose gradients meet at once: with 64 numbers each they stay in the first-level cache.
const ROWS: usize = 64;

/// The entries of some rows of the source, those of one column together, in the order of the rows.
pub(super) struct Entries {
    /// Where the entries of a column begin; one more than columns.
    starts: Vec<usize>,
    /// Numbered from the first.
    rows: Vec<u32>,
    values: Vec<f32>,
}

impl Entries {
    pub(super) fn new(block: &Block, rows: Range<usize>) -> Self {
        let mut starts = vec![0; block.dims.k + 1];
        for row in rows.clone() {
            block.source_of(row).0.iter().for_each(|&column| starts[column as usize + 1] += 1);
        }
        for column in 1..starts.len() {
            starts[column] += starts[column - 1];
        }
        let (mut next, count) = (starts.clone(), starts[block.dims.k]);
        let mut made = Self { starts, rows: vec![0; count], values: vec![0.0; count] };
        for (local, row) in rows.enumerate() {
            let (columns, values) = block.source_of(row);
            for (&column, &value) in columns.iter().zip(values) {
                let at = &mut next[column as usize];
                (made.rows[*at], made.values[*at]) = (local as u32, value);
                *at += 1;
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
    pub(super) fn own_forward<T: Real>(&self, entries: &Entries, h: &[T], w: &[T], out: &mut [T]) {
        let (m, d) = (self.dims.m, self.dims.d);
        let (mut from, mut to) = (Vec::new(), Vec::new());
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

    /// `dh` of the rows that have `entries`, without scale; `turned` is `[K, D, M]`.
    #[inline(always)]
    pub(super) fn own_input_grads<T: Real>(&self, entries: &Entries, turned: &[T], grad: &[T], dh: &mut [T]) {
        let (m, d) = (self.dims.m, self.dims.d);
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for (column, turned) in turned.chunks_exact(d * m).enumerate() {
            let (rows, values) = entries.column(column);
            if rows.is_empty() {
                continue;
            }
            places(rows, d, &mut from);
            places(rows, m, &mut to);
            gemm_finished((rows.len(), m, d), (grad, At(&from)), turned, Scaled(values), (dh, At(&to)));
        }
    }

    /// dW `[K, M + 1, D]`: one task per k over all shards, so that no partial sums exist.
    pub(super) fn own_weight_grads<T: Real>(&self, shards: &[Entries], h: &[T], grad: &[T]) -> Vec<T> {
        let (k, m, d) = (self.dims.k, self.dims.m, self.dims.d);
        let mut dw = vec![T::ZERO; k * (m + 1) * d];
        dw.par_chunks_exact_mut((m + 1) * d).enumerate().for_each(|(column, dw)| {
            let this = self;
            vectorised!(<T>(this: &Block, column: usize, shards: &[Entries], h: &[T], grad: &[T], dw: &mut [T]) {
                this.own_column_grads(column, shards, h, grad, dw);
            });
        });
        dw
    }

    /// dW of one column of the source, `[M + 1, D]`.
    #[inline(always)]
    fn own_column_grads<T: Real>(
        &self,
        column: usize,
        shards: &[Entries],
        h: &[T],
        grad: &[T],
        dw: &mut [T],
    ) {
        let (m, d) = (self.dims.m, self.dims.d);
        let (dw_h, constant) = dw.split_at_mut(m * d);
        let (mut from, mut to, mut scaled) = (Vec::new(), Vec::new(), vec![T::ZERO; ROWS * d]);
        for (index, entries) in shards.iter().enumerate() {
            let first = shard(self.distinct.len(), index).start;
            let (h, grad) = (&h[first * m..], &grad[first * d..]);
            let (rows, values) = entries.column(column);
            for (rows, values) in rows.chunks(ROWS).zip(values.chunks(ROWS)) {
                places(rows, m, &mut from);
                places(rows, d, &mut to);
                let grads = to.iter().map(|&at| &grad[at..][..d]);
                let (size, h) = ((m, d, rows.len()), (h, ByColumn(At(&from))));
                if values.iter().all(|value| value.to_bits() == 1.0_f32.to_bits()) {
                    grads.for_each(|grads| add_scaled(constant, T::ONE, grads));
                    gemm_rows(size, h, (grad, At(&to)), Start::Sum, (dw_h, Every(d)));
                } else {
                    for ((grads, &value), scaled) in grads.zip(values).zip(scaled.chunks_exact_mut(d)) {
                        let value = T::of(value);
                        scaled.iter_mut().zip(grads).for_each(|(to, &grad)| *to = value * grad);
                        add_scaled(constant, T::ONE, scaled);
                    }
                    gemm_rows(size, h, (&scaled, Every(d)), Start::Sum, (dw_h, Every(d)));
                }
            }
        }
        let scale = T::from_f64(self.source.scale);
        dw.iter_mut().for_each(|dw| *dw = scale * *dw);
    }
}
