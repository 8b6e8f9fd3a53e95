//! Weighted squared distance between two sets of rows, fused.

use std::ops::Range;

use candle_core::{Result, Tensor};

use super::row_loss::{Pair, RowLoss, row_loss};
use super::{Real, ToWire, vectorised};

/// `Σ_r weight_r · Σ_c (student_rc - teacher_rc)²`, a scalar.
///
/// `teacher`, `student` `[R, C]`; `weight` `[R]`. The teacher receives no gradient.
///
/// # Errors
/// If the shapes disagree.
pub fn squared_distance(teacher: &Tensor, student: &impl ToWire, weight: &[f64]) -> Result<Tensor> {
    row_loss(teacher, student, weight, &Distance)
}

struct Distance;

impl RowLoss for Distance {
    const NAME: &'static str = "ddn-squared-distance";

    fn run<T: Real>(&self, rows: Range<usize>, pair: Pair<'_, T>, slope: &mut [T]) -> T {
        vectorised!(<T>(rows: Range<usize>, pair: Pair<'_, T>, slope: &mut [T]) -> T {
            let Pair { teacher, student, weight, columns } = pair;
            let mut sums = vec![T::ZERO; columns];
            for (row, slope) in rows.zip(slope.chunks_exact_mut(columns)) {
                let (once, twice) = (T::from_f64(weight[row]), T::from_f64(2.0 * weight[row]));
                let (teacher, student) =
                    (&teacher[row * columns..][..columns], &student[row * columns..][..columns]);
                for (((sum, slope), &s), &t) in sums.iter_mut().zip(slope).zip(student).zip(teacher) {
                    *sum = (once * (s - t)).fma(s - t, *sum);
                    *slope = twice * (s - t);
                }
            }
            sums.into_iter().fold(T::ZERO, |total, sum| total + sum)
        })
    }
}
