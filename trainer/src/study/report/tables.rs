//! The tables of a report.

use super::collection::{Collection, Group, Member, mean};
use super::differences::differences;
use super::figures::{Normalised, SEED};
use super::html::{Table, escaped, number};
use crate::stats::aggregate::Aggregate;
use crate::stats::bootstrap::{Bootstrap, intervals};
use crate::stats::improvement::improvement;
use crate::stats::scores::Scores;

/// `estimate [low, high]`.
fn with_interval(values: &[f64], aggregate: Aggregate, scale: f64) -> anyhow::Result<String> {
    let scores = Scores::one_task(values)?;
    let found = intervals(&scores, &[aggregate], &Bootstrap { repetitions: 10_000, ..Bootstrap::new(SEED) })?;
    let at = found[0];
    if values.len() == 1 {
        return Ok(number(scale * at.estimate));
    }
    Ok(format!("{} [{}, {}]", number(scale * at.estimate), number(scale * at.low), number(scale * at.high)))
}

/// Last tests of everything.
pub(super) fn results(collection: &Collection) -> anyhow::Result<Table> {
    let mut table = Table::new(&[
        ("Task", false),
        ("Algorithm", false),
        ("Network", false),
        ("Seeds", true),
        ("Mean return", true),
        ("IQM of returns", true),
        ("Won, %", true),
        ("Published", false),
    ]);
    for group in &collection.groups {
        for network in group.networks {
            let returns = group.returns(network);
            let won: Vec<f64> = group.finished().filter_map(|member| member.last_won(network)).collect();
            let mut cells = vec![
                escaped(&group.task),
                escaped(&group.label),
                network.to_uppercase(),
                seeds(group, returns.len()),
            ];
            if returns.is_empty() {
                cells.extend(["not finished".to_owned(), String::new(), String::new()]);
            } else {
                cells.push(with_interval(&returns, Aggregate::Mean, 1.0)?);
                cells.push(with_interval(&returns, Aggregate::Iqm, 1.0)?);
                cells.push(if won.is_empty() {
                    String::new()
                } else {
                    with_interval(&won, Aggregate::Mean, 100.0)?
                });
            }
            cells.push(if *network == group.ships() { published(collection, group) } else { String::new() });
            table.row(cells);
        }
    }
    Ok(table)
}

fn seeds(group: &Group, finished: usize) -> String {
    let all = group.members.len();
    if finished == all { all.to_string() } else { format!("{finished} of {all}") }
}

fn published(collection: &Collection, group: &Group) -> String {
    let of_group =
        collection.published.iter().filter(|it| it.task == group.task && it.algorithm == group.algorithm);
    let texts = of_group.map(|it| {
        format!(
            "<span title=\"{}\">{}: {}</span>",
            escaped(&it.source),
            escaped(&it.what),
            escaped(&it.value)
        )
    });
    texts.collect::<Vec<_>>().join("<br>")
}

/// How much of the teacher arrives: the last return of what ships over that of its teacher, seed by seed.
pub(super) fn transfer(collection: &Collection) -> anyhow::Result<Table> {
    let mut table = Table::new(&[
        ("Task", false),
        ("Algorithm", false),
        ("Teacher", true),
        ("Student", true),
        ("Difference", true),
        ("Share of the teacher's gain over random play", true),
    ]);
    for group in collection.groups.iter().filter(|group| group.networks.len() > 1) {
        let (teacher, student) = (group.returns(group.networks[0]), group.returns(group.ships()));
        if teacher.is_empty() {
            continue;
        }
        let gaps: Vec<f64> =
            student.iter().zip(&teacher).map(|(student, teacher)| student - teacher).collect();
        // A ratio of gains: returns may be negative.
        let random = mean(group.finished().filter_map(Member::random_return)).unwrap_or_default();
        let gain_of = |returns: &[f64]| mean(returns.iter().copied()).unwrap_or_default() - random;
        let gain = gain_of(&teacher);
        let share = gain_of(&student) / gain;
        table.row(vec![
            escaped(&group.task),
            escaped(&group.label),
            with_interval(&teacher, Aggregate::Mean, 1.0)?,
            with_interval(&student, Aggregate::Mean, 1.0)?,
            with_interval(&gaps, Aggregate::Mean, 1.0)?,
            if gain > 0.0 { format!("{:.1} %", 100.0 * share) } else { "the teacher is no better".into() },
        ]);
    }
    Ok(table)
}

/// How likely each algorithm is better than each other.
pub(super) fn improvements(scores: &Normalised<'_>) -> anyhow::Result<Option<Table>> {
    let algorithms = &scores.algorithms;
    if !(2..=8).contains(&algorithms.len()) {
        return Ok(None);
    }
    let mut columns = vec![("P(row better than column)", false)];
    columns.extend(algorithms.iter().map(|(label, _)| (*label, true)));
    let mut table = Table::new(&columns);
    for (label, x) in algorithms {
        let mut cells = vec![escaped(label)];
        for (other, y) in algorithms {
            cells.push(if label == other {
                String::new()
            } else {
                let at = improvement(x, y, &Bootstrap::short(SEED))?;
                format!("{:.2} [{:.2}, {:.2}]", at.estimate, at.low, at.high)
            });
        }
        table.row(cells);
    }
    Ok(Some(table))
}

/// Keys in which the groups differ.
pub(super) fn configs(collection: &Collection) -> Table {
    let keys = differences(collection);
    let mut columns = vec![("Key", false)];
    let names: Vec<String> =
        collection.groups.iter().map(|group| format!("{}, {}", group.label, group.task)).collect();
    columns.extend(names.iter().map(|name| (name.as_str(), false)));
    let mut table = Table::new(&columns);
    for (key, values) in keys {
        let mut cells = vec![format!("<code>{}</code>", escaped(&key))];
        cells.extend(values.iter().map(|value| value.as_deref().map_or_else(String::new, escaped)));
        table.row(cells);
    }
    table
}

/// Every run: where it is, how far, how fast.
pub(super) fn runs(collection: &Collection) -> anyhow::Result<Table> {
    let mut table = Table::new(&[
        ("Task", false),
        ("Algorithm", false),
        ("Seed", true),
        ("Steps", true),
        ("Wall time, s", true),
        ("Steps/s", true),
        ("Last return", true),
        ("SHA-256 of the config", false),
        ("Directory", false),
    ]);
    for group in &collection.groups {
        for member in &group.members {
            let steps = member.steps();
            let rate =
                if member.seconds > 0.0 { number(steps as f64 / member.seconds) } else { String::new() };
            let last = member.last_return(group.ships()).map_or_else(|| "not finished".into(), number);
            let hash = member.config.sha256()?;
            table.row(vec![
                escaped(&group.task),
                escaped(&group.label),
                member.name.seed.to_string(),
                steps.to_string(),
                format!("{:.0}", member.seconds),
                rate,
                last,
                format!("<code title=\"{hash}\">{}</code>", &hash[..12]),
                format!("<code>{}</code>", escaped(&member.dir.display().to_string())),
            ]);
        }
    }
    Ok(table)
}
