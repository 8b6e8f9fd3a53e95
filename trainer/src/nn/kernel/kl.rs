//! Kullback-Leibler divergence between the softmaxes of two sets of rows, fused.

use std::ops::Range;

use candle_core::{Result, Tensor};

use super::row_loss::{Pair, RowLoss, row_loss};
use super::{Real, vectorised};

/// `Σ_r weight_r · KL(softmax(teacher_r / τ) ‖ softmax(student_r / τ))`, a scalar.
///
/// `teacher`, `student` `[R, C]`; `weight` `[R]`; `allowed` `[R, C]` names the columns that take
/// part (all if `None`). The teacher receives no gradient; rows of weight 0 cost nothing.
///
/// # Errors
/// If the shapes disagree.
pub fn kl(
    teacher: &Tensor,
    student: &Tensor,
    weight: &[f64],
    allowed: Option<&[bool]>,
    temperature: f64,
) -> Result<Tensor> {
    if let Some(allowed) = allowed
        && allowed.len() != student.elem_count()
    {
        candle_core::bail!("{}: student {:?}, {} allowed", Kl::NAME, student.shape(), allowed.len());
    }
    row_loss(teacher, student, weight, &Kl { allowed, temperature })
}

struct Kl<'a> {
    allowed: Option<&'a [bool]>,
    temperature: f64,
}

/// Log-softmax of one row over the allowed columns; the others get 0 and must not be read.
#[inline(always)]
fn log_softmax<T: Real>(row: &[T], inverse: T, allowed: Option<&[bool]>, out: &mut [T]) {
    let takes_part = |c: usize| allowed.is_none_or(|allowed| allowed[c]);
    let mut highest = T::from_f64(f64::MIN);
    for (c, &value) in row.iter().enumerate() {
        if takes_part(c) && value * inverse > highest {
            highest = value * inverse;
        }
    }
    let mut sum = T::ZERO;
    for (c, (out, &value)) in out.iter_mut().zip(row).enumerate() {
        *out = if takes_part(c) { value * inverse - highest } else { T::ZERO };
        sum += if takes_part(c) { Real::exp(*out) } else { T::ZERO };
    }
    let log = Real::ln(sum);
    for out in out {
        *out += -log;
    }
}

impl RowLoss for Kl<'_> {
    const NAME: &'static str = "ddn-kl";

    fn run<T: Real>(&self, rows: Range<usize>, pair: Pair<'_, T>, slope: &mut [T]) -> T {
        let this = self;
        vectorised!(<T>(this: &Kl<'_>, rows: Range<usize>, pair: Pair<'_, T>, slope: &mut [T]) -> T {
            let Pair { teacher, student, weight, columns } = pair;
            let inverse = T::from_f64(1.0 / this.temperature);
            let (mut p, mut q) = (vec![T::ZERO; columns], vec![T::ZERO; columns]);
            let mut total = T::ZERO;
            for (row, slope) in rows.zip(slope.chunks_exact_mut(columns)) {
                if weight[row] == 0.0 {
                    continue;
                }
                let weight = T::from_f64(weight[row]);
                let allowed = this.allowed.map(|allowed| &allowed[row * columns..][..columns]);
                log_softmax(&teacher[row * columns..][..columns], inverse, allowed, &mut p);
                log_softmax(&student[row * columns..][..columns], inverse, allowed, &mut q);
                let mut sum = T::ZERO;
                for c in 0..columns {
                    if allowed.is_none_or(|allowed| allowed[c]) {
                        let share = Real::exp(p[c]);
                        sum += share * (p[c] - q[c]);
                        slope[c] = inverse * weight * (Real::exp(q[c]) - share);
                    }
                }
                total += weight * sum;
            }
            total
        })
    }
}
