//! Learning on games with known answers.

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

#[test]
fn every_scheme_and_mixer_repeats_what_it_saw_one_step_ago() {
    for scheme in ["plain", "ddn"] {
        for mixer in ["vdn", "qmix"] {
            let config = format!(
                "t_max = 24000\nenv = {{ kind = \"repeat\", agents = 2, symbols = 3, steps = 6, delay = 1 }}\n\
                 scheme = {{ kind = \"{scheme}\" }}\nmixer = {{ kind = \"{mixer}\" }}\n\
                 rollout = {{ epsilon_steps = 10000 }}\nlearner = {{ updates_per_episode = 0.5, target_interval = 100 }}\n\
                 eval = {{ interval = 100000, episodes = 1 }}\ncheckpoint = {{ interval = 1000000 }}\n"
            );
            for value in returns(&config) {
                assert!(value > 0.95 * 5.0, "{scheme}+{mixer}: {value} of 5");
            }
        }
    }
}

#[test]
fn sums_and_monotone_mixers_fear_the_payoff_matrix_of_qtran() {
    // Greedy on the optimum would give 8; a decomposition that cannot represent the table under
    // uniform exploration settles for the safe 0.
    for mixer in ["vdn", "qmix"] {
        let config = format!(
            "t_max = 4000\nenv = {{ kind = \"matrix-game\" }}\nscheme = {{ kind = \"plain\" }}\n\
             mixer = {{ kind = \"{mixer}\" }}\nrollout = {{ epsilon_finish = 1.0 }}\n\
             eval = {{ interval = 100000, episodes = 1 }}\ncheckpoint = {{ interval = 1000000 }}\n"
        );
        assert_eq!(returns(&config), [0.0], "{mixer}");
    }
}
