//! One step of one agent, and of ten thousand in one call, in the embedded runtime, ONNX Runtime and tract.
//!
//! ```text
//! ORT_DYLIB_PATH=$(bash tests/onnxruntime.sh) cargo bench --workspace --bench latency
//! ```
//!
//! The engines run the same network in turns, in one process, on one thread each, and each does what a deployed agent
//! must: takes a new observation and the previous action, carries the recurrent state and chooses an action. Before
//! anything is timed, their Q-values are compared.
#![allow(clippy::print_stdout)]

mod engines;
mod networks;

use std::process::ExitCode;
use std::time::Instant;

use engines::{Engine, OnnxRuntime, Runtime, Tract};
use networks::{Network, Team};

/// Agents in a batch.
const SWARM: usize = 10_000;
/// Largest difference of a Q-value between engines.
const TOLERANCE: f32 = 1e-4;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("latency: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    for network in networks::all()? {
        for (agents, rounds, steps) in [(1, 300, 50), (SWARM, 20, 1)] {
            let mut engines: [Box<dyn Engine>; 3] = [
                Box::new(Runtime::load(&network, agents)?),
                Box::new(OnnxRuntime::load(&network, agents)?),
                Box::new(Tract::load(&network, agents)?),
            ];
            let teams = network.teams(agents, 16);
            agree(&mut engines, &teams)?;
            let samples = measure(&mut engines, &teams, rounds, steps)?;
            report(&network, agents, &engines, samples);
        }
    }
    Ok(())
}

/// Stops if two engines do not compute the same.
fn agree(engines: &mut [Box<dyn Engine>; 3], teams: &[Team]) -> Result<(), Box<dyn std::error::Error>> {
    for team in teams {
        let [ours, others @ ..] = engines;
        ours.step(team)?;
        for other in others {
            other.step(team)?;
            let pairs = ours.q().iter().zip(other.q());
            let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            if ours.q().len() != other.q().len() || difference.is_nan() || difference > TOLERANCE {
                return Err(format!("{} differs by {difference}", other.name()).into());
            }
        }
    }
    Ok(())
}

/// Nanoseconds per agent and step: for each engine one sample in each round.
fn measure(
    engines: &mut [Box<dyn Engine>; 3],
    teams: &[Team],
    rounds: usize,
    steps: usize,
) -> Result<[Vec<f64>; 3], Box<dyn std::error::Error>> {
    let mut samples = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        for (engine, samples) in engines.iter_mut().zip(&mut samples) {
            let started = Instant::now();
            for team in teams.iter().cycle().take(steps) {
                engine.step(team)?;
            }
            let agents = teams[0].agents();
            samples.push(started.elapsed().as_secs_f64() * 1e9 / (steps * agents) as f64);
        }
    }
    Ok(samples)
}

fn report(network: &Network, agents: usize, engines: &[Box<dyn Engine>; 3], samples: [Vec<f64>; 3]) {
    println!("\n{}, agents in a call: {agents}; nanoseconds per agent and step", network.name);
    println!(
        "{:24}{:>9}{:>9}{:>9}{:>9}   times ours (least, median)",
        "", "least", "quartile", "median", "quartile"
    );
    let quantiles = samples.map(|mut samples| {
        samples.sort_by(f64::total_cmp);
        [0, 1, 2, 3].map(|quarter| samples[(samples.len() - 1) * quarter / 4])
    });
    for (engine, quantiles_of) in engines.iter().zip(quantiles) {
        let name = engine.name();
        let figures: String = quantiles_of.iter().map(|ns| format!("{ns:9.0}")).collect();
        let [least, median] = [0, 2].map(|quarter| quantiles_of[quarter] / quantiles[0][quarter]);
        println!("{name:24}{figures}   {least:.1} {median:.1}");
    }
}
