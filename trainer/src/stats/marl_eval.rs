//! The file that `marl-eval` reads, for its plots and tables of several algorithms.
//!
//! ```text
//! environment ─► task ─► algorithm ─► run ─► step_1, step_2, …  step_count, elapsed_time, metrics
//!                                        └─► absolute_metrics   metrics
//! ```
//!
//! Source: Gorsane et al., "Towards a Standardised Performance Evaluation Protocol for Cooperative
//! MARL" (arXiv 2209.10485), and the package `id-marl-eval` 0.0.4. That package ignores case, takes
//! the steps in the order of the file, and needs every run of an environment to have the same shape.

use std::collections::{BTreeMap, BTreeSet};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use thiserror::Error;

/// The values of each metric, one per episode, by the metric's name. The reader splits names at `_`, so
/// those without one are safest.
pub type Episodes = BTreeMap<String, Vec<f64>>;

/// One test in the course of training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Environment steps so far.
    pub step_count: u64,
    /// Seconds of training so far, where they are known.
    pub elapsed_time: Option<f64>,
    /// What the episodes came to.
    pub metrics: Episodes,
}

/// All tests of one training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunRecord {
    /// Name of the environment, for example `combat`.
    pub environment: String,
    /// Name of the task in it, for example `3m`.
    pub task: String,
    /// Name of the algorithm, without a comma.
    pub algorithm: String,
    /// Name of the run, the same for every task and algorithm, for example `seed_0`.
    pub name: String,
    /// In the order of training.
    pub evaluations: Vec<Evaluation>,
    /// The final test, by the protocol of ten times as many episodes, of the best parameters.
    pub absolute: Episodes,
}

/// Why `marl-eval` could not read these runs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MarlEvalError {
    /// No runs, or a run without evaluations or metrics.
    #[error("no {0}")]
    Empty(&'static str),
    /// A name that the reader cannot take.
    #[error("{name:?} cannot be a name: it is empty or reserved, or it has a comma or the case of another")]
    Name {
        /// The name.
        name: String,
    },
    /// Two runs of one name.
    #[error("{run} is there twice")]
    Twice {
        /// Its environment, task, algorithm and name.
        run: String,
    },
    /// An environment lacks a run that its other tasks or algorithms have.
    #[error("{run} is missing: every task of an environment needs every algorithm with every run")]
    Missing {
        /// Its environment, task, algorithm and name.
        run: String,
    },
    /// A run has another number of evaluations than the first one of its environment.
    #[error("{run} has {got} evaluations, another run has {want}")]
    Evaluations {
        /// The run.
        run: String,
        /// Its evaluations.
        got: usize,
        /// Those of the first.
        want: usize,
    },
    /// A test has not the metrics of the first one of its environment.
    #[error("{run}, {step}: the metrics are {got:?}, elsewhere {want:?}")]
    Metrics {
        /// The run.
        run: String,
        /// The test.
        step: String,
        /// Its metrics.
        got: Vec<String>,
        /// Those of the first.
        want: Vec<String>,
    },
    /// A metric without values, or with one that is not finite.
    #[error("{run}, {step}: {metric} has no values, or one that is not finite")]
    Values {
        /// The run.
        run: String,
        /// The test.
        step: String,
        /// The metric.
        metric: String,
    },
}

/// The document, as indented JSON with a line end.
///
/// # Errors
/// If the reader could not take it, or would silently read something else: see [`MarlEvalError`].
pub fn to_json(runs: &[RunRecord]) -> Result<String, MarlEvalError> {
    let mut document: Document<'_> = BTreeMap::new();
    for run in runs {
        check_run(run)?;
        let tasks = document.entry(&run.environment).or_default();
        let algorithms = tasks.entry(&run.task).or_default();
        let names = algorithms.entry(&run.algorithm).or_default();
        if names.insert(&run.name, Steps(run)).is_some() {
            return Err(MarlEvalError::Twice { run: label(run) });
        }
    }
    if document.is_empty() {
        return Err(MarlEvalError::Empty("runs"));
    }
    check_names(document.keys().copied())?;
    for (environment, tasks) in &document {
        check_shape(environment, tasks)?;
    }
    let text = serde_json::to_string_pretty(&document).expect("the keys are strings and the numbers finite");
    Ok(text + "\n")
}

/// By task, algorithm and name.
type Tasks<'r> = BTreeMap<&'r str, BTreeMap<&'r str, BTreeMap<&'r str, Steps<'r>>>>;
type Document<'r> = BTreeMap<&'r str, Tasks<'r>>;

/// A run as the file has it: the steps in their order, then the absolute metrics.
struct Steps<'r>(&'r RunRecord);

impl Serialize for Steps<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Step<'r> {
            step_count: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            elapsed_time: Option<f64>,
            #[serde(flatten)]
            metrics: &'r Episodes,
        }
        let mut map = serializer.serialize_map(Some(self.0.evaluations.len() + 1))?;
        for (index, evaluation) in self.0.evaluations.iter().enumerate() {
            let Evaluation { step_count, elapsed_time, metrics } = evaluation;
            let step = Step { step_count: *step_count, elapsed_time: *elapsed_time, metrics };
            map.serialize_entry(&step_name(index), &step)?;
        }
        map.serialize_entry(ABSOLUTE, &self.0.absolute)?;
        map.end()
    }
}

const ABSOLUTE: &str = "absolute_metrics";

fn step_name(index: usize) -> String {
    format!("step_{}", index + 1)
}

fn label(run: &RunRecord) -> String {
    [&*run.environment, &*run.task, &*run.algorithm, &*run.name].join("/")
}

/// Every test of a run, with the name that it has in the file.
fn tests(run: &RunRecord) -> impl Iterator<Item = (String, &Episodes)> {
    let steps = run.evaluations.iter().enumerate();
    let steps = steps.map(|(index, evaluation)| (step_name(index), &evaluation.metrics));
    steps.chain([(ABSOLUTE.to_owned(), &run.absolute)])
}

/// What a run must fulfil by itself.
fn check_run(run: &RunRecord) -> Result<(), MarlEvalError> {
    if run.evaluations.is_empty() {
        return Err(MarlEvalError::Empty("evaluations"));
    }
    for name in [&run.environment, &run.task, &run.algorithm, &run.name] {
        if name.is_empty() || name.contains(',') || name.to_lowercase() == "extra" {
            return Err(MarlEvalError::Name { name: name.clone() });
        }
    }
    for name in run.absolute.keys() {
        if name.is_empty() || name == "elapsed_time" || name.contains("step_count") {
            return Err(MarlEvalError::Name { name: name.clone() });
        }
    }
    check_names(run.absolute.keys().map(String::as_str))?;
    let seconds = run.evaluations.iter().map(|evaluation| evaluation.elapsed_time.unwrap_or(0.0));
    for (index, seconds) in seconds.enumerate() {
        if !seconds.is_finite() {
            let metric = "elapsed_time".to_owned();
            return Err(MarlEvalError::Values { run: label(run), step: step_name(index), metric });
        }
    }
    for (step, metrics) in tests(run) {
        for (metric, values) in metrics {
            if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
                return Err(MarlEvalError::Values { run: label(run), step, metric: metric.clone() });
            }
        }
    }
    Ok(())
}

/// Refuses names that differ in their case only, of which the reader would keep one.
fn check_names<'n>(names: impl Iterator<Item = &'n str>) -> Result<(), MarlEvalError> {
    let mut seen = BTreeMap::new();
    for name in names {
        if seen.insert(name.to_lowercase(), name).is_some_and(|other| other != name) {
            return Err(MarlEvalError::Name { name: name.to_owned() });
        }
    }
    Ok(())
}

/// What the runs of an environment must fulfil together.
fn check_shape(environment: &str, tasks: &Tasks<'_>) -> Result<(), MarlEvalError> {
    check_names(tasks.keys().copied())?;
    let algorithms: BTreeSet<&str> = tasks.values().flat_map(BTreeMap::keys).copied().collect();
    let each = tasks.values().flat_map(BTreeMap::values);
    let names: BTreeSet<&str> = each.flat_map(BTreeMap::keys).copied().collect();
    check_names(algorithms.iter().copied())?;
    check_names(names.iter().copied())?;
    let mut first: Option<&RunRecord> = None;
    for (task, found) in tasks {
        for algorithm in &algorithms {
            for name in &names {
                let Some(Steps(run)) = found.get(algorithm).and_then(|runs| runs.get(name)) else {
                    let run = [environment, task, algorithm, name].join("/");
                    return Err(MarlEvalError::Missing { run });
                };
                check_like(run, first.get_or_insert(run))?;
            }
        }
    }
    Ok(())
}

/// Refuses a run of another shape than the first one.
fn check_like(run: &RunRecord, first: &RunRecord) -> Result<(), MarlEvalError> {
    let (got, want) = (run.evaluations.len(), first.evaluations.len());
    if got != want {
        return Err(MarlEvalError::Evaluations { run: label(run), got, want });
    }
    let want: Vec<String> = first.absolute.keys().cloned().collect();
    if want.is_empty() {
        return Err(MarlEvalError::Empty("metrics"));
    }
    for (step, metrics) in tests(run) {
        if !metrics.keys().eq(first.absolute.keys()) {
            let got = metrics.keys().cloned().collect();
            return Err(MarlEvalError::Metrics { run: label(run), step, got, want });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(value: f64) -> Episodes {
        [("return", value), ("won", value / 10.0)]
            .map(|(name, value)| (name.to_owned(), vec![value, value + 1.0]))
            .into()
    }

    fn run(task: &str, algorithm: &str, name: &str) -> RunRecord {
        let evaluation = |step: u32| Evaluation {
            step_count: u64::from(step) * 100,
            elapsed_time: Some(f64::from(step) / 2.0),
            metrics: metrics(f64::from(step)),
        };
        RunRecord {
            environment: "combat".into(),
            task: task.into(),
            algorithm: algorithm.into(),
            name: name.into(),
            evaluations: (0..11).map(evaluation).collect(),
            absolute: metrics(50.0),
        }
    }

    fn all() -> Vec<RunRecord> {
        let mut runs = Vec::new();
        for task in ["3m", "8m"] {
            for algorithm in ["DDN", "QMIX"] {
                runs.extend(["seed_0", "seed_1"].map(|name| run(task, algorithm, name)));
            }
        }
        runs
    }

    #[test]
    fn the_document_has_its_shape() {
        let text = to_json(&all()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let seed = &value["combat"]["8m"]["QMIX"]["seed_1"];
        let step = serde_json::json!({
            "step_count": 300, "elapsed_time": 1.5, "return": [3.0, 4.0], "won": [0.3, 1.3],
        });
        assert_eq!(seed["step_4"], step);
        assert_eq!(
            seed["absolute_metrics"],
            serde_json::json!({ "return": [50.0, 51.0], "won": [5.0, 6.0] })
        );
        assert_eq!(seed.as_object().unwrap().len(), 12);
        assert_eq!(value["combat"].as_object().unwrap().len(), 2);
        // In the order of training, not of the alphabet; the absolute metrics come last.
        let places: Vec<usize> = (1..=11)
            .map(|step| format!("\"step_{step}\""))
            .chain(["\"absolute_metrics\"".to_owned()])
            .map(|key| text.find(&key).unwrap())
            .collect();
        assert!(places.is_sorted(), "{places:?}");
    }

    #[test]
    fn the_order_of_the_runs_changes_nothing() {
        let mut runs = all();
        let text = to_json(&runs).unwrap();
        runs.reverse();
        assert_eq!(to_json(&runs).unwrap(), text);
        for evaluation in runs.iter_mut().flat_map(|run| &mut run.evaluations) {
            evaluation.elapsed_time = None;
        }
        assert!(!to_json(&runs).unwrap().contains("elapsed_time"));
    }

    #[test]
    fn what_the_reader_would_stumble_over_is_refused() {
        let say = |change: fn(&mut Vec<RunRecord>)| {
            let mut runs = all();
            change(&mut runs);
            to_json(&runs).unwrap_err().to_string()
        };
        assert_eq!(say(Vec::clear), "no runs");
        assert_eq!(say(|runs| runs[0].evaluations.clear()), "no evaluations");
        let missing = "combat/3m/QMIX/seed_1 is missing: every task of an environment needs every algorithm \
                       with every run";
        assert_eq!(say(|runs| drop(runs.remove(3))), missing);
        assert_eq!(say(|runs| runs.push(runs[5].clone())), "combat/8m/DDN/seed_1 is there twice");
        let fewer = say(|runs| drop(runs[2].evaluations.pop()));
        assert_eq!(fewer, "combat/3m/QMIX/seed_0 has 10 evaluations, another run has 11");
        let other = say(|runs| drop(runs[7].evaluations[9].metrics.remove("won")));
        assert_eq!(
            other,
            "combat/8m/QMIX/seed_1, step_10: the metrics are [\"return\"], elsewhere [\"return\", \"won\"]"
        );
        let infinite = say(|runs| runs[1].absolute.get_mut("won").unwrap()[1] = f64::INFINITY);
        let place = "combat/3m/DDN/seed_1, absolute_metrics";
        assert_eq!(infinite, format!("{place}: won has no values, or one that is not finite"));
        for name in ["", "a,b", "Extra"] {
            let mut runs = all();
            runs[0].algorithm = name.to_owned();
            assert_eq!(to_json(&runs), Err(MarlEvalError::Name { name: name.to_owned() }));
        }
        assert!(say(|runs| runs[2].algorithm = "qmix".into()).contains("cannot be a name"));
        assert!(
            say(|runs| drop(runs[0].absolute.insert("step_count".into(), vec![1.0]))).contains("step_count")
        );
        assert_eq!(say(|runs| runs[0].absolute.clear()), "no metrics");
    }
}
