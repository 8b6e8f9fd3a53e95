//! Gated recurrent unit and output layer over whole episodes, in one pass.
//!
//! ```text
//! features ─► W_i x + b_i ─┐
//!                          ├─► cell ─► hidden ─► W_o h + b_o
//! hidden   ─► W_h h + b_h ─┘     ▲________│
//! ```
//!
//! PyTorch's convention: gates in the order r, z, n; the reset gate acts after the recurrent
//! product: `n = tanh(W_in x + b_in + r ∘ (W_hn h + b_hn))`, `h' = (1 - z) ∘ n + z ∘ h`.
//!
//! The projected input exists for one time step of one shard at a time: it never leaves the cache.
//! Products for the weights' gradients are made for several steps at once ([`ROWS`]).

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, DType, Device, Layout, Result, Shape, Tensor, WithDType};
use rayon::prelude::*;

use super::cell::{cell, cell_backward};
use super::linear::add_rows;
use super::{
    Read, Real, Strides, elements, fill_shards, gemm, shard, shards_mut, sum_shards, transpose, vectorised,
};
use crate::phases::timed;

/// Rows that a shard collects before it adds them to the gradients of the weights.
const ROWS: usize = 128;

/// Weight and bias of the three affine maps.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    /// `[3H, F]`, `[3H]`
    pub input: (&'a Tensor, &'a Tensor),
    /// `[3H, H]`, `[3H]`
    pub hidden: (&'a Tensor, &'a Tensor),
    /// `[A, H]`, `[A]`
    pub output: (&'a Tensor, &'a Tensor),
}

/// Runs all sequences of a batch: hidden states `[B, T, N, H]` and outputs `[B, T, N, A]`.
///
/// `features` `[B, T, N, F]`; `start` `[B, N, H]` is where the hidden state begins (zeros if `None`;
/// no gradient reaches it). `lengths` says how many steps exist, of each sequence `[B]` or of each of
/// its agents `[B·N]`: those after them cost nothing, come out as zeros and receive no gradient.
///
/// # Errors
/// If the shapes disagree.
pub fn recurrent(
    features: &Tensor,
    weights: Weights<'_>,
    start: Option<&Tensor>,
    lengths: Option<&[usize]>,
) -> Result<(Tensor, Tensor)> {
    let (b, t, n, f) = features.dims4()?;
    let (a, h) = weights.output.0.dims2()?;
    let want = [vec![3 * h, f], vec![3 * h], vec![3 * h, h], vec![3 * h], vec![a, h], vec![a]];
    let parts = [weights.input, weights.hidden, weights.output];
    let parts: Vec<&Tensor> = parts.into_iter().flat_map(|(weight, bias)| [weight, bias]).collect();
    if parts.iter().zip(&want).any(|(part, want)| part.dims() != want.as_slice()) {
        let shapes: Vec<_> = parts.iter().map(|part| part.shape()).collect();
        candle_core::bail!("recurrent: features {:?}, weights {shapes:?}", features.shape());
    }
    let start = start.map(|start| start.to_dtype(DType::F64)?.flatten_all()?.to_vec1()).transpose()?;
    if start.as_ref().is_some_and(|start: &Vec<f64>| start.len() != b * n * h) {
        candle_core::bail!("recurrent: the first hidden state must be [{b}, {n}, {h}]");
    }
    let lengths = match lengths {
        Some(lengths) if lengths.len() == b => {
            lengths.iter().flat_map(|&length| std::iter::repeat_n(length, n)).collect()
        }
        Some(lengths) => lengths.to_vec(),
        None => vec![t; b * n],
    };
    if lengths.len() != b * n || lengths.iter().any(|&length| length > t) {
        candle_core::bail!("recurrent: {} lengths for {b} sequences of up to {t} steps", lengths.len());
    }
    // One tensor of all weights: an operation of candle takes three tensors at most.
    let flat = parts.iter().map(|part| part.flatten_all()).collect::<Result<Vec<_>>>()?;
    let flat = Tensor::cat(&flat, 0)?;
    let keep = features.track_op() || flat.track_op();
    let op = Recurrent { dims: Dims { b, t, n, f, h, a }, start, lengths, keep, kept: Mutex::new(None) };
    let both = features.contiguous()?.apply_op2(&flat, op)?;
    let rows = b * t * n;
    let hidden = both.narrow(0, 0, rows * h)?.reshape((b, t, n, h))?;
    Ok((hidden, both.narrow(0, rows * h, rows * a)?.reshape((b, t, n, a))?))
}

#[derive(Clone, Copy)]
struct Dims {
    b: usize,
    t: usize,
    n: usize,
    f: usize,
    h: usize,
    a: usize,
}

impl Dims {
    /// Where the six parts of the flat weights end.
    fn ends(self) -> [usize; 6] {
        let Self { f, h, a, .. } = self;
        let mut end = 0;
        [3 * h * f, 3 * h, 3 * h * h, 3 * h, a * h, a].map(|len| {
            end += len;
            end
        })
    }

    fn split<T>(self, flat: &[T]) -> [&[T]; 6] {
        let mut start = 0;
        self.ends().map(|end| {
            let part = &flat[start..end];
            start = end;
            part
        })
    }

    /// The columns of the outputs in vector code: whole groups of 8.
    fn wide(self) -> usize {
        self.a.next_multiple_of(8)
    }

    /// The row, in the order `(b, t, n)`, of a sequence, in the order `(b, n)`, at a step.
    #[inline(always)]
    fn row(self, sequence: usize, step: usize) -> usize {
        (sequence / self.n * self.t + step) * self.n + sequence % self.n
    }
}

/// The weights as the forward pass wants them.
struct Turned<T> {
    input: Vec<T>,
    hidden: Vec<T>,
    /// `[H, wide]`, zeros beyond A.
    output: Vec<T>,
    output_bias: Vec<T>,
}

struct Recurrent {
    dims: Dims,
    start: Option<Vec<f64>>,
    /// Steps that exist, `[B·N]`.
    lengths: Vec<usize>,
    /// Whether a backward pass may follow.
    keep: bool,
    /// r, z, n and W_hn h + b_hn of every row, `[B, T, N, 4H]`.
    kept: Mutex<Option<CpuStorage>>,
}

impl Recurrent {
    /// Of the forward pass.
    fn multiply_adds(&self) -> usize {
        let Dims { f, h, a, .. } = self.dims;
        self.lengths.iter().sum::<usize>() * (3 * h * (f + h) + a * h)
    }

    fn first<T: Real>(&self, episodes: &std::ops::Range<usize>) -> Vec<T> {
        let Dims { n, h, .. } = self.dims;
        match &self.start {
            Some(start) => {
                start[episodes.start * n * h..episodes.end * n * h].iter().map(|&v| T::from_f64(v)).collect()
            }
            None => vec![T::ZERO; episodes.len() * n * h],
        }
    }

    /// Hidden states `[B, T, N, H]`, then outputs `[B, T, N, A]`.
    fn forward<T: Real>(&self, features: &[T], flat: &[T]) -> Vec<T> {
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
        let mut both = vec![T::ZERO; b * t * n * (h + a)];
        let rows_kept = if self.keep { b } else { 0 };
        let mut kept = vec![T::ZERO; rows_kept * t * n * 4 * h];
        let (hiddens, outputs) = both.split_at_mut(b * t * n * h);
        let shards = shards_mut(hiddens, b, t * n * h)
            .into_par_iter()
            .zip(shards_mut(outputs, b, t * n * a))
            .zip(shards_mut(&mut kept, rows_kept, t * n * 4 * h));
        shards.enumerate().for_each(|(index, ((hiddens, outputs), kept))| {
            let episodes = shard(b, index);
            let features = &features[episodes.start * t * n * f..episodes.end * t * n * f];
            let mut last = self.first::<T>(&episodes);
            let lengths = &self.lengths[episodes.start * n..episodes.end * n];
            let last = last.as_mut_slice();
            vectorised!(<T>(dims: Dims, lengths: &[usize], features: &[T], turned: &Turned<T>, input_bias: &[T], hidden_bias: &[T], kept: &mut [T], last: &mut [T], hiddens: &mut [T], outputs: &mut [T]) {
                let Dims { f, h, a, .. } = dims;
                let (most, wide) = (lengths.len(), dims.wide());
                let mut x = vec![T::ZERO; most * f];
                let mut gates = vec![T::ZERO; most * 3 * h];
                let mut recurrent = vec![T::ZERO; most * 3 * h];
                let mut output = vec![T::ZERO; most * wide];
                let mut running: Vec<usize> = (0..lengths.len()).collect();
                for step in 0..lengths.iter().copied().max().unwrap_or(0) {
                    still_running(&mut running, lengths, step, last, h);
                    let rows = running.len();
                    for (&sequence, x) in running.iter().zip(x.chunks_exact_mut(f)) {
                        x.copy_from_slice(&features[dims.row(sequence, step) * f..][..f]);
                    }
                    affine((rows, 3 * h, f), &x, &turned.input, input_bias, &mut gates);
                    affine((rows, 3 * h, h), last, &turned.hidden, hidden_bias, &mut recurrent);
                    for (inner, &sequence) in running.iter().enumerate() {
                        let row = dims.row(sequence, step);
                        let keep =
                            if kept.is_empty() { None } else { Some(&mut kept[row * 4 * h..][..4 * h]) };
                        cell(
                            &gates[inner * 3 * h..][..3 * h],
                            &recurrent[inner * 3 * h..][..3 * h],
                            &mut last[inner * h..][..h],
                            keep,
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
        });
        if self.keep
            && let Ok(mut slot) = self.kept.lock()
        {
            *slot = Some(T::to_cpu_storage_owned(kept));
        }
        both
    }

    fn backward<T: Real>(
        &self,
        features: &Tensor,
        flat: &Tensor,
        both: &Tensor,
        grad: &Tensor,
    ) -> Result<Grads> {
        let dims = self.dims;
        let Dims { b, t, n, f, h, .. } = dims;
        let guard = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = guard.as_ref() else {
            candle_core::bail!("recurrent: the forward pass kept nothing for a backward pass");
        };
        let kept = T::cpu_storage_as_slice(kept)?;
        let reads = [Read::new(features)?, Read::new(flat)?, Read::new(both)?, Read::new(grad)?];
        let [features, flat, both, grad] = &reads;
        let (features, flat) = (features.slice::<T>()?, flat.slice::<T>()?);
        let (hidden, _) = both.slice::<T>()?.split_at(b * t * n * h);
        let (dhidden, doutput) = grad.slice::<T>()?.split_at(b * t * n * h);
        let past = Past { features, kept, hidden, dhidden, doutput };
        let past = &past;
        let mut dx = vec![T::ZERO; b * t * n * f];
        let parts = fill_shards(&mut dx, b, t * n * f, |index, dx| {
            let episodes = shard(b, index);
            let first = self.first::<T>(&episodes);
            let mut sums = vec![T::ZERO; flat.len()];
            let from = episodes.start * t * n;
            let lengths = &self.lengths[episodes.start * n..episodes.end * n];
            let (first, to) = (first.as_slice(), sums.as_mut_slice());
            vectorised!(<T>(dims: Dims, lengths: &[usize], from: usize, first: &[T], past: &Past<'_, T>, flat: &[T], dx: &mut [T], to: &mut [T]) {
                backward_shard(dims, (lengths, from), first, past, flat, dx, to);
            });
            sums
        });
        let cpu = &Device::Cpu;
        let dflat = sum_shards(parts);
        let len = dflat.len();
        Ok((Some(Tensor::from_vec(dx, (b, t, n, f), cpu)?), Some(Tensor::from_vec(dflat, len, cpu)?)))
    }
}

type Grads = (Option<Tensor>, Option<Tensor>);

/// What the forward pass left, and the gradient of its result; all of it over all episodes.
struct Past<'a, T> {
    features: &'a [T],
    kept: &'a [T],
    hidden: &'a [T],
    dhidden: &'a [T],
    doutput: &'a [T],
}

/// Matrices of several steps, for the gradients of the weights.
struct Collected<T> {
    rows: usize,
    features: Vec<T>,
    before: Vec<T>,
    after: Vec<T>,
    dgates: Vec<T>,
    drecurrent: Vec<T>,
    doutput: Vec<T>,
}

impl<T: Real> Collected<T> {
    #[inline(always)]
    fn new(Dims { f, h, a, .. }: Dims, rows: usize) -> Self {
        let zeros = |width| vec![T::ZERO; rows * width];
        Self {
            rows: 0,
            features: zeros(f),
            before: zeros(h),
            after: zeros(h),
            dgates: zeros(3 * h),
            drecurrent: zeros(3 * h),
            doutput: zeros(a),
        }
    }

    /// Adds the products of all collected rows to the flat gradient and starts again.
    #[inline(always)]
    fn add_to(&mut self, dims: Dims, flat: &mut [T]) {
        let Dims { f, h, a, .. } = dims;
        let ends = dims.ends();
        let mut rest = flat;
        let mut start = 0;
        let parts = ends.map(|end| {
            let (part, tail) = std::mem::take(&mut rest).split_at_mut(end - start);
            (rest, start) = (tail, end);
            part
        });
        let [dw_input, db_input, dw_hidden, db_hidden, dw_output, db_output] = parts;
        let rows = self.rows;
        weight_grads((rows, 3 * h, f), &self.dgates, &self.features, dw_input, db_input);
        weight_grads((rows, 3 * h, h), &self.drecurrent, &self.before, dw_hidden, db_hidden);
        weight_grads((rows, a, h), &self.doutput, &self.after, dw_output, db_output);
        self.rows = 0;
    }
}

/// `dw += dᵀ x`, `db += Σ d` over the first `rows` rows of `d` `[rows, out]` and `x` `[rows, width]`.
#[inline(always)]
fn weight_grads<T: Real>(
    (rows, out, width): (usize, usize, usize),
    d: &[T],
    x: &[T],
    dw: &mut [T],
    db: &mut [T],
) {
    gemm((out, width, rows), d, Strides { row: 1, col: out }, &x[..rows * width], dw);
    add_rows(&d[..rows * out], db);
}

/// Backwards in time through the sequences of these `lengths`, the first of which begins at row `from`.
#[inline(always)]
fn backward_shard<T: Real>(
    dims: Dims,
    (lengths, from): (&[usize], usize),
    first: &[T],
    past: &Past<'_, T>,
    flat: &[T],
    dx: &mut [T],
    to: &mut [T],
) {
    let Dims { n, f, h, a, .. } = dims;
    let [input, _, hidden, _, output, _] = dims.split(flat);
    let most = lengths.len();
    let mut collected = Collected::new(dims, ROWS + most);
    let mut carry = vec![T::ZERO; most * h];
    let mut dhidden = vec![T::ZERO; most * h];
    let mut dstep = vec![T::ZERO; most * f];
    // Backwards, sequences join; they stay in the order in which they came.
    let mut running: Vec<usize> = Vec::new();
    for step in (0..lengths.iter().copied().max().unwrap_or(0)).rev() {
        running.extend((0..lengths.len()).filter(|&sequence| lengths[sequence] == step + 1));
        let rows = running.len();
        let at = collected.rows;
        for (inner, &sequence) in running.iter().enumerate() {
            let row = from + dims.row(sequence, step);
            let place = at + inner;
            let before =
                if step == 0 { &first[sequence * h..][..h] } else { &past.hidden[(row - n) * h..][..h] };
            collected.features[place * f..][..f].copy_from_slice(&past.features[row * f..][..f]);
            collected.before[place * h..][..h].copy_from_slice(before);
            collected.after[place * h..][..h].copy_from_slice(&past.hidden[row * h..][..h]);
            collected.doutput[place * a..][..a].copy_from_slice(&past.doutput[row * a..][..a]);
            dhidden[inner * h..][..h].copy_from_slice(&past.dhidden[row * h..][..h]);
        }
        let doutput = &collected.doutput[at * a..][..rows * a];
        gemm((rows, h, a), doutput, Strides { row: a, col: 1 }, output, &mut dhidden);
        for (inner, &sequence) in running.iter().enumerate() {
            let row = from + dims.row(sequence, step);
            let place = at + inner;
            cell_backward(
                &past.kept[row * 4 * h..][..4 * h],
                &collected.before[place * h..][..h],
                &dhidden[inner * h..][..h],
                &mut carry[inner * h..][..h],
                &mut collected.dgates[place * 3 * h..][..3 * h],
                &mut collected.drecurrent[place * 3 * h..][..3 * h],
            );
        }
        let across = Strides { row: 3 * h, col: 1 };
        let drecurrent = &collected.drecurrent[at * 3 * h..][..rows * 3 * h];
        gemm((rows, h, 3 * h), drecurrent, across, hidden, &mut carry);
        let dstep = &mut dstep[..rows * f];
        dstep.fill(T::ZERO);
        let dgates = &collected.dgates[at * 3 * h..][..rows * 3 * h];
        gemm((rows, f, 3 * h), dgates, across, input, dstep);
        for (&sequence, dstep) in running.iter().zip(dstep.chunks_exact(f)) {
            dx[dims.row(sequence, step) * f..][..f].copy_from_slice(dstep);
        }
        collected.rows += rows;
        if collected.rows >= ROWS {
            collected.add_to(dims, to);
        }
    }
    collected.add_to(dims, to);
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
    gemm((m, n, k), x, Strides { row: k, col: 1 }, w, y);
}

impl CustomOp2 for Recurrent {
    fn name(&self) -> &'static str {
        "ddn-recurrent"
    }

    fn cpu_fwd(
        &self,
        features: &CpuStorage,
        lf: &Layout,
        flat: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        timed!("recurrent forward", self.multiply_adds());
        let Dims { b, t, n, h, a, .. } = self.dims;
        let out = match features {
            CpuStorage::F64(_) => {
                f64::to_cpu_storage_owned(self.forward::<f64>(elements(features, lf)?, elements(flat, lw)?))
            }
            _ => f32::to_cpu_storage_owned(self.forward::<f32>(elements(features, lf)?, elements(flat, lw)?)),
        };
        Ok((out, (b * t * n * (h + a)).into()))
    }

    fn bwd(&self, features: &Tensor, flat: &Tensor, both: &Tensor, grad: &Tensor) -> Result<Grads> {
        timed!("recurrent backward", 2 * self.multiply_adds());
        let grad = grad.contiguous()?;
        match features.dtype() {
            DType::F64 => self.backward::<f64>(features, flat, both, &grad),
            _ => self.backward::<f32>(features, flat, both, &grad),
        }
    }
}
