//! The product where several agents share one source.
//!
//! `Σ_k s_k W[k]` is a table `[M + 1, D]` per step, made and used in slices of some rows. A
//! slice of W for all k fits the second-level cache, so the outer loop runs over slices and the
//! inner one over steps. Every sum keeps its order whatever the slices are.

use std::ops::Range;

use rayon::prelude::*;

use super::Block;
use crate::nn::kernel::gathered::{Gathered, Part, add_scaled, group_of, is_full};
use crate::nn::kernel::{ByColumn, ByRow, Every, Real, Start, gemm, make_shards, product, shard, vectorised};

/// Rows of a table that are made at once: those of the 200 columns of W that Predator-Prey uses are 800 KiB.
const SLICE: usize = 16;

/// As [`SLICE`], where the source is full and all columns of W are used.
const FULL_SLICE: usize = 8;

/// Steps whose gradients are added to W's together: what is fetched of W's serves several steps.
const STEPS: usize = 64;

/// Slices of `0..len`.
#[inline(always)]
fn slices(len: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(size).map(move |start| start..len.min(start + size))
}

impl Block {
    /// Rows of a table that are made at once: a matter of speed alone, every sum keeps its order.
    fn slice(&self) -> usize {
        if is_full(&self.source.rows) { FULL_SLICE } else { SLICE }
    }

    /// The sources `rows`, in groups.
    #[inline(always)]
    fn sources<T: Real>(&self, rows: Range<usize>, size: usize) -> Vec<Gathered<'_, T>> {
        let starts = rows.clone().step_by(size);
        starts.map(|start| Gathered::new(&self.source.rows, start..rows.end.min(start + size))).collect()
    }

    /// `out` of the sources `rows`, without scale and shift.
    #[inline(always)]
    pub(super) fn shared_forward<T: Real>(&self, rows: Range<usize>, h: &[T], w: &[T], out: &mut [T]) {
        let (m, d, share) = (self.dims.m, self.dims.d, self.source.share);
        let stride = (m + 1) * d;
        let first = rows.start;
        let (group, slice) = (group_of(&self.source.rows), self.slice());
        let groups = self.sources::<T>(rows, group);
        let mut tables = vec![T::ZERO; group * slice * d];
        for (group, out) in groups.iter().zip(out.chunks_mut(group * share * d)) {
            let constants = &mut tables[..group.rows().len() * d];
            group.multiply(Part { w, stride, at: m * d, width: d }, Start::Zero, constants);
            for (constant, out) in constants.chunks_exact(d).zip(out.chunks_exact_mut(share * d)) {
                out.chunks_exact_mut(d).for_each(|out| out.copy_from_slice(constant));
            }
        }
        for slice in slices(m, slice) {
            let width = slice.len() * d;
            for group in &groups {
                let tables = &mut tables[..group.rows().len() * width];
                group.multiply(Part { w, stride, at: slice.start * d, width }, Start::Zero, tables);
                for (&row, table) in group.rows().iter().zip(tables.chunks_exact(width)) {
                    if self.source_of(row).0.is_empty() {
                        continue;
                    }
                    let local = row - first;
                    gemm(
                        (share, d, slice.len()),
                        &h[local * share * m + slice.start..],
                        ByRow(Every(m)),
                        table,
                        &mut out[local * share * d..][..share * d],
                    );
                }
            }
        }
    }

    /// `dh` of the sources `rows`, without scale; `turned` is `[K, D + 1, M]`.
    #[inline(always)]
    pub(super) fn shared_input_grads<T: Real>(
        &self,
        rows: Range<usize>,
        turned: &[T],
        grad: &[T],
        dh: &mut [T],
    ) {
        let (m, d, share) = (self.dims.m, self.dims.d, self.source.share);
        let first = rows.start;
        let (group, slice) = (group_of(&self.source.rows), self.slice());
        let groups = self.sources::<T>(rows, group);
        let mut tables = vec![T::ZERO; group * slice * m];
        for slice in slices(d, slice) {
            let width = slice.len() * m;
            for group in &groups {
                let tables = &mut tables[..group.rows().len() * width];
                group.multiply(
                    Part { w: turned, stride: (d + 1) * m, at: slice.start * m, width },
                    Start::Zero,
                    tables,
                );
                for (&row, table) in group.rows().iter().zip(tables.chunks_exact(width)) {
                    if self.source_of(row).0.is_empty() {
                        continue;
                    }
                    let local = row - first;
                    gemm(
                        (share, m, slice.len()),
                        &grad[local * share * d + slice.start..],
                        ByRow(Every(d)),
                        table,
                        &mut dh[local * share * m..][..share * m],
                    );
                }
            }
        }
    }

    /// dW `[K, M + 1, D]`: one task per slice of M over all steps, so that no partial sums exist.
    pub(super) fn shared_weight_grads<T: Real>(&self, h: &[T], grad: &[T]) -> Vec<T> {
        let (k, m, d) = (self.dims.k, self.dims.m, self.dims.d);
        let tasks: Vec<Range<usize>> = slices(m, self.slice()).chain(std::iter::once(m..m + 1)).collect();
        let groups = self.sources::<T>(0..self.dims.rows / self.source.share, STEPS);
        let groups: Vec<_> = groups.into_iter().map(Gathered::by_column).collect();
        let groups = groups.as_slice();
        let parts: Vec<Vec<T>> = tasks
            .par_iter()
            .map(|slice| {
                let mut part = vec![T::ZERO; k * slice.len() * d];
                let (this, slice, to) = (self, slice.clone(), part.as_mut_slice());
                vectorised!(<T>(this: &Block, slice: Range<usize>, groups: &[Gathered<'_, T>], h: &[T], grad: &[T], to: &mut [T]) {
                    this.shared_slice_grads(slice, groups, h, grad, to);
                });
                part
            })
            .collect();
        let scale = T::from_f64(self.source.scale);
        let (dw, _) = make_shards(k, (m + 1) * d, |index, dw| {
            for (column, dw) in shard(k, index).zip(dw.chunks_exact_mut((m + 1) * d)) {
                for (slice, part) in tasks.iter().zip(&parts) {
                    let (to, from) = (&mut dw[slice.start * d..slice.end * d], slice.len() * d * column);
                    to.iter_mut().zip(&part[from..]).for_each(|(to, &from)| *to = scale * from);
                }
            }
        });
        dw
    }

    #[inline(always)]
    fn shared_slice_grads<T: Real>(
        &self,
        slice: Range<usize>,
        groups: &[Gathered<'_, T>],
        h: &[T],
        grad: &[T],
        to: &mut [T],
    ) {
        let (m, d, share) = (self.dims.m, self.dims.d, self.source.share);
        let len = slice.len() * d;
        let mut tables = vec![T::ZERO; STEPS * len];
        let rows = h.chunks(STEPS * share * m).zip(grad.chunks(STEPS * share * d));
        for ((h, grad), group) in rows.zip(groups) {
            let steps = h.chunks_exact(share * m).zip(grad.chunks_exact(share * d));
            for ((h, grad), table) in steps.zip(tables.chunks_exact_mut(len)) {
                if slice.start == m {
                    table.fill(T::ZERO);
                    grad.chunks_exact(d).for_each(|grad| add_scaled(table, T::ONE, grad));
                } else {
                    let across = ByColumn(Every(m));
                    product((slice.len(), d, share), &h[slice.start..], across, grad, table);
                }
            }
            group.add_transposed(len, &tables, to);
        }
    }
}
