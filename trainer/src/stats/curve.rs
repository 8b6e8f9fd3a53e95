//! Sample efficiency: an aggregate at every point of training, with a band.

use std::collections::{BTreeMap, BTreeSet};

use super::aggregate::{Aggregate, Evaluator, itself};
use super::bootstrap::{Bootstrap, Interval, check, draw};
use super::error::{Result, StatsError};
use super::scores::Scores;

/// What one run measured on one task in the course of training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// When, in environment steps, ascending, `[P]`.
    pub points: Vec<u64>,
    /// What, `[P]`.
    pub values: Vec<f64>,
}

impl Trace {
    /// The trace with every point moved down to a multiple of `every`; of several at one multiple,
    /// the last stays. An `every` of 0 moves nothing.
    ///
    /// Runs whose episodes end at different steps are tested at different steps. This brings them to
    /// common points, if every test came less than `every` steps after the multiple it was due at.
    #[must_use]
    pub fn snapped(&self, every: u64) -> Self {
        let down = |point: u64| point.checked_div(every).map_or(point, |times| times * every);
        let moved = self.points.iter().zip(&self.values).map(|(&point, &value)| (down(point), value));
        let last: BTreeMap<u64, f64> = moved.collect();
        let (points, values) = last.into_iter().unzip();
        Self { points, values }
    }
}

/// What to do with traces that were not measured at the same points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Points {
    /// Refuse them.
    Equal,
    /// Keep the points that all of them have; [`Curves::left_out`] has the others.
    Common,
}

/// Scores `[R, M]` at each of P points.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    points: Vec<u64>,
    left_out: Vec<u64>,
    /// `[P]`
    scores: Vec<Scores>,
}

impl Curves {
    /// Takes one row per run, with one trace per task, `[R, M]`.
    ///
    /// # Errors
    /// If there are no runs, tasks or points; if a run has another number of tasks than the first; if
    /// a trace is not ascending or has not one value per point; if the points differ (see `which`);
    /// or if a value at a point that stays is not finite.
    pub fn new<Row: AsRef<[Trace]>>(rows: &[Row], which: Points) -> Result<Self> {
        let first = rows.first().ok_or(StatsError::Empty { what: "runs" })?.as_ref();
        let pattern = first.first().ok_or(StatsError::Empty { what: "tasks" })?;
        let mut common: BTreeSet<u64> = pattern.points.iter().copied().collect();
        let mut all = common.clone();
        for (run, row) in rows.iter().enumerate() {
            let row = row.as_ref();
            if row.len() != first.len() {
                return Err(StatsError::Ragged { run, got: row.len(), want: first.len() });
            }
            for (task, trace) in row.iter().enumerate() {
                let own = points_of(trace, run, task)?;
                if which == Points::Equal
                    && let Some(&point) = own.symmetric_difference(&all).next()
                {
                    return Err(StatsError::Points { run, task, point, has: own.contains(&point) });
                }
                common.retain(|point| own.contains(point));
                all.extend(own);
            }
        }
        if all.is_empty() {
            return Err(StatsError::Empty { what: "points" });
        }
        if common.is_empty() {
            return Err(StatsError::NothingCommon);
        }
        let scores = common.iter().map(|&point| scores_at(rows, point)).collect::<Result<_>>()?;
        let left_out = all.difference(&common).copied().collect();
        Ok(Self { points: common.into_iter().collect(), left_out, scores })
    }

    /// When, ascending, `[P]`.
    #[must_use]
    pub fn points(&self) -> &[u64] {
        &self.points
    }

    /// Points that some traces have and others have not, ascending.
    #[must_use]
    pub fn left_out(&self) -> &[u64] {
        &self.left_out
    }

    /// The scores at each point, `[P]`.
    #[must_use]
    pub fn scores(&self) -> &[Scores] {
        &self.scores
    }

    /// The aggregate at each point with its interval, `[P]`.
    ///
    /// A run is drawn with its whole trace. The band is that of each point on its own; it says
    /// nothing about the curve as a whole. It holds P times the repetitions of the bootstrap in
    /// memory, eight bytes each.
    ///
    /// Source: Agarwal et al. 2021, figure 4, right; `rliable` draws anew at each point, which gives
    /// every point the same distribution.
    ///
    /// # Errors
    /// If the settings of the bootstrap or of the aggregate make no sense.
    pub fn band(&self, aggregate: Aggregate, bootstrap: &Bootstrap) -> Result<Vec<Interval>> {
        check(aggregate)?;
        let Some(shape) = self.scores.first() else { return Ok(Vec::new()) };
        let mut evaluators: Vec<Evaluator<'_>> = self.scores.iter().map(Evaluator::new).collect();
        let mut picks = itself(shape);
        let estimates: Vec<f64> = evaluators.iter_mut().map(|at| at.of(aggregate, &picks)).collect();
        bootstrap.intervals("stats/curve", &estimates, |rng, values| {
            draw(shape, bootstrap.tasks, rng, &mut picks);
            for (value, at) in values.iter_mut().zip(&mut evaluators) {
                *value = at.of(aggregate, &picks);
            }
        })
    }
}

fn points_of(trace: &Trace, run: usize, task: usize) -> Result<BTreeSet<u64>> {
    let (points, values) = (trace.points.len(), trace.values.len());
    if points != values {
        return Err(StatsError::Uneven { run, task, points, values });
    }
    if let Some(pair) = trace.points.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(StatsError::Order { run, task, point: pair[1] });
    }
    Ok(trace.points.iter().copied().collect())
}

/// The scores at a point that every trace has.
fn scores_at<Row: AsRef<[Trace]>>(rows: &[Row], point: u64) -> Result<Scores> {
    let at = |trace: &Trace| trace.values[trace.points.partition_point(|&earlier| earlier < point)];
    let row = |row: &Row| row.as_ref().iter().map(at).collect::<Vec<f64>>();
    let rows: Vec<Vec<f64>> = rows.iter().map(row).collect();
    Scores::new(&rows).map_err(|error| match error {
        StatsError::NotFinite { run, task, value } => StatsError::ValueNotFinite { run, task, point, value },
        error => error,
    })
}

#[cfg(test)]
mod tests {
    use super::super::bootstrap::intervals;
    use super::*;

    fn trace(points: &[u64], values: &[f64]) -> Trace {
        Trace { points: points.to_vec(), values: values.to_vec() }
    }

    #[test]
    fn a_curve_is_an_aggregate_at_each_point() {
        let at = |run: u64, task: u64, point: u64| ((run * 7 + task * 3 + point * 5) % 13) as f64;
        let (points, mut rows) = ([0, 10, 30, 40], Vec::new());
        for run in 0..6 {
            let of = |task| trace(&points, &points.map(|point| at(run, task, point)));
            rows.push([of(0), of(1)]);
        }
        let curves = Curves::new(&rows, Points::Equal).unwrap();
        assert_eq!((curves.points(), curves.left_out()), (&points[..], &[][..]));
        let bootstrap = Bootstrap { repetitions: 20_000, ..Bootstrap::new(1) };
        for aggregate in Aggregate::ALL {
            let band = curves.band(aggregate, &bootstrap).unwrap();
            assert_eq!(band, curves.band(aggregate, &bootstrap).unwrap());
            for (found, scores) in band.iter().zip(curves.scores()) {
                assert_eq!(found.estimate.to_bits(), aggregate.of(scores).to_bits());
                // Near what the same scores give alone, of a width of some units.
                let alone = intervals(scores, &[aggregate], &bootstrap).unwrap()[0];
                assert!((found.low - alone.low).abs() < 0.26, "{aggregate:?} {found:?} {alone:?}");
                assert!((found.high - alone.high).abs() < 0.26, "{aggregate:?} {found:?} {alone:?}");
            }
        }
    }

    #[test]
    fn one_run_is_a_line() {
        let rows = [[trace(&[1, 2, 5], &[0.1, 0.5, 0.3])]];
        let band = Curves::new(&rows, Points::Equal).unwrap().band(Aggregate::Iqm, &Bootstrap::short(1));
        let ends: Vec<(f64, f64, f64)> = band.unwrap().iter().map(|v| (v.low, v.estimate, v.high)).collect();
        assert_eq!(ends, [(0.1, 0.1, 0.1), (0.5, 0.5, 0.5), (0.3, 0.3, 0.3)]);
    }

    #[test]
    fn other_points_are_refused_or_cut() {
        let rows = [
            [trace(&[0, 10, 20, 30], &[1.0, 2.0, 3.0, 4.0])],
            [trace(&[0, 10, 25, 30], &[5.0, 6.0, f64::NAN, 8.0])],
            [trace(&[10, 20, 30, 40], &[9.0, 10.0, 11.0, 12.0])],
        ];
        let error = Curves::new(&rows, Points::Equal).unwrap_err();
        assert_eq!(error, StatsError::Points { run: 1, task: 0, point: 20, has: false });
        assert_eq!(error.to_string(), "run 1, task 0 lacks point 20, run 0, task 0 has it");
        let error = Curves::new(&[&rows[1], &rows[0]], Points::Equal).unwrap_err();
        assert_eq!(error.to_string(), "run 1, task 0 has point 20, run 0, task 0 lacks it");
        let curves = Curves::new(&rows, Points::Common).unwrap();
        assert_eq!(curves.points(), [10, 30]);
        assert_eq!(curves.left_out(), [0, 20, 25, 40]);
        assert_eq!(curves.scores()[0].task(0), [2.0, 6.0, 9.0]);
        assert_eq!(curves.scores()[1].task(0), [4.0, 8.0, 11.0]);
    }

    #[test]
    fn errors_name_the_place() {
        let good = || trace(&[0, 10], &[1.0, 2.0]);
        let say = |rows: &[Vec<Trace>]| Curves::new(rows, Points::Common).unwrap_err().to_string();
        assert_eq!(say(&[]), "no runs");
        assert_eq!(say(&[vec![]]), "no tasks");
        assert_eq!(say(&[vec![Trace::default()]]), "no points");
        assert_eq!(say(&[vec![good()], vec![]]), "run 1 has 0 tasks, run 0 has 1");
        assert_eq!(say(&[vec![good(), trace(&[0, 10], &[1.0])]]), "run 0, task 1: 2 points, 1 values");
        let twice = trace(&[10, 10], &[1.0, 2.0]);
        assert_eq!(say(&[vec![twice]]), "run 0, task 0: point 10 does not come after the one before it");
        assert_eq!(say(&[vec![good()], vec![trace(&[5], &[1.0])]]), "the runs have no point in common");
        let hole = trace(&[0, 10], &[1.0, f64::NAN]);
        assert_eq!(say(&[vec![good()], vec![hole]]), "run 1, task 0, point 10: the value is NaN");
    }

    #[test]
    fn points_snap_to_where_they_were_due() {
        let late = trace(&[7, 1_004, 2_031, 2_999], &[0.0, 1.0, 2.0, 3.0]);
        assert_eq!(late.snapped(1_000), trace(&[0, 1_000, 2_000], &[0.0, 1.0, 3.0]));
        assert_eq!(late.snapped(0), late);
    }
}
