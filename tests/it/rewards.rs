//! What `learner.reward_scale` is.

use ddn_trainer::checkpoint::store::{self, Files};
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::metrics::progress::Progress;
use ddn_trainer::signal::Signals;
use ddn_trainer::train::Run;

const GAME: &str = "t_max = 600\nenv = { kind = \"matrix-game\" }\nmixer = { kind = \"qmix\" }\n\
    replay = { batch = 8 }\neval = { interval = 300, episodes = 4, final_episodes = 4 }\n";

/// Networks and optimisers at the end.
fn learned(scheme: &str, overrides: &[&str]) -> Files {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = format!("{GAME}scheme = {{ kind = \"{scheme}\" }}\n");
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    let config = ExperimentConfig::from_text(&text, "test", &overrides).expect("a valid config");
    let mut run = Run::create(config, &folder.path().join("run")).expect("an empty folder");
    run.train(&Signals::detached(), &Progress::hidden()).expect("it learns");
    let newest =
        store::newest(&folder.path().join("run")).expect("readable").expect("a finished run has one");
    let files = store::open(&newest).expect("readable");
    files.into_iter().filter(|(name, _)| name.ends_with(".safetensors")).collect()
}

/// Four times each payoff of the default game; exact in binary, as the factor is.
const PAYS_FOURFOLD: &str = "env.payoffs=[32.0, -48.0, -48.0, -48.0, 0.0, 0.0, -48.0, 0.0, 0.0]";

#[test]
fn scaled_rewards_are_those_of_a_game_that_pays_so() {
    for scheme in ["plain", "ddn"] {
        let scaled = learned(scheme, &["learner.reward_scale=4"]);
        assert!(scaled.len() >= 3, "networks and optimisers were kept");
        assert!(scaled == learned(scheme, &[PAYS_FOURFOLD]), "{scheme}");
        assert!(scaled != learned(scheme, &[]), "{scheme}: the factor reaches the learner");
    }
}
