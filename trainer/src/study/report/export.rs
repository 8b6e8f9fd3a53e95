//! The numbers of a report for other programs: CSV, SVG, marl-eval.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use super::collection::Collection;
use crate::metrics::curve::{Chart, Reference, Series};
use crate::stats::marl_eval::{Evaluation, RunRecord, to_json};
use crate::whole_file;

/// Every value of every test: task, algorithm, seed, environment steps, metric, value.
#[must_use]
pub fn csv(collection: &Collection) -> String {
    let mut out = String::from("task,algorithm,seed,t_env,metric,value\n");
    for group in &collection.groups {
        let (task, label) = (field(&group.task), field(&group.label));
        for member in &group.members {
            for record in &member.records {
                for (key, value) in &record.values {
                    let _ = writeln!(
                        out,
                        "{task},{label},{},{},{},{value}",
                        member.name.seed,
                        record.t_env,
                        field(key)
                    );
                }
            }
            for row in member.summary.iter().flat_map(|summary| &summary.rows) {
                let (seed, t_env) = (member.name.seed, member.steps());
                let player = field(&format!("final: {}", row.player));
                let _ = writeln!(out, "{task},{label},{seed},{t_env},{player},{}", row.mean_return);
            }
        }
    }
    out
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// One chart per task as a file of its own, `TASK.svg`: means over seeds, bands from the lowest to the highest.
///
/// # Errors
/// If a file cannot be written.
pub fn svg(collection: &Collection, dir: &Path) -> anyhow::Result<()> {
    let mut charts = charts(collection).into_iter();
    charts.try_for_each(|(task, chart)| write(dir, &task, "svg", chart.to_svg().as_bytes()))
}

/// The same as `TASK.png`.
///
/// # Errors
/// If a chart cannot be drawn or a file not be written.
pub fn png(collection: &Collection, dir: &Path) -> anyhow::Result<()> {
    let (tasks, charts): (Vec<_>, Vec<_>) = charts(collection).into_iter().unzip();
    let svgs: Vec<String> = charts.iter().map(Chart::to_svg).collect();
    let pictures = crate::pictures::png(&svgs)?;
    tasks.iter().zip(pictures).try_for_each(|(task, picture)| write(dir, task, "png", &picture))
}

/// Writes one file of a folder, and makes the folder.
fn write(dir: &Path, task: &str, kind: &str, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    let path = dir.join(format!("{task}.{kind}"));
    whole_file::write(&path, bytes).with_context(|| format!("writing {}", path.display()))
}

/// Each task's chart.
fn charts(collection: &Collection) -> Vec<(String, Chart)> {
    let mut charts = Vec::new();
    for task in collection.tasks() {
        let series = collection.of_task(task).map(|group| {
            let runs: Vec<_> = group.members.iter().map(|member| member.records.clone()).collect();
            Series::from_runs(&group.label, &format!("test_{}_return", group.ships()), &runs)
        });
        let chart = Chart {
            title: format!("{}: {task}", collection.title),
            x_label: "environment steps".into(),
            y_label: "greedy return of the network that ships".into(),
            series: series.collect(),
            references: collection
                .random_return(task)
                .map(|value| Reference { label: "random".into(), value })
                .into_iter()
                .collect(),
        };
        charts.push((task.to_owned(), chart));
    }
    charts
}

/// The file that `marl-eval` reads: returns and, where there is winning, shares won, of what ships.
///
/// # Errors
/// If runs have different tests, or names that its reader could not take.
pub fn marl_eval(collection: &Collection) -> anyhow::Result<String> {
    let mut runs = Vec::new();
    for group in &collection.groups {
        for member in group.finished() {
            let keys = [("return", "return"), ("won", "win rate")];
            let known = |record: &crate::metrics::Record| -> BTreeMap<String, Vec<f64>> {
                let value = |(key, name): &(&str, &str)| {
                    let value = record.values.get(&format!("test_{}_{key}", group.ships()))?;
                    Some(((*name).to_owned(), vec![*value]))
                };
                keys.iter().filter_map(value).collect()
            };
            let evaluations = member.records.iter().map(|record| Evaluation {
                step_count: record.t_env / member.config.eval.interval * member.config.eval.interval,
                elapsed_time: None,
                metrics: known(record),
            });
            let mut absolute = BTreeMap::new();
            absolute
                .extend(member.last_return(group.ships()).map(|value| ("return".to_owned(), vec![value])));
            absolute.extend(member.last_won(group.ships()).map(|value| ("win rate".to_owned(), vec![value])));
            runs.push(RunRecord {
                environment: member.summary.as_ref().map_or_else(String::new, |summary| summary.env.clone()),
                task: group.task.clone(),
                algorithm: group.label.replace(',', ""),
                name: format!("seed_{}", member.name.seed),
                evaluations: evaluations.filter(|at| !at.metrics.is_empty()).collect(),
                absolute,
            });
        }
    }
    Ok(to_json(&runs)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_commas_and_quotes_are_quoted() {
        assert_eq!(["a", "b, c", "say \"x\""].map(field), ["a", "\"b, c\"", "\"say \"\"x\"\"\""]);
    }
}
