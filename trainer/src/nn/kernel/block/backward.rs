//! Gradients of the parameters: those of the affine maps by shards of rows, those of W without
//! partial sums.

use std::ops::Range;
use std::sync::PoisonError;

use candle_core::{Device, Result, Tensor};

use super::entries::Entries;
use super::{Block, Dims, Grads, Kept};
use crate::nn::kernel::sparse_linear::affine_grads;
use crate::nn::kernel::{Read, Real, each_shard, make_shards, shard, sum_shards, transpose, vectorised};

impl Block {
    pub(super) fn backward<T: Real>(&self, w: &Tensor) -> Result<Grads> {
        let grad = self.out.gradient()?;
        let Dims { i, k, m, d, .. } = self.dims;
        let guard = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Kept { h, entries }) = guard.as_ref() else {
            candle_core::bail!("block: the forward pass kept nothing for a backward pass");
        };
        let h = T::cpu_storage_as_slice(h)?;
        let (w, grad) = (Read::new(w)?, Read::new(&grad)?);
        let (w, grad) = (w.slice::<T>()?, grad.slice::<T>()?);
        let gathered = self.distinct.gather(grad, d);
        let grad = gathered.as_deref().unwrap_or(grad);

        let (rows, share) = (self.distinct.len(), self.source.share);
        let turned = turn_product(w, self.dims);
        let turned = turned.as_slice();
        let parts = each_shard(|index| {
            let rows = shard(rows / share, index);
            let (from, to) = (rows.start * share, rows.end * share);
            let (h, grad) = (&h[from * m..to * m], &grad[from * d..to * d]);
            let mut dh = vec![T::ZERO; h.len()];
            let mut sums = vec![T::ZERO; (i + 1) * (m + d)];
            let entries = entries.get(index).map(Vec::as_slice);
            let (this, dh, sums_of) = (self, dh.as_mut_slice(), sums.as_mut_slice());
            vectorised!(<T>(this: &Block, rows: Range<usize>, entries: Option<&[Entries]>, h: &[T], turned: &[T], grad: &[T], dh: &mut [T], sums_of: &mut [T]) {
                let share = this.source.share;
                match entries {
                    Some(entries) => this.own_input_grads(entries, turned, grad, dh),
                    None => this.shared_input_grads(rows.clone(), turned, grad, dh),
                }
                let scale = T::from_f64(this.source.scale);
                for (dh, &h) in dh.iter_mut().zip(h) {
                    *dh = if h > T::ZERO { scale * *dh } else { T::ZERO };
                }
                let (hyper, shift) = sums_of.split_at_mut((this.dims.i + 1) * this.dims.m);
                let rows = (rows.start * share..rows.end * share).map(|row| this.distinct.row(row));
                affine_grads(&this.x, rows.clone(), dh, hyper);
                affine_grads(&this.x, rows, grad, shift);
            });
            sums
        });
        let sums = sum_shards(parts);
        let (hyper, shift) = sums.split_at((i + 1) * m);
        let flat = [
            transpose(i, m, &hyper[..i * m]),
            hyper[i * m..].to_vec(),
            transpose(i, d, &shift[..i * d]),
            shift[i * d..].to_vec(),
        ]
        .concat();

        let dw = if share > 1 {
            self.shared_weight_grads(h, grad)
        } else {
            self.own_weight_grads(entries, h, grad)
        };
        let cpu = &Device::Cpu;
        let len = flat.len();
        Ok((Some(Tensor::from_vec(flat, len, cpu)?), Some(Tensor::from_vec(dw, (k, m + 1, d), cpu)?)))
    }
}

/// W without its constant term, every `[M, D]` turned: `[K, D + 1, M]`. The last row is not used: without it, where M and
/// D are powers of two, the matrices of two columns would lie one apart and share few places of the caches.
fn turn_product<T: Real>(w: &[T], Dims { k, m, d, .. }: Dims) -> Vec<T> {
    let (turned, _) = make_shards(k, (d + 1) * m, |index, turned: &mut [T]| {
        for (column, turned) in shard(k, index).zip(turned.chunks_exact_mut((d + 1) * m)) {
            turned[..d * m].copy_from_slice(&transpose(m, d, &w[column * (m + 1) * d..][..m * d]));
        }
    });
    turned
}
