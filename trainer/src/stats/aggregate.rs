//! One number for a matrix of scores.
//!
//! The definitions are those of `rliable.metrics` (Agarwal et al., "Deep Reinforcement Learning at
//! the Edge of the Statistical Precipice", NeurIPS 2021, section 4).

use super::scores::Scores;

/// How the scores `[R, M]` of R runs on M tasks become one number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregate {
    /// The mean over tasks of the means over runs.
    Mean,
    /// The median over tasks of the means over runs; between two tasks, their middle.
    Median,
    /// The interquartile mean: the mean of all R·M scores without the lowest and the highest
    /// quarter, each of ⌊R·M/4⌋ scores.
    Iqm,
    /// How far the scores stay below `target` on average, where scores above it count as `target`.
    OptimalityGap {
        /// The score that is wanted of every run; 1 where scores are normalised.
        target: f64,
    },
}

impl Aggregate {
    /// All, with the usual target of 1.
    pub const ALL: [Self; 4] = [Self::Median, Self::Iqm, Self::Mean, Self::OptimalityGap { target: 1.0 }];

    /// A short name for tables and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Median => "median",
            Self::Iqm => "iqm",
            Self::OptimalityGap { .. } => "optimality gap",
        }
    }

    /// The aggregate of `scores`, in their unit.
    #[must_use]
    pub fn of(self, scores: &Scores) -> f64 {
        Evaluator::new(scores).of(self, &itself(scores))
    }
}

/// The picks that give back the matrix: every cell once, in its place.
pub(super) fn itself(scores: &Scores) -> Vec<usize> {
    (0..scores.cells().len()).collect()
}

/// Aggregates of resamples of one matrix, without allocation per resample.
///
/// A resample is a list of cells `[M, R]`, see [`super::bootstrap::draw`].
pub(super) struct Evaluator<'s> {
    scores: &'s Scores,
    /// All scores in ascending order, `[R·M]`.
    sorted: Vec<f64>,
    /// Where each cell stands in `sorted`, `[M, R]`.
    place: Vec<usize>,
    /// How often each of `sorted` was picked.
    counts: Vec<usize>,
    /// The mean of every picked task, `[M]`.
    means: Vec<f64>,
}

impl<'s> Evaluator<'s> {
    pub(super) fn new(scores: &'s Scores) -> Self {
        let cells = scores.cells();
        let mut order: Vec<usize> = (0..cells.len()).collect();
        order.sort_by(|&a, &b| cells[a].total_cmp(&cells[b]));
        let mut place = vec![0; cells.len()];
        for (at, &cell) in order.iter().enumerate() {
            place[cell] = at;
        }
        Self {
            scores,
            sorted: order.into_iter().map(|cell| cells[cell]).collect(),
            place,
            counts: vec![0; cells.len()],
            means: vec![0.0; scores.tasks()],
        }
    }

    /// The aggregate of the picked cells.
    pub(super) fn of(&mut self, aggregate: Aggregate, picks: &[usize]) -> f64 {
        match aggregate {
            Aggregate::Mean => {
                self.average(picks);
                mean(&self.means)
            }
            Aggregate::Median => {
                self.average(picks);
                self.means.sort_unstable_by(f64::total_cmp);
                let (below, middle) = ((self.means.len() - 1) / 2, self.means.len() / 2);
                f64::midpoint(self.means[below], self.means[middle])
            }
            Aggregate::Iqm => {
                self.count(picks);
                self.interquartile_mean(picks.len())
            }
            Aggregate::OptimalityGap { target } => {
                let cells = self.scores.cells();
                let reached: f64 = picks.iter().map(|&cell| cells[cell].min(target)).sum();
                target - reached / picks.len() as f64
            }
        }
    }

    fn average(&mut self, picks: &[usize]) {
        let (cells, runs) = (self.scores.cells(), self.scores.runs());
        for (average, picks) in self.means.iter_mut().zip(picks.chunks_exact(runs)) {
            *average = picks.iter().map(|&cell| cells[cell]).sum::<f64>() / runs as f64;
        }
    }

    fn count(&mut self, picks: &[usize]) {
        self.counts.fill(0);
        for &cell in picks {
            self.counts[self.place[cell]] += 1;
        }
    }

    /// Adds in ascending order, one score at a time, so that neither the order of the runs nor the
    /// way in which equal scores were picked changes a bit.
    fn interquartile_mean(&self, picked: usize) -> f64 {
        let mut skip = picked / 4;
        let kept = picked - 2 * skip;
        let (mut left, mut sum) = (kept, 0.0);
        for (&count, &score) in self.counts.iter().zip(&self.sorted) {
            let skipped = count.min(skip);
            skip -= skipped;
            let taken = (count - skipped).min(left);
            left -= taken;
            for _ in 0..taken {
                sum += score;
            }
        }
        sum / kept as f64
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(got: f64, want: f64) {
        assert!((got - want).abs() <= 1e-12 * want.abs().max(1.0), "{got} instead of {want}");
    }

    fn gap(target: f64) -> Aggregate {
        Aggregate::OptimalityGap { target }
    }

    #[test]
    fn known_answers() {
        // Means per task: 2, 30, 0.5, 7.
        let scores = Scores::new(&[[1.0, 20.0, 0.0, 7.0], [3.0, 40.0, 1.0, 7.0]]).unwrap();
        close(Aggregate::Mean.of(&scores), 39.5 / 4.0);
        close(Aggregate::Median.of(&scores), 4.5);
        // In order 0 1 1 3 7 7 20 40, without two at each end.
        close(Aggregate::Iqm.of(&scores), 18.0 / 4.0);
        close(gap(1.0).of(&scores), 1.0 / 8.0);
        close(gap(10.0).of(&scores), 10.0 - (1.0 + 10.0 + 7.0 + 3.0 + 10.0 + 1.0 + 7.0) / 8.0);
        // Three tasks: the one in the middle.
        let scores = Scores::new(&[[5.0, -1.0, 2.0]]).unwrap();
        close(Aggregate::Median.of(&scores), 2.0);
    }

    #[test]
    fn the_cut_is_rounded_down() {
        let iqm = |count: u32| {
            let scores: Vec<f64> = (1..=count).map(|k| f64::from(k * k)).collect();
            Aggregate::Iqm.of(&Scores::one_task(&scores).unwrap())
        };
        close(iqm(1), 1.0);
        close(iqm(2), 2.5);
        close(iqm(3), 14.0 / 3.0);
        close(iqm(4), 6.5);
        close(iqm(5), 29.0 / 3.0);
        close(iqm(7), (4.0 + 9.0 + 16.0 + 25.0 + 36.0) / 5.0);
        close(iqm(8), (9.0 + 16.0 + 25.0 + 36.0) / 4.0);
    }

    #[test]
    fn one_run_on_one_task_is_its_score() {
        let scores = Scores::one_task(&[0.25]).unwrap();
        for aggregate in [Aggregate::Mean, Aggregate::Median, Aggregate::Iqm] {
            close(aggregate.of(&scores), 0.25);
        }
        close(gap(1.0).of(&scores), 0.75);
    }

    fn matrices() -> impl Strategy<Value = Vec<Vec<f64>>> {
        (1_usize..7, 1_usize..5).prop_flat_map(|(runs, tasks)| {
            // Few values, so that there are ties.
            let score = (-20_i32..20).prop_map(|score| f64::from(score) / 7.0);
            prop::collection::vec(prop::collection::vec(score, tasks), runs)
        })
    }

    proptest! {
        #[test]
        fn the_order_of_runs_and_tasks_means_nothing(rows in matrices(), turn in 0_usize..5) {
            let mut turned = rows.clone();
            turned.rotate_left(turn % rows.len());
            for row in &mut turned {
                row.reverse();
            }
            let (scores, turned) = (Scores::new(&rows).unwrap(), Scores::new(&turned).unwrap());
            for aggregate in Aggregate::ALL {
                close(aggregate.of(&turned), aggregate.of(&scores));
            }
            prop_assert_eq!(Aggregate::Iqm.of(&turned).to_bits(), Aggregate::Iqm.of(&scores).to_bits());
        }

        #[test]
        fn aggregates_move_and_stretch_with_the_scores(rows in matrices(), scale in 0.1_f64..9.0, shift in -5.0_f64..5.0) {
            let moved: Vec<Vec<f64>> =
                rows.iter().map(|row| row.iter().map(|score| scale * score + shift).collect()).collect();
            let (scores, moved) = (Scores::new(&rows).unwrap(), Scores::new(&moved).unwrap());
            for aggregate in [Aggregate::Mean, Aggregate::Median, Aggregate::Iqm] {
                let want = scale * aggregate.of(&scores) + shift;
                prop_assert!((aggregate.of(&moved) - want).abs() < 1e-10);
            }
            let want = scale * gap(1.0).of(&scores);
            prop_assert!((gap(scale + shift).of(&moved) - want).abs() < 1e-10);
        }

        #[test]
        fn aggregates_lie_between_the_scores(rows in matrices()) {
            let scores = Scores::new(&rows).unwrap();
            let (low, high) = scores
                .cells()
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &score| (low.min(score), high.max(score)));
            for aggregate in [Aggregate::Mean, Aggregate::Median, Aggregate::Iqm] {
                let value = aggregate.of(&scores);
                prop_assert!(low - 1e-12 <= value && value <= high + 1e-12);
            }
            prop_assert!(gap(1.0).of(&scores) > -1e-12);
        }
    }
}
