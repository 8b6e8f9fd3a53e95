//! `ddn-train eval` and `ddn-train play`.

use std::path::Path;

use super::set_threads;
use crate::checkpoint::Checkpoint;
use crate::env::Env;
use crate::error::{ConfigError, TrainError};
use crate::eval;
use crate::rollout::{Plan, Player, play};

/// The newest checkpoint of a run, or the one at `run` itself.
fn open(run: &Path) -> anyhow::Result<Checkpoint> {
    if !run.exists() {
        return Err(TrainError::NoRun { dir: run.to_owned() }.into());
    }
    Ok(Checkpoint::open(run)?)
}

/// The network that was asked for, or the one that ships.
fn pick<'n>(networks: &[&'n str], asked: Option<&str>) -> anyhow::Result<&'n str> {
    match asked {
        None => Ok(networks[networks.len() - 1]),
        Some(name) => match networks.iter().find(|network| **network == name) {
            Some(network) => Ok(network),
            None => {
                let reason = format!("this run has no network \"{name}\"; it has: {}", networks.join(", "));
                Err(ConfigError::value("--network", reason).into())
            }
        },
    }
}

/// Plays greedy episodes and prints their mean.
///
/// # Errors
/// If the run cannot be read or played.
#[allow(clippy::print_stdout)]
pub fn evaluate(
    run: &Path,
    episodes: usize,
    network: Option<&str>,
    seed: u64,
    json: bool,
) -> anyhow::Result<()> {
    let checkpoint = open(run)?;
    set_threads(checkpoint.config())?;
    let scheme = checkpoint.scheme_built()?;
    let network = pick(scheme.networks(), network)?;
    let mut envs = checkpoint.envs(checkpoint.config().rollout.envs)?;
    let score = eval::greedy(&*scheme, network, &mut envs, (seed, "eval", episodes))?;
    let t_env = checkpoint.counters().t_env;
    if json {
        let value = serde_json::json!({
            "network": network, "t_env": t_env, "episodes": score.episodes, "mean_return": score.mean,
            "interval": score.interval, "lowest": score.range.0, "highest": score.range.1,
            "mean_length": score.length, "won": score.won,
        });
        println!("{value}");
    } else {
        println!(
            "{network} after {t_env} steps, {} episodes: return {:.2} ± {:.2} ({} to {}), length {:.1}",
            score.episodes, score.mean, score.interval, score.range.0, score.range.1, score.length
        );
    }
    Ok(())
}

/// Shows one greedy episode, frame by frame.
///
/// # Errors
/// If the run cannot be read or played.
#[allow(clippy::print_stdout)]
pub fn watch(run: &Path, network: Option<&str>, seed: u64, pace: std::time::Duration) -> anyhow::Result<()> {
    let checkpoint = open(run)?;
    let scheme = checkpoint.scheme_built()?;
    let network = pick(scheme.networks(), network)?;
    let mut envs = checkpoint.envs(1)?;
    let plan = Plan { seed, purpose: "play", first: 0, count: 1, epsilon: 0.0, record: false };
    let played = play(Player::Network(&*scheme, network), &mut envs, &plan)?;
    let episode = &played[0].episode;
    // The environment is a function of its seed and the actions: play the same again to look at it.
    let env: &mut Box<dyn Env> = &mut envs[0];
    let spec = env.spec().clone();
    let mut frame = spec.frame();
    env.reset(crate::seed::number(seed, "play/0"), &mut frame)?;
    println!("{}", env.render());
    for step in 0..episode.len() {
        let actions: Vec<usize> = episode.actions[step * spec.n_agents..][..spec.n_agents]
            .iter()
            .map(|&a| usize::from(a))
            .collect();
        let outcome = env.step(&actions, &mut frame)?;
        let names = actions.iter().map(|&action| spec.actions[action].as_str()).collect::<Vec<_>>().join(" ");
        std::thread::sleep(pace);
        println!("step {}: {names}  reward {}\n{}", step + 1, outcome.reward, env.render());
    }
    println!("{network}: return {} in {} steps", episode.total(), episode.len());
    Ok(())
}
