//! Forwards in time, all running sequences of a shard together.

use rayon::prelude::*;

use super::cell::cell;
use super::{Dims, Recurrent};
use crate::nn::kernel::{Order, Real, gemm, shard, shards_mut, transpose, vectorised};

/// The weights as the forward pass wants them.
struct Turned<T> {
    input: Vec<T>,
    hidden: Vec<T>,
    /// `[H, wide]`, zeros beyond A.
    output: Vec<T>,
    output_bias: Vec<T>,
}

impl Recurrent {
    /// Leaves hidden states `[B, T, N, H]` and outputs `[B, T, N, A]`.
    pub(super) fn forward<T: Real>(&self, features: &[T], flat: &[T]) {
        let dims = self.dims;
        let Dims { b, t, n, f, h, a } = dims;
        let [input, input_bias, hidden, hidden_bias, output, output_bias] = dims.split(flat);
        let wide = dims.wide();
        let mut padded = vec![T::ZERO; h * wide];
        for (column, row) in output.chunks_exact(h).enumerate() {
            row.iter().enumerate().for_each(|(k, &value)| padded[k * wide + column] = value);
        }
        let mut padded_bias = output_bias.to_vec();
        padded_bias.resize(wide, T::ZERO);
        let turned = Turned {
            input: transpose(3 * h, f, input),
            hidden: transpose(3 * h, h, hidden),
            output: padded,
            output_bias: padded_bias,
        };
        let turned = &turned;
        let mut hiddens = vec![T::ZERO; b * t * n * h];
        let mut outputs = vec![T::ZERO; b * t * n * a];
        let shards = shards_mut(&mut hiddens, b, t * n * h).into_par_iter().zip(shards_mut(
            &mut outputs,
            b,
            t * n * a,
        ));
        let kept = shards.enumerate().map(|(index, (hiddens, outputs))| {
            let episodes = shard(b, index);
            let features = &features[episodes.start * t * n * f..episodes.end * t * n * f];
            let mut last = self.first::<T>(&episodes);
            let lengths = &self.lengths[episodes.start * n..episodes.end * n];
            let last = last.as_mut_slice();
            let rows = if self.keep { lengths.iter().sum() } else { 0 };
            let mut all_kept = vec![T::ZERO; rows * 4 * h];
            let kept = all_kept.as_mut_slice();
            vectorised!(<T>(dims: Dims, lengths: &[usize], features: &[T], turned: &Turned<T>, input_bias: &[T], hidden_bias: &[T], kept: &mut [T], last: &mut [T], hiddens: &mut [T], outputs: &mut [T]) {
                let Dims { f, h, a, .. } = dims;
                let (most, wide) = (lengths.len(), dims.wide());
                let mut x = vec![T::ZERO; most * f];
                let mut gates = vec![T::ZERO; most * 3 * h];
                let mut recurrent = vec![T::ZERO; most * 3 * h];
                let mut output = vec![T::ZERO; most * wide];
                let mut running: Vec<usize> = (0..lengths.len()).collect();
                let mut kept = kept.chunks_exact_mut(4 * h);
                for step in 0..lengths.iter().copied().max().unwrap_or(0) {
                    still_running(&mut running, lengths, step, last, h);
                    let rows = running.len();
                    for (&sequence, x) in running.iter().zip(x.chunks_exact_mut(f)) {
                        x.copy_from_slice(&features[dims.row(sequence, step) * f..][..f]);
                    }
                    affine((rows, 3 * h, f), &x, &turned.input, input_bias, &mut gates);
                    affine((rows, 3 * h, h), last, &turned.hidden, hidden_bias, &mut recurrent);
                    for inner in 0..rows {
                        cell(
                            &gates[inner * 3 * h..][..3 * h],
                            &recurrent[inner * 3 * h..][..3 * h],
                            &mut last[inner * h..][..h],
                            kept.next(),
                        );
                    }
                    affine((rows, wide, h), last, &turned.output, &turned.output_bias, &mut output);
                    for (inner, &sequence) in running.iter().enumerate() {
                        let row = dims.row(sequence, step);
                        hiddens[row * h..][..h].copy_from_slice(&last[inner * h..][..h]);
                        outputs[row * a..][..a].copy_from_slice(&output[inner * wide..][..a]);
                    }
                }
            });
            T::to_cpu_storage_owned(all_kept)
        });
        let kept = kept.collect();
        if let Ok(mut slot) = self.kept.lock() {
            *slot = kept;
        }
        self.results.leave([hiddens, outputs].map(T::to_cpu_storage_owned));
    }
}

/// Takes the sequences that have ended by `step` out of `running`, and their rows of `width` numbers
/// out of `rows`, which move together.
#[inline(always)]
fn still_running<T: Real>(
    running: &mut Vec<usize>,
    lengths: &[usize],
    step: usize,
    rows: &mut [T],
    width: usize,
) {
    let mut to = 0;
    for from in 0..running.len() {
        if step < lengths[running[from]] {
            if to < from {
                running[to] = running[from];
                rows.copy_within(from * width..(from + 1) * width, to * width);
            }
            to += 1;
        }
    }
    running.truncate(to);
}

/// `y = x w + b` for `x` `[m, k]`, `w` `[k, n]`.
#[inline(always)]
fn affine<T: Real>((m, n, k): (usize, usize, usize), x: &[T], w: &[T], b: &[T], y: &mut [T]) {
    for row in y[..m * n].chunks_exact_mut(n) {
        row.copy_from_slice(b);
    }
    gemm((m, n, k), x, Order::Rows(k), w, y);
}
