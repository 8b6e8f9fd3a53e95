//! Backwards in time, with the products for the weights' gradients made for several steps at once.

use std::sync::PoisonError;

use candle_core::{Device, Result, Tensor};

use super::cell::cell_backward;
use super::{Dims, Grads, Recurrent};
use crate::nn::kernel::linear::add_rows;
use crate::nn::kernel::{
    At, ByColumn, ByRow, Every, Read, Real, Rows, Start, gemm, gemm_rows, make_shards, shard, sum_shards,
    vectorised,
};

/// Rows that a shard collects before it adds them to the gradients of the weights.
const ROWS: usize = 128;

impl Recurrent {
    pub(super) fn backward<T: Real>(&self, flat: &Tensor) -> Result<Grads> {
        let dims = self.dims;
        let Dims { b, t, n, f, .. } = dims;
        let guard = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.keep {
            candle_core::bail!("recurrent: the forward pass kept nothing for a backward pass");
        }
        let [hidden, output] = &self.results;
        let kept = guard.iter().map(T::cpu_storage_as_slice).collect::<Result<Vec<&[T]>>>()?;
        let (dhidden, doutput) = (hidden.take()?, output.take()?);
        let hidden = hidden.result()?;
        let reads = [Read::new(&self.features)?, Read::new(flat)?, Read::new(&hidden)?];
        let [features, flat, hidden] = &reads;
        let (features, flat, hidden) = (features.slice::<T>()?, flat.slice::<T>()?, hidden.slice::<T>()?);
        let grads =
            [dhidden.as_ref().map(Read::new).transpose()?, doutput.as_ref().map(Read::new).transpose()?];
        let [dhidden, doutput] = &grads;
        let dhidden = dhidden.as_ref().map(Read::slice).transpose()?;
        let doutput = doutput.as_ref().map(Read::slice).transpose()?;
        let past = Past { features, hidden, dhidden, doutput };
        let past = &past;
        let (dx, parts) = make_shards(b, t * n * f, |index, dx| {
            let episodes = shard(b, index);
            let first = self.first::<T>(&episodes);
            let mut sums = vec![T::ZERO; flat.len()];
            let from = episodes.start * t * n;
            let lengths = &self.lengths[episodes.start * n..episodes.end * n];
            let (first, to, kept) = (first.as_slice(), sums.as_mut_slice(), kept[index]);
            vectorised!(<T>(dims: Dims, lengths: &[usize], from: usize, first: &[T], kept: &[T], past: &Past<'_, T>, flat: &[T], dx: &mut [T], to: &mut [T]) {
                backward_shard(dims, (lengths, from), (first, kept), past, flat, dx, to);
            });
            sums
        });
        let cpu = &Device::Cpu;
        let dflat = sum_shards(parts);
        let len = dflat.len();
        if self.features.tracks() {
            self.features.slot().add(Tensor::from_vec(dx, (b * t * n, f), cpu)?);
        }
        Ok((Some(self.features.token().zeros_like()?), Some(Tensor::from_vec(dflat, len, cpu)?)))
    }
}

/// What the forward pass read and gave, and the gradients of its results, zeros where they are
/// `None`; all of it over all episodes.
struct Past<'a, T> {
    features: &'a [T],
    hidden: &'a [T],
    dhidden: Option<&'a [T]>,
    doutput: Option<&'a [T]>,
}

/// `to` becomes a row of `from`.
#[inline(always)]
fn copy_row<T: Real>(from: Option<&[T]>, row: usize, to: &mut [T]) {
    match from {
        Some(from) => to.copy_from_slice(&from[row * to.len()..][..to.len()]),
        None => to.fill(T::ZERO),
    }
}

/// Matrices of several steps, for the gradients of the weights.
struct Collected<T> {
    rows: usize,
    /// Where the features of each row begin.
    features: Vec<usize>,
    before: Vec<T>,
    /// Where the hidden state after each row's step begins.
    after: Vec<usize>,
    dgates: Vec<T>,
    drecurrent: Vec<T>,
    doutput: Vec<T>,
}

impl<T: Real> Collected<T> {
    #[inline(always)]
    fn new(Dims { h, a, .. }: Dims, rows: usize) -> Self {
        let zeros = |width| vec![T::ZERO; rows * width];
        Self {
            rows: 0,
            features: vec![0; rows],
            before: zeros(h),
            after: vec![0; rows],
            dgates: zeros(3 * h),
            drecurrent: zeros(3 * h),
            doutput: zeros(a),
        }
    }

    /// Adds the products of all collected rows to the flat gradient and starts again.
    #[inline(always)]
    fn add_to(&mut self, dims: Dims, past: &Past<'_, T>, flat: &mut [T]) {
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
        let (features, after) = (At(&self.features), At(&self.after));
        weight_grads((rows, 3 * h, f), &self.dgates, (past.features, features), dw_input, db_input);
        weight_grads((rows, 3 * h, h), &self.drecurrent, (&self.before, Every(h)), dw_hidden, db_hidden);
        weight_grads((rows, a, h), &self.doutput, (past.hidden, after), dw_output, db_output);
        self.rows = 0;
    }
}

/// `dw += dᵀ x`, `db += Σ d` over the first `rows` rows of `d` `[rows, out]` and `x` `[rows, width]`.
#[inline(always)]
fn weight_grads<T: Real>(
    (rows, out, width): (usize, usize, usize),
    d: &[T],
    x: (&[T], impl Rows),
    dw: &mut [T],
    db: &mut [T],
) {
    gemm_rows((out, width, rows), (d, ByColumn(Every(out))), x, Start::Sum, (dw, Every(width)));
    add_rows(&d[..rows * out], db);
}

/// Backwards in time through the sequences of these `lengths`, the first of which begins at row `from`
/// with the hidden state `first`.
#[inline(always)]
fn backward_shard<T: Real>(
    dims: Dims,
    (lengths, from): (&[usize], usize),
    (first, mut kept): (&[T], &[T]),
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
    let mut places = Vec::with_capacity(most);
    // Backwards, sequences join; they stay in the order in which they came.
    let mut running: Vec<usize> = Vec::new();
    // Places in `running`, by ascending sequence: so the forward pass went through a step.
    let mut order: Vec<usize> = Vec::new();
    for step in (0..lengths.iter().copied().max().unwrap_or(0)).rev() {
        running.extend((0..lengths.len()).filter(|&sequence| lengths[sequence] == step + 1));
        let rows = running.len();
        if order.len() < rows {
            order = (0..rows).collect();
            order.sort_unstable_by_key(|&inner| running[inner]);
        }
        let at = collected.rows;
        places.clear();
        for (inner, &sequence) in running.iter().enumerate() {
            let row = from + dims.row(sequence, step);
            let place = at + inner;
            let before =
                if step == 0 { &first[sequence * h..][..h] } else { &past.hidden[(row - n) * h..][..h] };
            collected.features[place] = row * f;
            collected.after[place] = row * h;
            places.push(dims.row(sequence, step) * f);
            collected.before[place * h..][..h].copy_from_slice(before);
            copy_row(past.doutput, row, &mut collected.doutput[place * a..][..a]);
            copy_row(past.dhidden, row, &mut dhidden[inner * h..][..h]);
        }
        let doutput = &collected.doutput[at * a..][..rows * a];
        gemm((rows, h, a), doutput, ByRow(Every(a)), output, &mut dhidden);
        let of_step;
        (kept, of_step) = kept.split_at(kept.len() - rows * 4 * h);
        for (&inner, kept) in order.iter().zip(of_step.chunks_exact(4 * h)) {
            let place = at + inner;
            cell_backward(
                kept,
                &collected.before[place * h..][..h],
                &dhidden[inner * h..][..h],
                &mut carry[inner * h..][..h],
                &mut collected.dgates[place * 3 * h..][..3 * h],
                &mut collected.drecurrent[place * 3 * h..][..3 * h],
            );
        }
        let across = ByRow(Every(3 * h));
        let drecurrent = &collected.drecurrent[at * 3 * h..][..rows * 3 * h];
        gemm((rows, h, 3 * h), drecurrent, across, hidden, &mut carry);
        let dgates = &collected.dgates[at * 3 * h..][..rows * 3 * h];
        gemm_rows((rows, f, 3 * h), (dgates, across), (input, Every(f)), Start::Zero, (dx, At(&places)));
        collected.rows += rows;
        if collected.rows >= ROWS {
            collected.add_to(dims, past, to);
        }
    }
    collected.add_to(dims, past, to);
}
