//! What can be wrong with scores, or with what is asked of them.

use thiserror::Error;

/// Why a statistic cannot be computed. Runs, tasks and places in lists are counted from 0.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum StatsError {
    /// There is nothing to compute from.
    #[error("no {what}")]
    Empty {
        /// What there is none of.
        what: &'static str,
    },
    /// The runs were not made on the same tasks.
    #[error("run {run} has {got} tasks, run 0 has {want}")]
    Ragged {
        /// The run that differs from run 0.
        run: usize,
        /// Its number of tasks.
        got: usize,
        /// That of run 0.
        want: usize,
    },
    /// A score is infinite or not a number.
    #[error("run {run}, task {task}: the score is {value}")]
    NotFinite {
        /// The run.
        run: usize,
        /// The task.
        task: usize,
        /// The score.
        value: f64,
    },
    /// Two algorithms were not tested on the same tasks.
    #[error("the first algorithm has {x} tasks, the second has {y}")]
    Tasks {
        /// Tasks of the first.
        x: usize,
        /// Tasks of the second.
        y: usize,
    },
    /// A bootstrap without repetitions.
    #[error("the bootstrap needs at least one repetition")]
    Repetitions,
    /// A confidence outside (0, 1).
    #[error("the confidence is {0}; it must lie between 0 and 1")]
    Confidence(f64),
    /// The optimality gap has no finite target.
    #[error("the target of the optimality gap is {0}")]
    Target(f64),
    /// A threshold is not finite, or lower than the one before it.
    #[error("threshold {index} is {value}; thresholds must be finite and ascend")]
    Threshold {
        /// Its place in the list.
        index: usize,
        /// The threshold.
        value: f64,
    },
    /// A trace has not one value for each of its points.
    #[error("run {run}, task {task}: {points} points, {values} values")]
    Uneven {
        /// The run.
        run: usize,
        /// The task.
        task: usize,
        /// Number of points.
        points: usize,
        /// Number of values.
        values: usize,
    },
    /// The points of a trace do not ascend.
    #[error("run {run}, task {task}: point {point} does not come after the one before it")]
    Order {
        /// The run.
        run: usize,
        /// The task.
        task: usize,
        /// The first point that is too early.
        point: u64,
    },
    /// A trace was not measured at the points of the first one.
    #[error(
        "run {run}, task {task} {} point {point}, run 0, task 0 {}",
        if *.has { "has" } else { "lacks" },
        if *.has { "lacks it" } else { "has it" }
    )]
    Points {
        /// The run that differs from run 0.
        run: usize,
        /// The task.
        task: usize,
        /// The earliest point that only one of the two has.
        point: u64,
        /// Whether this trace has it.
        has: bool,
    },
    /// No point was measured in every trace.
    #[error("the runs have no point in common")]
    NothingCommon,
    /// A value of a trace is infinite or not a number.
    #[error("run {run}, task {task}, point {point}: the value is {value}")]
    ValueNotFinite {
        /// The run.
        run: usize,
        /// The task.
        task: usize,
        /// Where on the curve.
        point: u64,
        /// The value.
        value: f64,
    },
}

/// What every statistic answers with.
pub type Result<T> = std::result::Result<T, StatsError>;
