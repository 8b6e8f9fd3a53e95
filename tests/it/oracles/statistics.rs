//! The statistics over runs against the package rliable (`tests/oracles/run_statistics.py`).

use std::path::Path;

use ddn_trainer::stats::{
    Aggregate, Bootstrap, Curves, Interval, Points, Scores, Trace, improvement, intervals,
    probability_of_improvement, profile,
};
use serde_json::Value;

/// Of numbers without chance, relative to the larger of themselves and 1.
const EXACT: f64 = 1e-12;

/// How many standard errors two means of ends may be apart. Of some 110 comparisons with 38 degrees
/// of freedom each, one goes beyond with a probability of 0.2 %.
const ERRORS: f64 = 5.0;

struct Oracle(Value);

impl Oracle {
    fn open() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracles/run_statistics.json");
        let text = std::fs::read_to_string(path).expect("the oracle is committed");
        Self(serde_json::from_str(&text).expect("written as JSON"))
    }

    fn count(&self, key: &str) -> usize {
        usize::try_from(self.0[key].as_u64().expect("a count")).expect("a small one")
    }

    /// One interval per stored end, for each repeat, from a seed of its own.
    fn repeat(&self, reps: &str, make: impl Fn(Bootstrap) -> Vec<Interval>) -> Vec<Vec<Interval>> {
        let repetitions = self.count(reps);
        let seeds = 0..u64::try_from(self.count("repeats")).expect("a small one");
        seeds.map(|seed| make(Bootstrap { repetitions, ..Bootstrap::new(seed) })).collect()
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

fn rows(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().expect("rows").iter().map(numbers).collect()
}

fn scores(value: &Value) -> Scores {
    Scores::new(&rows(value)).expect("a full matrix")
}

fn named(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().expect("by name").iter()
}

fn check_exact(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        let far = (got - want).abs() / want.abs().max(1.0);
        assert!(far <= EXACT, "{what}[{index}]: {got} instead of {want}");
    }
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (square / (count - 1.0)).sqrt())
}

/// The first end whose mean over the repeats is further from the stored mean than chance explains.
///
/// The tolerance follows from the spread of single bootstraps on both sides: the difference of two
/// means of n has the standard error √((s² + t²) / n).
fn first_far(made: &[Vec<Interval>], stored: &Value) -> Option<String> {
    let stored = rows(stored);
    assert_eq!(made[0].len(), stored.len());
    for (index, stored) in stored.iter().enumerate() {
        let low: Vec<f64> = made.iter().map(|intervals| intervals[index].low).collect();
        let high: Vec<f64> = made.iter().map(|intervals| intervals[index].high).collect();
        for (end, values, stored) in [("low", low, &stored[..2]), ("high", high, &stored[2..])] {
            let (mean, deviation) = mean_and_deviation(&values);
            let error = ((deviation.powi(2) + stored[1].powi(2)) / values.len() as f64).sqrt();
            if (mean - stored[0]).abs() > ERRORS * error + EXACT {
                let want = stored[0];
                return Some(format!("{end} end {index}: {mean} instead of {want}, error {error}"));
            }
        }
    }
    None
}

fn check_ends(what: &str, made: &[Vec<Interval>], stored: &Value) {
    let far = first_far(made, stored);
    assert!(far.is_none(), "{what}: {}", far.unwrap_or_default());
}

/// In the script's order.
fn aggregates(oracle: &Oracle) -> Vec<Aggregate> {
    let names = oracle.0["aggregates"].as_array().expect("names").iter();
    let known = |name: &Value| Aggregate::ALL.into_iter().find(|aggregate| aggregate.name() == name);
    names.map(|name| known(name).unwrap_or_else(|| panic!("{name}"))).collect()
}

#[test]
fn aggregates_and_their_intervals_are_those_of_rliable() {
    let oracle = Oracle::open();
    let aggregates = aggregates(&oracle);
    for (name, case) in named(&oracle.0["scores"]) {
        let scores = scores(&case["scores"]);
        let points: Vec<f64> = aggregates.iter().map(|aggregate| aggregate.of(&scores)).collect();
        check_exact(name, &points, &numbers(&case["points"]));
        let over = |tasks| {
            let make = |bootstrap| {
                let found = intervals(&scores, &aggregates, &Bootstrap { tasks, ..bootstrap });
                found.expect("a bootstrap with sense")
            };
            oracle.repeat("reps", make)
        };
        check_ends(&format!("{name}, runs"), &over(false), &case["ends"]);
        check_ends(&format!("{name}, tasks"), &over(true), &case["ends_tasks"]);
        if scores.tasks() > 1 {
            // The tolerance tells the two kinds of bootstrap apart.
            assert!(first_far(&over(true), &case["ends"]).is_some(), "{name}");
        }
    }
}

#[test]
fn profiles_are_those_of_rliable() {
    let oracle = Oracle::open();
    for (name, case) in named(&oracle.0["scores"]) {
        let (scores, thresholds) = (scores(&case["scores"]), numbers(&case["thresholds"]));
        let made = oracle.repeat("reps", |bootstrap| {
            profile(&scores, &thresholds, &bootstrap).expect("ascending thresholds").shares
        });
        let shares: Vec<f64> = made[0].iter().map(|share| share.estimate).collect();
        check_exact(name, &shares, &numbers(&case["shares"]));
        check_ends(name, &made, &case["share_ends"]);
    }
}

#[test]
fn probabilities_of_improvement_are_those_of_rliable() {
    let oracle = Oracle::open();
    for (name, case) in named(&oracle.0["pairs"]) {
        let (x, y) = (scores(&case["x"]), scores(&case["y"]));
        let point = probability_of_improvement(&x, &y).expect("the same tasks");
        check_exact(name, &[point], &[case["point"].as_f64().expect("a number")]);
        let made = oracle
            .repeat("pair_reps", |bootstrap| vec![improvement(&x, &y, &bootstrap).expect("the same tasks")]);
        check_ends(name, &made, &Value::from(vec![case["ends"].clone()]));
    }
}

#[test]
fn curves_are_those_of_rliable() {
    let oracle = Oracle::open();
    let case = &oracle.0["curve"];
    let trace = |values: &Value| {
        let values = numbers(values);
        Trace { points: (0..).take(values.len()).collect(), values }
    };
    let row = |row: &Value| row.as_array().expect("tasks").iter().map(trace).collect::<Vec<_>>();
    let traces: Vec<Vec<Trace>> = case["scores"].as_array().expect("runs").iter().map(row).collect();
    let curves = Curves::new(&traces, Points::Equal).expect("full traces");
    let made = oracle
        .repeat("reps", |bootstrap| curves.band(Aggregate::Iqm, &bootstrap).expect("a bootstrap with sense"));
    let points: Vec<f64> = made[0].iter().map(|point| point.estimate).collect();
    check_exact("curve", &points, &numbers(&case["points"]));
    check_ends("curve", &made, &case["ends"]);
}
