//! Learning on games with known answers.

mod payoffs;

use std::sync::Mutex;

use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::eval;
use ddn_trainer::learner::scheme::REGISTRY;
use ddn_trainer::metrics::progress::Progress;
use ddn_trainer::signal::Signals;
use ddn_trainer::train::{Run, build_envs};

/// Greedy returns of all networks after training, the one that ships last.
fn returns(config: &str) -> Vec<f64> {
    let config = ExperimentConfig::from_text(config, "test", &[]).expect("a valid config");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut run = Run::create(config.clone(), &dir.path().join("run")).expect("an empty folder");
    run.train(&Signals::detached(), &Progress::hidden()).expect("it learns");
    let mut envs = build_envs(&config, 8).expect("the environment exists");
    let test = |network: &&str| {
        let score = eval::greedy(run.scheme(), network, &mut envs, (1, "known", 64));
        score.expect("it plays").mean
    };
    run.scheme().networks().iter().map(test).collect()
}

/// [`returns`] of all experiments, in order. They run beside one another, each on one thread: the
/// games are so small that sharing out their work would cost more than the work.
fn all_returns(configs: &[String]) -> Vec<Vec<f64>> {
    let left = Mutex::new(configs.iter().enumerate());
    let done = Mutex::new(vec![Vec::new(); configs.len()]);
    let work = || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        loop {
            let next = left.lock().expect("no panic").next();
            let Some((index, config)) = next else { return };
            let returns = pool.install(|| returns(config));
            done.lock().expect("no panic")[index] = returns;
        }
    };
    std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        (0..workers).for_each(|_| drop(scope.spawn(work)));
    });
    done.into_inner().expect("no panic")
}

/// What else a scheme is told: each of its variants, and a short second phase.
fn keys(scheme: &str) -> &'static [&'static str] {
    match scheme {
        "igm-da" => &["", ", variant = \"bc\""],
        "ptde" => &[", distill = { episodes = 100, updates = 1000, rows = 256 }"],
        _ => &[""],
    }
}

#[test]
fn every_scheme_and_mixer_repeats_what_it_saw_one_step_ago() {
    let mixers = [
        ("iql", ""),
        ("vdn", ""),
        ("qmix", ""),
        ("qtran", ""),
        ("qatten", ""),
        ("wqmix", ", weighting = \"ow\", central_embed = 32"),
        ("wqmix", ", weighting = \"cw\", central_embed = 32"),
        ("qplex", ", kernels = 4, layers = 1"),
    ];
    let mut algorithms = Vec::new();
    for scheme in REGISTRY.iter().map(|scheme| scheme.name) {
        // A teacher that knows the answer needs less, and its scheme never asks what the mixer is.
        let (steps, mixers) =
            if ["plain", "ddn"].contains(&scheme) { (24_000, &mixers[..]) } else { (12_000, &mixers[1..3]) };
        for own in keys(scheme) {
            for (mixer, of_mixer) in mixers {
                algorithms.push((steps, format!("\"{scheme}\"{own}"), format!("\"{mixer}\"{of_mixer}")));
            }
        }
    }
    let config = |(steps, scheme, mixer): &(usize, String, String)| {
        format!(
            "t_max = {steps}\nenv = {{ kind = \"repeat\", agents = 2, symbols = 3, steps = 6, delay = 1 }}\n\
             scheme = {{ kind = {scheme} }}\nmixer = {{ kind = {mixer} }}\n\
             rollout = {{ epsilon_steps = {} }}\nlearner = {{ updates_per_episode = 0.5, target_interval = 100 }}\n\
             eval = {{ interval = 100000, episodes = 1 }}\ncheckpoint = {{ interval = 1000000 }}\n",
            steps * 10 / 24
        )
    };
    let configs: Vec<String> = algorithms.iter().map(config).collect();
    for ((_, scheme, mixer), values) in algorithms.iter().zip(all_returns(&configs)) {
        for value in values {
            assert!(value > 0.95 * 5.0, "{scheme}+{mixer}: {value} of 5");
        }
    }
}
