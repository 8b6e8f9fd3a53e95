//! The product where every row has a source of its own: rows of a block with an entry in column k of the
//! source meet `W[k]` together.

use rayon::prelude::*;

use super::Block;
use super::entries::{BLOCK, Entries};
use crate::nn::kernel::gathered::add_scaled;
use crate::nn::kernel::{
    At, ByColumn, Every, Real, SHARDS, Scaled, ShiftedScaled, Start, gemm_finished, gemm_rows, vectorised,
};

/// Rows whose gradients meet at once: with 64 numbers each they stay in the first-level cache.
const ROWS: usize = 64;

/// The most columns of the source whose gradients are made by one task: they stay in the second-level cache beside a
/// block of rows.
const COLUMNS: usize = 8;

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

    /// dW `[K, M + 1, D]`: a task for every few k, over all blocks, so that no partial sums exist.
    pub(super) fn own_weight_grads<T: Real>(&self, blocks: &[Vec<Entries>], h: &[T], grad: &[T]) -> Vec<T> {
        let (k, m, d) = (self.dims.k, self.dims.m, self.dims.d);
        let mut dw = vec![T::ZERO; k * (m + 1) * d];
        let columns = COLUMNS.min(k.div_ceil(SHARDS)).max(1);
        dw.par_chunks_mut(columns * (m + 1) * d).enumerate().for_each(|(index, dw)| {
            let (this, first) = (self, index * columns);
            vectorised!(<T>(this: &Block, first: usize, blocks: &[Vec<Entries>], h: &[T], grad: &[T], dw: &mut [T]) {
                this.own_column_grads(first, blocks, h, grad, dw);
            });
        });
        dw
    }

    /// dW of the columns of the source from `first` on, `[.., M + 1, D]`.
    #[inline(always)]
    fn own_column_grads<T: Real>(
        &self,
        first: usize,
        blocks: &[Vec<Entries>],
        h: &[T],
        grad: &[T],
        dw: &mut [T],
    ) {
        let (m, d) = (self.dims.m, self.dims.d);
        let (mut from, mut to, mut scaled) = (Vec::new(), Vec::new(), vec![T::ZERO; ROWS * d]);
        for entries in blocks.iter().flatten() {
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
