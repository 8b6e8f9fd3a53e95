//! `ddn-train bench`: how fast an experiment runs here.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;

use super::{peak_rss_bytes, set_threads};
use crate::config::ExperimentConfig;
use crate::nn::Sparse;
use crate::phases::{Phases, Time, timed};
use crate::replay::{Batch, ReplayBuffer};
use crate::rollout::{Plan, Player, play};
use crate::seed::stream;
use crate::train::{build_envs, build_scheme};

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Bench {
    /// Scheme and mixer.
    pub algorithm: String,
    /// Seconds of one update on full batches, median.
    pub update_s: f64,
    /// Seconds of every update.
    pub updates_s: Vec<f64>,
    /// Wall time of the steps of an update, mean, by path. Made one after the other they take longer
    /// than an update, in which some run side by side.
    pub phases: Vec<Time>,
    /// Environment steps per second while collecting with the acting network.
    pub env_steps_per_s: f64,
    /// Peak resident memory of this process.
    pub peak_rss_bytes: Option<u64>,
    /// Bytes of one stored episode, mean.
    pub episode_bytes: usize,
    /// Threads of the kernels.
    pub threads: usize,
    /// Parameters by set.
    pub parameters: Vec<(String, usize)>,
    /// What the updates were made on.
    pub batch: BatchFacts,
}

/// Sizes of a batch and how much of it is not zero, for comparison with other learners.
#[derive(Debug, Serialize)]
pub struct BatchFacts {
    /// B
    pub episodes: usize,
    /// T
    pub steps: usize,
    /// N
    pub agents: usize,
    /// A
    pub actions: usize,
    /// I, width of an agent's input.
    pub input: usize,
    /// S
    pub state: usize,
    /// Entries of an agent's input that are not zero, mean.
    pub input_entries: f64,
    /// Entries of a state that are not zero, mean.
    pub state_entries: f64,
    /// Share of actions that are available.
    pub available: f64,
    /// Share of agents that can do one thing only.
    pub idle: f64,
    /// Share of steps that exist.
    pub filled: f64,
}

impl BatchFacts {
    fn of(batch: &Batch) -> Self {
        let mean = |rows: &Sparse| rows.entries() as f64 / rows.rows() as f64;
        let choices = |row: &[bool]| row.iter().filter(|&&yes| yes).count();
        let idle = batch.available.chunks_exact(batch.actions_each).filter(|&row| choices(row) == 1).count();
        Self {
            episodes: batch.episodes,
            steps: batch.steps,
            agents: batch.agents,
            actions: batch.actions_each,
            input: batch.inputs.width(),
            state: batch.state.width(),
            input_entries: mean(&batch.inputs),
            state_entries: mean(&batch.state),
            available: choices(&batch.available) as f64 / batch.available.len() as f64,
            idle: idle as f64 / batch.inputs.rows() as f64,
            filled: batch.filled() / batch.mask.len() as f64,
        }
    }
}

/// Times `updates` updates on episodes of random play, and one collection.
///
/// # Errors
/// If the config is wrong or the environment fails.
#[allow(clippy::print_stdout)]
pub fn bench(config: &Path, overrides: &[String], updates: usize, json: bool) -> anyhow::Result<()> {
    let config = ExperimentConfig::load(config, overrides)?;
    set_threads(&config)?;
    let mut scheme = build_scheme(&config)?;
    let mut envs = build_envs(&config, config.rollout.envs)?;
    let spec = envs[0].spec().clone();
    let mut replay = ReplayBuffer::new(config.replay.capacity);
    let count = config.replay.batch.max(config.rollout.envs);
    let plan = Plan { seed: config.seed, purpose: "bench", first: 0, count, epsilon: 1.0, record: false };
    let network = scheme.networks()[0];
    let began = Instant::now();
    for played in play(Player::Network(&*scheme, network), &mut envs, &plan)? {
        replay.push(played.episode);
    }
    let steps: usize = replay.iter().map(crate::replay::Episode::len).sum();
    let env_steps_per_s = steps as f64 / began.elapsed().as_secs_f64();
    let mut one_update = |update: usize| -> anyhow::Result<BatchFacts> {
        let mut rng = stream(config.seed, &format!("bench/replay/{update}"));
        let episodes = replay.sample(config.replay.batch, &mut rng);
        let episodes = episodes.context("the replay holds less than a batch")?;
        let mut rng = stream(config.seed, &format!("bench/update/{update}"));
        let batch = {
            timed!("batch");
            Batch::new(&spec, &episodes)
        };
        scheme.update(&batch, &mut rng)?;
        Ok(BatchFacts::of(&batch))
    };
    let facts = one_update(0)?;
    let mut updates_s = Vec::new();
    for update in 1..=updates {
        let began = Instant::now();
        one_update(update)?;
        updates_s.push(began.elapsed().as_secs_f64());
    }
    // Once more, one step after the other.
    let phases = Phases::default();
    for update in 1..=updates {
        tracing::subscriber::with_default(phases.clone(), || one_update(update))?;
    }
    let mut sorted = updates_s.clone();
    sorted.sort_by(f64::total_cmp);
    let result = Bench {
        algorithm: config.algorithm(),
        update_s: sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN),
        phases: phases.times().into_iter().map(|time| time.per(updates_s.len())).collect(),
        updates_s,
        env_steps_per_s,
        peak_rss_bytes: peak_rss_bytes(),
        episode_bytes: replay.bytes() / replay.len().max(1),
        threads: rayon::current_num_threads(),
        parameters: scheme.params().into_iter().map(|(name, set)| (name.to_owned(), set.count())).collect(),
        batch: facts,
    };
    if json {
        println!("{}", serde_json::to_string(&result)?);
        return Ok(());
    }
    println!("{} on {} threads", result.algorithm, result.threads);
    println!("update          {:.4} s, median of {}", result.update_s, result.updates_s.len());
    println!("collecting      {:.0} environment steps/s", result.env_steps_per_s);
    println!("episode         {} bytes in replay", result.episode_bytes);
    if let Some(peak) = result.peak_rss_bytes {
        println!("peak memory     {:.0} MiB", peak as f64 / 1_048_576.0);
    }
    for time in &result.phases {
        let (depth, name) =
            (time.path.matches('/').count(), time.path.rsplit('/').next().unwrap_or_default());
        println!("{:>9.2} ms  {}{name}", 1e3 * time.seconds, "  ".repeat(depth));
    }
    for (name, count) in &result.parameters {
        println!("parameters      {count:>9}  {name}");
    }
    Ok(())
}
