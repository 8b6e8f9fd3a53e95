//! Forwards in time, all running sequences of a shard together.

use super::cell::cell;
use super::{Dims, Recurrent};
use crate::nn::kernel::{Real, affine, make_shards, shard, transpose, vectorised};

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
        let (hiddens, parts) = make_shards(b, t * n * h, |index, hiddens| {
            let mut outputs_of = vec![T::ZERO; shard(b, index).len() * t * n * a];
            let outputs = outputs_of.as_mut_slice();
            let episodes = shard(b, index);
            let features = &features[episodes.start * t * n * f..episodes.end * t * n * f];
            let mut last = self.first::<T>(&episodes);
            let lengths = &self.lengths[episodes.start * n..episodes.end * n];
            let last = last.as_mut_slice();
            let rows = if self.keep { lengths.iter().sum() } else { 0 };
            let (keep, mut all_kept) = (self.keep, Vec::with_capacity(rows * 4 * h));
            let kept = &mut all_kept;
            vectorised!(<T>(dims: Dims, lengths: &[usize], features: &[T], turned: &Turned<T>, input_bias: &[T], hidden_bias: &[T], keep: bool, kept: &mut Vec<T>, last: &mut [T], hiddens: &mut [T], outputs: &mut [T]) {
                let Dims { f, h, a, .. } = dims;
                let (most, wide) = (lengths.len(), dims.wide());
                let mut x = vec![T::ZERO; most * f];
                let mut gates = vec![T::ZERO; most * 3 * h];
                let mut recurrent = vec![T::ZERO; most * 3 * h];
                let mut output = vec![T::ZERO; most * wide];
                let mut running: Vec<usize> = (0..lengths.len()).collect();
                let mut of_row = vec![T::ZERO; 4 * h];
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
                            keep.then_some(of_row.as_mut_slice()),
                        );
                        if keep {
                            kept.extend_from_slice(&of_row);
                        }
                    }
                    affine((rows, wide, h), last, &turned.output, &turned.output_bias, &mut output);
                    for (inner, &sequence) in running.iter().enumerate() {
                        let row = dims.row(sequence, step);
                        hiddens[row * h..][..h].copy_from_slice(&last[inner * h..][..h]);
                        outputs[row * a..][..a].copy_from_slice(&output[inner * wide..][..a]);
                    }
                }
            });
            (T::to_cpu_storage_owned(all_kept), outputs_of)
        });
        let (kept, outputs): (_, Vec<_>) = parts.into_iter().unzip();
        if let Ok(mut slot) = self.kept.lock() {
            *slot = kept;
        }
        let [hidden, output] = &self.results;
        hidden.leave(hiddens);
        output.leave(outputs.concat());
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
