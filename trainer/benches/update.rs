//! Learning and playing on the paper's Predator-Prey, for every scheme and mixer; a step of every
//! environment.
//!
//! `cargo bench -p ddn-trainer`. Updates are on 32 episodes of 200 steps from random play; making
//! the batch is measured apart.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::env;
use ddn_trainer::learner::{mixer, scheme};
use ddn_trainer::replay::{Batch, Episode};
use ddn_trainer::rollout::{Plan, Player, play};
use ddn_trainer::seed::{Draw, stream};
use ddn_trainer::train::{build_envs, build_scheme};

/// As in the program.
#[global_allocator]
static ALLOCATOR: ddn_trainer::memory::Lines = ddn_trainer::memory::Lines;

fn config(scheme: &str, mixer: &str) -> ExperimentConfig {
    let text = format!(
        "t_max = 1\n[env]\nkind = \"predator-prey\"\n[scheme]\nkind = \"{scheme}\"\n[mixer]\nkind = \"{mixer}\"\n"
    );
    ExperimentConfig::from_text(&text, "bench", &[]).expect("defaults are valid")
}

fn plan(count: usize) -> Plan<'static> {
    Plan { seed: 1, purpose: "bench", first: 0, count, epsilon: 1.0, record: false }
}

fn update(c: &mut Criterion) {
    ddn_trainer::memory::keep_pages();
    let some = config(scheme::REGISTRY[0].name, mixer::REGISTRY[0].name);
    let mut envs = build_envs(&some, some.rollout.envs).expect("the environment builds");
    let spec = envs[0].spec().clone();
    let played = play(Player::Random, &mut envs, &plan(some.replay.batch)).expect("random play");
    let episodes: Vec<&Episode> = played.iter().map(|played| &played.episode).collect();
    let batch = Batch::new(&spec, &episodes);

    let mut group = c.benchmark_group("update");
    group.sample_size(10);
    group.bench_function("batch", |b| b.iter(|| Batch::new(&spec, &episodes)));
    for scheme in scheme::REGISTRY {
        for mixer in mixer::REGISTRY {
            let config = config(scheme.name, mixer.name);
            let mut scheme = build_scheme(&config).expect("defaults build");
            let mut rng = stream(1, "bench/update");
            group.bench_function(config.algorithm(), |b| {
                b.iter(|| scheme.update(&batch, &mut rng).expect("an update"));
            });
        }
    }
}

fn collect(c: &mut Criterion) {
    let mut group = c.benchmark_group("collect");
    group.sample_size(10);
    for scheme in scheme::REGISTRY {
        let config = config(scheme.name, mixer::REGISTRY[0].name);
        let built = build_scheme(&config).expect("defaults build");
        let mut envs = build_envs(&config, config.rollout.envs).expect("the environment builds");
        for network in built.networks() {
            let player = Player::Network(&*built, network);
            let mut wave = || play(player, &mut envs, &plan(config.rollout.envs)).expect("a wave");
            let steps: usize = wave().iter().map(|played| played.episode.len()).sum();
            group.throughput(Throughput::Elements(steps as u64));
            group.bench_function(format!("{}/{network}", scheme.name), |b| b.iter(&mut wave));
        }
    }
}

fn step(c: &mut Criterion) {
    let mut group = c.benchmark_group("step");
    for entry in env::REGISTRY.iter().filter(|entry| !entry.outside) {
        let mut env = entry.example().and_then(|table| env::build(&table)).expect("defaults build");
        let actions_each = env.spec().n_actions();
        let (mut frame, mut rng) = (env.spec().frame(), stream(1, "bench/step"));
        let (mut episode, mut actions) = (0, Vec::new());
        env.reset(episode, &mut frame).expect("it starts");
        group.bench_function(entry.name, |b| {
            b.iter(|| {
                actions.clear();
                for available in frame.available.chunks_exact(actions_each) {
                    let pick = rng.below(available.iter().filter(|&&yes| yes).count());
                    let mut left = (0..actions_each).filter(|&action| available[action]);
                    actions.push(left.nth(pick).expect("something is available"));
                }
                if black_box(env.step(&actions, &mut frame)).expect("a step").end.is_some() {
                    episode += 1;
                    env.reset(episode, &mut frame).expect("it starts");
                }
            });
        });
    }
}

criterion_group!(benches, update, collect, step);
criterion_main!(benches);
