//! One agent's step: a follower as it ships, the same at the trainer's default width of the
//! hypernetwork, and the net that recurrent policies are compared on.
//!
//! `cargo bench -p ddn-runtime`

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ddn_runtime::{AgentInput, Model};

#[path = "../fixture/mod.rs"]
mod fixture;

use fixture::{EIGHT_AGENTS, Random, Sizes, agent_file, reference_file};

fn act(c: &mut Criterion) {
    let mut group = c.benchmark_group("act");
    for (name, file) in [
        ("follower", agent_file(EIGHT_AGENTS, 7, 1)),
        ("follower, hyper 64", agent_file(Sizes { hyper: 64, ..EIGHT_AGENTS }, 7, 1)),
        ("reference", reference_file(13)),
    ] {
        let policy = Model::open(&file).expect("the fixture is valid").assume_verified();
        let mut room = vec![0.0; policy.arranged_len()];
        let arranged = policy.clone().arranged(&mut room);
        let spec = policy.spec();
        let mut random = Random(17);
        // As a predator sees it: few ones.
        let obs: Vec<f32> = (0..spec.obs_dim()).map(|_| f32::from(u8::from(random.below(16) == 0))).collect();
        let available = vec![true; spec.n_actions()];
        let input = AgentInput { obs: &obs, last_action: None, agent_id: 0, available: &available };
        let mut memory = vec![0.0; policy.memory_len()];
        let mut scratch = vec![0.0; policy.scratch_len()];
        for (name, policy) in [(name.to_owned(), &policy), (format!("{name}, arranged"), &arranged)] {
            group.bench_function(name, |b| {
                b.iter(|| {
                    let action = policy.act(&mut memory, black_box(input), &mut scratch);
                    action.expect("the input is valid").index
                });
            });
        }
    }
}

criterion_group!(benches, act);
criterion_main!(benches);
