//! Kullback-Leibler divergence between the softmaxes of two sets of rows, fused.

use std::ops::Range;

use candle_core::{Result, Tensor};

use super::row_loss::{Pair, RowLoss, row_loss};
use super::{Real, ToWire, vectorised};

/// `Σ_r weight_r · KL(softmax(teacher_r / τ) ‖ softmax(student_r / τ))`, a scalar.
///
/// `teacher`, `student` `[R, C]`; `weight` `[R]`; `allowed` `[R, C]` names the columns that take
/// part (all if `None`). The teacher receives no gradient; rows of weight 0 cost nothing.
///
/// # Errors
/// If the shapes disagree.
pub fn kl(
    teacher: &Tensor,
    student: &impl ToWire,
    weight: &[f64],
    allowed: Option<&[bool]>,
    temperature: f64,
) -> Result<Tensor> {
    if let Some(allowed) = allowed
        && allowed.len() != teacher.elem_count()
    {
        candle_core::bail!("{}: teacher {:?}, {} allowed", Kl::NAME, teacher.shape(), allowed.len());
    }
    row_loss(teacher, student, weight, &Kl { allowed, temperature })
}

struct Kl<'a> {
    allowed: Option<&'a [bool]>,
    temperature: f64,
}

/// Numbers that are summed side by side.
const LANES: usize = 16;

/// One row as softmax and its logarithm, in whole lanes.
struct Softmax<T> {
    /// Shares; 0 where a column takes no part.
    share: Vec<T>,
    /// Logarithms of the shares; of no meaning where a column takes no part.
    log: Vec<T>,
}

impl<T: Real> Softmax<T> {
    fn new(columns: usize) -> Self {
        let width = columns.next_multiple_of(LANES);
        Self { share: vec![T::ZERO; width], log: vec![T::ZERO; width] }
    }

    /// Of `row` over the columns where `on` is 1; `on` has whole lanes, zeros behind the row.
    #[inline(always)]
    fn set(&mut self, row: &[T], inverse: T, on: &[T]) {
        let lowest = T::from_f64(f64::from(f32::MIN));
        let (log, rest) = self.log.split_at_mut(row.len());
        rest.fill(T::ZERO);
        for (log, &value) in log.iter_mut().zip(row) {
            *log = value * inverse;
        }
        let mut tops = [lowest; LANES];
        for (log, on) in self.log.chunks_exact(LANES).zip(on.chunks_exact(LANES)) {
            for ((top, &log), &on) in tops.iter_mut().zip(log).zip(on) {
                let value = if on > T::ZERO { log } else { lowest };
                *top = if value > *top { value } else { *top };
            }
        }
        let highest = tops.into_iter().fold(lowest, |highest, top| if top > highest { top } else { highest });
        let mut sums = [T::ZERO; LANES];
        let chunks = self.log.chunks_exact_mut(LANES).zip(self.share.chunks_exact_mut(LANES));
        for ((log, share), on) in chunks.zip(on.chunks_exact(LANES)) {
            for (((log, share), &on), sum) in log.iter_mut().zip(share).zip(on).zip(&mut sums) {
                *log -= highest;
                *share = on * Real::exp(if on > T::ZERO { *log } else { T::ZERO });
                *sum += *share;
            }
        }
        let sum = sums.into_iter().fold(T::ZERO, |total, sum| total + sum);
        let (factor, shift) = (T::ONE / sum, Real::ln(sum));
        for (log, share) in self.log.iter_mut().zip(&mut self.share) {
            *log -= shift;
            *share *= factor;
        }
    }
}

impl RowLoss for Kl<'_> {
    const NAME: &'static str = "ddn-kl";

    fn run<T: Real>(&self, rows: Range<usize>, pair: Pair<'_, T>, slope: &mut [T]) -> T {
        let this = self;
        vectorised!(<T>(this: &Kl<'_>, rows: Range<usize>, pair: Pair<'_, T>, slope: &mut [T]) -> T {
            let Pair { teacher, student, weight, columns } = pair;
            let inverse = T::from_f64(1.0 / this.temperature);
            let (mut p, mut q) = (Softmax::new(columns), Softmax::new(columns));
            let mut on = vec![T::ZERO; columns.next_multiple_of(LANES)];
            on[..columns].fill(T::ONE);
            let mut total = T::ZERO;
            for (row, slope) in rows.zip(slope.chunks_exact_mut(columns)) {
                if weight[row] == 0.0 {
                    continue;
                }
                let weight = T::from_f64(weight[row]);
                if let Some(allowed) = this.allowed {
                    for (on, &yes) in on.iter_mut().zip(&allowed[row * columns..][..columns]) {
                        *on = if yes { T::ONE } else { T::ZERO };
                    }
                }
                p.set(&teacher[row * columns..][..columns], inverse, &on);
                q.set(&student[row * columns..][..columns], inverse, &on);
                let mut sums = [T::ZERO; LANES];
                let logs = p.log.chunks_exact(LANES).zip(q.log.chunks_exact(LANES));
                for (share, (p, q)) in p.share.chunks_exact(LANES).zip(logs) {
                    for (((sum, &share), &p), &q) in sums.iter_mut().zip(share).zip(p).zip(q) {
                        *sum = share.fma(p - q, *sum);
                    }
                }
                total += weight * sums.into_iter().fold(T::ZERO, |total, sum| total + sum);
                for ((slope, &p), &q) in slope.iter_mut().zip(&p.share).zip(&q.share) {
                    *slope = inverse * weight * (q - p);
                }
            }
            total
        })
    }
}
