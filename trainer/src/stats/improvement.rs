//! How likely a run of one algorithm is better than a run of another.

use super::aggregate::itself;
use super::bootstrap::{Bootstrap, Interval};
use super::error::{Result, StatsError};
use super::scores::Scores;
use crate::seed::Draw as _;

/// The probability that a run of X scores higher than a run of Y on the same task, ties counting one
/// half, averaged over tasks: 0 to 1, 0.5 where neither is better.
///
/// `x`: `[Rx, M]`; `y`: `[Ry, M]`. Of each task this is Mann and Whitney's U over Rx·Ry.
///
/// Source: Agarwal et al. 2021, section 4.3; `rliable.metrics.probability_of_improvement`.
///
/// # Errors
/// If the numbers of tasks differ.
pub fn probability_of_improvement(x: &Scores, y: &Scores) -> Result<f64> {
    Ok(Pair::new(x, y)?.probability())
}

/// The same with its interval: the runs of X and of Y are drawn independently, per task. Where the
/// bootstrap draws tasks too, both are resampled on the same ones.
///
/// # Errors
/// If the numbers of tasks differ, or the settings of the bootstrap make no sense.
pub fn improvement(x: &Scores, y: &Scores, bootstrap: &Bootstrap) -> Result<Interval> {
    let mut pair = Pair::new(x, y)?;
    let estimate = pair.probability();
    let tasks = pair.tasks();
    let found = bootstrap.intervals("stats/improvement", &[estimate], |rng, values| {
        let mut wins = 0;
        for slot in 0..tasks {
            let task = if bootstrap.tasks { rng.below(tasks) } else { slot };
            for pick in &mut pair.x.picks {
                *pick = rng.below(x.runs());
            }
            for pick in &mut pair.y.picks {
                *pick = rng.below(y.runs());
            }
            wins += pair.twice_wins(task);
        }
        values[0] = pair.share(wins);
    })?;
    Ok(found[0])
}

/// One side of a comparison.
struct Side {
    /// Of each run of each task, the rank of its score among both sides' scores of the task, equal
    /// scores sharing one, `[M, R]`.
    ranks: Vec<usize>,
    /// The runs that are compared now, `[R]`.
    picks: Vec<usize>,
    /// How many of them have each rank.
    counts: Vec<usize>,
}

impl Side {
    fn count(&mut self, task: usize) {
        let runs = self.picks.len();
        self.counts.fill(0);
        for &run in &self.picks {
            self.counts[self.ranks[task * runs + run]] += 1;
        }
    }
}

struct Pair {
    x: Side,
    y: Side,
}

impl Pair {
    fn new(x: &Scores, y: &Scores) -> Result<Self> {
        if x.tasks() != y.tasks() {
            return Err(StatsError::Tasks { x: x.tasks(), y: y.tasks() });
        }
        let side = |of: &Scores| Side {
            ranks: itself(of),
            picks: (0..of.runs()).collect(),
            counts: vec![0; x.runs() + y.runs()],
        };
        let mut pair = Self { x: side(x), y: side(y) };
        for task in 0..x.tasks() {
            let mut all = [x.task(task), y.task(task)].concat();
            all.sort_unstable_by(f64::total_cmp);
            all.dedup();
            for (of, side) in [(x, &mut pair.x), (y, &mut pair.y)] {
                let ranks = &mut side.ranks[task * of.runs()..];
                for (rank, score) in ranks.iter_mut().zip(of.task(task)) {
                    *rank = all.partition_point(|other| other < score);
                }
            }
        }
        Ok(pair)
    }

    fn tasks(&self) -> usize {
        self.x.ranks.len() / self.x.picks.len()
    }

    /// Of all runs on all tasks. Every run must be picked once.
    fn probability(&mut self) -> f64 {
        let wins = (0..self.tasks()).map(|task| self.twice_wins(task)).sum();
        self.share(wins)
    }

    /// Twice the number of pairs of picked runs in which X is better, ties counting one half.
    fn twice_wins(&mut self, task: usize) -> usize {
        self.x.count(task);
        self.y.count(task);
        let (mut wins, mut below) = (0, 0);
        for (&x, &y) in self.x.counts.iter().zip(&self.y.counts) {
            wins += x * (2 * below + y);
            below += y;
        }
        wins
    }

    /// The share that so many wins, counted twice, are of all pairs on all tasks.
    fn share(&self, twice_wins: usize) -> f64 {
        let pairs = self.x.picks.len() * self.y.picks.len() * self.tasks();
        twice_wins as f64 / (2 * pairs) as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits(got: f64, want: f64) {
        assert_eq!(got.to_bits(), want.to_bits(), "{got} instead of {want}");
    }

    #[test]
    fn known_answers() {
        let x = Scores::new(&[[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]).unwrap();
        let y = Scores::new(&[[2.0, 4.0], [0.0, 6.0]]).unwrap();
        // Task 0: 1 beats 0; 2 ties and beats 0; 3 beats both: 4.5 of 6. Task 1: 3 of 6.
        bits(probability_of_improvement(&x, &y).unwrap(), 7.5 / 12.0);
        bits(probability_of_improvement(&y, &x).unwrap(), 4.5 / 12.0);
        bits(probability_of_improvement(&x, &x).unwrap(), 0.5);
        let zeros = |zero: f64| Scores::one_task(&[zero]).unwrap();
        bits(probability_of_improvement(&zeros(0.0), &zeros(-0.0)).unwrap(), 0.5);
    }

    /// One run of Y at 0 and two of X, at -1 and 1: a resample of X wins never, once or twice.
    #[test]
    fn the_interval_of_three_runs_is_known() {
        let x = Scores::one_task(&[-1.0, 1.0]).unwrap();
        let y = Scores::one_task(&[0.0]).unwrap();
        let ends = |confidence| {
            let found = improvement(&x, &y, &Bootstrap { confidence, ..Bootstrap::short(3) }).unwrap();
            (found.low, found.estimate, found.high)
        };
        assert_eq!(ends(0.6), (0.0, 0.5, 1.0));
        assert_eq!(ends(0.4), (0.5, 0.5, 0.5));
    }

    #[test]
    fn intervals_hold_their_estimate_and_repeat() {
        let score = |run: i32, task: i32| f64::from((run * 17 + task * 29) % 23);
        let of = |runs: i32, more: f64| {
            let row = |run| (0..3).map(|task| score(run, task) + more).collect::<Vec<_>>();
            Scores::new(&(0..runs).map(row).collect::<Vec<_>>()).unwrap()
        };
        let (x, y) = (of(7, 3.0), of(5, 0.0));
        for tasks in [false, true] {
            let bootstrap = Bootstrap { tasks, ..Bootstrap::short(2) };
            let found = improvement(&x, &y, &bootstrap).unwrap();
            assert!(found.low < found.estimate && found.estimate < found.high, "{found:?}");
            assert_eq!(found, improvement(&x, &y, &bootstrap).unwrap());
            assert_ne!(found, improvement(&x, &y, &Bootstrap { seed: 3, ..bootstrap }).unwrap());
        }
    }

    #[test]
    fn one_run_each_and_separate_scores_collapse() {
        let collapsed = |x: &[f64], y: &[f64], want: f64| {
            let (x, y) = (Scores::one_task(x).unwrap(), Scores::one_task(y).unwrap());
            let found = improvement(&x, &y, &Bootstrap::short(2)).unwrap();
            assert_eq!((found.low, found.estimate, found.high), (want, want, want));
        };
        collapsed(&[1.0], &[0.0], 1.0);
        collapsed(&[1.0, 1.0], &[1.0, 1.0], 0.5);
        collapsed(&[1.0, 2.0, 3.0], &[4.0, 5.0], 0.0);
    }

    #[test]
    fn other_tasks_are_refused() {
        let x = Scores::new(&[[1.0, 2.0]]).unwrap();
        let y = Scores::new(&[[1.0]]).unwrap();
        assert_eq!(probability_of_improvement(&x, &y), Err(StatsError::Tasks { x: 2, y: 1 }));
        assert_eq!(improvement(&x, &y, &Bootstrap::short(1)), Err(StatsError::Tasks { x: 2, y: 1 }));
    }

    fn one_task() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec((-4_i32..4).prop_map(f64::from), 1..8)
    }

    proptest! {
        #[test]
        fn every_pair_counts_once(x in one_task(), y in one_task(), turn in 0_usize..8) {
            let mut wins = 0.0;
            for &a in &x {
                for &b in &y {
                    wins += if a > b { 1.0 } else if a < b { 0.0 } else { 0.5 };
                }
            }
            let of = |x: &[f64], y: &[f64]| {
                probability_of_improvement(&Scores::one_task(x).unwrap(), &Scores::one_task(y).unwrap()).unwrap()
            };
            let want = wins / (x.len() * y.len()) as f64;
            prop_assert!((of(&x, &y) - want).abs() < 1e-15);
            prop_assert!((of(&y, &x) - (1.0 - want)).abs() < 1e-15);
            let mut turned = x.clone();
            turned.rotate_left(turn % x.len());
            prop_assert_eq!(of(&turned, &y).to_bits(), of(&x, &y).to_bits());
            // Only the order of the scores matters.
            let cube = |values: &[f64]| values.iter().map(|value| value.powi(3) + 2.0).collect::<Vec<_>>();
            prop_assert_eq!(of(&cube(&x), &cube(&y)).to_bits(), of(&x, &y).to_bits());
        }
    }
}
