//! Trains a small team of predators with DDN and compares leader, follower and chance.
//!
//! The leader (GGN) sees the whole grid and learns from reward. The follower (LPN) sees a window
//! around one predator and learns from the leader; it is what ships.
//!
//!     cargo run --release --bin 02_predator_prey -- curve.csv
//!
//! The learning curve goes to the file that is named, or to one in the folder for temporary files.
#![allow(clippy::print_stdout)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::eval;
use ddn_trainer::metrics::{self, progress::Progress};
use ddn_trainer::signal::Signals;
use ddn_trainer::train::{Run, build_envs};

const EXPERIMENT: &str = r#"
t_max = 12000

[env]                       # only two predators in the same step catch the prey; a lone one pays for trying
kind = "predator-prey"
rows = 4
cols = 4
predators = 2
prey = 1
prey_rest = 0.5
miscapture_reward = -0.1
episode_limit = 20

[scheme]
kind = "ddn"

[mixer]
kind = "vdn"

[rollout]
epsilon_steps = 8000

[learner]
updates_per_episode = 0.5
target_interval = 100

[eval]
interval = 1000
episodes = 32
"#;

/// Episodes of the last test.
const EPISODES: usize = 200;

fn main() -> anyhow::Result<()> {
    let csv = std::env::args_os().nth(1).map(PathBuf::from);
    let csv = csv.unwrap_or_else(|| std::env::temp_dir().join("ddn_02_predator_prey.csv"));

    let config = ExperimentConfig::from_text(EXPERIMENT, "02_predator_prey", &[])?;
    let folder = tempfile::tempdir()?;
    let mut run = Run::create(config.clone(), &folder.path().join("run"))?;
    run.train(&Signals::detached(), &Progress::stderr(Duration::from_secs(5)))?;

    // The learning curve: one greedy test of both networks every 1000 steps.
    let mut text = String::from("t_env,ggn,lpn\n");
    for record in metrics::read(&run.dir().join(metrics::METRICS))? {
        let value = |name: &str| record.values.get(name).copied().unwrap_or(f64::NAN);
        writeln!(text, "{},{:.3},{:.3}", record.t_env, value("test_ggn_return"), value("test_lpn_return"))?;
    }
    std::fs::write(&csv, &text).with_context(|| format!("writing {}", csv.display()))?;
    print!("{text}");

    // All three on the same episodes, none of which was trained on.
    let mut envs = build_envs(&config, config.rollout.envs)?;
    let which = (config.seed, "example", EPISODES);
    let random = eval::random(&mut envs, which)?;
    let show = |name: &str, score: &eval::Score| {
        println!("{name:<8} {:>6.2} ± {:.2}  {:>5.1} steps", score.mean, score.interval, score.length);
    };
    let best = envs[0].spec().best_return.map_or_else(|| "unknown".to_owned(), |best| best.to_string());
    println!("\n{EPISODES} episodes, greedy: return and length; best possible {best}");
    let mut scores = Vec::new();
    for network in run.scheme().networks() {
        let score = eval::greedy(run.scheme(), network, &mut envs, which)?;
        show(network, &score);
        scores.push(score);
    }
    show("random", &random);
    println!("curve: {}", csv.display());

    let follower = scores.last().context("a scheme has networks")?;
    let best = envs[0].spec().best_return.map_or(f64::NAN, f64::from);
    ensure!(follower.mean > 0.4 * best, "the follower seldom catches the prey");
    ensure!(
        follower.mean - follower.interval > random.mean + random.interval,
        "it does no better than chance"
    );
    Ok(())
}
