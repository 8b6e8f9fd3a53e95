//! Every scheme from its start to the files that ship: stopped and resumed, and held to the trained
//! network by the engines that need nothing but Rust.

use std::path::Path;

use ddn_export::error::ExportError;
use ddn_export::job::{self, Job, Quantize, Trained};
use ddn_export::source::Source;
use ddn_export::verify::refuse;
use ddn_trainer::checkpoint::store;
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::learner::mixer;
use ddn_trainer::learner::scheme::REGISTRY;
use ddn_trainer::metrics::progress::Progress;
use ddn_trainer::metrics::{self, Record};
use ddn_trainer::signal::{Signals, Stop};
use ddn_trainer::train::{Outcome, Run};

/// A few updates of a small team; where there is a second phase, a short one.
pub(crate) fn config(scheme: &str) -> ExperimentConfig {
    config_of(scheme, "qmix", 1200)
}

/// The same with another mixer, for `t_max` environment steps.
fn config_of(scheme: &str, mixer: &str, t_max: u64) -> ExperimentConfig {
    let phase = if scheme == "ptde" { ", distill = { episodes = 11, updates = 7, rows = 50 }" } else { "" };
    let text = format!(
        "t_max = {t_max}\nenv = {{ kind = \"predator-prey\", rows = 5, cols = 5, predators = 3, prey = 2, episode_limit = 20 }}\n\
         scheme = {{ kind = \"{scheme}\"{phase} }}\nmixer = {{ kind = \"{mixer}\" }}\nrollout = {{ envs = 4 }}\n\
         learner = {{ updates_per_episode = 0.25, target_interval = 20 }}\nreplay = {{ capacity = 10, batch = 8 }}\n\
         eval = {{ interval = 500, episodes = 3 }}\ncheckpoint = {{ interval = 400 }}\n"
    );
    ExperimentConfig::from_text(&text, "test", &[]).expect("a valid config")
}

fn train(config: ExperimentConfig, dir: &Path) {
    let mut run = Run::create(config, dir).expect("an empty folder");
    let outcome = run.train(&Signals::detached(), &Progress::hidden()).expect("it learns");
    assert_eq!(outcome, Outcome::Done);
}

/// Resumes a run, to stop at the first chance.
fn stop_soon(dir: &Path) -> Outcome {
    let signals = Signals::detached();
    signals.request_stop(Stop::Terminate);
    let outcome = Run::resume(dir).expect("it resumes").train(&signals, &Progress::hidden());
    outcome.expect("it learns")
}

/// A run that is stopped at its first `most` chances and then left alone; gives back how often it was.
fn train_in_pieces(config: ExperimentConfig, dir: &Path, most: usize) -> usize {
    drop(Run::create(config, dir).expect("an empty folder"));
    for stops in 0..most {
        if stop_soon(dir) == Outcome::Done {
            return stops;
        }
    }
    let outcome = Run::resume(dir).expect("it resumes").train(&Signals::detached(), &Progress::hidden());
    assert_eq!(outcome.expect("it learns"), Outcome::Done);
    most
}

/// Two runs ended with the same checkpoint and the same metrics.
fn same_bytes(what: &str, left: &Path, right: &Path) {
    let files = |dir: &Path| {
        store::open(&store::newest(dir).expect("readable").expect("a finished run has one"))
            .expect("readable")
    };
    for ((name, left), (other, right)) in files(left).iter().zip(&files(right)) {
        assert!(name == other && left == right, "{what}: {name} differs");
    }
    let log = |dir: &Path| std::fs::read(dir.join(metrics::METRICS)).expect("a log");
    assert!(log(left) == log(right), "{what}: metrics differ");
}

fn last_record(dir: &Path) -> Record {
    metrics::read(&dir.join(metrics::METRICS)).expect("readable").pop().expect("a finished run was tested")
}

/// Trains `scheme` for a moment, and has what ships replayed by `engines`.
pub(crate) fn verify(scheme: &str, engines: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = folder.path().join("run");
    train(config(scheme), &dir);
    export(scheme, &dir, engines);
}

/// Has what ships of a run replayed by `engines`.
fn export(scheme: &str, dir: &Path, engines: &[&str]) {
    let job = Job {
        formats: vec!["safetensors".into(), "onnx".into()],
        engines: engines.iter().map(|&engine| engine.to_owned()).collect(),
        episodes: 6,
        record: 0,
        quantize: Some(Quantize { steps: 300, episodes: 2 }),
    };
    let outcome = job::run(&job, &Source::open(dir).expect("a run"))
        .unwrap_or_else(|error| panic!("{scheme}: {error}"));
    refuse(&outcome.reports).unwrap_or_else(|error| panic!("{scheme}: {error}"));
    assert_eq!(outcome.reports.len(), engines.len() - 1, "all but the reference");
    let agreement = outcome.agreement.expect("was asked for");
    agreement.refuse(0.95).unwrap_or_else(|error| panic!("{scheme}: {error}"));
    assert!(outcome.reports.iter().all(|report| report.steps > 100), "{scheme}: {:?}", outcome.reports);
}

#[test]
fn what_ships_of_every_scheme_acts_as_it_was_trained() {
    for scheme in REGISTRY {
        verify(scheme.name, &["candle", "runtime", "tract"]);
    }
}

#[test]
fn every_scheme_stopped_at_every_chance_ends_with_the_same_bytes() {
    for scheme in REGISTRY {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (straight, dir) = (folder.path().join("straight"), folder.path().join("stopped"));
        train(config(scheme.name), &straight);
        let stops = train_in_pieces(config(scheme.name), &dir, usize::MAX);
        // A run that is done stays as it is.
        let again = Run::resume(&dir).expect("it resumes").train(&Signals::detached(), &Progress::hidden());
        assert_eq!(again.expect("nothing is left to do"), Outcome::Done);
        assert!(stops > 10, "{}: it was stopped only {stops} times", scheme.name);
        same_bytes(scheme.name, &straight, &dir);
    }
}

#[test]
fn every_pair_of_scheme_and_mixer_trains_resumes_exactly_and_ships() {
    for scheme in REGISTRY {
        for mixer in mixer::REGISTRY {
            let what = format!("{} on {}", scheme.name, mixer.name);
            let config = || config_of(scheme.name, mixer.name, 600);
            let folder = tempfile::tempdir().expect("a temporary folder");
            let (straight, dir) = (folder.path().join("straight"), folder.path().join("stopped"));
            train(config(), &straight);
            assert_eq!(train_in_pieces(config(), &dir, 2), 2, "{what}");
            same_bytes(&what, &straight, &dir);
            let updates = last_record(&dir).update;
            assert!(updates > 2, "{what}: {updates} updates");
            export(&what, &dir, &["candle", "runtime"]);
        }
    }
}

#[test]
fn a_student_of_a_second_phase_is_not_shipped_before_it_has_learned() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = folder.path().join("run");
    drop(Run::create(config("ptde"), &dir).expect("an empty folder"));
    let mut refused = Vec::new();
    while stop_soon(&dir) != Outcome::Done {
        match Source::open(&dir).expect("a run").freeze() {
            Err(ExportError::Unfinished { made, steps: 7 }) => refused.push(made),
            Err(other) => panic!("{other}"),
            // Stopped once more between the last gradient step and the end.
            Ok(_) => assert_eq!(refused.last(), Some(&6)),
        }
    }
    assert!(refused.contains(&0) && refused.contains(&6), "{refused:?}");
    Source::open(&dir).expect("a run").freeze().expect("now it has learned");
}

#[test]
fn both_networks_of_a_scheme_are_tested_apart_and_extra_episodes_are_counted() {
    for (scheme, networks) in [
        ("ctds", ["teacher", "student"]),
        ("ptde", ["teacher", "student"]),
        ("igm-da", ["expert", "learner"]),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = folder.path().join("run");
        train(config(scheme), &dir);
        let record = last_record(&dir);
        for network in networks {
            assert!(record.values.contains_key(&format!("test_{network}_return")), "{scheme}: {record:?}");
        }
        let run = Run::resume(&dir).expect("a run");
        let extra = ["extra_episodes", "extra_steps"].map(|name| record.values.get(name).copied());
        match run.extra() {
            None => assert!(scheme != "ptde" && extra == [None; 2], "{scheme}: {extra:?}"),
            Some((episodes, steps)) => {
                assert_eq!((scheme, episodes), ("ptde", 11));
                assert_eq!(extra, [Some(11.0), Some(steps as f64)]);
                assert!((11..=220).contains(&steps) && run.counters().t_env >= 1200 + steps);
                assert!(record.values["held_out_error"] > 0.0 && record.values["loss_distill_z"] > 0.0);
            }
        }
    }
}

#[test]
fn an_environment_that_lacks_what_a_scheme_needs_is_named_before_anything_is_made() {
    for scheme in ["ctds", "igm-da"] {
        let text = format!(
            "t_max = 10\nenv = {{ kind = \"matrix-game\" }}\nscheme = {{ kind = \"{scheme}\" }}\nmixer = {{ kind = \"vdn\" }}\n"
        );
        let config = ExperimentConfig::from_text(&text, "test", &[]).expect("the tables are right");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = folder.path().join("run");
        let error = Run::create(config, &dir).err().expect("it has no teacher view").to_string();
        let says = ["scheme.kind", scheme, "teacher view", "\"matrix-game\" offers none", "choose a scheme"];
        assert!(says.iter().all(|part| error.contains(part)), "{error}");
        assert!(!dir.exists());
    }
}
