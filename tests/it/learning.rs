//! Learning on games with known answers.

mod payoffs;

use std::sync::Mutex;

use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::eval;
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
    let algorithms: Vec<_> =
        ["plain", "ddn"].iter().flat_map(|scheme| mixers.map(|mixer| (*scheme, mixer))).collect();
    let config = |&(scheme, (mixer, keys)): &(&str, (&str, &str))| {
        format!(
            "t_max = 24000\nenv = {{ kind = \"repeat\", agents = 2, symbols = 3, steps = 6, delay = 1 }}\n\
             scheme = {{ kind = \"{scheme}\" }}\nmixer = {{ kind = \"{mixer}\"{keys} }}\n\
             rollout = {{ epsilon_steps = 10000 }}\nlearner = {{ updates_per_episode = 0.5, target_interval = 100 }}\n\
             eval = {{ interval = 100000, episodes = 1 }}\ncheckpoint = {{ interval = 1000000 }}\n"
        )
    };
    let configs: Vec<String> = algorithms.iter().map(config).collect();
    for ((scheme, (mixer, keys)), values) in algorithms.iter().zip(all_returns(&configs)) {
        for value in values {
            assert!(value > 0.95 * 5.0, "{scheme}+{mixer}{keys}: {value} of 5");
        }
    }
}
