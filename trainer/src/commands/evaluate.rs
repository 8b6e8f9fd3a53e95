//! `ddn-train eval` and `ddn-train play`.

use std::path::Path;

use anyhow::Context as _;

use super::set_threads;
use crate::checkpoint::Checkpoint;
use crate::commands::out::say;
use crate::config::ExperimentConfig;
use crate::env::Env;
use crate::error::{ConfigError, TrainError};
use crate::eval::{self, Score};
use crate::film::{Credits, Film};
use crate::pictures;
use crate::replay::Episode;
use crate::rollout::{Plan, Player, play};
use crate::train::build_envs;
use crate::whole_file;

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

/// The environments of a run, or of a config file, and whether they know `policy`.
fn stage(what: &Path, policy: &str) -> anyhow::Result<Vec<Box<dyn Env>>> {
    let is_config = what.extension().is_some_and(|ending| ending == "toml") && what.is_file();
    let config = if is_config { ExperimentConfig::load(what, &[])? } else { open(what)?.config().clone() };
    let envs = build_envs(&config, 1)?;
    let known: Vec<_> = envs.iter().flat_map(|env| env.scripted()).map(|(name, _)| name).collect();
    if !known.contains(&policy) {
        let reason = match known.is_empty() {
            true => "this environment has no policy of its own".to_owned(),
            false => {
                format!("this environment has no policy \"{policy}\"; it has: {}", known.join(", "))
            }
        };
        return Err(ConfigError::value("--policy", reason).into());
    }
    Ok(envs)
}

/// Who is to play: a network of a run, or a policy of the environment.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// The network of this name, or the one that ships.
    Network(Option<&'a str>),
    /// The scripted policy of this name.
    Policy(&'a str),
}

/// Plays episodes and prints their mean: a network's, greedily, or a policy's.
///
/// # Errors
/// If the run cannot be read or played.
pub fn evaluate(what: &Path, episodes: usize, who: Who<'_>, seed: u64, json: bool) -> anyhow::Result<()> {
    match who {
        Who::Network(asked) => {
            let checkpoint = open(what)?;
            set_threads(checkpoint.config())?;
            let scheme = checkpoint.scheme_built()?;
            let network = pick(scheme.networks(), asked)?;
            let mut envs = checkpoint.envs(checkpoint.config().rollout.envs)?;
            let score = eval::greedy(&*scheme, network, &mut envs, (seed, "eval", episodes))?;
            let t_env = checkpoint.counters().t_env;
            if json {
                let mut value = facts(&score);
                value.insert("network".into(), network.into());
                value.insert("t_env".into(), t_env.into());
                say!("{}", serde_json::Value::from(value))?;
            } else {
                say!("{network} after {t_env} steps, {}", said(&score))?;
            }
        }
        Who::Policy(policy) => {
            let score = eval::scripted(policy, &mut stage(what, policy)?, (seed, "eval", episodes))?;
            if json {
                let mut value = facts(&score);
                value.insert("policy".into(), policy.into());
                say!("{}", serde_json::Value::from(value))?;
            } else {
                say!("{policy}, {}", said(&score))?;
            }
        }
    }
    Ok(())
}

fn said(score: &Score) -> String {
    let won = score.won.map_or_else(String::new, |won| format!(", won {:.1} %", 100.0 * won));
    format!(
        "{} episodes: return {:.2} ± {:.2} ({:.2} to {:.2}), length {:.1}{won}",
        score.episodes, score.mean, score.interval, score.range.0, score.range.1, score.length
    )
}

fn facts(score: &Score) -> serde_json::Map<String, serde_json::Value> {
    let value = serde_json::json!({
        "episodes": score.episodes, "mean_return": score.mean, "interval": score.interval,
        "lowest": score.range.0, "highest": score.range.1, "mean_length": score.length, "won": score.won,
    });
    value.as_object().cloned().unwrap_or_default()
}

/// How an episode is shown.
#[derive(Clone, Copy, Debug)]
pub enum Show<'a> {
    /// As text in the terminal, with so long a pause between frames.
    Terminal(std::time::Duration),
    /// As a page for a browser, in this file.
    Page(&'a Path),
    /// As a moving picture, in this file.
    Gif(&'a Path),
}

/// One episode, played to be looked at.
struct Watched {
    envs: Vec<Box<dyn Env>>,
    episode: Episode,
    /// What the environment is to be reset with to play the same again.
    episode_seed: u64,
    player: String,
}

fn played(what: &Path, who: Who<'_>, seed: u64) -> anyhow::Result<Watched> {
    let plan = Plan { seed, purpose: "play", first: 0, count: 1, epsilon: 0.0, record: false };
    let (envs, mut played, player) = match who {
        Who::Network(asked) => {
            let checkpoint = open(what)?;
            let scheme = checkpoint.scheme_built()?;
            let network = pick(scheme.networks(), asked)?;
            let mut envs = checkpoint.envs(1)?;
            let played = play(Player::Network(&*scheme, network), &mut envs, &plan)?;
            (envs, played, network.to_owned())
        }
        Who::Policy(policy) => {
            let mut envs = stage(what, policy)?;
            let played = play(Player::Scripted(policy), &mut envs, &plan)?;
            (envs, played, policy.to_owned())
        }
    };
    let episode = played.pop().context("no episode was played")?.episode;
    Ok(Watched { envs, episode, episode_seed: crate::seed::number(seed, "play/0"), player })
}

/// The episode that [`watch`] shows of the network of this name, as a film that names `source`.
///
/// # Errors
/// If the run cannot be read or played.
pub fn film(run: &Path, network: &str, seed: u64, source: String) -> anyhow::Result<Film> {
    let Watched { mut envs, episode, episode_seed, player } = played(run, Who::Network(Some(network)), seed)?;
    Ok(Film::of(&mut *envs[0], episode_seed, &episode.actions, Credits { source, player, seed })?)
}

/// Shows one episode, frame by frame.
///
/// # Errors
/// If the run cannot be read or played, or the page cannot be written.
pub fn watch(what: &Path, who: Who<'_>, seed: u64, how: Show<'_>) -> anyhow::Result<()> {
    let Watched { mut envs, episode, episode_seed, player } = played(what, who, seed)?;
    // The environment is a function of its seed and the actions: play the same again to look at it.
    let env = &mut *envs[0];
    let (path, option) = match how {
        Show::Terminal(pace) => {
            show(env, &episode, episode_seed, pace)?;
            say!("{player}: return {} in {} steps", episode.total(), episode.len())?;
            return Ok(());
        }
        Show::Page(path) => (path, "--html"),
        Show::Gif(path) => (path, "--gif"),
    };
    let credits = Credits { source: what.display().to_string(), player: player.clone(), seed };
    let film = Film::of(env, episode_seed, &episode.actions, credits)?;
    let written = match how {
        Show::Gif(_) => whole_file::write(path, &pictures::gif(&film)?),
        _ => film.write(path),
    };
    written.with_context(|| {
        format!(
            "cannot write {}; give {option} a file in a folder that exists and that you may write to",
            path.display()
        )
    })?;
    say!("{player}: return {} in {} steps", episode.total(), episode.len())?;
    say!("written: {}", path.display())?;
    Ok(())
}

fn show(
    env: &mut dyn Env,
    episode: &Episode,
    episode_seed: u64,
    pace: std::time::Duration,
) -> anyhow::Result<()> {
    let spec = env.spec().clone();
    let mut frame = spec.frame();
    env.reset(episode_seed, &mut frame)?;
    say!("{}", env.render())?;
    for (step, actions) in episode.actions.chunks_exact(spec.n_agents).enumerate() {
        let actions: Vec<usize> = actions.iter().map(|&action| usize::from(action)).collect();
        let outcome = env.step(&actions, &mut frame)?;
        let names = actions.iter().map(|&action| spec.actions[action].as_str()).collect::<Vec<_>>().join(" ");
        std::thread::sleep(pace);
        say!("step {}: {names}  reward {}\n{}", step + 1, outcome.reward, env.render())?;
    }
    Ok(())
}
