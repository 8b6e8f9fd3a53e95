//! What a factorised team value can and cannot say, on a game that fits on one line.
//!
//! Two agents choose at once, without seeing each other. If both take action 0 they win 8; if only
//! one does, they lose 12; everything else pays 0. Each agent learns a value of its own actions, and
//! a mixer joins the two into a value of the pair: VDN adds them up, QMIX joins them by any function
//! that grows with both. All pairs are tried equally often, so nothing is missing in the data: what
//! is wrong in the tables below, the mixer cannot say.
//!
//!     cargo run --release --bin 01_matrix_game
#![allow(clippy::print_stdout)]

use anyhow::{Context as _, ensure};
use candle_core::{DType, Device, Tensor};
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::learner::mixer::JointStep;
use ddn_trainer::learner::scheme::Setting;
use ddn_trainer::learner::td::greedy_rows;
use ddn_trainer::metrics::progress::Progress;
use ddn_trainer::nn::Sparse;
use ddn_trainer::rollout::{Plan, Player, play};
use ddn_trainer::signal::Signals;
use ddn_trainer::train::{Run, build_envs};

const ACTIONS: usize = 3;
const PAYOFFS: [f64; ACTIONS * ACTIONS] = [8.0, -12.0, -12.0, -12.0, 0.0, 0.0, -12.0, 0.0, 0.0];
const HIDDEN: usize = 32;

/// The values of all joint actions after training with `mixer`, and the greedy joint action.
fn learn(mixer: &str) -> anyhow::Result<(Vec<f64>, (usize, usize))> {
    let text = format!(
        "t_max = 4000\nenv = {{ kind = \"matrix-game\", payoffs = {PAYOFFS:?} }}\n\
         scheme = {{ kind = \"plain\", hidden = {HIDDEN} }}\nmixer = {{ kind = \"{mixer}\" }}\n\
         rollout = {{ epsilon_finish = 1.0 }}\neval = {{ interval = 1000000, episodes = 1 }}\n"
    );
    let config = ExperimentConfig::from_text(&text, mixer, &[])?;
    let folder = tempfile::tempdir()?;
    let mut run = Run::create(config.clone(), &folder.path().join("run"))?;
    run.train(&Signals::detached(), &Progress::hidden())?;

    // One game, for the agents' own values: agent after agent, action after action.
    let scheme = run.scheme();
    let mut envs = build_envs(&config, 1)?;
    let spec = envs[0].spec().clone();
    let plan = Plan { seed: 1, purpose: "look", first: 0, count: 1, epsilon: 0.0, record: true };
    let played = play(Player::Network(scheme, scheme.networks()[0]), &mut envs, &plan)?;
    let q: Vec<f64> = played[0].q.iter().map(|&q| f64::from(q)).collect();
    let (greedy, _) = greedy_rows(&q, &[true; 2 * ACTIONS], ACTIONS);

    // The mixer again, over the parameters it has learned.
    let (_, params) = *scheme.params().first().context("a scheme has parameters")?;
    let td = config.learner.td();
    let setting = Setting {
        spec: &spec,
        mixer: &config.mixer,
        seed: 1,
        dtype: DType::F32,
        td,
        clip: config.learner.clip,
    };
    let mixer = setting.mixer(HIDDEN, &params.builder().pp("mixer"))?;

    // Every pair of actions as a batch: B pairs, one step, two agents.
    let pairs: Vec<usize> = (0..PAYOFFS.len()).flat_map(|pair| [pair / ACTIONS, pair % ACTIONS]).collect();
    let shape = (PAYOFFS.len(), 1, 2);
    let values = pairs.iter().enumerate().map(|(k, action)| q[k % 2 * ACTIONS + action] as f32).collect();
    let taken = Tensor::from_vec(values, shape, &Device::Cpu)?;
    let actions = Tensor::from_vec(pairs.iter().map(|&action| action as u32).collect(), shape, &Device::Cpu)?;
    let q_tot = mixer.q_tot(&JointStep {
        span: 0..1,
        lengths: None,
        q_taken: &taken,
        q_max: &taken,
        actions: &actions,
        hidden: Some(&Tensor::zeros((PAYOFFS.len(), 1, 2, HIDDEN), DType::F32, &Device::Cpu)?),
        state: &Sparse::from_dense(1, &[1.0; PAYOFFS.len()]),
        agent_inputs: &Sparse::from_dense(1, &[]),
    })?;
    let table = q_tot.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?;
    Ok((table, (greedy[0] as usize, greedy[1] as usize)))
}

fn show(title: &str, table: &[f64]) {
    println!("{title}");
    for row in table.chunks(ACTIONS) {
        println!("{}", row.iter().map(|value| format!("{value:8.2}")).collect::<String>());
    }
}

fn main() -> anyhow::Result<()> {
    show("payoff (rows: first agent, columns: second)", &PAYOFFS);
    for mixer in ["vdn", "qmix"] {
        let (table, (first, second)) = learn(mixer)?;
        let paid = PAYOFFS[first * ACTIONS + second];
        let error =
            table.iter().zip(PAYOFFS).map(|(value, payoff)| (value - payoff).abs()).fold(0.0, f64::max);
        show(&format!("\n{mixer}: learned value of each pair"), &table);
        println!("greedy: ({first}, {second}), which pays {paid}; largest error of the table {error:.1}");
        ensure!(error > 5.0, "{mixer} is monotone in each agent's value and cannot come this close");
        if mixer == "vdn" {
            println!("A sum charges action 0 for the partner's misses, so the team gives up the 8.");
            ensure!(paid.abs() < 1e-9, "a sum fitted to all pairs prefers the safe 0");
        } else if paid > 0.0 {
            println!("Action 0 counts as good whatever the partner does: misses and safe pairs look alike.");
        } else {
            println!("Action 0 counts as bad whatever the partner does: the 8 sinks with the misses.");
        }
    }
    Ok(())
}
