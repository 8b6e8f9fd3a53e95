//! Another learner, timed in turns with ours on the same shapes and threads.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{BatchFacts, median};
use crate::config::ExperimentConfig;

/// The learner in PyTorch; its head says what it has in common with ours.
const SCRIPT: &str = include_str!("../../../bench/pytorch_learner.py");

/// Which learner, and how to run it.
#[derive(Clone, Debug)]
pub struct Rival {
    /// Which.
    pub kind: RivalKind,
    /// An interpreter that can import `torch` and `numpy`.
    pub python: PathBuf,
    /// How many turns of both.
    pub rounds: usize,
}

/// Learners that can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RivalKind {
    /// PyTorch at its best: `nn.GRU` over whole sequences.
    Pytorch,
    /// PyTorch as PyMARL writes it: a loop of `nn.GRUCell` over time.
    PytorchCell,
}

/// What was measured of the other learner.
#[derive(Debug, Serialize)]
pub struct Against {
    /// Which.
    pub name: &'static str,
    /// Its version.
    pub version: String,
    /// Its threads.
    pub threads: usize,
    /// Seconds of one update, median.
    pub update_s: f64,
    /// Seconds of every update.
    pub updates_s: Vec<f64>,
    /// Its time divided by ours.
    pub ratio: f64,
    #[serde(skip)]
    rival: Rival,
    #[serde(skip)]
    arguments: Vec<String>,
}

/// What the script prints.
#[derive(Deserialize)]
struct Measured {
    torch: String,
    threads: usize,
    updates_s: Vec<f64>,
}

impl Against {
    /// # Errors
    /// If the other learner has no such algorithm.
    pub(super) fn new(rival: Rival, config: &ExperimentConfig, batch: &BatchFacts) -> anyhow::Result<Self> {
        let (scheme, mixer) = (kind(&config.scheme), kind(&config.mixer));
        if !["plain", "ddn"].contains(&scheme) || !["vdn", "qmix"].contains(&mixer) {
            bail!(
                "the PyTorch learner has the schemes plain and ddn with the mixers vdn and qmix, not {scheme}+{mixer}"
            );
        }
        let number = |path: &[&str]| {
            let (last, tables) = path.split_last()?;
            let table = tables.iter().try_fold(&config.scheme, |table, key| table.get(*key)?.as_table())?;
            table.get(*last)?.as_integer()
        };
        let mut arguments = vec!["--scheme".into(), scheme.into(), "--mixer".into(), mixer.into()];
        let mut give = |name: &str, value: i64| arguments.extend([format!("--{name}"), value.to_string()]);
        for (name, value) in [
            ("threads", rayon::current_num_threads()),
            ("batch", batch.episodes),
            ("steps", batch.steps),
            ("agents", batch.agents),
            ("obs", batch.input - batch.actions - batch.agents),
            ("state", batch.state),
            ("actions", batch.actions),
        ] {
            give(name, value as i64);
        }
        for (name, path) in [
            ("hidden", ["hidden"].as_slice()),
            ("hidden", &["ggn", "hidden"]),
            ("width", &["width"]),
            ("hyper", &["ggn", "hyper"]),
            ("lpn-hyper", &["lpn", "hyper"]),
        ] {
            if let Some(value) = number(path) {
                give(name, value);
            }
        }
        for (name, key) in [("embed", "embed"), ("mixer-hyper", "hyper")] {
            if let Some(value) = config.mixer.get(key).and_then(toml::Value::as_integer) {
                give(name, value);
            }
        }
        let name = match rival.kind {
            RivalKind::Pytorch => "PyTorch",
            RivalKind::PytorchCell => {
                arguments.push("--cell".into());
                "PyTorch, cell by cell,"
            }
        };
        Ok(Self {
            name,
            version: String::new(),
            threads: 0,
            update_s: f64::NAN,
            updates_s: Vec::new(),
            ratio: f64::NAN,
            rival,
            arguments,
        })
    }

    pub(super) fn rounds(&self) -> usize {
        self.rival.rounds
    }

    /// One turn of `updates` updates.
    ///
    /// # Errors
    /// If the interpreter or the script fails; with what it said.
    pub(super) fn round(&mut self, updates: usize) -> anyhow::Result<()> {
        let python = self.rival.python.display().to_string();
        let output = Command::new(&self.rival.python)
            .args(["-c", SCRIPT, "--json", "--updates", &updates.to_string()])
            .args(&self.arguments)
            .output()
            .with_context(|| format!("running {python}; name an interpreter with --python"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            bail!(
                "the PyTorch learner failed: {last}; --python must name an interpreter with torch and numpy, \
                 in a checkout that of `bash tests/python.sh bench`"
            );
        }
        let measured: Measured =
            serde_json::from_slice(&output.stdout).context("reading what the PyTorch learner printed")?;
        self.updates_s.extend(measured.updates_s);
        (self.version, self.threads) = (measured.torch, measured.threads);
        Ok(())
    }

    pub(super) fn compared_with(mut self, ours: f64) -> Self {
        self.update_s = median(&self.updates_s);
        self.ratio = self.update_s / ours;
        self
    }
}

fn kind(table: &toml::Table) -> &str {
    table.get("kind").and_then(toml::Value::as_str).unwrap_or_default()
}
