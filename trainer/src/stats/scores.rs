//! The scores of one algorithm.

use super::error::{Result, StatsError};

/// One score per run and task: `[R, M]`, R runs by M tasks, all finite, at least one of each.
///
/// A run is one training with one seed. Scores of different tasks must be on one scale
/// (a share won, or a return divided by the best possible one) before they are aggregated.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    runs: usize,
    tasks: usize,
    /// `[M, R]`: the runs of a task lie together.
    values: Vec<f64>,
}

impl Scores {
    /// Takes one row per run, with one score per task.
    ///
    /// `rows`: `[R, M]`.
    ///
    /// # Errors
    /// If there are no runs or no tasks, if a run has another number of tasks than the first, or if
    /// a score is not finite.
    pub fn new<Row: AsRef<[f64]>>(rows: &[Row]) -> Result<Self> {
        let first = rows.first().ok_or(StatsError::Empty { what: "runs" })?;
        let (runs, tasks) = (rows.len(), first.as_ref().len());
        if tasks == 0 {
            return Err(StatsError::Empty { what: "tasks" });
        }
        let mut values = vec![0.0; runs * tasks];
        for (run, row) in rows.iter().enumerate() {
            let row = row.as_ref();
            if row.len() != tasks {
                return Err(StatsError::Ragged { run, got: row.len(), want: tasks });
            }
            for (task, &value) in row.iter().enumerate() {
                if !value.is_finite() {
                    return Err(StatsError::NotFinite { run, task, value });
                }
                values[task * runs + run] = value;
            }
        }
        Ok(Self { runs, tasks, values })
    }

    /// The scores of runs on a single task, `[R]`.
    ///
    /// # Errors
    /// If there are none, or one is not finite.
    pub fn one_task(scores: &[f64]) -> Result<Self> {
        let rows: Vec<[f64; 1]> = scores.iter().map(|&score| [score]).collect();
        Self::new(&rows)
    }

    /// R, at least 1.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// M, at least 1.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    /// The scores of one task, `[R]`.
    ///
    /// # Panics
    /// If `task` is not below M.
    #[must_use]
    pub fn task(&self, task: usize) -> &[f64] {
        &self.values[task * self.runs..(task + 1) * self.runs]
    }

    /// All scores, `[M, R]`.
    pub(super) fn cells(&self) -> &[f64] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_tasks() {
        let scores = Scores::new(&[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]).unwrap();
        assert_eq!((scores.runs(), scores.tasks()), (3, 2));
        assert_eq!(scores.task(0), [1.0, 3.0, 5.0]);
        assert_eq!(scores.task(1), [2.0, 4.0, 6.0]);
        assert_eq!(scores.cells(), [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
        assert_eq!(Scores::one_task(&[1.0, 2.0]), Scores::new(&[[1.0], [2.0]]));
    }

    #[test]
    fn errors_name_the_place() {
        let none: &[Vec<f64>] = &[];
        let say = |rows: &[Vec<f64>]| Scores::new(rows).unwrap_err().to_string();
        assert_eq!(say(none), "no runs");
        assert_eq!(say(&[vec![], vec![]]), "no tasks");
        assert_eq!(say(&[vec![1.0, 2.0], vec![1.0]]), "run 1 has 1 tasks, run 0 has 2");
        assert_eq!(say(&[vec![1.0, 2.0], vec![1.0, f64::NAN]]), "run 1, task 1: the score is NaN");
        assert_eq!(say(&[vec![f64::NEG_INFINITY]]), "run 0, task 0: the score is -inf");
    }
}
