//! The same bits, however a run was interrupted and however many threads it had.

use std::path::Path;

use ddn_trainer::checkpoint::store::{self, Files};
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::metrics::progress::Progress;
use ddn_trainer::signal::{Signals, Stop};
use ddn_trainer::train::{Outcome, Run};

fn config() -> ExperimentConfig {
    let text = "t_max = 4000\nenv = { kind = \"predator-prey\", rows = 5, cols = 5, predators = 3, prey = 2, episode_limit = 20 }\n\
        scheme = { kind = \"ddn\", behaviour = \"mix\" }\nmixer = { kind = \"qmix\" }\n\
        learner = { updates_per_episode = 0.25, target_interval = 30 }\nreplay = { batch = 8 }\n\
        eval = { interval = 1000, episodes = 4 }\ncheckpoint = { interval = 700 }\n";
    ExperimentConfig::from_text(text, "test", &[]).expect("a valid config")
}

/// The final checkpoint and the metrics.
fn result(dir: &Path) -> (Files, Vec<u8>) {
    let newest = store::newest(dir).expect("readable").expect("a finished run has one");
    let files = store::open(&newest).expect("readable");
    (files, std::fs::read(dir.join("metrics.jsonl")).expect("a finished run has metrics"))
}

fn straight(dir: &Path) -> (Files, Vec<u8>) {
    let mut run = Run::create(config(), dir).expect("an empty folder");
    assert_eq!(run.train(&Signals::detached(), &Progress::hidden()).expect("it learns"), Outcome::Done);
    result(dir)
}

fn same(left: &(Files, Vec<u8>), right: &(Files, Vec<u8>)) {
    for ((name, left), (_, right)) in left.0.iter().zip(&right.0) {
        assert!(left == right, "{name} differs");
    }
    assert_eq!(left.0.len(), right.0.len());
    assert!(left.1 == right.1, "metrics differ");
}

#[test]
fn a_run_stopped_after_every_wave_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let want = straight(&folder.path().join("straight"));
    let dir = folder.path().join("stopped");
    drop(Run::create(config(), &dir).expect("an empty folder"));
    let mut stops = 0;
    loop {
        let signals = Signals::detached();
        signals.request_stop(Stop::Terminate);
        let outcome = Run::resume(&dir).expect("it resumes").train(&signals, &Progress::hidden());
        match outcome.expect("it learns") {
            Outcome::Done => break,
            Outcome::Stopped(_) => stops += 1,
            Outcome::Paused => unreachable!("nothing asked for a pause"),
        }
    }
    assert!(stops > 10, "it was stopped only {stops} times");
    same(&want, &result(&dir));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let dir = folder.path().join(threads.to_string());
        pool.install(|| straight(&dir))
    };
    let want = with(1);
    for threads in [2, 3] {
        same(&want, &with(threads));
    }
}
