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

/// Softmaxes of up to [`LANES`] rows side by side, and their logarithms, an array for each column. The sums of each row
/// have the order of [`Softmax`], and so its bits.
struct Columns<T> {
    share: Vec<[T; LANES]>,
    log: Vec<[T; LANES]>,
}

impl<T: Real> Columns<T> {
    fn new(columns: usize) -> Self {
        Self { share: vec![[T::ZERO; LANES]; columns], log: vec![[T::ZERO; LANES]; columns] }
    }

    /// Of `rows` over the columns where `on` is 1. What lies beside the rows stays without meaning.
    #[inline(always)]
    fn set(&mut self, rows: &[T], inverse: T, on: &[[T; LANES]]) {
        for (row, values) in rows.chunks_exact(on.len()).enumerate() {
            for (log, &value) in self.log.iter_mut().zip(values) {
                log[row] = value * inverse;
            }
        }
        let lowest = T::from_f64(f64::from(f32::MIN));
        let mut highest = [lowest; LANES];
        for (log, on) in self.log.iter().zip(on) {
            for ((top, &log), &on) in highest.iter_mut().zip(log).zip(on) {
                let value = if on > T::ZERO { log } else { lowest };
                *top = if value > *top { value } else { *top };
            }
        }
        let mut sums = [T::ZERO; LANES];
        for ((log, share), on) in self.log.iter_mut().zip(&mut self.share).zip(on) {
            let rows = log.iter_mut().zip(share).zip(on).zip(&highest).zip(&mut sums);
            for ((((log, share), &on), &highest), sum) in rows {
                *log -= highest;
                *share = on * Real::exp(if on > T::ZERO { *log } else { T::ZERO });
                *sum += *share;
            }
        }
        let (factors, shifts) = (sums.map(|sum| T::ONE / sum), sums.map(Real::ln));
        for (log, share) in self.log.iter_mut().zip(&mut self.share) {
            for (((log, share), &factor), &shift) in log.iter_mut().zip(share).zip(&factors).zip(&shifts) {
                *log -= shift;
                *share *= factor;
            }
        }
    }
}

impl Kl<'_> {
    /// Row by row, the columns side by side.
    fn across<T: Real>(&self, rows: Range<usize>, pair: Pair<'_, T>, slope: &mut [T]) -> T {
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

    /// Of few columns: the rows side by side.
    fn down<T: Real>(&self, rows: Range<usize>, pair: Pair<'_, T>, slope: &mut [T]) -> T {
        let this = self;
        vectorised!(<T>(this: &Kl<'_>, rows: Range<usize>, pair: Pair<'_, T>, slope: &mut [T]) -> T {
            let Pair { teacher, student, weight, columns } = pair;
            let inverse = T::from_f64(1.0 / this.temperature);
            let (mut p, mut q) = (Columns::new(columns), Columns::new(columns));
            let mut on = vec![[T::ONE; LANES]; columns];
            let mut total = T::ZERO;
            for (first, slope) in rows.step_by(LANES).zip(slope.chunks_mut(LANES * columns)) {
                let weight = &weight[first..][..slope.len() / columns];
                if weight.iter().all(|&weight| weight == 0.0) {
                    continue;
                }
                let place = first * columns..first * columns + slope.len();
                if let Some(allowed) = this.allowed {
                    for (row, allowed) in allowed[place.clone()].chunks_exact(columns).enumerate() {
                        for (on, &yes) in on.iter_mut().zip(allowed) {
                            on[row] = if yes { T::ONE } else { T::ZERO };
                        }
                    }
                }
                p.set(&teacher[place.clone()], inverse, &on);
                q.set(&student[place], inverse, &on);
                let mut sums = [T::ZERO; LANES];
                for (share, (p, q)) in p.share.iter().zip(p.log.iter().zip(&q.log)) {
                    for (((sum, &share), &p), &q) in sums.iter_mut().zip(share).zip(p).zip(q) {
                        *sum += share.fma(p - q, T::ZERO);
                    }
                }
                let rows = slope.chunks_exact_mut(columns).zip(weight).zip(&sums).enumerate();
                for (row, ((slope, &weight), &sum)) in rows.filter(|&(_, ((_, &weight), _))| weight != 0.0) {
                    let weight = T::from_f64(weight);
                    total += weight * sum;
                    for ((slope, p), q) in slope.iter_mut().zip(&p.share).zip(&q.share) {
                        *slope = inverse * weight * (q[row] - p[row]);
                    }
                }
            }
            total
        })
    }
}

impl RowLoss for Kl<'_> {
    const NAME: &'static str = "ddn-kl";

    fn run<T: Real>(&self, rows: Range<usize>, pair: Pair<'_, T>, slope: &mut [T]) -> T {
        if pair.columns > LANES { self.across(rows, pair, slope) } else { self.down(rows, pair, slope) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Draw, stream};

    /// Rows without weight and rows of one column among them.
    #[test]
    fn rows_side_by_side_give_the_bits_of_rows_one_by_one() {
        let mut rng = stream(1, "values");
        for (columns, temperature) in (1..=LANES).zip([1.0, 0.5, 3.0].into_iter().cycle()) {
            let rows = 37;
            let mut random =
                |count: usize| (0..count).map(|_| 20.0 * rng.unit() - 10.0).collect::<Vec<f32>>();
            let (teacher, student) = (random(rows * columns), random(rows * columns));
            let allowed: Vec<bool> = random(rows * columns)
                .iter()
                .enumerate()
                .map(|(i, v)| i % columns == 0 || *v > 0.0)
                .collect();
            let weight: Vec<f64> = random(rows).iter().map(|&v| f64::from(v.max(0.0))).collect();
            assert!(weight.contains(&0.0));
            let pair = Pair { teacher: &teacher[..], student: &student[..], weight: &weight, columns };
            for allowed in [None, Some(allowed.as_slice())] {
                let kl = Kl { allowed, temperature };
                let (mut across, mut down) = (vec![0.0; rows * columns], vec![0.0; rows * columns]);
                let values = [kl.across(0..rows, pair, &mut across), kl.down(0..rows, pair, &mut down)];
                assert_eq!(values[0].to_bits(), values[1].to_bits(), "{columns} columns");
                let bits = |slope: &[f32]| slope.iter().map(|slope| slope.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&across), bits(&down), "{columns} columns");
            }
        }
    }
}
