//! A mixer of your own: one type, three short impls, one call to `register`.
//!
//! This one weighs each agent's value by the state: `Q_tot = Σ_i |w_i(s)| Q_i + v(s)`. Weights that
//! are never negative keep the team's best joint action the one that each agent would choose alone,
//! and that is what lets the agents act apart after they were trained together.
//!
//!     cargo run --release --bin 03_new_mixer
#![allow(clippy::print_stdout)]

use anyhow::ensure;
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::eval;
use ddn_trainer::learner::mixer::{self, JointStep, Mixer, MixerKind, MixerShape};
use ddn_trainer::metrics::progress::Progress;
use ddn_trainer::nn::kernel::{Activation, sparse_linear};
use ddn_trainer::nn::params::linear_params;
use ddn_trainer::signal::Signals;
use ddn_trainer::train::{Run, build_envs};
use serde::{Deserialize, Serialize};

/// Two linear layers over the state, weight and bias each: S to N, and S to 1.
struct Weighted {
    w: (Tensor, Tensor),
    v: (Tensor, Tensor),
    floor: f64,
}

/// The keys beside `kind` in the `[mixer]` table.
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WeightedConfig {
    /// Added to each weight, so that no agent is ever left without a gradient.
    floor: f64,
}

impl Default for WeightedConfig {
    fn default() -> Self {
        Self { floor: 0.1 }
    }
}

impl Mixer for Weighted {
    fn q_tot(&self, step: &JointStep<'_>) -> Result<Tensor> {
        let (b, t, n) = step.q_taken.dims3()?;
        let over_state = |(w, b): &(Tensor, Tensor)| sparse_linear(step.state, w, b, Activation::None);
        let w = (over_state(&self.w)?.abs()? + self.floor)?.reshape((b, t, n))?;
        let v = over_state(&self.v)?.reshape((b, t, 1))?;
        (w * step.q_taken)?.sum_keepdim(2)? + v
    }
}

impl MixerKind for Weighted {
    const NAME: &'static str = "weighted";
    const ABOUT: &'static str = "sum weighted by the state, never negatively";
    type Config = WeightedConfig;

    fn new(config: &WeightedConfig, shape: MixerShape, vb: &VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            w: linear_params(&vb.pp("w"), shape.state, shape.agents)?,
            v: linear_params(&vb.pp("v"), shape.state, 1)?,
            floor: config.floor,
        })
    }
}

/// Each agent is shown a symbol per step and is paid for saying which one it saw a step before.
const EXPERIMENT: &str = r#"
t_max = 10000
env = { kind = "repeat", agents = 2, symbols = 3, steps = 6, delay = 1 }
scheme = { kind = "ddn" }
mixer = { kind = "weighted", floor = 0.2 }
rollout = { epsilon_steps = 5000 }
learner = { updates_per_episode = 0.5, target_interval = 100 }
eval = { interval = 100000, episodes = 1 }
"#;

fn main() -> anyhow::Result<()> {
    mixer::register::<Weighted>()?;
    println!("mixers: {}", mixer::all().iter().map(|kind| kind.name).collect::<Vec<_>>().join(", "));

    let config = ExperimentConfig::from_text(EXPERIMENT, "03_new_mixer", &[])?;
    let folder = tempfile::tempdir()?;
    let mut run = Run::create(config.clone(), &folder.path().join("run"))?;
    run.train(&Signals::detached(), &Progress::hidden())?;

    let mut envs = build_envs(&config, config.rollout.envs)?;
    let best = envs[0].spec().best_return.map_or(f64::NAN, f64::from);
    println!("{} after {} steps, of {best} possible:", config.algorithm(), run.counters().t_env);
    for network in run.scheme().networks() {
        let score = eval::greedy(run.scheme(), network, &mut envs, (config.seed, "example", 100))?;
        println!("  {network}: {:.2}", score.mean);
        ensure!(score.mean > 0.9 * best, "{network} has not learned to repeat");
    }
    Ok(())
}
