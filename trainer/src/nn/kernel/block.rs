//! The personalisation block's product, factorised.
//!
//! A hypernetwork's output `h` turns a constant source `s` into
//! `out_j = shift_j + c · Σ_k s_k (W[k, M, j] + Σ_m h_m W[k, m, j])`.
//! Written out, the generated weights of one batch of the paper's Predator-Prey would take 3.7 GiB.
//! Here they never exist: zeros of the source are skipped, and
//!
//! * where agents share their source (the global state), the sum over `k` is made once per step;
//! * where every row has its own (an observation), rows are grouped by `k` and meet `W[k]` together.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp3, DType, Device, Layout, Result, Shape, Tensor, WithDType};

use super::sparse_linear::add_scaled;
use super::{Read, Real, Strides, elements, fill_shards, gemm, shard, sum_shards, transpose, vectorised};
use crate::nn::sparse::Sparse;

/// What the generated weights are applied to.
#[derive(Clone, Debug)]
pub struct Source {
    /// `[R / share, K]`
    pub rows: Sparse,
    /// How many consecutive rows of `h` use one row of the source.
    pub share: usize,
    /// c, the scale of the product.
    pub scale: f64,
}

/// `h` `[R, M]` is the output of a ReLU (where it is 0, no gradient is given), `weight`
/// `[K, M + 1, D]` with the constant term last, `shift` `[R, D]`; gives `[R, D]`.
///
/// # Errors
/// If the shapes disagree.
///
/// Paper: arXiv 2502.03125, the fusion block `Ŝ_i = S W + B` before Eq. (5).
pub fn block(source: &Source, h: &Tensor, weight: &Tensor, shift: &Tensor) -> Result<Tensor> {
    h.contiguous()?.apply_op3(weight, &shift.contiguous()?, Block(source.clone()))
}

struct Block(Source);

#[derive(Clone, Copy)]
struct Dims {
    rows: usize,
    k: usize,
    m: usize,
    d: usize,
}

type Grads = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

/// The rows of a shard that have an entry in one column of the source.
type Groups = Vec<Vec<(u32, f32)>>;

impl Block {
    fn groups(&self, rows: Range<usize>, k: usize) -> Groups {
        let mut groups = vec![Vec::new(); k];
        for (local, row) in rows.enumerate() {
            let (columns, values) = self.0.rows.row(row);
            for (&column, &value) in columns.iter().zip(values) {
                groups[column as usize].push((local as u32, value));
            }
        }
        groups
    }

    fn forward<T: Real>(&self, h: &[T], w: &[T], shift: &[T], dims: Dims) -> Vec<T> {
        let Dims { m, d, .. } = dims;
        let share = self.0.share;
        let sources = dims.rows / share;
        let scale = T::from_f64(self.0.scale);
        let mut out = vec![T::ZERO; dims.rows * d];
        fill_shards(&mut out, sources, share * d, |index, out| {
            let rows = shard(sources, index);
            let h = &h[rows.start * share * m..rows.end * share * m];
            let shift = &shift[rows.start * share * d..rows.end * share * d];
            let this = self;
            vectorised!(<T>(this: &Block, rows: Range<usize>, dims: Dims, h: &[T], w: &[T], shift: &[T], out: &mut [T], scale: T) {
                let Dims { m, d, .. } = dims;
                let share = this.0.share;
                if share > 1 {
                    let mut table = vec![T::ZERO; (m + 1) * d];
                    for (local, row) in rows.enumerate() {
                        // Nothing times anything: only the shift is left.
                        if this.0.rows.row(row).0.is_empty() {
                            continue;
                        }
                        this.table(row, w, &mut table);
                        let out = &mut out[local * share * d..][..share * d];
                        for row in out.chunks_exact_mut(d) {
                            row.copy_from_slice(&table[m * d..]);
                        }
                        gemm(
                            (share, d, m),
                            &h[local * share * m..],
                            Strides { row: m, col: 1 },
                            &table[..m * d],
                            out,
                        );
                    }
                } else {
                    let mut gathered = Vec::new();
                    let mut product = Vec::new();
                    for (column, group) in this.groups(rows, dims.k).iter().enumerate() {
                        gather_inputs(group, h, m, &mut gathered);
                        product.clear();
                        product.resize(group.len() * d, T::ZERO);
                        let w = &w[column * (m + 1) * d..][..(m + 1) * d];
                        gemm(
                            (group.len(), d, m + 1),
                            &gathered,
                            Strides { row: m + 1, col: 1 },
                            w,
                            &mut product,
                        );
                        for (&(row, _), product) in group.iter().zip(product.chunks_exact(d)) {
                            add_scaled(&mut out[row as usize * d..][..d], T::ONE, product);
                        }
                    }
                }
                for (out, &shift) in out.iter_mut().zip(shift) {
                    *out = scale.fma(*out, shift);
                }
            });
        });
        out
    }

    /// `Σ_k s_k W[k]`, `[M + 1, D]`
    #[inline(always)]
    fn table<T: Real>(&self, row: usize, w: &[T], table: &mut [T]) {
        table.fill(T::ZERO);
        let (columns, values) = self.0.rows.row(row);
        for (&column, &value) in columns.iter().zip(values) {
            add_scaled(table, T::of(value), &w[column as usize * table.len()..][..table.len()]);
        }
    }

    fn backward<T: Real>(&self, h: &Tensor, w: &Tensor, grad: &Tensor) -> Result<Grads> {
        let (rows, m) = h.dims2()?;
        let (k, _, d) = w.dims3()?;
        let dims = Dims { rows, k, m, d };
        let share = self.0.share;
        let (hs, ws, gs) = (Read::new(h)?, Read::new(w)?, Read::new(grad)?);
        let (hs, ws, gs) = (hs.slice::<T>()?, ws.slice::<T>()?, gs.slice::<T>()?);
        let scale = T::from_f64(self.0.scale);
        let mut dh = vec![T::ZERO; rows * m];
        let sources = rows / share;
        let parts = fill_shards(&mut dh, sources, share * m, |index, dh| {
            let rows = shard(sources, index);
            let h = &hs[rows.start * share * m..rows.end * share * m];
            let grad = &gs[rows.start * share * d..rows.end * share * d];
            let mut dw = vec![T::ZERO; k * (m + 1) * d];
            let (this, to) = (self, dw.as_mut_slice());
            vectorised!(<T>(this: &Block, rows: Range<usize>, dims: Dims, h: &[T], ws: &[T], grad: &[T], dh: &mut [T], to: &mut [T], scale: T) {
                let grad: Vec<T> = grad.iter().map(|&g| scale * g).collect();
                if this.0.share > 1 {
                    this.backward_shared(rows, dims, (h, ws, &grad), dh, to);
                } else {
                    this.backward_grouped(rows, dims, (h, ws, &grad), dh, to);
                }
                for (dh, &h) in dh.iter_mut().zip(h) {
                    *dh = if h > T::ZERO { *dh } else { T::ZERO };
                }
            });
            dw
        });
        let cpu = &Device::Cpu;
        let dw = Tensor::from_vec(sum_shards(parts), (k, m + 1, d), cpu)?;
        Ok((Some(Tensor::from_vec(dh, (dims.rows, m), cpu)?), Some(dw), Some(grad.clone())))
    }

    #[inline(always)]
    fn backward_shared<T: Real>(
        &self,
        rows: Range<usize>,
        Dims { m, d, .. }: Dims,
        (h, w, grad): (&[T], &[T], &[T]),
        dh: &mut [T],
        dw: &mut [T],
    ) {
        let share = self.0.share;
        let mut table = vec![T::ZERO; (m + 1) * d];
        let mut turned = vec![T::ZERO; m * d];
        let mut dtable = vec![T::ZERO; (m + 1) * d];
        for (local, row) in rows.enumerate() {
            if self.0.rows.row(row).0.is_empty() {
                continue;
            }
            let (h, grad) = (&h[local * share * m..][..share * m], &grad[local * share * d..][..share * d]);
            self.table(row, w, &mut table);
            for i in 0..m {
                for j in 0..d {
                    turned[j * m + i] = table[i * d + j];
                }
            }
            gemm(
                (share, m, d),
                grad,
                Strides { row: d, col: 1 },
                &turned,
                &mut dh[local * share * m..][..share * m],
            );
            dtable.fill(T::ZERO);
            gemm((m, d, share), h, Strides { row: 1, col: m }, grad, &mut dtable[..m * d]);
            for grad in grad.chunks_exact(d) {
                add_scaled(&mut dtable[m * d..], T::ONE, grad);
            }
            let (columns, values) = self.0.rows.row(row);
            for (&column, &value) in columns.iter().zip(values) {
                add_scaled(&mut dw[column as usize * dtable.len()..][..dtable.len()], T::of(value), &dtable);
            }
        }
    }

    #[inline(always)]
    fn backward_grouped<T: Real>(
        &self,
        rows: Range<usize>,
        Dims { k, m, d, .. }: Dims,
        (h, w, grad): (&[T], &[T], &[T]),
        dh: &mut [T],
        dw: &mut [T],
    ) {
        let (mut inputs, mut grads, mut product) = (Vec::new(), Vec::new(), Vec::new());
        for (column, group) in self.groups(rows, k).iter().enumerate() {
            if group.is_empty() {
                continue;
            }
            gather_inputs(group, h, m, &mut inputs);
            grads.clear();
            for &(row, _) in group {
                grads.extend_from_slice(&grad[row as usize * d..][..d]);
            }
            let range = column * (m + 1) * d..(column + 1) * (m + 1) * d;
            gemm(
                (m + 1, d, group.len()),
                &inputs,
                Strides { row: 1, col: m + 1 },
                &grads,
                &mut dw[range.clone()],
            );
            let turned = transpose(m, d, &w[range][..m * d]);
            product.clear();
            product.resize(group.len() * m, T::ZERO);
            gemm((group.len(), m, d), &grads, Strides { row: d, col: 1 }, &turned, &mut product);
            for (&(row, value), product) in group.iter().zip(product.chunks_exact(m)) {
                add_scaled(&mut dh[row as usize * m..][..m], T::of(value), product);
            }
        }
    }
}

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

impl CustomOp3 for Block {
    fn name(&self) -> &'static str {
        "ddn-block"
    }

    fn cpu_fwd(
        &self,
        h: &CpuStorage,
        lh: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        shift: &CpuStorage,
        ls: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, m) = lh.shape().dims2()?;
        let (k, extended, d) = lw.shape().dims3()?;
        let source = &self.0;
        if extended != m + 1
            || ls.shape().dims2()? != (rows, d)
            || source.rows.width() != k
            || source.rows.rows() * source.share != rows
        {
            candle_core::bail!(
                "block: h {:?}, weight {:?}, shift {:?}, source [{}, {}] shared by {}",
                lh.shape(),
                lw.shape(),
                ls.shape(),
                source.rows.rows(),
                source.rows.width(),
                source.share,
            );
        }
        let dims = Dims { rows, k, m, d };
        let out = match h {
            CpuStorage::F64(_) => f64::to_cpu_storage_owned(self.forward::<f64>(
                elements(h, lh)?,
                elements(w, lw)?,
                elements(shift, ls)?,
                dims,
            )),
            _ => f32::to_cpu_storage_owned(self.forward::<f32>(
                elements(h, lh)?,
                elements(w, lw)?,
                elements(shift, ls)?,
                dims,
            )),
        };
        Ok((out, (rows, d).into()))
    }

    fn bwd(&self, h: &Tensor, w: &Tensor, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Grads> {
        let grad = grad.contiguous()?;
        match h.dtype() {
            DType::F64 => self.backward::<f64>(h, w, &grad),
            _ => self.backward::<f32>(h, w, &grad),
        }
    }
}
