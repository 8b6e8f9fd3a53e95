//! The product where several agents share one source.
//!
//! `Σ_k s_k W[k]` is a table `[M + 1, D]` per step, made and used in slices of [`SLICE`] rows. A
//! slice of W for all k fits the second-level cache, so the outer loop runs over slices and the
//! inner one over steps. Every sum keeps its order whatever the slices are.

use std::ops::Range;

use rayon::prelude::*;

use super::Block;
use crate::nn::kernel::sparse_linear::add_scaled;
use crate::nn::kernel::{Real, Strides, gemm, vectorised};

/// Rows of a table that are made at once: those of the 200 columns of W that Predator-Prey uses are 800 KiB.
const SLICE: usize = 16;

/// Steps whose gradients are added to W's together.
const STEPS: usize = 32;

/// `to += Σ_j values_j from[starts_j..]`, for each element in the order of the terms.
#[inline(always)]
fn add_weighted<T: Real>(terms: impl Iterator<Item = (usize, T)> + Clone, from: &[T], to: &mut [T]) {
    const LANES: usize = 64;
    let mut at = 0;
    let mut chunks = to.chunks_exact_mut(LANES);
    for to in &mut chunks {
        // An array of its own stays in registers over all terms.
        let mut sums: [T; LANES] = (&*to).try_into().expect("chunks have this length");
        for (start, value) in terms.clone() {
            for (sum, &from) in sums.iter_mut().zip(&from[start + at..][..LANES]) {
                *sum = value.fma(from, *sum);
            }
        }
        to.copy_from_slice(&sums);
        at += LANES;
    }
    let rest = chunks.into_remainder();
    for (start, value) in terms {
        add_scaled(rest, value, &from[start + at..][..rest.len()]);
    }
}

/// `to = Σ_k s_k w[k, at..]`, where `w` has `stride` numbers per k.
#[inline(always)]
fn weighted_sum<T: Real>(
    (columns, values): (&[u32], &[f32]),
    w: &[T],
    stride: usize,
    at: usize,
    to: &mut [T],
) {
    to.fill(T::ZERO);
    let terms = columns.iter().zip(values);
    add_weighted(terms.map(|(&column, &value)| (column as usize * stride + at, T::of(value))), w, to);
}

/// Slices of `0..len`.
#[inline(always)]
fn slices(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(SLICE).map(move |start| start..len.min(start + SLICE))
}

impl Block {
    /// `out` of the sources `rows`, without scale and shift.
    #[inline(always)]
    pub(super) fn shared_forward<T: Real>(&self, rows: Range<usize>, h: &[T], w: &[T], out: &mut [T]) {
        let (m, d, share) = (self.dims.m, self.dims.d, self.source.share);
        let stride = (m + 1) * d;
        for (row, out) in rows.clone().zip(out.chunks_exact_mut(share * d)) {
            let (constant, others) = out.split_at_mut(d);
            weighted_sum(self.source_of(row), w, stride, m * d, constant);
            others.chunks_exact_mut(d).for_each(|other| other.copy_from_slice(constant));
        }
        let mut table = vec![T::ZERO; SLICE * d];
        for slice in slices(m) {
            let table = &mut table[..slice.len() * d];
            for (local, row) in rows.clone().enumerate() {
                let source = self.source_of(row);
                if source.0.is_empty() {
                    continue;
                }
                weighted_sum(source, w, stride, slice.start * d, table);
                gemm(
                    (share, d, slice.len()),
                    &h[local * share * m + slice.start..],
                    Strides { row: m, col: 1 },
                    table,
                    &mut out[local * share * d..][..share * d],
                );
            }
        }
    }

    /// `dh` of the sources `rows`, without scale; `turned` is `[K, D, M]`.
    #[inline(always)]
    pub(super) fn shared_input_grads<T: Real>(
        &self,
        rows: Range<usize>,
        turned: &[T],
        grad: &[T],
        dh: &mut [T],
    ) {
        let (m, d, share) = (self.dims.m, self.dims.d, self.source.share);
        let mut table = vec![T::ZERO; SLICE * m];
        for slice in slices(d) {
            let table = &mut table[..slice.len() * m];
            for (local, row) in rows.clone().enumerate() {
                let source = self.source_of(row);
                if source.0.is_empty() {
                    continue;
                }
                weighted_sum(source, turned, d * m, slice.start * m, table);
                gemm(
                    (share, m, slice.len()),
                    &grad[local * share * d + slice.start..],
                    Strides { row: d, col: 1 },
                    table,
                    &mut dh[local * share * m..][..share * m],
                );
            }
        }
    }

    /// dW `[K, M + 1, D]` without scale: one task per slice of M over all steps, so that no partial
    /// sums exist.
    pub(super) fn shared_weight_grads<T: Real>(&self, h: &[T], grad: &[T]) -> Vec<T> {
        let (k, m, d) = (self.dims.k, self.dims.m, self.dims.d);
        let tasks: Vec<Range<usize>> = slices(m).chain(std::iter::once(m..m + 1)).collect();
        let runs = self.runs();
        let runs = runs.as_slice();
        let parts: Vec<Vec<T>> = tasks
            .par_iter()
            .map(|slice| {
                let mut part = vec![T::ZERO; k * slice.len() * d];
                let (this, slice, to) = (self, slice.clone(), part.as_mut_slice());
                vectorised!(<T>(this: &Block, slice: Range<usize>, runs: &[Vec<Entry>], h: &[T], grad: &[T], to: &mut [T]) {
                    this.shared_slice_grads(slice, runs, h, grad, to);
                });
                part
            })
            .collect();
        let mut dw = vec![T::ZERO; k * (m + 1) * d];
        dw.par_chunks_exact_mut((m + 1) * d).enumerate().for_each(|(column, dw)| {
            for (slice, part) in tasks.iter().zip(&parts) {
                let len = slice.len() * d;
                dw[slice.start * d..][..len].copy_from_slice(&part[column * len..][..len]);
            }
        });
        dw
    }

    /// The entries of every [`STEPS`] rows of the source, those of one column together.
    ///
    /// Units move a step at a time, so that a few steps have most columns in common.
    fn runs(&self) -> Vec<Vec<Entry>> {
        let rows = self.dims.rows / self.source.share;
        (0..rows)
            .step_by(STEPS)
            .map(|start| {
                let mut entries = Vec::new();
                for row in start..rows.min(start + STEPS) {
                    let (columns, values) = self.source_of(row);
                    let step = row - start;
                    let entry = |(&column, &value)| Entry { column: column as usize, step, value };
                    entries.extend(columns.iter().zip(values).map(entry));
                }
                entries.sort_by_key(|entry| entry.column);
                entries
            })
            .collect()
    }

    #[inline(always)]
    fn shared_slice_grads<T: Real>(
        &self,
        slice: Range<usize>,
        runs: &[Vec<Entry>],
        h: &[T],
        grad: &[T],
        to: &mut [T],
    ) {
        let (m, d, share) = (self.dims.m, self.dims.d, self.source.share);
        let len = slice.len() * d;
        let mut tables = vec![T::ZERO; STEPS * len];
        let rows = h.chunks(STEPS * share * m).zip(grad.chunks(STEPS * share * d));
        for ((h, grad), run) in rows.zip(runs) {
            tables.fill(T::ZERO);
            let steps = h.chunks_exact(share * m).zip(grad.chunks_exact(share * d));
            for ((h, grad), table) in steps.zip(tables.chunks_exact_mut(len)) {
                if slice.start == m {
                    grad.chunks_exact(d).for_each(|grad| add_scaled(table, T::ONE, grad));
                } else {
                    let across = Strides { row: 1, col: m };
                    gemm((slice.len(), d, share), &h[slice.start..], across, grad, table);
                }
            }
            for run in run.chunk_by(|a, b| a.column == b.column) {
                let terms = run.iter().map(|entry| (entry.step * len, T::of(entry.value)));
                add_weighted(terms, &tables, &mut to[run[0].column * len..][..len]);
            }
        }
    }
}

/// An entry of the source in one of [`STEPS`] rows.
struct Entry {
    column: usize,
    step: usize,
    value: f32,
}
