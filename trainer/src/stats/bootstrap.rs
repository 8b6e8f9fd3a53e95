//! Intervals around aggregates: the stratified percentile bootstrap.
//!
//! ```text
//! scores [R, M] ─► resample: per task, R runs with replacement ─► aggregate ─┐ once per repetition
//!                                          percentiles of the aggregates ◄───┘
//! ```
//!
//! The procedure is that of `rliable.library` (Agarwal et al. 2021, section 4.1): each task is
//! resampled on its own, and an end of the interval is a percentile of the repetitions, with linear
//! interpolation between neighbours. A single task is no special case: its runs are resampled.

use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::aggregate::{Aggregate, Evaluator, itself};
use super::error::{Result, StatsError};
use super::scores::Scores;
use crate::seed::{Draw as _, stream};

/// How intervals are made. Equal settings give equal intervals, to the bit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// Number of resamples, at least 1.
    pub repetitions: usize,
    /// Share of the repetitions inside the interval, between 0 and 1.
    pub confidence: f64,
    /// Whether tasks are drawn with replacement too. Without, the interval speaks of other runs on
    /// these tasks; with, of other tasks like these as well.
    pub tasks: bool,
    /// Of the random draws.
    pub seed: u64,
}

impl Bootstrap {
    /// 95 %, 50,000 repetitions, these tasks: for aggregates.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { repetitions: 50_000, confidence: 0.95, tasks: false, seed }
    }

    /// The same with 2,000 repetitions: for performance profiles and probabilities of improvement.
    #[must_use]
    pub fn short(seed: u64) -> Self {
        Self { repetitions: 2_000, ..Self::new(seed) }
    }

    /// Intervals around `estimates` `[K]` from what `repeat` makes of one resample: it draws from the
    /// stream and writes K values.
    pub(super) fn intervals(
        &self,
        purpose: &str,
        estimates: &[f64],
        mut repeat: impl FnMut(&mut ChaCha8Rng, &mut [f64]),
    ) -> Result<Vec<Interval>> {
        if self.repetitions == 0 {
            return Err(StatsError::Repetitions);
        }
        if !(0.0 < self.confidence && self.confidence < 1.0) {
            return Err(StatsError::Confidence(self.confidence));
        }
        let mut rng = stream(self.seed, purpose);
        // [K, repetitions]
        let mut all = vec![0.0; estimates.len() * self.repetitions];
        let mut row = vec![0.0; estimates.len()];
        for repetition in 0..self.repetitions {
            repeat(&mut rng, &mut row);
            for (values, &value) in all.chunks_exact_mut(self.repetitions).zip(&row) {
                values[repetition] = value;
            }
        }
        let tail = (1.0 - self.confidence) / 2.0;
        let ends = |(values, &estimate): (&mut [f64], &f64)| {
            values.sort_unstable_by(f64::total_cmp);
            Interval { estimate, low: quantile(values, tail), high: quantile(values, 1.0 - tail) }
        };
        Ok(all.chunks_exact_mut(self.repetitions).zip(estimates).map(ends).collect())
    }
}

/// A value with the ends of its interval, all in one unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Of the scores themselves.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Intervals of several aggregates `[K]` of one matrix, from the same resamples.
///
/// # Errors
/// If the bootstrap has no repetitions or a confidence outside (0, 1), or an optimality gap has a
/// target that is not finite.
pub fn intervals(scores: &Scores, aggregates: &[Aggregate], bootstrap: &Bootstrap) -> Result<Vec<Interval>> {
    for aggregate in aggregates {
        check(*aggregate)?;
    }
    let mut evaluator = Evaluator::new(scores);
    let mut picks = itself(scores);
    let estimates: Vec<f64> = aggregates.iter().map(|&aggregate| evaluator.of(aggregate, &picks)).collect();
    bootstrap.intervals("stats/aggregate", &estimates, |rng, values| {
        draw(scores, bootstrap.tasks, rng, &mut picks);
        for (value, &aggregate) in values.iter_mut().zip(aggregates) {
            *value = evaluator.of(aggregate, &picks);
        }
    })
}

/// Refuses an optimality gap without a finite target.
pub(super) fn check(aggregate: Aggregate) -> Result<()> {
    match aggregate {
        Aggregate::OptimalityGap { target } if !target.is_finite() => Err(StatsError::Target(target)),
        _ => Ok(()),
    }
}

/// Draws one resample: `picks` `[M, R]` becomes a list of cells, one task after the other, each with
/// R runs of its own drawing.
pub(super) fn draw(scores: &Scores, tasks: bool, rng: &mut ChaCha8Rng, picks: &mut [usize]) {
    let runs = scores.runs();
    for (slot, picks) in picks.chunks_exact_mut(runs).enumerate() {
        let task = if tasks { rng.below(scores.tasks()) } else { slot };
        for pick in picks {
            *pick = task * runs + rng.below(runs);
        }
    }
}

/// The quantile `share` of ascending values, linear between neighbours (NumPy's default).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor();
    let (low, high) = (sorted[below as usize], sorted[place.ceil() as usize]);
    low + (high - low) * (place - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Aggregate; 4] = Aggregate::ALL;

    fn scores() -> Scores {
        let score = |run: usize, task: usize| ((run * 7 + task * 5) % 11) as f64 / 10.0 + task as f64 * 0.1;
        let rows: Vec<Vec<f64>> = (0..9).map(|run| (0..4).map(|task| score(run, task)).collect()).collect();
        Scores::new(&rows).unwrap()
    }

    #[test]
    fn quantiles_are_linear_between_neighbours() {
        let values = [1.0, 2.0, 4.0, 8.0];
        let check = |share, want: f64| assert!((quantile(&values, share) - want).abs() < 1e-12);
        check(0.0, 1.0);
        check(0.5, 3.0);
        check(0.9, 6.8);
        check(1.0, 8.0);
        assert_eq!(quantile(&[3.0], 0.975).to_bits(), 3.0_f64.to_bits());
    }

    /// Two runs with 0 and 1: a resample's mean is 0, 1/2 or 1 with probabilities 1/4, 1/2, 1/4.
    #[test]
    fn the_mean_of_two_runs_has_its_known_distribution() {
        let scores = Scores::one_task(&[0.0, 1.0]).unwrap();
        let ends = |confidence| {
            let bootstrap = Bootstrap { repetitions: 4_001, confidence, ..Bootstrap::new(3) };
            let found = intervals(&scores, &[Aggregate::Mean], &bootstrap).unwrap()[0];
            (found.low, found.estimate, found.high)
        };
        assert_eq!(ends(0.6), (0.0, 0.5, 1.0));
        assert_eq!(ends(0.4), (0.5, 0.5, 0.5));
    }

    /// The spread of the bootstrapped mean is known: per task the population variance over R, then
    /// over M² tasks; the normal interval of so many values is close to that of the percentiles.
    #[test]
    fn the_interval_of_a_mean_of_many_has_the_width_of_the_normal_one() {
        let rows: Vec<[f64; 2]> = (0..60_i32).map(|k| [f64::from(k), f64::from(k * 13 % 60) * 3.0]).collect();
        let scores = Scores::new(&rows).unwrap();
        // The variance of 0..60 is (60² - 1) / 12.
        let deviation = ((1.0 + 9.0) * (3600.0 - 1.0) / 12.0 / 60.0 / 4.0_f64).sqrt();
        let found = intervals(&scores, &[Aggregate::Mean], &Bootstrap::new(5)).unwrap()[0];
        assert!((found.estimate - 59.0).abs() < 1e-12);
        for far in [found.estimate - found.low, found.high - found.estimate] {
            assert!((far / (1.96 * deviation) - 1.0).abs() < 0.03, "{far}");
        }
    }

    #[test]
    fn a_seed_makes_the_interval() {
        let short = Bootstrap { repetitions: 500, ..Bootstrap::new(1) };
        let of = |bootstrap: &Bootstrap| intervals(&scores(), &ALL, bootstrap).unwrap();
        assert_eq!(of(&short), of(&short));
        assert_ne!(of(&short), of(&Bootstrap { seed: 2, ..short }));
        // Together or alone, an aggregate has the same interval.
        let alone = intervals(&scores(), &[Aggregate::Iqm], &short).unwrap();
        assert_eq!(alone[0], of(&short)[1]);
    }

    #[test]
    fn intervals_hold_their_estimates_and_widen_with_the_confidence() {
        for tasks in [false, true] {
            let bootstrap = Bootstrap { repetitions: 3_000, tasks, ..Bootstrap::new(7) };
            let narrow = intervals(&scores(), &ALL, &Bootstrap { confidence: 0.5, ..bootstrap }).unwrap();
            for (wide, narrow) in intervals(&scores(), &ALL, &bootstrap).unwrap().iter().zip(&narrow) {
                assert!(wide.low < wide.estimate && wide.estimate < wide.high, "{wide:?}");
                assert!(wide.low < narrow.low && narrow.high < wide.high, "{wide:?} {narrow:?}");
            }
        }
    }

    #[test]
    fn one_run_and_equal_runs_collapse() {
        let one = Scores::new(&[[0.1, 0.7, 0.3]]).unwrap();
        let equal = Scores::new(&[[0.1, 0.7, 0.3]; 10]).unwrap();
        for scores in [one, equal] {
            for found in intervals(&scores, &ALL, &Bootstrap::short(1)).unwrap() {
                assert_eq!(found.low.to_bits(), found.estimate.to_bits());
                assert_eq!(found.high.to_bits(), found.estimate.to_bits());
            }
            // Other tasks could have been drawn.
            let tasks = Bootstrap { tasks: true, ..Bootstrap::short(1) };
            for found in intervals(&scores, &ALL, &tasks).unwrap() {
                assert!(found.low < found.high, "{found:?}");
            }
        }
    }

    #[test]
    fn intervals_move_and_stretch_with_the_scores() {
        let (base, bootstrap) = (scores(), Bootstrap::short(4));
        let rows: Vec<Vec<f64>> = (0..base.runs())
            .map(|run| (0..base.tasks()).map(|task| 8.0 * base.task(task)[run] - 3.0).collect())
            .collect();
        let three = &ALL[..3];
        let before = intervals(&base, three, &bootstrap).unwrap();
        let after = intervals(&Scores::new(&rows).unwrap(), three, &bootstrap).unwrap();
        for (before, after) in before.iter().zip(&after) {
            assert!((8.0 * before.low - 3.0 - after.low).abs() < 1e-12, "{before:?} {after:?}");
            assert!((8.0 * before.high - 3.0 - after.high).abs() < 1e-12, "{before:?} {after:?}");
        }
    }

    #[test]
    fn resamples_stay_in_their_task_unless_tasks_are_drawn() {
        let (scores, mut rng) = (scores(), stream(1, "test"));
        let mut picks = itself(&scores);
        let (mut seen, mut strayed) = (vec![0_u32; picks.len()], false);
        for _ in 0..2_000 {
            draw(&scores, false, &mut rng, &mut picks);
            for (at, &pick) in picks.iter().enumerate() {
                assert_eq!(at / scores.runs(), pick / scores.runs());
                seen[pick] += 1;
            }
            draw(&scores, true, &mut rng, &mut picks);
            for slot in picks.chunks_exact(scores.runs()) {
                assert!(slot.iter().all(|pick| pick / scores.runs() == slot[0] / scores.runs()));
            }
            strayed |= picks[0] >= scores.runs();
        }
        // Each cell 2,000 times on average, with a deviation of 42.
        assert!(seen.iter().all(|count| (1_800..2_200).contains(count)), "{seen:?}");
        assert!(strayed);
    }

    #[test]
    fn settings_without_sense_are_refused() {
        let ask = |bootstrap: Bootstrap, aggregate| intervals(&scores(), &[aggregate], &bootstrap);
        let short = Bootstrap::short(1);
        let none = Bootstrap { repetitions: 0, ..short };
        assert_eq!(ask(none, Aggregate::Mean), Err(StatsError::Repetitions));
        for confidence in [0.0, 1.0, -0.5, f64::NAN] {
            let found = ask(Bootstrap { confidence, ..short }, Aggregate::Mean);
            assert!(matches!(found, Err(StatsError::Confidence(_))));
        }
        let gap = Aggregate::OptimalityGap { target: f64::INFINITY };
        assert_eq!(ask(short, gap), Err(StatsError::Target(f64::INFINITY)));
    }
}
