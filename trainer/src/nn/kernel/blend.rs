//! Sums of rows with weights that are never negative, as mixing networks use them.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp2, DType, Device, Layout, Result, Shape, Tensor, WithDType};

use super::{Read, Real, ToWire, Wire, elements, make_shards, shard, vectorised};
use crate::phases::timed;

/// `y_re = Σ_n q_rn |w_rne|` for `q` `[R, N]`, `w` `[R, N·E]`; gives `[R, E]`.
///
/// # Errors
/// If the shapes disagree.
pub fn blend(q: &Tensor, w: &impl ToWire) -> Result<Tensor> {
    let w = w.to_wire()?;
    q.contiguous()?.apply_op2(w.token(), Blend(w.clone()))
}

struct Blend(Wire);

type Grads = (Option<Tensor>, Option<Tensor>);

/// |w| without a branch.
#[inline(always)]
fn absolute<T: Real>(w: T) -> T {
    if w < T::ZERO { -w } else { w }
}

/// Numbers that are summed side by side.
const LANES: usize = 16;

/// `Σ_e g_e |w_e|`
#[inline(always)]
fn weighed<T: Real>(g: &[T], w: &[T]) -> T {
    let mut sums = [T::ZERO; LANES];
    let (g, w) = (g.chunks_exact(LANES), w.chunks_exact(LANES));
    let rest = g.remainder().iter().zip(w.remainder());
    for (g, w) in g.zip(w) {
        for ((sum, &g), &w) in sums.iter_mut().zip(g).zip(w) {
            *sum = g.fma(absolute(w), *sum);
        }
    }
    let total = sums.into_iter().fold(T::ZERO, |total, sum| total + sum);
    rest.fold(total, |total, (&g, &w)| g.fma(absolute(w), total))
}

impl Blend {
    fn forward<T: Real>(q: &[T], w: &[T], (rows, n, e): (usize, usize, usize)) -> Vec<T> {
        let (y, _) = make_shards(rows, e, |index, y: &mut [T]| {
            let rows = shard(rows, index);
            let (q, w) = (&q[rows.start * n..rows.end * n], &w[rows.start * n * e..rows.end * n * e]);
            vectorised!(<T>(n: usize, e: usize, q: &[T], w: &[T], y: &mut [T]) {
                for ((q, w), y) in q.chunks_exact(n).zip(w.chunks_exact(n * e)).zip(y.chunks_exact_mut(e)) {
                    for (&q, w) in q.iter().zip(w.chunks_exact(e)) {
                        y.iter_mut().zip(w).for_each(|(y, &w)| *y = q.fma(absolute(w), *y));
                    }
                }
            });
        });
        y
    }

    fn backward<T: Real>(&self, q: &Tensor, grad: &Tensor) -> Result<Grads> {
        let Self(w) = self;
        let (rows, n) = q.dims2()?;
        let e = grad.dim(1)?;
        let (qs, ws, gs) = (Read::new(q)?, Read::new(w)?, Read::new(grad)?);
        let (qs, ws, gs) = (qs.slice::<T>()?, ws.slice::<T>()?, gs.slice::<T>()?);
        let (dw, dq) = make_shards(rows, n * e, |index, dw: &mut [T]| {
            let rows = shard(rows, index);
            let mut dq_of = vec![T::ZERO; rows.len() * n];
            let dq = dq_of.as_mut_slice();
            vectorised!(<T>(rows: Range<usize>, n: usize, e: usize, qs: &[T], ws: &[T], gs: &[T], dq: &mut [T], dw: &mut [T]) {
                for (row, (dq, dw)) in rows.zip(dq.chunks_exact_mut(n).zip(dw.chunks_exact_mut(n * e))) {
                    let (q, w, g) = (&qs[row * n..][..n], &ws[row * n * e..][..n * e], &gs[row * e..][..e]);
                    for (((&q, dq), w), dw) in
                        q.iter().zip(dq).zip(w.chunks_exact(e)).zip(dw.chunks_exact_mut(e))
                    {
                        *dq = weighed(g, w);
                        for ((dw, &w), &g) in dw.iter_mut().zip(w).zip(g) {
                            let slope = q * g;
                            *dw = if w > T::ZERO { slope } else if w < T::ZERO { -slope } else { T::ZERO };
                        }
                    }
                }
            });
            dq_of
        });
        let cpu = &Device::Cpu;
        w.slot().add(Tensor::from_vec(dw, (rows, n * e), cpu)?);
        let dq = Tensor::from_vec(dq.concat(), (rows, n), cpu)?;
        Ok((Some(dq), Some(w.token().zeros_like()?)))
    }
}

impl CustomOp2 for Blend {
    fn name(&self) -> &'static str {
        "ddn-blend"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        lq: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let Self(w) = self;
        timed!("blend forward", w.elem_count());
        let ((rows, n), (w_rows, width)) = (lq.shape().dims2()?, w.dims2()?);
        if w_rows != rows || n == 0 || width % n != 0 {
            candle_core::bail!("blend: q {:?}, w {:?}", lq.shape(), w.shape());
        }
        let w = Read::new(w)?;
        let size = (rows, n, width / n);
        let out = match q {
            CpuStorage::F64(_) => {
                f64::to_cpu_storage_owned(Self::forward::<f64>(elements(q, lq)?, w.slice()?, size))
            }
            _ => f32::to_cpu_storage_owned(Self::forward::<f32>(elements(q, lq)?, w.slice()?, size)),
        };
        Ok((out, (rows, width / n).into()))
    }

    fn bwd(&self, q: &Tensor, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Grads> {
        timed!("blend backward", 2 * self.0.elem_count());
        let grad = grad.contiguous()?;
        match q.dtype() {
            DType::F64 => self.backward::<f64>(q, &grad),
            _ => self.backward::<f32>(q, &grad),
        }
    }
}
