//! A gated recurrent unit over whole episodes.
//!
//! PyTorch's convention: gates in the order r, z, n; the reset gate acts after the recurrent
//! product: `n = tanh(W_in x + b_in + r ∘ (W_hn h + b_hn))`, `h' = (1 - z) ∘ n + z ∘ h`.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp3, DType, Device, Layout, Result, Shape, Tensor, WithDType};

use super::linear::add_rows;
use super::{
    Read, Real, Strides, elements, fill_shards, gemm, shard, shards_mut, sum_shards, transpose, vectorised,
};

/// Runs all sequences of a batch.
///
/// `gates` `[B, T, N, 3H]` is the projected input `W_i x + b_i`; `weight` `[3H, H]`, `bias` `[3H]`
/// are the recurrent ones; `start` `[B, N, H]` is where the hidden state begins (zeros if `None`;
/// no gradient reaches it). Gives the hidden states `[B, T, N, H]`.
///
/// # Errors
/// If the shapes disagree.
pub fn gru(gates: &Tensor, weight: &Tensor, bias: &Tensor, start: Option<&Tensor>) -> Result<Tensor> {
    let (b, t, n, h3) = gates.dims4()?;
    let h = h3 / 3;
    if weight.dims2()? != (3 * h, h) || bias.dims1()? != 3 * h {
        candle_core::bail!(
            "gru: gates {:?}, weight {:?}, bias {:?}",
            gates.shape(),
            weight.shape(),
            bias.shape()
        );
    }
    let start = start.map(|start| start.to_dtype(DType::F64)?.flatten_all()?.to_vec1()).transpose()?;
    if start.as_ref().is_some_and(|start: &Vec<f64>| start.len() != b * n * h) {
        candle_core::bail!("gru: the first hidden state must be [{b}, {n}, {h}]");
    }
    let keep = gates.track_op() || weight.track_op() || bias.track_op();
    let op = Gru { dims: Dims { b, t, n, h }, start, keep, kept: Mutex::new(None) };
    gates.contiguous()?.apply_op3(weight, bias, op)
}

#[derive(Clone, Copy)]
struct Dims {
    b: usize,
    t: usize,
    n: usize,
    h: usize,
}

struct Gru {
    dims: Dims,
    start: Option<Vec<f64>>,
    /// Whether a backward pass may follow.
    keep: bool,
    /// r, z, n and W_hn h + b_hn of every row, `[B, T, N, 4H]`.
    kept: Mutex<Option<CpuStorage>>,
}

impl Gru {
    fn first<T: Real>(&self, episodes: &std::ops::Range<usize>) -> Vec<T> {
        let Dims { n, h, .. } = self.dims;
        match &self.start {
            Some(start) => {
                start[episodes.start * n * h..episodes.end * n * h].iter().map(|&v| T::from_f64(v)).collect()
            }
            None => vec![T::ZERO; episodes.len() * n * h],
        }
    }

    fn forward<T: Real>(&self, gates: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
        let Dims { b, t, n, h } = self.dims;
        let turned = transpose(3 * h, h, weight);
        let mut hidden = vec![T::ZERO; b * t * n * h];
        let rows_kept = if self.keep { b } else { 0 };
        let mut kept = vec![T::ZERO; rows_kept * t * n * 4 * h];
        let parts: Vec<_> = shards_mut(&mut kept, rows_kept, t * n * 4 * h)
            .into_iter()
            .map(|part| Mutex::new(Some(part)))
            .collect();
        fill_shards(&mut hidden, b, t * n * h, |index, hidden| {
            let episodes = shard(b, index);
            let kept = parts[index].lock().ok().and_then(|mut part| part.take()).unwrap_or_default();
            let gates = &gates[episodes.start * t * n * 3 * h..episodes.end * t * n * 3 * h];
            let mut last = self.first::<T>(&episodes);
            let mut recurrent = vec![T::ZERO; episodes.len() * n * 3 * h];
            let (dims, inner_rows, turned) = (self.dims, episodes.len() * n, turned.as_slice());
            let (last, recurrent) = (last.as_mut_slice(), recurrent.as_mut_slice());
            vectorised!(<T>(dims: Dims, inner_rows: usize, gates: &[T], turned: &[T], bias: &[T], kept: &mut [T], last: &mut [T], recurrent: &mut [T], hidden: &mut [T]) {
                let Dims { t, n, h, .. } = dims;
                for step in 0..t {
                    for row in recurrent.chunks_exact_mut(3 * h) {
                        row.copy_from_slice(bias);
                    }
                    gemm(
                        (inner_rows, 3 * h, h),
                        last,
                        Strides { row: h, col: 1 },
                        turned,
                        recurrent,
                    );
                    for episode in 0..inner_rows / n {
                        for agent in 0..n {
                            let row = (episode * t + step) * n + agent;
                            let inner = episode * n + agent;
                            let keep =
                                if kept.is_empty() { None } else { Some(&mut kept[row * 4 * h..][..4 * h]) };
                            cell(
                                &gates[row * 3 * h..][..3 * h],
                                &recurrent[inner * 3 * h..][..3 * h],
                                &mut last[inner * h..][..h],
                                keep,
                            );
                            hidden[row * h..][..h].copy_from_slice(&last[inner * h..][..h]);
                        }
                    }
                }
            });
        });
        drop(parts);
        if self.keep
            && let Ok(mut slot) = self.kept.lock()
        {
            *slot = Some(T::to_cpu_storage_owned(kept));
        }
        hidden
    }

    fn backward<T: Real>(&self, weight: &Tensor, hidden: &Tensor, grad: &Tensor) -> Result<Grads> {
        let Dims { b, t, n, h } = self.dims;
        let guard = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = guard.as_ref() else {
            candle_core::bail!("gru: the forward pass kept nothing for a backward pass");
        };
        let kept = T::cpu_storage_as_slice(kept)?;
        let (weight, hidden, grad) = (Read::new(weight)?, Read::new(hidden)?, Read::new(grad)?);
        let (weight, hidden, grad) = (weight.slice::<T>()?, hidden.slice::<T>()?, grad.slice::<T>()?);
        let mut dgates = vec![T::ZERO; b * t * n * 3 * h];
        let parts = fill_shards(&mut dgates, b, t * n * 3 * h, |index, dgates| {
            let episodes = shard(b, index);
            let inner_rows = episodes.len() * n;
            let from = episodes.start * t * n;
            let first = self.first::<T>(&episodes);
            let mut sums = vec![T::ZERO; 3 * h * h + 3 * h];
            let mut carry = vec![T::ZERO; inner_rows * h];
            let mut previous = vec![T::ZERO; inner_rows * h];
            let mut drecurrent = vec![T::ZERO; inner_rows * 3 * h];
            let dims = self.dims;
            let (first, to, carry) = (first.as_slice(), sums.as_mut_slice(), carry.as_mut_slice());
            let (previous, drecurrent) = (previous.as_mut_slice(), drecurrent.as_mut_slice());
            vectorised!(<T>(dims: Dims, from: usize, inner_rows: usize, first: &[T], hidden: &[T], weight: &[T], kept: &[T], grad: &[T], dgates: &mut [T], carry: &mut [T], previous: &mut [T], drecurrent: &mut [T], to: &mut [T]) {
                let Dims { t, n, h, .. } = dims;
                let (dw, db) = to.split_at_mut(3 * h * h);
                for step in (0..t).rev() {
                    for inner in 0..inner_rows {
                        let local = ((inner / n) * t + step) * n + inner % n;
                        let row = from + local;
                        let before =
                            if step == 0 { &first[inner * h..][..h] } else { &hidden[(row - n) * h..][..h] };
                        previous[inner * h..][..h].copy_from_slice(before);
                        cell_backward(
                            &kept[row * 4 * h..][..4 * h],
                            before,
                            &grad[row * h..][..h],
                            &mut carry[inner * h..][..h],
                            &mut dgates[local * 3 * h..][..3 * h],
                            &mut drecurrent[inner * 3 * h..][..3 * h],
                        );
                    }
                    add_rows(drecurrent, db);
                    gemm((3 * h, h, inner_rows), drecurrent, Strides { row: 1, col: 3 * h }, previous, dw);
                    gemm(
                        (inner_rows, h, 3 * h),
                        drecurrent,
                        Strides { row: 3 * h, col: 1 },
                        weight,
                        carry,
                    );
                }
            });
            sums
        });
        let mut dw = sum_shards(parts);
        let db = dw.split_off(3 * h * h);
        let cpu = &Device::Cpu;
        Ok((
            Some(Tensor::from_vec(dgates, (b, t, n, 3 * h), cpu)?),
            Some(Tensor::from_vec(dw, (3 * h, h), cpu)?),
            Some(Tensor::from_vec(db, 3 * h, cpu)?),
        ))
    }
}

type Grads = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

/// One step of one row; `last` becomes the next hidden state.
#[inline(always)]
fn cell<T: Real>(gates: &[T], recurrent: &[T], last: &mut [T], kept: Option<&mut [T]>) {
    let h = last.len();
    let (gr, gz, gn) = (&gates[..h], &gates[h..2 * h], &gates[2 * h..3 * h]);
    let (hr, hz, hn) = (&recurrent[..h], &recurrent[h..2 * h], &recurrent[2 * h..3 * h]);
    match kept {
        Some(kept) => {
            let (kr, kept) = kept.split_at_mut(h);
            let (kz, kept) = kept.split_at_mut(h);
            let (kn, km) = kept.split_at_mut(h);
            for j in 0..h {
                let r = (gr[j] + hr[j]).sigmoid();
                let z = (gz[j] + hz[j]).sigmoid();
                let n = Real::tanh(r.fma(hn[j], gn[j]));
                last[j] = z.fma(last[j] - n, n);
                (kr[j], kz[j], kn[j], km[j]) = (r, z, n, hn[j]);
            }
        }
        None => {
            for j in 0..h {
                let r = (gr[j] + hr[j]).sigmoid();
                let z = (gz[j] + hz[j]).sigmoid();
                let n = Real::tanh(r.fma(hn[j], gn[j]));
                last[j] = z.fma(last[j] - n, n);
            }
        }
    }
}

/// Gradients of one step of one row. `carry` comes as the gradient from later steps and leaves as
/// the part for the step before that does not pass through the recurrent product.
#[inline(always)]
fn cell_backward<T: Real>(
    kept: &[T],
    before: &[T],
    grad: &[T],
    carry: &mut [T],
    dgates: &mut [T],
    drecurrent: &mut [T],
) {
    let h = before.len();
    let (r, z, n, m) = (&kept[..h], &kept[h..2 * h], &kept[2 * h..3 * h], &kept[3 * h..4 * h]);
    let (gr, rest) = dgates.split_at_mut(h);
    let (gz, gn) = rest.split_at_mut(h);
    let (hr, rest) = drecurrent.split_at_mut(h);
    let (hz, hn) = rest.split_at_mut(h);
    for j in 0..h {
        let dh = grad[j] + carry[j];
        let dn = dh * (T::ONE - z[j]) * (T::ONE - n[j] * n[j]);
        let dz = dh * (before[j] - n[j]) * z[j] * (T::ONE - z[j]);
        let dr = dn * m[j] * r[j] * (T::ONE - r[j]);
        (gr[j], gz[j], gn[j]) = (dr, dz, dn);
        (hr[j], hz[j], hn[j]) = (dr, dz, dn * r[j]);
        carry[j] = dh * z[j];
    }
}

impl CustomOp3 for Gru {
    fn name(&self) -> &'static str {
        "ddn-gru"
    }

    fn cpu_fwd(
        &self,
        gates: &CpuStorage,
        lg: &Layout,
        weight: &CpuStorage,
        lw: &Layout,
        bias: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let Dims { b, t, n, h } = self.dims;
        let out = match gates {
            CpuStorage::F64(_) => f64::to_cpu_storage_owned(self.forward::<f64>(
                elements(gates, lg)?,
                elements(weight, lw)?,
                elements(bias, lb)?,
            )),
            _ => f32::to_cpu_storage_owned(self.forward::<f32>(
                elements(gates, lg)?,
                elements(weight, lw)?,
                elements(bias, lb)?,
            )),
        };
        Ok((out, (b, t, n, h).into()))
    }

    fn bwd(&self, _: &Tensor, weight: &Tensor, _: &Tensor, hidden: &Tensor, grad: &Tensor) -> Result<Grads> {
        let grad = grad.contiguous()?;
        match weight.dtype() {
            DType::F64 => self.backward::<f64>(weight, hidden, &grad),
            _ => self.backward::<f32>(weight, hidden, &grad),
        }
    }
}
