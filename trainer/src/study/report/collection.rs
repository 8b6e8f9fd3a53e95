//! What a report is about: runs, read and sorted into groups.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::commands::summary::{SUMMARY, Summary};
use crate::config::ExperimentConfig;
use crate::learner::scheme;
use crate::metrics::{self, Record};
use crate::stats::curve::Trace;
use crate::study::cells::CellName;
use crate::study::spec::Published;
use crate::study::sweep::{INDEX, StudyIndex};
use crate::train::CONFIG;

/// One run.
#[derive(Clone, Debug)]
pub struct Member {
    /// What it is in its study.
    pub name: CellName,
    /// Its directory.
    pub dir: PathBuf,
    /// Its experiment.
    pub config: ExperimentConfig,
    /// Its tests, as they came.
    pub records: Vec<Record>,
    /// The last test; `None` where it is not finished.
    pub summary: Option<Summary>,
    /// Seconds of training, all sessions together.
    pub seconds: f64,
}

/// Runs that differ in nothing but their seed.
#[derive(Clone, Debug)]
pub struct Group {
    /// What is learned.
    pub task: String,
    /// What learns, with its setting where the study has several.
    pub label: String,
    /// The name in the study.
    pub algorithm: String,
    /// Networks that act; the one that ships last.
    pub networks: &'static [&'static str],
    /// By seed.
    pub members: Vec<Member>,
}

/// All that a report is about.
#[derive(Clone, Debug, Default)]
pub struct Collection {
    /// Heading.
    pub title: String,
    /// What was asked.
    pub about: String,
    /// In the order in which they were found.
    pub groups: Vec<Group>,
    /// Values from elsewhere.
    pub published: Vec<Published>,
    /// Directories of a study in which nothing was trained yet.
    pub missing: Vec<PathBuf>,
    /// Cells of a study that cannot be read, and why.
    pub broken: Vec<String>,
}

impl Member {
    fn read(dir: &Path, name: CellName) -> anyhow::Result<Self> {
        let config = ExperimentConfig::load(&dir.join(CONFIG), &[])?;
        let records = metrics::read(&dir.join(metrics::METRICS))?;
        let timing = metrics::read(&dir.join(metrics::TIMING)).unwrap_or_default();
        let summary = if dir.join(SUMMARY).exists() { Some(Summary::read(dir)?) } else { None };
        if let Some(row) = summary.iter().flat_map(|it| &it.rows).find(|row| row.mean_return.abs() > 1e100) {
            bail!(
                "{}: {} returned {:e}, with which nothing can be computed",
                dir.display(),
                row.player,
                row.mean_return
            );
        }
        Ok(Self { name, dir: dir.to_owned(), config, records, summary, seconds: seconds(&timing) })
    }

    /// Environment steps so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.records.last().map_or(0, |record| record.t_env)
    }

    /// The finite values of one metric, each at the multiple of `eval.interval` that it was due at.
    #[must_use]
    pub fn trace(&self, key: &str) -> Trace {
        let known = |record: &Record| {
            let value = record.values.get(key).copied().filter(|value| value.is_finite());
            value.map(|value| (record.t_env, value))
        };
        let (points, values) = self.records.iter().filter_map(known).unzip();
        Trace { points, values }.snapped(self.config.eval.interval)
    }

    /// Mean return of `network` in the last test.
    #[must_use]
    pub fn last_return(&self, network: &str) -> Option<f64> {
        self.row(network).map(|row| row.mean_return)
    }

    /// Share won by `network` in the last test.
    #[must_use]
    pub fn last_won(&self, network: &str) -> Option<f64> {
        self.row(network)?.won
    }

    fn row(&self, player: &str) -> Option<&crate::commands::summary::Row> {
        self.summary.as_ref()?.rows.iter().find(|row| row.player == player)
    }

    /// Mean return of random play in the last test.
    #[must_use]
    pub fn random_return(&self) -> Option<f64> {
        self.row("random play").map(|row| row.mean_return)
    }
}

/// Seconds of all sessions: the clock of `timing.jsonl` begins anew with each.
fn seconds(timing: &[Record]) -> f64 {
    let (mut total, mut before) = (0.0, 0.0);
    for now in timing.iter().filter_map(|record| record.values.get("seconds").copied()) {
        total += if now >= before { now - before } else { now };
        before = now;
    }
    total
}

impl Group {
    /// The network that ships.
    #[must_use]
    pub fn ships(&self) -> &'static str {
        self.networks.last().copied().unwrap_or_default()
    }

    /// Finished runs.
    pub fn finished(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.summary.is_some())
    }

    /// Last returns of `network`, of the finished runs.
    #[must_use]
    pub fn returns(&self, network: &str) -> Vec<f64> {
        self.finished().filter_map(|member| member.last_return(network)).collect()
    }
}

impl Collection {
    /// Reads studies (folders with a `study.json`) and runs.
    ///
    /// # Errors
    /// If a folder is neither, a file cannot be read, two runs of a group have the same seed, or
    /// runs of one group are of different experiments.
    pub fn read(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut collection = Self::default();
        let mut members = Vec::new();
        for path in paths {
            if path.join(INDEX).exists() {
                collection.add_study(path, &mut members)?;
            } else if path.join(CONFIG).exists() {
                members.push(alone(path)?);
            } else {
                bail!("{} is neither a run (config.toml) nor a study ({INDEX})", path.display());
            }
        }
        if members.is_empty() {
            let broken = collection.broken.first().map_or_else(String::new, |why| format!("; {why}"));
            bail!("nothing that can be read was trained yet in {}{broken}", listed(paths));
        }
        if collection.title.is_empty() {
            collection.title = listed(paths);
        }
        let mut seen = BTreeSet::new();
        for member in members {
            let dir = std::fs::canonicalize(&member.dir).unwrap_or_else(|_| member.dir.clone());
            if !seen.insert(dir) {
                bail!(
                    "{} is given twice: it counts once; name it, or the study that it is in",
                    member.dir.display()
                );
            }
            collection.place(member)?;
        }
        collection.groups.iter_mut().for_each(|group| group.members.sort_by_key(|member| member.name.seed));
        Ok(collection)
    }

    fn add_study(&mut self, path: &Path, members: &mut Vec<Member>) -> anyhow::Result<()> {
        let index = StudyIndex::read(path)?;
        for name in index.cells {
            let dir = path.join(&name.dir);
            if dir.join(CONFIG).exists() {
                match Member::read(&dir, name) {
                    Ok(member) => members.push(member),
                    // One cell is no reason to show none.
                    Err(error) => self.broken.push(format!("{}: {error:#}", dir.display())),
                }
            } else {
                self.missing.push(dir);
            }
        }
        if !self.title.is_empty() {
            self.title += ", ";
        }
        self.title += &index.title;
        self.about += &index.about;
        self.published.extend(index.published);
        Ok(())
    }

    fn place(&mut self, member: Member) -> anyhow::Result<()> {
        let name = &member.name;
        let label = match name.setting.as_str() {
            "" => name.algorithm.clone(),
            setting => format!("{} ({setting})", name.algorithm),
        };
        let found = self.groups.iter_mut().find(|group| group.task == name.task && group.label == label);
        let Some(group) = found else {
            let networks = scheme::networks(&member.config.scheme)?;
            let (task, algorithm) = (name.task.clone(), name.algorithm.clone());
            self.groups.push(Group { task, label, algorithm, networks, members: vec![member] });
            return Ok(());
        };
        for other in &group.members {
            if other.name.seed == name.seed {
                bail!(
                    "{} and {} have the same seed {}: they are one run, and count once",
                    other.dir.display(),
                    member.dir.display(),
                    name.seed
                );
            }
            let same_seed = ExperimentConfig { seed: other.config.seed, ..member.config.clone() };
            let keys = same_seed.differs_from(&other.config);
            if !keys.is_empty() {
                bail!(
                    "{} and {} are both {label} on {}, but {} differ; results of two experiments are not mixed",
                    other.dir.display(),
                    member.dir.display(),
                    group.task,
                    keys.join(", ")
                );
            }
        }
        group.members.push(member);
        Ok(())
    }

    /// Names of the tasks, in order.
    #[must_use]
    pub fn tasks(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        let names = self.groups.iter().map(|group| group.task.as_str());
        names.filter(|name| seen.insert(*name)).collect()
    }

    /// The groups of a task.
    pub fn of_task<'c>(&'c self, task: &'c str) -> impl Iterator<Item = &'c Group> {
        self.groups.iter().filter(move |group| group.task == task)
    }

    /// Mean return of random play on a task, over its finished runs.
    #[must_use]
    pub fn random_return(&self, task: &str) -> Option<f64> {
        mean(self.of_task(task).flat_map(|group| &group.members).filter_map(Member::random_return))
    }

    /// Best possible return on a task, where its environment says.
    #[must_use]
    pub fn best_return(&self, task: &str) -> Option<f64> {
        let summaries =
            self.of_task(task).flat_map(Group::finished).filter_map(|member| member.summary.as_ref());
        summaries.filter_map(|summary| summary.best_return).map(f64::from).next()
    }

    /// Labels of the algorithms, in order, with a number for the colour of each.
    #[must_use]
    pub fn colours(&self) -> BTreeMap<&str, usize> {
        let mut colours = BTreeMap::new();
        for group in &self.groups {
            let next = colours.len();
            colours.entry(group.label.as_str()).or_insert(next);
        }
        colours
    }
}

/// `None` where there is nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// A run that belongs to no study; named after what it is.
fn alone(dir: &Path) -> anyhow::Result<Member> {
    let config = ExperimentConfig::load(&dir.join(CONFIG), &[])?;
    let kind =
        |table: &toml::Table| table.get("kind").and_then(toml::Value::as_str).unwrap_or("?").to_owned();
    let task = ["map", "env"].iter().find_map(|key| config.env.get(*key)?.as_str()).map(str::to_owned);
    let name = CellName {
        dir: dir.to_owned(),
        task: task.unwrap_or_else(|| kind(&config.env)),
        algorithm: config.algorithm(),
        setting: String::new(),
        setting_index: 0,
        seed: config.seed,
    };
    Member::read(dir, name)
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seconds_of_all_sessions_count() {
        let record = |seconds: f64| Record {
            values: BTreeMap::from([("seconds".to_owned(), seconds)]),
            ..Record::default()
        };
        // Two sessions: up to 7, then, from 0 again, up to 4.
        let timing = [2.0, 7.0, 1.5, 4.0].map(record);
        assert!((seconds(&timing) - 11.0).abs() < 1e-12);
    }
}
