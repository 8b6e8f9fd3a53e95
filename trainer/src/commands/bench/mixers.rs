//! `ddn-train bench --mixers`: one update of an experiment's scheme with every mixer there is.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;
use toml::{Table, Value};

use super::median;
use crate::commands::out::say;
use crate::commands::set_threads;
use crate::config::ExperimentConfig;
use crate::learner::mixer;
use crate::learner::scheme::Scheme;
use crate::replay::{Batch, Episode};
use crate::rollout::{Plan, Player, play};
use crate::seed::stream;
use crate::train::{build_envs, build_scheme};

/// One mixer's line.
#[derive(Debug, Serialize)]
struct Row {
    mixer: String,
    /// Median seconds of an update.
    update_s: f64,
    /// Of every update.
    updates_s: Vec<f64>,
    /// Of everything that the mixer's loss trains.
    parameters: usize,
}

/// Times `updates` updates with every mixer, on one batch of random play. The mixers take turns, so
/// that whatever else the machine does falls on all of them.
///
/// The experiment's own mixer keeps its table, the others have their defaults. Slow networks know nothing: what they
/// make of episodes is not kept.
///
/// # Errors
/// If the config is wrong or the environment fails.
pub fn bench_mixers(config: &Path, overrides: &[String], updates: usize, json: bool) -> anyhow::Result<()> {
    let config = ExperimentConfig::load(config, overrides)?;
    set_threads(&config)?;
    let own = config.mixer.get("kind").and_then(Value::as_str).unwrap_or_default();
    let mut built: Vec<(Row, Box<dyn Scheme>)> = Vec::new();
    for kind in mixer::all() {
        let table = Table::from_iter([("kind".to_owned(), Value::from(kind.name))]);
        let table = if kind.name == own { config.mixer.clone() } else { table };
        let scheme = build_scheme(&ExperimentConfig { mixer: table, ..config.clone() })?;
        let parameters = scheme.params().first().map_or(0, |(_, params)| params.count());
        let row = Row { mixer: kind.name.to_owned(), update_s: 0.0, updates_s: Vec::new(), parameters };
        built.push((row, scheme));
    }

    let mut envs = build_envs(&config, config.rollout.envs)?;
    let spec = envs[0].spec().clone();
    let plan = Plan {
        seed: config.seed,
        purpose: "bench",
        first: 0,
        count: config.replay.batch,
        epsilon: 1.0,
        record: false,
    };
    // Played at random, and with what the scheme wants to see.
    let (_, first) = &built[0];
    let played = play(Player::Network(&**first, first.networks()[0]), &mut envs, &plan)?;
    let episodes: Vec<&Episode> = played.iter().map(|played| &played.episode).collect();
    let batch = Batch::new(&spec, &episodes);
    for update in 0..=updates {
        for (row, scheme) in &mut built {
            let mut rng = stream(config.seed, &format!("bench/update/{update}"));
            let began = Instant::now();
            scheme.update(&batch, &mut rng)?;
            // The first one is to warm up.
            if update > 0 {
                row.updates_s.push(began.elapsed().as_secs_f64());
            }
        }
    }
    let mut rows: Vec<Row> = built.into_iter().map(|(row, _)| row).collect();
    rows.iter_mut().for_each(|row| row.update_s = median(&row.updates_s));
    if json {
        say!("{}", serde_json::to_string(&rows)?)?;
        return Ok(());
    }
    let base = rows.iter().find(|row| row.mixer == own).context("the experiment's mixer is among them")?;
    say!(
        "{} with every mixer on {} threads, medians of {updates} updates of {} episodes",
        config.scheme.get("kind").and_then(Value::as_str).unwrap_or_default(),
        rayon::current_num_threads(),
        batch.episodes
    )?;
    say!("{:<12}{:>12}{:>10}{:>14}", "mixer", "s/update", format!("x {own}"), "parameters")?;
    for row in &rows {
        let ratio = row.update_s / base.update_s;
        say!("{:<12}{:>12.4}{:>10.2}{:>14}", row.mixer, row.update_s, ratio, row.parameters)?;
    }
    Ok(())
}
