//! The charts of a report.

use std::collections::BTreeSet;

use super::collection::{Collection, Group};
use super::plot::{Curve, Dot, Plot};
use crate::stats::aggregate::Aggregate;
use crate::stats::bootstrap::Bootstrap;
use crate::stats::curve::{Curves, Points, Trace};
use crate::stats::profile::profile;
use crate::stats::scores::Scores;

/// Seed of all bootstraps of a report.
pub(super) const SEED: u64 = 1;

/// The interquartile mean of one metric over the seeds of a group, at the points that all have.
pub(super) fn curve(group: &Group, key: &str, label: &str, colour: usize) -> anyhow::Result<Option<Curve>> {
    let traces: Vec<(u64, Trace)> =
        group.members.iter().map(|member| (member.name.seed, member.trace(key))).collect();
    let known: Vec<[Trace; 1]> = traces
        .iter()
        .filter(|(_, trace)| !trace.points.is_empty())
        .map(|(_, trace)| [trace.clone()])
        .collect();
    if known.is_empty() {
        return Ok(None);
    }
    let curves = Curves::new(&known, Points::Common)?;
    let band = curves.band(Aggregate::Iqm, &Bootstrap::short(SEED))?;
    let dots = curves.points().iter().zip(band).map(|(&x, at)| Dot {
        x: x as f64,
        y: at.estimate,
        low: at.low,
        high: at.high,
    });
    let seed = |(seed, trace): &(u64, Trace)| {
        (*seed, trace.points.iter().map(|&x| x as f64).zip(trace.values.iter().copied()).collect())
    };
    let seeds = if known.len() > 1 { traces.iter().map(seed).collect() } else { Vec::new() };
    Ok(Some(Curve { label: label.to_owned(), colour, dashed: false, dots: dots.collect(), seeds }))
}

/// Of one task: returns of what ships, of all algorithms; and shares won, where there are some.
pub(super) fn task(collection: &Collection, task: &str) -> anyhow::Result<Vec<Plot>> {
    let colours = collection.colours();
    let mut plots = Vec::new();
    for (what, y_label) in [("return", "greedy return"), ("won", "share won")] {
        let mut curves = Vec::new();
        for group in collection.of_task(task) {
            let key = format!("test_{}_{what}", group.ships());
            curves.extend(curve(group, &key, &group.label, colours[group.label.as_str()])?);
        }
        if curves.is_empty() {
            continue;
        }
        let mut levels = Vec::new();
        if what == "return" {
            levels.extend(collection.best_return(task).map(|best| ("best possible".to_owned(), best)));
            levels.extend(collection.random_return(task).map(|random| ("random play".to_owned(), random)));
        }
        plots.push(Plot {
            title: format!("{task}: {y_label} of the network that ships"),
            x_label: "environment steps".into(),
            y_label: y_label.into(),
            curves,
            levels,
            y_range: (what == "won").then_some((0.0, 1.0)),
            ..Plot::default()
        });
    }
    Ok(plots)
}

/// Teacher beside student, one small chart per group that has both.
pub(super) fn pairs(collection: &Collection) -> anyhow::Result<Vec<Plot>> {
    let colours = collection.colours();
    let mut plots = Vec::new();
    for group in collection.groups.iter().filter(|group| group.networks.len() > 1) {
        let mut curves = Vec::new();
        for network in group.networks {
            let colour = colours[group.label.as_str()];
            let found = curve(group, &format!("test_{network}_return"), &network.to_uppercase(), colour)?;
            curves.extend(found.map(|curve| Curve { dashed: *network != group.ships(), ..curve }));
        }
        plots.push(Plot {
            title: format!("{} on {}", group.label, group.task),
            x_label: "environment steps".into(),
            y_label: "greedy return".into(),
            curves,
            small: true,
            ..Plot::default()
        });
    }
    Ok(plots)
}

/// Losses, intrinsic reward and whatever else the learners log, one small chart per metric and task.
pub(super) fn learning(collection: &Collection) -> anyhow::Result<Vec<Plot>> {
    let colours = collection.colours();
    let mut plots = Vec::new();
    for task in collection.tasks() {
        let keys: BTreeSet<&String> = collection
            .of_task(task)
            .flat_map(|group| &group.members)
            .flat_map(|member| member.records.iter().flat_map(|record| record.values.keys()))
            .filter(|key| {
                ["loss_", "intrinsic_", "target_", "train_return"].iter().any(|start| key.starts_with(start))
            })
            .collect();
        for key in keys {
            let mut curves = Vec::new();
            for group in collection.of_task(task) {
                curves.extend(curve(group, key, &group.label, colours[group.label.as_str()])?);
            }
            plots.push(Plot {
                title: format!("{key} on {task}"),
                x_label: "environment steps".into(),
                y_label: key.clone(),
                curves,
                small: true,
                ..Plot::default()
            });
        }
    }
    Ok(plots)
}

/// Last returns of every algorithm over all tasks, `[R, M]`, from 0 for random play to 1 for the best that
/// is known of a task: what its environment says, or else the best run here.
pub(super) struct Normalised<'c> {
    /// Label and scores of each algorithm that finished the same number of runs on every task.
    pub(super) algorithms: Vec<(&'c str, Scores)>,
    /// Labels of those that did not.
    pub(super) left_out: Vec<&'c str>,
}

impl<'c> Normalised<'c> {
    pub(super) fn of(collection: &'c Collection) -> anyhow::Result<Self> {
        let tasks = collection.tasks();
        let mut scales = Vec::new();
        for task in &tasks {
            let low = collection.random_return(task).unwrap_or_default();
            let returns = collection.of_task(task).flat_map(|group| group.returns(group.ships()));
            let high =
                collection.best_return(task).unwrap_or_else(|| returns.fold(f64::NEG_INFINITY, f64::max));
            scales.push((low, if high > low { high - low } else { 1.0 }));
        }
        let mut all = Self { algorithms: Vec::new(), left_out: Vec::new() };
        let mut labels: Vec<&str> = Vec::new();
        for group in &collection.groups {
            if !labels.contains(&group.label.as_str()) {
                labels.push(&group.label);
            }
        }
        for label in labels {
            let columns: Vec<Vec<f64>> = tasks
                .iter()
                .zip(&scales)
                .filter_map(|(task, (low, span))| {
                    let group = collection.of_task(task).find(|group| group.label == label)?;
                    Some(group.returns(group.ships()).iter().map(|value| (value - low) / span).collect())
                })
                .collect();
            let runs = columns.first().map_or(0, Vec::len);
            if columns.len() < tasks.len() || runs == 0 || columns.iter().any(|column| column.len() != runs) {
                all.left_out.push(label);
                continue;
            }
            let rows: Vec<Vec<f64>> =
                (0..runs).map(|run| columns.iter().map(|column| column[run]).collect()).collect();
            all.algorithms.push((label, Scores::new(&rows)?));
        }
        Ok(all)
    }
}

/// Share of runs above each score; `None` where there is nothing to compare.
pub(super) fn profiles(collection: &Collection, scores: &Normalised<'_>) -> anyhow::Result<Option<Plot>> {
    if scores.algorithms.len() < 2 {
        return Ok(None);
    }
    let colours = collection.colours();
    let thresholds: Vec<f64> = (0..=100).map(|step| f64::from(step) / 100.0).collect();
    let mut curves = Vec::new();
    for (label, scores) in &scores.algorithms {
        let found = profile(scores, &thresholds, &Bootstrap::short(SEED))?;
        let dots = found.thresholds.iter().zip(&found.shares);
        let dots = dots.map(|(&x, at)| Dot { x, y: at.estimate, low: at.low, high: at.high }).collect();
        curves.push(Curve { label: (*label).to_owned(), colour: colours[label], dots, ..Curve::default() });
    }
    Ok(Some(Plot {
        title: "Performance profile: share of runs above a normalised score".into(),
        x_label: "normalised score: 0 random play, 1 the best that is known".into(),
        y_label: "share of runs".into(),
        curves,
        y_range: Some((0.0, 1.0)),
        ..Plot::default()
    }))
}
