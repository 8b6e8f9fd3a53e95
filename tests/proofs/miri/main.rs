//! Runs policies under Miri, which stops at the first undefined behaviour: `tests/run miri`.
//!
//! Miri sees the portable code and that of x86-64, without or with AVX2, as this program is compiled. The instructions of
//! the DSP extension of Cortex-M it cannot execute. The network is tiny, because Miri is slow: what counts is that every
//! loop over vectors ends with a whole one and with a part of one. `build.rs` makes it, at full speed.

use ddn_runtime::model::Layers;
use ddn_runtime::{AgentInput, Model, Policy, Recording, flash};

include!(concat!(env!("OUT_DIR"), "/network.rs"));
include!(concat!(env!("OUT_DIR"), "/integers.rs"));

/// Steps of the network, with the answers it gave outside of Miri.
static EPISODE: &[u8] = flash!(concat!(env!("OUT_DIR"), "/episode.safetensors"));

fn main() {
    let file = flash!(concat!(env!("OUT_DIR"), "/network.safetensors"));
    assert!(work(file));
    for damaged in [
        flash!(concat!(env!("OUT_DIR"), "/header.safetensors")),
        flash!(concat!(env!("OUT_DIR"), "/weights.safetensors")),
    ] {
        assert!(!work(damaged));
    }
    // Eleven agents are computed at once where there is AVX2, ten never.
    let open = |file| Model::open(file).expect("is valid").assume_verified();
    team(&open(file), 11);
    team(&open(flash!(concat!(env!("OUT_DIR"), "/integers.safetensors"))), 1);
    let wide = open(flash!(concat!(env!("OUT_DIR"), "/wide.safetensors")));
    let mut room = vec![0.0; wide.arranged_len()];
    team(&wide.arranged(&mut room), 1);
    let (mut memory, mut scratch) = ([0.0; network::MEMORY], [0.0; network::SCRATCH]);
    team(network::POLICY.verify(&mut memory, &mut scratch).expect("is whole"), 11);
    let (mut memory, mut scratch) = ([0.0; integers::MEMORY], [0.0; integers::SCRATCH]);
    team(integers::POLICY.verify(&mut memory, &mut scratch).expect("is whole"), 1);
    let avx2 = std::is_x86_feature_detected!("avx2");
    println!("no undefined behaviour, {} AVX2", if avx2 { "with" } else { "without" });
}

/// Opens a policy and lets it act, whether it is whole or not; whether it is.
fn work(file: &[u8]) -> bool {
    let Ok(model) = Model::open(file) else {
        return false;
    };
    let mut memory = vec![0.0; model.memory_len()];
    let mut scratch = vec![0.0; model.scratch_len()];
    let whole = model.clone().verify(&mut memory, &mut scratch).is_ok();
    let policy = model.assume_verified();
    // A damaged policy may be one of other sizes, or give other answers.
    let Ok(episode) = Recording::from_bytes(EPISODE, policy.spec()) else {
        return whole;
    };
    for step in episode.steps() {
        let Ok(action) = policy.replay(&mut memory, &step, &mut scratch) else {
            return whole;
        };
        let same = action.q.iter().zip(step.q.iter()).all(|(got, want)| got.to_bits() == want.to_bits());
        assert!(same || !whole, "the answers differ");
    }
    whole
}

/// Agents at once: each gets the bits that it would get alone.
fn team<L: Layers>(policy: &Policy<'_, L>, agents: usize) {
    let (dim, actions) = (policy.spec().obs_dim(), policy.spec().n_actions());
    let obs: Vec<f32> = (0..agents * dim).map(|index| (index * 37 % 64) as f32 / 32.0 - 1.0).collect();
    let available = vec![true; actions];
    let inputs = obs.chunks_exact(dim).map(|obs| AgentInput {
        obs,
        last_action: None,
        agent_id: 0,
        available: &available,
    });
    let mut memories = vec![0.0; agents * policy.memory_len()];
    let mut scratch = vec![0.0; policy.batch_scratch_len()];
    let mut together = Vec::new();
    let acted = policy.act_batch(&mut memories, inputs.clone(), &mut scratch, |_, action| {
        together.push((action.index, action.q.to_vec()));
    });
    acted.expect("the inputs are valid");
    assert_eq!(together.len(), agents);
    for (input, (index, q)) in inputs.zip(&together).take(1) {
        let mut memory = vec![0.0; policy.memory_len()];
        let alone = policy.act(&mut memory, input, &mut scratch).expect("the input is valid");
        assert_eq!(alone.index, *index);
        assert!(alone.q.iter().zip(q).all(|(alone, together)| alone.to_bits() == together.to_bits()));
    }
}
