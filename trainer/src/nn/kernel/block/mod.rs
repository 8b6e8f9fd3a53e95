//! The personalisation block, factorised: hypernetwork, generated product and shift in one op.
//!
//! ```text
//! x ─► ReLU(W_h x + b_h) = h ─► c · Σ_k s_k (W[k, M, :] + Σ_m h_m W[k, m, :]) ─(+)─► out
//! x ─► W_b x + b_b ───────────────────────────────────────────────────────────┘
//! ```
//!
//! Written out, the generated weights of one batch of the paper's Predator-Prey would take 3.7 GiB.
//! Here they never exist: zeros of the source `s` are skipped, and
//!
//! * where agents share their source (the global state), the sum over `k` is made once per step,
//!   a few rows of `W` at a time so that they stay in the second-level cache ([`shared`]);
//! * where every row has its own (an observation), rows of a block are grouped by `k` ([`entries`]) and
//!   meet `W[k]` together, equal rows once ([`own`]).

mod backward;
mod entries;
mod own;
mod shared;

use std::ops::Range;
use std::sync::{Arc, Mutex};

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};

use self::entries::Entries;
use super::gathered::group_of;
use super::linear::relu;
use super::sparse_linear::affine_rows;
use super::wire::{self, Slot};
use super::{Real, Wire, elements, make_shards, shard, transpose, vectorised};
use crate::nn::{Distinct, Sparse};
use crate::phases::timed;

/// What the generated weights are applied to.
#[derive(Clone, Debug)]
pub struct Source {
    /// `[R / share, K]`
    pub rows: Sparse,
    /// How many consecutive rows of `x` use one row of the source.
    pub share: usize,
    /// c, the scale of the product.
    pub scale: f64,
}

/// The parameters of a block.
#[derive(Clone, Copy)]
pub struct BlockWeights<'a> {
    /// `[M, I]`, `[M]`
    pub hyper: (&'a Tensor, &'a Tensor),
    /// `[D, I]`, `[D]`
    pub shift: (&'a Tensor, &'a Tensor),
    /// W, `[K, M + 1, D]`, the constant term last.
    pub product: &'a Tensor,
}

/// `x` `[R, I]` gives `[R, D]`. Where a unit of h is 0, no gradient passes.
///
/// # Errors
/// If the shapes disagree.
///
/// Paper: arXiv 2502.03125, the fusion block `Ŝ_i = S W + B` before Eq. (5).
pub fn block(x: &Sparse, source: &Source, weights: BlockWeights<'_>) -> Result<Wire> {
    let (m, i) = weights.hyper.0.dims2()?;
    let (k, extended, d) = weights.product.dims3()?;
    let dims = Dims { rows: x.rows(), i, k, m, d };
    let fits = weights.hyper.1.dims() == [m]
        && weights.shift.0.dims() == [d, i]
        && weights.shift.1.dims() == [d]
        && extended == m + 1
        && (x.width(), source.rows.width()) == (i, k)
        && source.rows.rows() * source.share == x.rows();
    if !fits {
        candle_core::bail!(
            "block: x [{}, {}], hyper {:?}, shift {:?}, product {:?}, source [{}, {}] shared by {}",
            x.rows(),
            x.width(),
            weights.hyper.0.shape(),
            weights.shift.0.shape(),
            weights.product.shape(),
            source.rows.rows(),
            source.rows.width(),
            source.share,
        );
    }
    let ((hyper, hyper_bias), (shift, shift_bias)) = (weights.hyper, weights.shift);
    let flat = Tensor::cat(&[&hyper.flatten_all()?, hyper_bias, &shift.flatten_all()?, shift_bias], 0)?;
    let distinct = if source.share > 1 { Distinct::all(x.rows()) } else { Distinct::of(x, &source.rows) };
    let keep = flat.track_op() || weights.product.track_op();
    let (kept, out) = (Mutex::new(None), Arc::new(Slot::default()));
    let result = Arc::clone(&out);
    let op = Block { x: x.clone(), source: source.clone(), dims, distinct, keep, kept, out };
    Wire::new(flat.apply_op2(&weights.product.contiguous()?, op)?, &result, (x.rows(), d))
}

#[derive(Clone, Copy)]
struct Dims {
    rows: usize,
    i: usize,
    k: usize,
    m: usize,
    d: usize,
}

struct Block {
    x: Sparse,
    source: Source,
    dims: Dims,
    /// The rows to compute; those equal to one of them are copies.
    distinct: Distinct,
    /// Whether a backward pass may follow.
    keep: bool,
    kept: Mutex<Option<Kept>>,
    out: Arc<Slot>,
}

/// What a backward pass wants.
struct Kept {
    /// h of the distinct rows.
    h: CpuStorage,
    /// Where every row has a source of its own, blocks of the source by columns, for each shard of distinct rows.
    entries: Vec<Vec<Entries>>,
}

/// The affine maps of a block as the forward pass wants them.
struct Affine<T> {
    /// `[I, M]`, `[M]`
    hyper: (Vec<T>, Vec<T>),
    /// `[I, D]`, `[D]`
    shift: (Vec<T>, Vec<T>),
}

impl<T: Real> Affine<T> {
    fn of(flat: &[T], Dims { i, m, d, .. }: Dims) -> Self {
        let (hyper, rest) = flat.split_at(m * i);
        let (hyper_bias, rest) = rest.split_at(m);
        let (shift, shift_bias) = rest.split_at(d * i);
        Self {
            hyper: (transpose(m, i, hyper), hyper_bias.to_vec()),
            shift: (transpose(d, i, shift), shift_bias.to_vec()),
        }
    }
}

type Grads = (Option<Tensor>, Option<Tensor>);

impl Block {
    fn forward<T: Real>(&self, flat: &[T], w: &[T]) -> Vec<T> {
        let Dims { m, d, .. } = self.dims;
        let affine = &Affine::of(flat, self.dims);
        let rows = self.distinct.len();
        let share = self.source.share;
        // A shard ends between two rows of the source.
        let (h, _) = make_shards(rows / share, share * m, |index, h| {
            let rows = shard(rows / share, index);
            let rows = rows.start * share..rows.end * share;
            let this = self;
            vectorised!(<T>(this: &Block, rows: Range<usize>, affine: &Affine<T>, h: &mut [T]) {
                let from = rows.map(|row| this.distinct.row(row));
                affine_rows(&this.x, from, &affine.hyper.0, &affine.hyper.1, h);
                relu(h);
            });
        });
        let (out, entries) = make_shards(rows / share, share * d, |index, out| {
            let rows = shard(rows / share, index);
            let entries = (share == 1).then(|| Entries::blocks(self, rows.clone()));
            let h = &h[rows.start * share * m..rows.end * share * m];
            let (this, entries_of) = (self, entries.as_deref());
            vectorised!(<T>(this: &Block, rows: Range<usize>, affine: &Affine<T>, entries_of: Option<&[Entries]>, h: &[T], w: &[T], out: &mut [T]) {
                let share = this.source.share;
                match entries_of {
                    Some(entries) => this.own_forward(entries, h, w, out),
                    None => this.shared_forward(rows.clone(), h, w, out),
                }
                let scale = T::from_f64(this.source.scale);
                let d = this.dims.d;
                let mut rows = (rows.start * share..rows.end * share).map(|row| this.distinct.row(row));
                let group = group_of(&this.x);
                let mut shift = vec![T::ZERO; group * d];
                for out in out.chunks_mut(group * d) {
                    let shift = &mut shift[..out.len()];
                    affine_rows(&this.x, rows.by_ref().take(group), &affine.shift.0, &affine.shift.1, shift);
                    for (out, &shift) in out.iter_mut().zip(&*shift) {
                        *out = scale.fma(*out, shift);
                    }
                }
            });
            entries
        });
        if self.keep
            && let Ok(mut slot) = self.kept.lock()
        {
            let entries = entries.into_iter().flatten().collect();
            *slot = Some(Kept { h: T::to_cpu_storage_owned(h), entries });
        }
        self.distinct.spread(out, d)
    }

    /// Of the forward pass, on distinct rows and entries that are not zero.
    fn multiply_adds(&self) -> usize {
        let Dims { m, d, .. } = self.dims;
        let share = self.source.share;
        let affine: usize =
            (0..self.distinct.len()).map(|row| self.x.row(self.distinct.row(row)).0.len() * (m + d)).sum();
        let product: usize = (0..self.distinct.len() / share)
            .map(|index| match self.source_of(index).0.len() {
                0 => 0,
                entries if share > 1 => (entries * (m + 1) + share * m) * d,
                entries => entries * (m + 1) * d,
            })
            .sum();
        affine + product
    }

    /// The source of a distinct row, or of a group of rows that share it.
    #[inline(always)]
    fn source_of(&self, index: usize) -> (&[u32], &[f32]) {
        let row = if self.source.share > 1 { index } else { self.distinct.row(index) };
        self.source.rows.row(row)
    }
}

impl CustomOp2 for Block {
    fn name(&self) -> &'static str {
        "ddn-block"
    }

    fn cpu_fwd(
        &self,
        flat: &CpuStorage,
        lf: &Layout,
        w: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        timed!("block forward", self.multiply_adds());
        match w {
            CpuStorage::F64(_) => {
                self.out.leave(self.forward::<f64>(elements(flat, lf)?, elements(w, lw)?));
            }
            _ => self.out.leave(self.forward::<f32>(elements(flat, lf)?, elements(w, lw)?)),
        }
        Ok(wire::token_storage(w.dtype()))
    }

    fn bwd(&self, _: &Tensor, w: &Tensor, _: &Tensor, _: &Tensor) -> Result<Grads> {
        timed!("block backward", 2 * self.multiply_adds());
        match w.dtype() {
            DType::F64 => self.backward::<f64>(w),
            _ => self.backward::<f32>(w),
        }
    }
}
