//! `ddn-train bench`: how fast an experiment runs here, and where its time goes.

mod against;
mod dense;
mod kept;
pub mod mixers;
mod rate;
mod show;

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;

use super::{peak_rss_bytes, set_threads};
use crate::commands::out::{put, say};
use crate::config::ExperimentConfig;
use crate::nn::Sparse;
use crate::phases::{Phases, Time, timed};
use crate::replay::{Batch, ReplayBuffer};
use crate::rollout::{Plan, Player, play};
use crate::seed::stream;
use crate::train::{build_envs, build_scheme};

pub use against::{Against, Rival, RivalKind};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Request {
    /// Updates to time, after one to warm up.
    pub updates: usize,
    /// Learn from made-up episodes of so many steps in which no number is zero, instead of played ones.
    pub dense: Option<usize>,
    /// Another learner to time in turns with this one.
    pub rival: Option<Rival>,
    /// Print one JSON object.
    pub json: bool,
}

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
    /// Multiply-adds per second of a matrix product on all threads.
    pub product_rate: f64,
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
    /// Share of the episodes of which the slow networks' values were kept, mean.
    pub kept: f64,
    /// The other learner, if one was asked for.
    pub against: Option<Against>,
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

/// Times updates on episodes of random play, and one collection.
///
/// # Errors
/// If the config is wrong, the environment fails, or the other learner cannot be run.
pub fn bench(config: &Path, overrides: &[String], request: &Request) -> anyhow::Result<()> {
    let config = ExperimentConfig::load(config, overrides)?;
    set_threads(&config)?;
    let result = measure(&config, request)?;
    if request.json {
        say!("{}", serde_json::to_string(&result)?)?;
    } else {
        put(format_args!("{}", show::text(&result)))?;
    }
    Ok(())
}

fn measure(config: &ExperimentConfig, request: &Request) -> anyhow::Result<Bench> {
    let mut scheme = build_scheme(config)?;
    let mut envs = build_envs(config, config.rollout.envs)?;
    let spec = envs[0].spec().clone();
    let mut replay = ReplayBuffer::new(config.replay.capacity);
    let count = config.replay.batch.max(config.rollout.envs);
    let plan = Plan { seed: config.seed, purpose: "bench", first: 0, count, epsilon: 1.0, record: false };
    let network = scheme.networks()[0];
    let began = Instant::now();
    let played = play(Player::Network(&*scheme, network), &mut envs, &plan)?;
    let steps: usize = played.iter().map(|played| played.episode.len()).sum();
    let env_steps_per_s = steps as f64 / began.elapsed().as_secs_f64();
    let episodes = match request.dense {
        Some(steps) => dense::episodes(&spec, steps, count, config.seed),
        None => played.into_iter().map(|played| played.episode).collect(),
    };
    // Those of one batch: every update knows them all.
    episodes.into_iter().take(config.replay.batch).for_each(|episode| replay.push(episode));
    let mut known = 0;
    let mut one_update = |update: usize| -> anyhow::Result<BatchFacts> {
        let mut rng = stream(config.seed, &format!("bench/replay/{update}"));
        let sampled = replay.sample(config.replay.batch, &mut rng);
        let sampled = sampled.context("the replay holds less than a batch")?;
        let left = kept::leave(config, &sampled, update);
        known += if update == 0 { 0 } else { left };
        let mut rng = stream(config.seed, &format!("bench/update/{update}"));
        let batch = {
            timed!("batch");
            config.learner.batch(&spec, &sampled)
        };
        scheme.update(&batch, &mut rng)?;
        Ok(BatchFacts::of(&batch))
    };
    let facts = one_update(0)?;
    let mut updates_s = Vec::new();
    let mut against = request.rival.clone().map(|rival| Against::new(rival, config, &facts)).transpose()?;
    for _ in 0..against.as_ref().map_or(1, Against::rounds) {
        for update in 1..=request.updates {
            let began = Instant::now();
            one_update(update)?;
            updates_s.push(began.elapsed().as_secs_f64());
        }
        if let Some(against) = &mut against {
            against.round(request.updates)?;
        }
    }
    // Once more, one step after the other.
    let phases = Phases::default();
    for update in 1..=request.updates {
        tracing::subscriber::with_default(phases.clone(), || one_update(update))?;
    }
    let update_s = median(&updates_s);
    let drawn = (updates_s.len() + request.updates) * config.replay.batch;
    Ok(Bench {
        algorithm: config.algorithm(),
        update_s,
        phases: phases.times().into_iter().map(|time| time.per(request.updates)).collect(),
        updates_s,
        env_steps_per_s,
        product_rate: rate::product_rate(),
        peak_rss_bytes: peak_rss_bytes(),
        episode_bytes: replay.bytes() / replay.len().max(1),
        threads: rayon::current_num_threads(),
        parameters: scheme.params().into_iter().map(|(name, set)| (name.to_owned(), set.count())).collect(),
        batch: facts,
        kept: known as f64 / drawn.max(1) as f64,
        against: against.map(|against| against.compared_with(update_s)),
    })
}

/// The middle one, NaN of none.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
