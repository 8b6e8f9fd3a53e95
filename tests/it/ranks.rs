//! One run on several ranks: the same bits on one, two or four, and a clear end where they do not agree.

use std::path::Path;
use std::sync::{Arc, Barrier, Mutex};

use candle_core::DType;
use ddn_trainer::checkpoint::store::{self, Files};
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::env::EnvSpec;
use ddn_trainer::error::{RankError, TrainError};
use ddn_trainer::learner::mixer;
use ddn_trainer::metrics::progress::Progress;
use ddn_trainer::nn::Optimiser;
use ddn_trainer::ranks::Link;
use ddn_trainer::replay::{Batch, Episode};
use ddn_trainer::rollout::{Plan, Player, play};
use ddn_trainer::seed::stream;
use ddn_trainer::signal::{Signals, Stop};
use ddn_trainer::train::{Outcome, Run, build_envs, build_scheme_as};

/// Ranks that are threads of one process.
struct Thread {
    rank: usize,
    slots: Arc<Vec<Mutex<Vec<u8>>>>,
    barrier: Arc<Barrier>,
}

impl Link for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.slots.len()
    }

    fn all_gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, RankError> {
        *self.slots[self.rank].lock().expect("no rank panicked") = mine.to_vec();
        self.barrier.wait();
        let all = self.slots.iter().map(|slot| slot.lock().expect("no rank panicked").clone()).collect();
        self.barrier.wait();
        Ok(all)
    }

    fn abort(&self, code: u8) -> ! {
        panic!("rank {} ended with {code}", self.rank)
    }
}

/// What `work` comes to on each of `count` ranks.
fn on_ranks<T: Send>(count: usize, work: impl Fn(Arc<dyn Link>) -> T + Sync) -> Vec<T> {
    let slots: Arc<Vec<Mutex<Vec<u8>>>> = Arc::new((0..count).map(|_| Mutex::default()).collect());
    let barrier = Arc::new(Barrier::new(count));
    std::thread::scope(|scope| {
        let start = |rank| {
            let link = Arc::new(Thread { rank, slots: Arc::clone(&slots), barrier: Arc::clone(&barrier) });
            let work = &work;
            scope.spawn(move || work(link))
        };
        let threads: Vec<_> = (0..count).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
    })
}

fn config(scheme: &str) -> ExperimentConfig {
    let more = if scheme == "ddn" { ", behaviour = \"mix\", idm = { normalise = true }" } else { "" };
    let text = format!(
        "t_max = 1500\nenv = {{ kind = \"predator-prey\", rows = 5, cols = 5, predators = 3, prey = 2, episode_limit = 20 }}\n\
        scheme = {{ kind = \"{scheme}\"{more} }}\nmixer = {{ kind = \"qmix\" }}\nrollout = {{ envs = 8 }}\n\
        learner = {{ updates_per_episode = 0.5, target_interval = 30, shards = 4, normalise = {} }}\n\
        replay = {{ batch = 8, capacity = 50 }}\neval = {{ interval = 500, episodes = 6 }}\n\
        checkpoint = {{ interval = 400 }}\n",
        // Where inputs are normalised, nothing of slow networks is kept.
        scheme == "ddn"
    );
    ExperimentConfig::from_text(&text, "test", &[]).expect("a valid config")
}

/// The final checkpoint and the metrics.
fn result(dir: &Path) -> (Files, Vec<u8>) {
    let newest = store::newest(dir).expect("readable").expect("a finished run has one");
    let files = store::open(&newest).expect("readable");
    (files, std::fs::read(dir.join("metrics.jsonl")).expect("a finished run has metrics"))
}

fn train(link: Arc<dyn Link>, config: ExperimentConfig, dir: &Path) -> Result<Outcome, TrainError> {
    Run::create_on(link, config, dir)?.train(&Signals::detached(), &Progress::hidden())
}

#[test]
fn the_number_of_ranks_changes_no_bit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // CTDS keeps teacher views in the replay.
    for scheme in ["ddn", "ctds"] {
        let dir = folder.path().join(scheme);
        let mut run = Run::create(config(scheme), &dir).expect("an empty folder");
        assert_eq!(run.train(&Signals::detached(), &Progress::hidden()).expect("it learns"), Outcome::Done);
        let want = result(&dir);
        for ranks in [2, 3, 4] {
            let dir = folder.path().join(format!("{scheme}_{ranks}"));
            for outcome in on_ranks(ranks, |link| train(link, config(scheme), &dir)) {
                assert_eq!(outcome.expect("it learns"), Outcome::Done);
            }
            let have = result(&dir);
            assert!(want.1 == have.1, "{scheme} on {ranks} ranks: metrics differ");
            for ((name, want), (_, have)) in want.0.iter().zip(&have.0) {
                assert!(want == have, "{scheme} on {ranks} ranks: {name} differs");
            }
        }
    }
}

#[test]
fn a_run_goes_on_with_the_same_bits_on_another_number_of_ranks() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let straight = folder.path().join("straight");
    assert_eq!(
        on_ranks(1, |link| train(link, config("ddn"), &straight).expect("it learns")),
        [Outcome::Done]
    );
    let dir = folder.path().join("stopped");
    on_ranks(2, |link| drop(Run::create_on(link, config("ddn"), &dir).expect("an empty folder")));
    for stop in 0.. {
        let outcomes = on_ranks(1 + stop % 4, |link| {
            let signals = Signals::detached();
            // Only the last of them hears of it.
            if link.rank() + 1 == link.count() {
                signals.request_stop(Stop::Terminate);
            }
            let mut run = Run::resume_on(link, &dir).expect("it resumes");
            run.train(&signals, &Progress::hidden()).expect("it learns")
        });
        assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");
        if outcomes[0] == Outcome::Done {
            assert!(stop > 8, "it was stopped only {stop} times");
            break;
        }
    }
    assert!(result(&straight) == result(&dir), "the bits differ");
}

#[test]
fn ranks_that_do_not_agree_are_told_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let errors = on_ranks(2, |link| {
        let config = config(if link.rank() == 0 { "ddn" } else { "plain" });
        train(link, config, &folder.path().join("run")).expect_err("they differ").to_string()
    });
    for error in errors {
        assert!(error.starts_with("the config: rank 1 differs from rank 0"), "{error}");
    }
    let errors = on_ranks(5, |link| {
        train(link, config("ddn"), &folder.path().join("run")).expect_err("too many").to_string()
    });
    for error in errors {
        assert!(error.contains("learner.shards") && error.contains("there are 5 ranks"), "{error}");
    }
    let refused = ExperimentConfig::from_text(
        "t_max = 10\n[env]\nkind = \"matrix-game\"\n[scheme]\nkind = \"plain\"\n[mixer]\nkind = \"vdn\"\n[learner]\nshards = 3\n",
        "test",
        &[],
    );
    assert!(
        refused
            .expect_err("8 environments")
            .to_string()
            .contains("divide both rollout.envs and replay.batch")
    );
    let error =
        Run::create(config("ptde"), &folder.path().join("ptde")).err().expect("a second phase").to_string();
    assert!(error.contains("learner.shards") && error.contains("second phase"), "{error}");
}

/// The gradients of all optimisers on these episodes.
fn gradients(config: &ExperimentConfig, spec: &EnvSpec, episodes: &[&Episode]) -> Vec<Vec<f32>> {
    let mut scheme = build_scheme_as(config, spec, DType::F64).expect("it builds");
    scheme.optimisers_mut().into_iter().for_each(|(_, optimiser)| optimiser.hold());
    scheme.update(&Batch::new(spec, episodes), &mut stream(1, "test")).expect("it learns");
    let held =
        |(_, optimiser): (_, &mut Optimiser)| optimiser.take_held().expect("readable").expect("a gradient");
    scheme.optimisers_mut().into_iter().map(held).collect()
}

#[test]
fn gradients_of_the_parts_add_up_to_that_of_the_whole_batch() {
    for mixer in mixer::REGISTRY {
        let text = format!(
            "t_max = 10\nenv = {{ kind = \"predator-prey\", rows = 4, cols = 4, predators = 3, prey = 2, episode_limit = 9 }}\n\
            scheme = {{ kind = \"ddn\", idm = {{ mu = 1.0 }} }}\nmixer = {{ kind = \"{}\" }}\n",
            mixer.name
        );
        let config = ExperimentConfig::from_text(&text, "test", &[]).expect("a valid config");
        let mut envs = build_envs(&config, 6).expect("they build");
        let spec = envs[0].spec().clone();
        let plan = Plan { seed: 1, purpose: "test", first: 0, count: 6, epsilon: 1.0, record: false };
        let played = play(Player::Random, &mut envs, &plan).expect("they play");
        let episodes: Vec<&Episode> = played.iter().map(|played| &played.episode).collect();
        let steps = |part: &[&Episode]| part.iter().map(|episode| episode.len()).sum::<usize>() as f64;
        let parts: Vec<_> =
            episodes.chunks(2).map(|part| (steps(part), gradients(&config, &spec, part))).collect();
        for (index, whole) in gradients(&config, &spec, &episodes).iter().enumerate() {
            let largest = whole.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            assert!(largest > 0.0, "{}: optimiser {index} has no gradient", mixer.name);
            for (at, &want) in whole.iter().enumerate() {
                let sum: f64 = parts.iter().map(|(steps, part)| steps * f64::from(part[index][at])).sum();
                let have = (sum / steps(&episodes)) as f32;
                let off = (want - have).abs();
                assert!(off < 1e-5 * largest, "{}: optimiser {index}, {at}: {want} and {have}", mixer.name);
            }
        }
    }
}
