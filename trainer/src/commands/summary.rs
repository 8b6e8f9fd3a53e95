//! What a finished run shows: `summary.json`, `curve.svg`, a table.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::commands::out::{put, say};
use crate::eval::{self, Score};
use crate::metrics::curve::{Chart, Reference, Series};
use crate::metrics::{self};
use crate::train::{Run, build_envs};

/// The last test of everything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the environment.
    pub env: String,
    /// Scheme and mixer.
    pub algorithm: String,
    /// Environment steps trained.
    pub t_env: u64,
    /// Gradient steps made.
    pub updates: u64,
    /// Of the environment steps, those of a second phase, beyond `t_max`; and their episodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_steps: Option<u64>,
    /// Episodes of a second phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_episodes: Option<u64>,
    /// Seed of the run.
    pub seed: u64,
    /// Best known return, where there is one.
    pub best_return: Option<f32>,
    /// One row per network, the comparison, and random play.
    pub rows: Vec<Row>,
    /// SHA-256 of the resolved config.
    pub config_sha256: String,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Who played.
    pub player: String,
    /// Episodes.
    pub episodes: usize,
    /// Mean return.
    pub mean_return: f64,
    /// Half width of its 95 % interval.
    pub interval: f64,
    /// Mean length.
    pub mean_length: f64,
    /// Share won, where the environment knows winning.
    pub won: Option<f64>,
}

impl Row {
    fn new(player: &str, score: Score) -> Self {
        Self {
            player: player.to_owned(),
            episodes: score.episodes,
            mean_return: score.mean,
            interval: score.interval,
            mean_length: score.length,
            won: score.won,
        }
    }
}

impl Summary {
    /// That of the finished run in `dir`.
    ///
    /// # Errors
    /// If there is none, or it is damaged.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(SUMMARY);
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// Tests every network of every run, and random play, on the same episodes.
    ///
    /// # Errors
    /// If an environment or a network fails.
    pub fn of(runs: &[Run]) -> anyhow::Result<Self> {
        let main = &runs[0];
        let config = main.config();
        let mut envs = build_envs(config, config.rollout.envs)?;
        let which = (config.seed, eval::FINAL, config.eval.final_episodes);
        let mut rows = Vec::new();
        let plain =
            if main.extra().is_some() { "plain agent, t_max steps" } else { "plain agent, same steps" };
        for (index, run) in runs.iter().enumerate() {
            for network in run.scheme().networks() {
                let name = if index == 0 { network } else { plain };
                rows.push(Row::new(name, eval::greedy(run.scheme(), network, &mut envs, which)?));
            }
        }
        rows.push(Row::new("random play", eval::random(&mut envs, which)?));
        Ok(Self {
            env: envs[0].spec().name.clone(),
            algorithm: config.algorithm(),
            t_env: main.counters().t_env,
            updates: main.counters().update,
            extra_steps: main.extra().map(|(_, steps)| steps),
            extra_episodes: main.extra().map(|(episodes, _)| episodes),
            seed: config.seed,
            best_return: envs[0].spec().best_return,
            rows,
            config_sha256: config.sha256()?,
        })
    }
}

/// The last file that a finished run writes.
pub const SUMMARY: &str = "summary.json";

/// Writes `curve.svg` and [`SUMMARY`] into the directory of the first run.
///
/// # Errors
/// If a file cannot be written.
pub fn write(runs: &[Run], summary: &Summary) -> anyhow::Result<()> {
    chart(runs, summary)?.write(&runs[0].dir().join("curve.svg"))?;
    let text = serde_json::to_string_pretty(summary)? + "\n";
    Ok(runs[0].write_file(SUMMARY, text.as_bytes())?)
}

fn chart(runs: &[Run], summary: &Summary) -> anyhow::Result<Chart> {
    let mut series = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let records = metrics::read(&run.dir().join(metrics::METRICS))?;
        for network in run.scheme().networks() {
            let label = if index == 0 { network.to_uppercase() } else { "plain".to_owned() };
            let key = format!("test_{network}_return");
            series.push(Series::from_runs(&label, &key, std::slice::from_ref(&records)));
        }
    }
    let mut references = Vec::new();
    if let Some(best) = summary.best_return {
        references.push(Reference { label: "best possible".into(), value: f64::from(best) });
    }
    if let Some(random) = summary.rows.iter().find(|row| row.player == "random play") {
        references.push(Reference { label: "random".into(), value: random.mean_return });
    }
    Ok(Chart {
        title: format!("{} on {}, seed {}", summary.algorithm, summary.env, summary.seed),
        x_label: "environment steps".into(),
        y_label: "greedy return".into(),
        series,
        references,
    })
}

/// Prints the table, or one JSON object.
///
/// # Errors
/// If it cannot be encoded.
pub fn print(dir: &Path, summary: &Summary, json: bool) -> anyhow::Result<()> {
    if json {
        say!("{}", serde_json::to_string(summary)?)?;
        return Ok(());
    }
    say!("{} on {}, {} steps, {} updates", summary.algorithm, summary.env, summary.t_env, summary.updates)?;
    if let (Some(episodes), Some(steps)) = (summary.extra_episodes, summary.extra_steps) {
        say!("of these, {steps} steps in {episodes} extra episodes for the second phase")?;
    }
    let wins = summary.rows.iter().any(|row| row.won.is_some());
    let heading = if wins { "  episodes    won" } else { "  episodes" };
    say!("{:<26} {:>9} {:>8} {:>8}{heading}", "greedy", "return", "± 95 %", "length")?;
    for row in &summary.rows {
        let Row { player, mean_return, interval, mean_length, episodes, won } = row;
        put(format_args!("{player:<26} {mean_return:>9.2} {interval:>8.2} {mean_length:>8.1}  {episodes}"))?;
        match won {
            Some(won) => say!("{:>w$.1} %", 100.0 * won, w = 13 - episodes.to_string().len())?,
            None => say!()?,
        }
    }
    if let Some(best) = summary.best_return {
        say!("{:<26} {best:>9.2}", "best possible")?;
    }
    say!("written: {0}/summary.json  {0}/curve.svg  {0}/metrics.jsonl", dir.display())?;
    Ok(())
}
