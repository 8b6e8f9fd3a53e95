//! Runs the cells of a study, several at a time, in one process.

use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::cells::{Cell, CellName};
use super::halving::Halving;
use super::overview::{Overview, State};
use super::spec::{Published, StudySpec};
use crate::checkpoint::store;
use crate::commands::summary::{self, Summary};
use crate::config::ExperimentConfig;
use crate::error::{CheckpointError, ConfigError, TrainError};
use crate::learner::scheme;
use crate::metrics;
use crate::metrics::progress::Progress;
use crate::signal::{Signals, Stop};
use crate::train::{CONFIG, Outcome, Run};
use crate::whole_file;

/// What is in the directory of a study: a [`StudyIndex`].
pub const INDEX: &str = "study.json";

/// The study as its directory knows it, for reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StudyIndex {
    /// Heading.
    pub title: String,
    /// What is asked.
    pub about: String,
    /// Every cell, in order.
    pub cells: Vec<CellName>,
    /// Values from elsewhere.
    pub published: Vec<Published>,
}

impl StudyIndex {
    /// What the study in `dir` is.
    ///
    /// # Errors
    /// If there is none, or its file is damaged.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(INDEX);
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| {
            format!("reading {}; `ddn-train sweep` with the same --out writes it again", path.display())
        })
    }

    /// Nothing that was trained here is lost to a report: cells of `before` that are not in this study, and begun.
    fn keep_trained(&mut self, before: Self, dir: &Path) {
        let is_new = |cell: &CellName| self.cells.iter().all(|known| known.dir != cell.dir);
        let kept: Vec<_> = before.cells.into_iter().filter(is_new).collect();
        let kept = kept.into_iter().filter(|cell| dir.join(&cell.dir).join(CONFIG).exists());
        self.cells.extend(kept);
        let published: Vec<_> =
            before.published.into_iter().filter(|it| !self.published.contains(it)).collect();
        self.published.extend(published);
    }
}

/// How it is run.
#[derive(Clone, Debug)]
pub struct Jobs {
    /// Cells at a time.
    pub jobs: usize,
    /// Threads of each.
    pub threads: usize,
}

/// What came of a study.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Cells that are finished, those of earlier calls too.
    pub done: usize,
    /// Cells that halving left behind.
    pub dropped: usize,
    /// Directories of cells that failed, and why.
    pub failed: Vec<(PathBuf, String)>,
    /// Directories of cells that another process trains.
    pub elsewhere: Vec<PathBuf>,
    /// A signal ended it.
    pub stopped: Option<Stop>,
}

/// Writes what the study is into `dir`, and refuses it where a cell there is another experiment.
///
/// # Errors
/// Names the cell and what differs; or the file that cannot be read or written.
pub fn prepare(spec: &StudySpec, cells: &[Cell], dir: &Path) -> anyhow::Result<()> {
    if dir.join(CONFIG).exists() {
        let reason = "holds a run, which a study is not; take another --out";
        return Err(ConfigError::value(&dir.display().to_string(), reason).into());
    }
    for cell in cells {
        belongs(cell, &dir.join(&cell.name.dir))?;
    }
    std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    let mut index = StudyIndex {
        title: spec.title.clone(),
        about: spec.about.clone(),
        cells: cells.iter().map(|cell| cell.name.clone()).collect(),
        published: spec.published.clone(),
    };
    index.keep_trained(StudyIndex::read(dir).unwrap_or_default(), dir);
    let (path, text) = (dir.join(INDEX), serde_json::to_string_pretty(&index)? + "\n");
    whole_file::write(&path, text.as_bytes()).with_context(|| format!("writing {}", path.display()))
}

/// Refuses a run in the place of `cell` that is another experiment.
fn belongs(cell: &Cell, dir: &Path) -> anyhow::Result<()> {
    let path = dir.join(CONFIG);
    if !path.exists() {
        return Ok(());
    }
    let saved = ExperimentConfig::load(&path, &[])?;
    let keys = cell.config.differs_from(&saved);
    if keys.is_empty() {
        return Ok(());
    }
    let reason = format!(
        "is of another experiment ({} differ): results of two configs would be mixed; take another --out, or move it away",
        keys.join(", ")
    );
    Err(ConfigError::value(&dir.display().to_string(), reason).into())
}

/// Trains what is not done yet, until all is or a signal comes.
///
/// # Errors
/// If threads cannot be started. What a cell fails with is in the [`Tally`].
pub fn run(
    cells: &[Cell],
    halving: Option<&Halving>,
    dir: &Path,
    jobs: &Jobs,
    signals: &Signals,
    overview: &Overview,
) -> anyhow::Result<Tally> {
    let rungs = halving.map_or(&[][..], |halving| &halving.rungs);
    let mut alive: Vec<usize> = (0..cells.len()).collect();
    for &rung in rungs {
        overview.round(&alive, rung);
        round(cells, &alive, rung, dir, jobs, signals, overview)?;
        let elsewhere = alive.iter().any(|&index| overview.state(index) == State::Elsewhere);
        if signals.stop().is_some() || elsewhere {
            return Ok(tally(cells, overview, signals));
        }
        let Some(halving) = halving else { continue };
        let going_on = promoted(cells, &alive, halving, rung, dir)?;
        alive.iter().filter(|&index| !going_on.contains(index)).for_each(|&index| {
            if !matches!(overview.state(index), State::Failed(_)) {
                overview.set(index, State::Dropped { rung });
            }
        });
        alive = going_on;
    }
    overview.round(&alive, u64::MAX);
    round(cells, &alive, u64::MAX, dir, jobs, signals, overview)?;
    Ok(tally(cells, overview, signals))
}

fn tally(cells: &[Cell], overview: &Overview, signals: &Signals) -> Tally {
    let mut tally = Tally { stopped: signals.stop(), ..Tally::default() };
    for (index, cell) in cells.iter().enumerate() {
        match overview.state(index) {
            State::Done => tally.done += 1,
            State::Dropped { .. } => tally.dropped += 1,
            State::Failed(why) => tally.failed.push((cell.name.dir.clone(), why)),
            State::Elsewhere => tally.elsewhere.push(cell.name.dir.clone()),
            State::Waiting | State::Running | State::Paused => {}
        }
    }
    tally
}

/// The cells of `alive` to `until` steps, `jobs` at a time in the order of the study.
fn round(
    cells: &[Cell],
    alive: &[usize],
    until: u64,
    dir: &Path,
    jobs: &Jobs,
    signals: &Signals,
    overview: &Overview,
) -> anyhow::Result<()> {
    let queue = Mutex::new(alive.iter().copied().collect::<VecDeque<_>>());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let pools = (0..jobs.jobs.min(alive.len()).max(1))
        .map(|_| rayon::ThreadPoolBuilder::new().num_threads(jobs.threads).build())
        .collect::<Result<Vec<_>, _>>()
        .context("starting the threads of the kernels")?;
    std::thread::scope(|scope| {
        for pool in &pools {
            scope.spawn(|| {
                while signals.stop().is_none()
                    && let Some(index) = next()
                {
                    overview.set(index, State::Running);
                    let progress = overview.progress(index);
                    let work = || pool.install(|| train(&cells[index], until, dir, signals, &progress));
                    // A defect in one cell is no reason to lose the others.
                    let state = std::panic::catch_unwind(AssertUnwindSafe(work))
                        .unwrap_or_else(|_| State::Failed("it panicked, as said above".into()));
                    overview.set(index, state);
                }
            });
        }
        overview.watch(|| pools_are_busy(alive, overview, signals));
    });
    Ok(())
}

/// Whether a job has, or will have, something to do.
fn pools_are_busy(alive: &[usize], overview: &Overview, signals: &Signals) -> bool {
    let stopping = signals.stop().is_some();
    alive.iter().any(|&index| match overview.state(index) {
        State::Running => true,
        State::Waiting | State::Paused => !stopping && overview.is_due(index),
        _ => false,
    })
}

fn train(cell: &Cell, until: u64, dir: &Path, signals: &Signals, progress: &Progress) -> State {
    match train_or_fail(cell, until, &dir.join(&cell.name.dir), signals, progress) {
        Ok(state) => state,
        Err(error) if is_locked(&error) => State::Elsewhere,
        Err(error) => State::Failed(format!("{error:#}")),
    }
}

/// Whether `cell` is trained and tested in `dir`.
///
/// # Errors
/// If what is there is another experiment, or no run.
pub fn is_done(cell: &Cell, dir: &Path) -> anyhow::Result<bool> {
    belongs(cell, dir)?;
    let remedy = "remove it, and the same command trains that cell anew";
    if dir.exists() && !dir.is_dir() {
        bail!("{} is in the place of a run; {remedy}", dir.display());
    }
    if !dir.join(CONFIG).exists() && store::newest(dir).is_ok_and(|found| found.is_some()) {
        bail!("{} has checkpoints and no {CONFIG}; {remedy}", dir.display());
    }
    // One that cannot be read is written again from the run.
    Ok(Summary::read(dir).is_ok() && dir.join(metrics::METRICS).exists())
}

fn is_locked(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(CheckpointError::Locked { .. }))
            || matches!(cause.downcast_ref(), Some(TrainError::Checkpoint(CheckpointError::Locked { .. })))
    })
}

fn train_or_fail(
    cell: &Cell,
    until: u64,
    dir: &Path,
    signals: &Signals,
    progress: &Progress,
) -> anyhow::Result<State> {
    if is_done(cell, dir)? {
        return Ok(State::Done);
    }
    let mut run =
        if dir.join(CONFIG).exists() { Run::resume(dir)? } else { Run::create(cell.config.clone(), dir)? };
    match run.train_until(until, signals, progress)? {
        Outcome::Stopped(_) | Outcome::Paused => return Ok(State::Paused),
        Outcome::Done => {}
    }
    let runs = [run];
    let summary = Summary::of(&runs)?;
    summary::write(&runs, &summary)?;
    Ok(State::Done)
}

/// The cells that go beyond `rung`: of each task and algorithm, those of the best settings.
fn promoted(
    cells: &[Cell],
    alive: &[usize],
    halving: &Halving,
    rung: u64,
    dir: &Path,
) -> anyhow::Result<Vec<usize>> {
    let mut groups: BTreeMap<(&str, &str), BTreeMap<usize, Vec<f64>>> = BTreeMap::new();
    let (mut known, mut seen) = (false, Vec::new());
    for &index in alive {
        let name = &cells[index].name;
        let records = metrics::read(&dir.join(&name.dir).join(metrics::METRICS)).unwrap_or_default();
        let ships = scheme::ships(&cells[index].config.scheme)?;
        let score = halving.score(&records, ships, rung);
        known |= score.is_some();
        seen.extend(records.into_iter().filter(|record| record.t_env >= rung));
        // A cell that failed, or never measures this, counts as the worst.
        let settings = groups.entry((&name.task, &name.algorithm)).or_default();
        settings.entry(name.setting_index).or_default().push(score.unwrap_or(f64::NAN));
    }
    // Where none came so far, all have failed, and say why.
    if !known && !seen.is_empty() {
        halving.unknown(seen.iter())?;
    }
    let mut kept = Vec::new();
    for (group, settings) in groups {
        let mean = |scores: Vec<f64>| scores.iter().sum::<f64>() / scores.len() as f64;
        let means = settings.into_iter().map(|(setting, scores)| (setting, mean(scores))).collect();
        let survivors = halving.survivors(&means);
        kept.extend(alive.iter().copied().filter(|&index| {
            let name = &cells[index].name;
            (name.task.as_str(), name.algorithm.as_str()) == group && survivors.contains(&name.setting_index)
        }));
    }
    kept.sort_unstable();
    Ok(kept)
}
