//! `ddn-train train` and `ddn-train resume`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::set_threads;
use super::summary::{self, Summary};
use crate::config::ExperimentConfig;
use crate::metrics::progress::Progress;
use crate::ranks::Link;
use crate::signal::{Signals, Stop};
use crate::train::{Outcome, Run};

/// Folder of the `plain` run beside the main one.
pub const BASELINE: &str = "plain";

/// Starts a run, by all ranks of `link` together; `out` defaults to `runs/` and the name of the config.
///
/// # Errors
/// If the config is wrong, the directory is taken, or training fails.
pub fn train(
    config: &Path,
    overrides: &[String],
    out: Option<PathBuf>,
    json: bool,
    link: Arc<dyn Link>,
) -> anyhow::Result<Option<Stop>> {
    let name = config.file_stem().unwrap_or_default();
    let dir = out.unwrap_or_else(|| Path::new("runs").join(name));
    let config = ExperimentConfig::load(config, overrides)?;
    set_threads(&config)?;
    run(Run::create_on(link, config, &dir)?, json)
}

/// Goes on with a run, by all ranks of `link` together.
///
/// # Errors
/// If there is no run, or training fails.
pub fn resume(dir: &Path, json: bool, link: Arc<dyn Link>) -> anyhow::Result<Option<Stop>> {
    let run_here = Run::resume_on(link, dir)?;
    set_threads(run_here.config())?;
    run(run_here, json)
}

fn run(mut main: Run, json: bool) -> anyhow::Result<Option<Stop>> {
    let began = Instant::now();
    let signals = Signals::install().context("installing signal handlers")?;
    let leads = main.team().leads();
    let progress = if leads { Progress::stderr(Duration::from_secs(10)) } else { Progress::hidden() };
    let dir = main.dir();
    progress.note(&format!("run {}  (tensorboard --logdir {})", dir.display(), dir.display()));
    if let Some(stop) = train_one(&mut main, &dir, &signals, &progress)? {
        return Ok(Some(stop));
    }
    let mut runs = vec![main];
    if runs[0].config().compare.plain {
        let side = dir.join(BASELINE);
        progress.note("now the plain agents at the same steps, for comparison");
        let team = runs[0].team();
        let mut plain = if team.told(side.join(crate::train::CONFIG).exists())? {
            Run::resume_on(team.link(), &side)?
        } else {
            Run::create_on(team.link(), runs[0].config().as_plain()?, &side)?
        };
        if let Some(stop) = train_one(&mut plain, &dir, &signals, &progress)? {
            return Ok(Some(stop));
        }
        runs.push(plain);
    }
    if !leads {
        return Ok(None);
    }
    progress.note("final tests");
    let summary = Summary::of(&runs)?;
    tracing::info!(seconds = began.elapsed().as_secs_f64(), "run finished");
    summary::write(&runs, &summary)?;
    summary::print(&dir, &summary, json)?;
    Ok(None)
}

/// Trains one run; `dir` is what a user resumes: a comparison belongs to the run above it.
fn train_one(
    run: &mut Run,
    dir: &Path,
    signals: &Signals,
    progress: &Progress,
) -> anyhow::Result<Option<Stop>> {
    let outcome = run.train(signals, progress);
    progress.finish();
    match outcome? {
        // It was not to pause.
        Outcome::Done | Outcome::Paused => Ok(None),
        Outcome::Stopped(stop) => {
            progress.note(&format!(
                "stopped at t_env {} and saved; `ddn-train resume {}` goes on",
                run.counters().t_env,
                dir.display()
            ));
            Ok(Some(stop))
        }
    }
}
