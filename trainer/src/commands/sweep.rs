//! `ddn-train sweep`: all runs of a study.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::commands::out::{put, say};
use crate::error::ConfigError;
use crate::signal::{Signals, Stop};
use crate::study::cells::{Cell, cells};
use crate::study::overview::Overview;
use crate::study::slurm;
use crate::study::spec::StudySpec;
use crate::study::sweep::{self, Jobs, Tally};

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Request {
    /// The study's file.
    pub spec: PathBuf,
    /// Keys of every cell, over those of the file.
    pub set: Vec<String>,
    /// Another size of the study.
    pub scale: Option<String>,
    /// Where the cells go; default `runs/studies/` and the name of the file.
    pub out: Option<PathBuf>,
    /// Cells at a time; default one per core.
    pub jobs: Option<usize>,
    /// Threads of each; default the cores that there are, shared out.
    pub threads: Option<usize>,
    /// Only this cell.
    pub index: Option<usize>,
    /// What to do.
    pub deed: Deed,
}

/// What to do with a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Train.
    Train,
    /// Print the cells.
    List,
    /// Print a script for Slurm.
    Slurm,
}

/// Does it.
///
/// # Errors
/// If the study is wrong or mixed with another, or if any cell failed: then after all others.
pub fn sweep(request: &Request) -> anyhow::Result<Option<Stop>> {
    let spec = StudySpec::load(&request.spec, request.scale.as_deref())?;
    let cells = cells(&spec, &request.set)?;
    let name = request.spec.file_stem().unwrap_or_default();
    let out = request.out.clone().unwrap_or_else(|| Path::new("runs/studies").join(name));
    let jobs = share(request, cells.len());
    match request.deed {
        Deed::List => list(&cells, &out)?,
        Deed::Slurm => emit(request, &spec, &out, cells.len(), &jobs)?,
        Deed::Train => return train(request, &spec, &cells, &out, &jobs),
    }
    Ok(None)
}

/// The cores among the jobs.
fn share(request: &Request, cells: usize) -> Jobs {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = request.jobs.unwrap_or(cores).clamp(1, cells.max(1));
    Jobs { jobs, threads: request.threads.unwrap_or((cores / jobs).max(1)) }
}

fn list(cells: &[Cell], out: &Path) -> anyhow::Result<()> {
    for (index, cell) in cells.iter().enumerate() {
        let dir = out.join(&cell.name.dir);
        let state = match sweep::is_done(cell, &dir) {
            Ok(true) => "done",
            Ok(false) if dir.exists() => "begun",
            Ok(false) => "",
            Err(_) => "other",
        };
        say!("{index:>4}  {state:<5}  {}", dir.display())?;
    }
    Ok(())
}

fn emit(request: &Request, spec: &StudySpec, out: &Path, cells: usize, jobs: &Jobs) -> anyhow::Result<()> {
    apart(spec)?;
    let scale = request.scale.iter().flat_map(|name| ["--scale".to_owned(), name.clone()]);
    let options: Vec<String> =
        scale.chain(request.set.iter().flat_map(|key| ["--set".to_owned(), key.clone()])).collect();
    let script = slurm::script(&slurm::Request {
        spec: &request.spec,
        out,
        options: &options,
        cells,
        jobs: jobs.jobs,
        threads: jobs.threads,
    });
    put(format_args!("{script}"))?;
    Ok(())
}

/// Refuses what cannot be run cell by cell.
fn apart(spec: &StudySpec) -> Result<(), ConfigError> {
    match spec.halving {
        Some(_) => Err(ConfigError::value(
            "halving",
            "compares cells with each other, so that one process must run them all; leave --index and --emit-slurm out",
        )),
        None => Ok(()),
    }
}

fn train(
    request: &Request,
    spec: &StudySpec,
    cells: &[Cell],
    out: &Path,
    jobs: &Jobs,
) -> anyhow::Result<Option<Stop>> {
    let chosen = match request.index {
        None => cells,
        Some(index) => {
            apart(spec)?;
            let reason = || {
                ConfigError::value("--index", format!("is {index}; there are cells 0 to {}", cells.len() - 1))
            };
            std::slice::from_ref(cells.get(index).ok_or_else(reason)?)
        }
    };
    sweep::prepare(spec, cells, out)?;
    let signals = Signals::install().context("installing signal handlers")?;
    let overview = Overview::stderr(chosen, Duration::from_secs(10));
    overview.note(&format!(
        "{}: {} cells in {}, {} at a time with {} threads each",
        spec.title,
        chosen.len(),
        out.display(),
        jobs.jobs.min(chosen.len()),
        jobs.threads
    ));
    let tally = sweep::run(chosen, spec.halving.as_ref(), out, jobs, &signals, &overview)?;
    conclude(request, chosen.len(), out, tally)
}

fn conclude(request: &Request, cells: usize, out: &Path, tally: Tally) -> anyhow::Result<Option<Stop>> {
    let Tally { done, dropped, failed, elsewhere, stopped } = tally;
    if let Some(stop) = stopped {
        say!("stopped with {done} of {cells} cells done, all saved; the same command goes on")?;
        return Ok(Some(stop));
    }
    let mut text = format!("{done} of {cells} cells done");
    if dropped > 0 {
        text += &format!(", {dropped} left behind");
    }
    if !elsewhere.is_empty() {
        text += &format!(", {} trained by another process", elsewhere.len());
    }
    say!("{text}")?;
    if let Some((dir, why)) = failed.first() {
        let more = if failed.len() > 1 { format!(" (and {} more)", failed.len() - 1) } else { String::new() };
        bail!("{}{more} failed: {why}; the same command tries again", out.join(dir).display());
    }
    if request.index.is_none() && elsewhere.is_empty() {
        say!("`ddn-train report {} -o report.html` shows them", out.display())?;
    }
    Ok(None)
}
