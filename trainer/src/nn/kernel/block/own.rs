//! The product where every row has a source of its own: rows with an entry in column k of the
//! source meet `W[k]` together.

use std::ops::Range;

use rayon::prelude::*;

use super::Block;
use crate::nn::kernel::gathered::add_scaled;
use crate::nn::kernel::{Order, Real, gemm, product, vectorised};

/// Rows of a group that are gathered at once: with 64 numbers each they stay in the cache.
const ROWS: usize = 128;

/// Per column of the source, the rows with an entry there.
type Groups = Vec<Vec<(u32, f32)>>;

/// The rows of `[h, 1]` that a group names, times their source values: `[G, M + 1]`.
#[inline(always)]
fn gather_inputs<T: Real>(group: &[(u32, f32)], h: &[T], m: usize, to: &mut Vec<T>) {
    to.clear();
    for &(row, value) in group {
        let value = T::of(value);
        to.extend(h[row as usize * m..][..m].iter().map(|&h| h * value));
        to.push(value);
    }
}

/// The rows of `from` that a group names: `[G, width]`.
#[inline(always)]
fn gather<T: Real>(group: &[(u32, f32)], from: &[T], width: usize, to: &mut Vec<T>) {
    to.clear();
    for &(row, _) in group {
        to.extend_from_slice(&from[row as usize * width..][..width]);
    }
}

impl Block {
    /// Rows are numbered from the first of `rows`.
    fn groups(&self, rows: Range<usize>) -> Groups {
        let mut groups = vec![Vec::new(); self.dims.k];
        for (local, row) in rows.enumerate() {
            let (columns, values) = self.source_of(row);
            for (&column, &value) in columns.iter().zip(values) {
                groups[column as usize].push((local as u32, value));
            }
        }
        groups
    }

    /// `out` of `rows`, without scale and shift.
    #[inline(always)]
    pub(super) fn own_forward<T: Real>(&self, rows: Range<usize>, h: &[T], w: &[T], out: &mut [T]) {
        let (m, d) = (self.dims.m, self.dims.d);
        let (mut inputs, mut made) = (Vec::new(), vec![T::ZERO; ROWS * d]);
        for (group, w) in self.groups(rows).iter().zip(w.chunks_exact((m + 1) * d)) {
            for group in group.chunks(ROWS) {
                gather_inputs(group, h, m, &mut inputs);
                let made = &mut made[..group.len() * d];
                product((group.len(), d, m + 1), &inputs, Order::Rows(m + 1), w, made);
                for (&(row, _), made) in group.iter().zip(made.chunks_exact(d)) {
                    add_scaled(&mut out[row as usize * d..][..d], T::ONE, made);
                }
            }
        }
    }

    /// `dh` of `rows`, without scale; `turned` is `[K, D, M]`.
    #[inline(always)]
    pub(super) fn own_input_grads<T: Real>(
        &self,
        rows: Range<usize>,
        turned: &[T],
        grad: &[T],
        dh: &mut [T],
    ) {
        let (m, d) = (self.dims.m, self.dims.d);
        let (mut grads, mut made) = (Vec::new(), vec![T::ZERO; ROWS * m]);
        for (group, turned) in self.groups(rows).iter().zip(turned.chunks_exact(d * m)) {
            for group in group.chunks(ROWS) {
                gather(group, grad, d, &mut grads);
                let made = &mut made[..group.len() * m];
                product((group.len(), m, d), &grads, Order::Rows(d), turned, made);
                for (&(row, value), made) in group.iter().zip(made.chunks_exact(m)) {
                    add_scaled(&mut dh[row as usize * m..][..m], T::of(value), made);
                }
            }
        }
    }

    /// dW `[K, M + 1, D]`: one task per k over all rows, so that no partial sums exist.
    pub(super) fn own_weight_grads<T: Real>(&self, h: &[T], grad: &[T]) -> Vec<T> {
        let (k, m, d) = (self.dims.k, self.dims.m, self.dims.d);
        let groups = self.groups(0..self.distinct.len());
        let mut dw = vec![T::ZERO; k * (m + 1) * d];
        dw.par_chunks_exact_mut((m + 1) * d).zip(&groups).for_each(|(dw, group)| {
            let (size, scale, group) = ((m, d), T::from_f64(self.source.scale), group.as_slice());
            vectorised!(<T>(size: (usize, usize), scale: T, group: &[(u32, f32)], h: &[T], grad: &[T], dw: &mut [T]) {
                let (m, d) = size;
                let (mut inputs, mut grads) = (Vec::new(), Vec::new());
                for group in group.chunks(ROWS) {
                    gather_inputs(group, h, m, &mut inputs);
                    gather(group, grad, d, &mut grads);
                    gemm((m + 1, d, group.len()), &inputs, Order::Columns(m + 1), &grads, dw);
                }
                dw.iter_mut().for_each(|dw| *dw = scale * *dw);
            });
        });
        dw
    }
}
