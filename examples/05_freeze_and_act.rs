//! From a checkpoint to a policy that acts without the trainer.
//!
//! ```text
//! checkpoint ─► freeze ─► bytes ─► ddn_runtime::Policy ─► one action per agent and step
//! ```
//!
//! The runtime is the code that runs on a microcontroller: no heap, no operating system. Here it
//! plays an episode on the host, and each action is held to that of the trained network.
//!
//!     cargo run --release --bin 05_freeze_and_act -- runs/quickstart
//!
//! Without a run or checkpoint to take, a small team is trained first.
#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use ddn_export::exporter;
use ddn_export::job::Trained as _;
use ddn_export::source::Source;
use ddn_runtime::{AgentInput, Model};
use ddn_trainer::checkpoint::Checkpoint;
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::eval;
use ddn_trainer::metrics::progress::Progress;
use ddn_trainer::seed;
use ddn_trainer::signal::Signals;
use ddn_trainer::train::Run;

const EXPERIMENT: &str = r#"
t_max = 2000
env = { kind = "predator-prey", rows = 5, cols = 5, predators = 3, prey = 2, episode_limit = 20 }
scheme = { kind = "ddn" }
mixer = { kind = "vdn" }
learner = { updates_per_episode = 0.5 }
replay = { batch = 8 }
eval = { interval = 1000000, episodes = 1 }
"#;

/// Which episode is played.
const SEED: u64 = 7;

fn train(dir: &Path) -> anyhow::Result<()> {
    let config = ExperimentConfig::from_text(EXPERIMENT, "05_freeze_and_act", &[])?;
    Run::create(config, dir)?.train(&Signals::detached(), &Progress::hidden())?;
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let run = match std::env::args_os().nth(1) {
        Some(run) => PathBuf::from(run),
        None => {
            let run = folder.path().join("run");
            train(&run)?;
            run
        }
    };

    // Freeze: the follower's layers and weights, and the contract with the device, as bytes.
    let frozen = Source::open(&run)?.freeze()?;
    let file = exporter::by_name("safetensors")?.encode(&frozen)?;

    // Load. This file was made a moment ago; one that comes from elsewhere, with recorded answers in it, is verified:
    // `model.verify(&mut memory, &mut scratch)`.
    let model = Model::open(&file).map_err(|error| anyhow!("{error}"))?;
    let policy = model.assume_verified();
    let (n, o, a) = (frozen.spec.n_agents, frozen.spec.obs_dim, frozen.spec.n_actions());
    println!(
        "{} bytes; an agent sees {o} numbers, has {a} actions, keeps {} numbers between steps",
        file.len(),
        policy.memory_len()
    );

    // An episode as the trained network played it, to compare with.
    let checkpoint = Checkpoint::open(&run)?;
    let trained = eval::record(&checkpoint, 1, SEED)?;
    let trained = trained.first().context("one episode was asked for")?;

    // Act: the same episode. Memory is each agent's own, scratch may be shared.
    let mut envs = checkpoint.envs(1)?;
    let env = envs.first_mut().context("one environment was asked for")?;
    let mut frame = env.spec().frame();
    env.reset(seed::number(SEED, "record/0"), &mut frame)?;
    let mut memory = vec![vec![0.0; policy.memory_len()]; n];
    let mut scratch = vec![0.0; policy.scratch_len()];
    let mut last: Option<Vec<usize>> = None;
    let (mut steps, mut total) = (0, 0.0);
    loop {
        let mut actions = Vec::with_capacity(n);
        for (agent_id, memory) in memory.iter_mut().enumerate() {
            let input = AgentInput {
                obs: &frame.obs[agent_id * o..][..o],
                last_action: last.as_ref().map(|last| last[agent_id]),
                agent_id,
                available: &frame.available[agent_id * a..][..a],
            };
            let action = policy.act(memory, input, &mut scratch).map_err(|error| anyhow!("{error}"))?;
            actions.push(action.index);
        }
        let want = trained.action.get(steps * n..(steps + 1) * n);
        ensure!(want == Some(&actions[..]), "step {steps}: {actions:?}, the trained network chose {want:?}");
        let names: Vec<&str> = actions.iter().map(|&action| frozen.spec.actions[action].as_str()).collect();
        println!("step {steps:>3}  {}", names.join("  "));
        let step = env.step(&actions, &mut frame)?;
        (steps, total, last) = (steps + 1, total + step.reward, Some(actions));
        if step.end.is_some() {
            break;
        }
    }
    ensure!(steps == trained.n_steps, "{steps} steps, not {}", trained.n_steps);
    println!("return {total}; every one of the {} actions is that of the trained network", steps * n);
    Ok(())
}
