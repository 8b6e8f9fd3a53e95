//! `ddn-train bench`: how fast an experiment runs here.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::{peak_rss_bytes, set_threads};
use crate::config::ExperimentConfig;
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
    let mut updates_s = Vec::new();
    for update in 0..updates + 1 {
        let began = Instant::now();
        let mut rng = stream(config.seed, &format!("bench/replay/{update}"));
        let Some(episodes) = replay.sample(config.replay.batch, &mut rng) else { continue };
        let batch = Batch::new(&spec, &episodes);
        scheme.update(&batch, &mut stream(config.seed, &format!("bench/update/{update}")))?;
        if update > 0 {
            updates_s.push(began.elapsed().as_secs_f64());
        }
    }
    let mut sorted = updates_s.clone();
    sorted.sort_by(f64::total_cmp);
    let result = Bench {
        algorithm: config.algorithm(),
        update_s: sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN),
        updates_s,
        env_steps_per_s,
        peak_rss_bytes: peak_rss_bytes(),
        episode_bytes: replay.bytes() / replay.len().max(1),
        threads: rayon::current_num_threads(),
        parameters: scheme.params().into_iter().map(|(name, set)| (name.to_owned(), set.count())).collect(),
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
    for (name, count) in &result.parameters {
        println!("parameters      {count:>9}  {name}");
    }
    Ok(())
}
