//! What `Policy` promises: isolated agents, exact self-test, a choice that obeys the mask, and errors instead of surprises.
#![allow(missing_docs, clippy::unwrap_used)]

use ddn_runtime::error::LayerFault;
use ddn_runtime::model::Part;
use ddn_runtime::{ActError, AgentInput, Memory, Model, ModelError, Recording, SelfTestError};
use fixture::{EIGHT_AGENTS, Random, SMALL, Tensors, agent, agent_file, encode, metadata, record};

#[path = "../fixture/mod.rs"]
mod fixture;

fn tensor(shape: &[usize], values: &[f32]) -> (Vec<usize>, Vec<f32>) {
    (shape.to_vec(), values.to_vec())
}

/// A policy whose Q-values are its observation.
fn mirror(actions: usize) -> Vec<u8> {
    let names = vec!["a"; actions].join(",");
    encode(&metadata("concat:0,0>1", &format!("obs:{actions}"), 1, &names), &Tensors::new())
}

/// The same through the identity matrix.
fn identity(actions: usize) -> Vec<u8> {
    let mut tensors = Tensors::new();
    let eye: Vec<f32> =
        (0..actions * actions).map(|i| if i % (actions + 1) == 0 { 1.0 } else { 0.0 }).collect();
    tensors.insert("l.weight".into(), tensor(&[actions, actions], &eye));
    tensors.insert("l.bias".into(), tensor(&[actions], &vec![0.0; actions]));
    let names = vec!["a"; actions].join(",");
    encode(&metadata("linear:0>1:l", &format!("obs:{actions}"), 1, &names), &tensors)
}

#[test]
fn spec_says_what_the_file_says() {
    let file = agent_file(SMALL, 1, 2);
    let policy = fixture::policy(&file);
    let spec = policy.spec();
    assert_eq!((spec.obs_dim(), spec.n_actions(), spec.n_agents()), (5, 3, 2));
    assert_eq!(spec.inputs(), [(Part::Obs, 5), (Part::LastAction, 3), (Part::AgentId, 2)]);
    assert_eq!(spec.actions().collect::<Vec<_>>(), ["action 0", "action 1", "action 2"]);
    assert_eq!(spec.obs_layout().to_string(), "random numbers");
    assert_eq!(spec.contract().plain(), Some(""));
    assert_eq!(policy.memory_len(), SMALL.hidden);
}

#[test]
fn interleaved_agents_equal_isolated_ones() {
    let file = agent_file(SMALL, 1, 2);
    let policy = fixture::policy(&file);
    let steps = |agent: usize| {
        let mut random = Random(agent as u64);
        (0..30).map(move |_| (0..5).map(|_| random.uniform(1.0)).collect::<Vec<f32>>())
    };
    let act = |memory: &mut [f32], scratch: &mut [f32], obs: &[f32], agent_id| {
        let input = AgentInput { obs, last_action: None, agent_id, available: &[true; 3] };
        policy.act(memory, input, scratch).unwrap().q.iter().map(|q| q.to_bits()).collect::<Vec<_>>()
    };
    let alone = [0, 1].map(|agent| {
        let (mut memory, mut scratch) = (Memory::<6>::new(), vec![0.0; policy.scratch_len()]);
        steps(agent).map(|obs| act(&mut memory, &mut scratch, &obs, agent)).collect::<Vec<_>>()
    });
    // One scratch for both, full of what is not a number to begin with.
    let (mut memories, mut scratch) =
        ([Memory::<6>::new(), Memory::new()], vec![f32::NAN; policy.scratch_len()]);
    for (step, (first, second)) in steps(0).zip(steps(1)).enumerate() {
        let [a, b] = &mut memories;
        assert_eq!(act(a, &mut scratch, &first, 0), alone[0][step]);
        assert_eq!(act(b, &mut scratch, &second, 1), alone[1][step]);
    }
}

#[test]
fn self_test_passes_and_notices() {
    let (metadata, mut tensors) = agent(SMALL, 1);
    let bare = encode(&metadata, &tensors);
    let mut memory = Memory::<6>::new();
    let mut scratch = [0.0; 256];
    let mut test = |tensors: &Tensors| {
        let file = encode(&metadata, tensors);
        fixture::policy(&file).self_test(&mut memory, &mut scratch)
    };
    assert_eq!(test(&tensors), Err(SelfTestError::NoRecord));
    tensors.extend(record(&bare, &[0, 1], 4, 9));
    assert_eq!(test(&tensors), Ok(8));

    let mut other = tensors.clone();
    let q = &mut other.get_mut("kat.q").unwrap().1[7];
    *q = f32::from_bits(q.to_bits() ^ 1);
    assert_eq!(test(&other), Err(SelfTestError::Q { step: 2, action: 1 }));

    let mut other = tensors.clone();
    let action = &mut other.get_mut("kat.action").unwrap().1[3];
    *action = (*action + 1.0) % 3.0;
    assert_eq!(test(&other), Err(SelfTestError::Action { step: 3 }));

    let mut other = tensors.clone();
    other.get_mut("fc2.bias").unwrap().1[0] += 0.5;
    assert!(matches!(test(&other), Err(SelfTestError::Q { step: 0, .. })));

    tensors.remove("kat.available");
    let file = encode(&metadata, &tensors);
    let error = Model::open(&file).map(|_| ()).unwrap_err();
    assert_eq!(error, ModelError::Recording { name: "kat.available" });
}

/// The recorded answers are those of the policy that reads its weights where they lie.
#[test]
fn an_arranged_policy_gives_the_same_bits() {
    let gains = cfg!(all(feature = "std", target_arch = "x86_64"));
    #[cfg(target_arch = "x86_64")]
    let gains = gains && std::is_x86_feature_detected!("avx2");
    for (file, floats) in [
        (fixture::reference_file(3), 28_672),
        (agent_file(EIGHT_AGENTS, 4, 5), 34_368),
        (agent_file(SMALL, 5, 5), 0),
    ] {
        let whole = fixture::policy(&file).arranged_len();
        assert_eq!(whole, if gains && floats > 0 { floats + 15 } else { 0 });
        for len in [0, whole / 2, whole, whole + 1] {
            let mut room = vec![7.5; len];
            let policy = fixture::policy(&file).arranged(&mut room);
            let (mut memory, mut scratch) = (vec![0.0; policy.memory_len()], vec![0.0; policy.scratch_len()]);
            assert!(policy.self_test(&mut memory, &mut scratch).is_ok(), "{len} of {whole}");
            drop(policy);
            let copied = room.iter().filter(|value| value.to_bits() != 7.5_f32.to_bits()).count();
            let fits = if len < whole || !gains { copied < len.max(1) } else { copied == floats };
            assert!(fits, "{copied} of {len}");
        }
    }
}

#[test]
fn an_episode_file_is_replayed() {
    let file = agent_file(SMALL, 1, 2);
    let policy = fixture::policy(&file);
    let episodes = encode(&fixture::Metadata::new(), &record(&file, &[1, 0, 1], 5, 4));
    let recording = Recording::from_bytes(&episodes, policy.spec()).unwrap();
    assert_eq!(recording.len(), 15);
    let (mut memory, mut scratch) = (Memory::<6>::new(), [0.0; 256]);
    for step in recording.steps() {
        let action = policy.replay(&mut memory, &step, &mut scratch).unwrap();
        assert_eq!(action.index, step.action);
        assert!(action.q.iter().copied().eq(step.q.iter()));
    }
    let other = identity(3);
    let other = fixture::policy(&other);
    assert!(Recording::from_bytes(&episodes, other.spec()).is_err());
    for (name, value) in
        [("kat.agent", 2.0), ("kat.agent", -1.0), ("kat.action", 0.5), ("kat.last_action", -2.0)]
    {
        let mut episodes = record(&file, &[1], 5, 4);
        episodes.get_mut(name).unwrap().1[1] = value;
        let episodes = encode(&fixture::Metadata::new(), &episodes);
        let error = Recording::from_bytes(&episodes, policy.spec()).map(|_| ()).unwrap_err();
        assert_eq!(error, ModelError::Recording { name });
    }
}

#[test]
fn the_choice_obeys_mask_and_ties() {
    let file = identity(4);
    let policy = fixture::policy(&file);
    let choose = |obs: [f32; 4], available: [bool; 4]| {
        let input = AgentInput { obs: &obs, last_action: None, agent_id: 0, available: &available };
        policy.act(&mut [], input, &mut [0.0; 8]).map(|action| action.index)
    };
    assert_eq!(choose([0.0, 2.0, 2.0, 1.0], [true; 4]), Ok(1));
    assert_eq!(choose([0.0, 2.0, 2.0, 1.0], [true, false, true, true]), Ok(2));
    assert_eq!(choose([-3.0, 2.0, -2.0, 1.0], [true, false, true, false]), Ok(2));
    assert_eq!(choose([-0.0, 0.0, 0.0, 0.0], [true; 4]), Ok(0));
    assert_eq!(choose([0.0; 4], [false; 4]), Err(ActError::NoAction));
    assert_eq!(choose([f32::NAN, 1.0, 0.0, 0.0], [true; 4]), Err(ActError::NotFinite));
    assert_eq!(choose([f32::INFINITY, 1.0, 0.0, 0.0], [true; 4]), Err(ActError::NotFinite));
}

/// Sums that overflow both ways make values that are not numbers; those never win.
#[test]
fn what_is_not_a_number_never_wins() {
    let mut tensors = Tensors::new();
    tensors.insert("l.weight".into(), tensor(&[2, 2], &[f32::MAX, -f32::MAX, 1.0, 0.0]));
    tensors.insert("l.bias".into(), tensor(&[2], &[0.0, 0.0]));
    let file = encode(&metadata("linear:0>1:l", "obs:2", 1, "a,b"), &tensors);
    let policy = fixture::policy(&file);
    let choose = |available| {
        let input = AgentInput { obs: &[2.0, 2.0], last_action: None, agent_id: 0, available };
        policy.act(&mut [], input, &mut [0.0; 8]).map(|action| (action.index, action.q[0].is_nan()))
    };
    assert_eq!(choose(&[true, true]), Ok((1, true)));
    assert_eq!(choose(&[true, false]), Err(ActError::NotANumber));
}

#[test]
fn wrong_lengths_are_errors_and_leave_the_memory() {
    let file = agent_file(SMALL, 1, 2);
    let policy = fixture::policy(&file);
    let (memory_len, want) = (policy.memory_len(), policy.scratch_len());
    let good = AgentInput { obs: &[0.5; 5], last_action: Some(2), agent_id: 1, available: &[true; 3] };
    let mut memory = Memory::<6>::new();
    let mut act = |memory_len: usize, input, scratch_len: usize| {
        let mut scratch = vec![0.0; scratch_len];
        policy.act(&mut memory[..memory_len], input, &mut scratch).map(|_| ()).unwrap_err()
    };
    assert_eq!(act(5, good, want), ActError::Memory { want: 6, got: 5 });
    assert_eq!(act(memory_len, good, want - 1), ActError::Scratch { want, got: want - 1 });
    assert_eq!(act(6, AgentInput { obs: &[0.5; 4], ..good }, want), ActError::Obs { want: 5, got: 4 });
    assert_eq!(
        act(6, AgentInput { available: &[true; 4], ..good }, want),
        ActError::Available { want: 3, got: 4 }
    );
    assert_eq!(act(6, AgentInput { agent_id: 2, ..good }, want), ActError::Index);
    assert_eq!(act(6, AgentInput { last_action: Some(3), ..good }, want), ActError::Index);
    assert_eq!(memory, Memory::new());
}

#[test]
fn inputs_are_encoded_in_the_order_of_the_file() {
    let graph = "relu:0>1";
    let names = ["a"; 10].join(",");
    let file =
        encode(&metadata(graph, "agent_id:3,available:10,obs:7,last_action:10", 3, &names), &Tensors::new());
    let fault = ModelError::Layer { layer: 0, fault: LayerFault::Width };
    assert_eq!(Model::open(&file).unwrap_err(), fault); // 30 values for 10 actions

    let mut tensors = Tensors::new();
    let mut pick = vec![0.0; 10 * 30];
    for (row, column) in [1, 3, 5, 13, 14, 19, 20, 24, 29, 0].into_iter().enumerate() {
        pick[30 * row + column] = 1.0;
    }
    tensors.insert("l.weight".into(), tensor(&[10, 30], &pick));
    tensors.insert("l.bias".into(), tensor(&[10], &[0.0; 10]));
    let file = encode(
        &metadata("linear:0>1:l", "agent_id:3,available:10,obs:7,last_action:10", 3, &names),
        &tensors,
    );
    let policy = fixture::policy(&file);
    let mut available = [true; 10];
    available[2] = false;
    let obs = [10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0];
    let input = AgentInput { obs: &obs, last_action: Some(4), agent_id: 1, available: &available };
    let mut scratch = [0.0; 64];
    let action = policy.act(&mut [], input, &mut scratch).unwrap();
    assert_eq!(action.q, [1.0, 1.0, 0.0, 10.0, 11.0, 16.0, 0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn graphs_that_do_not_fit_are_refused() {
    let (metadata, tensors) = agent(SMALL, 1);
    let check = |change: &dyn Fn(&mut String, &mut Tensors)| {
        let (mut metadata, mut tensors) = (metadata.clone(), tensors.clone());
        change(metadata.get_mut("ddn.graph").unwrap(), &mut tensors);
        Model::open(&encode(&metadata, &tensors)).map(|_| ()).unwrap_err()
    };
    let graph = |text: &str| check(&|graph, _| *graph = text.to_owned());
    let fault = |layer, fault| ModelError::Layer { layer, fault };
    assert_eq!(graph(""), fault(0, LayerFault::Syntax));
    assert_eq!(graph("linear:0:fc"), fault(0, LayerFault::Syntax));
    assert_eq!(graph("linear:0>+1:hyper"), fault(0, LayerFault::Syntax));
    assert_eq!(graph("conv:0>1:hyper"), fault(0, LayerFault::Kind));
    assert_eq!(graph("linear:1>2:hyper"), fault(0, LayerFault::Slot));
    assert_eq!(graph("linear:0>99:hyper"), fault(0, LayerFault::Slot));
    assert_eq!(graph("linear:0>1:hyper;relu:0>1"), fault(1, LayerFault::Slot));
    assert_eq!(graph("linear:0,0>1:hyper"), fault(0, LayerFault::Arity));
    assert_eq!(graph("linear:0>1"), fault(0, LayerFault::Tensor));
    assert_eq!(graph("linear:0>1:fc1"), fault(0, LayerFault::Width));
    assert_eq!(graph("linear:0>1:shift"), fault(0, LayerFault::Width)); // eleven values for three actions
    assert_eq!(mirror_error(), fault(0, LayerFault::Arity));
}

fn mirror_error() -> ModelError {
    Model::open(&mirror(2)).map(|_| ()).unwrap_err()
}

#[test]
fn metadata_that_cannot_be_meant_is_refused() {
    let (metadata, tensors) = agent(SMALL, 1);
    let set = |key: &str, value: &str| {
        let mut metadata = metadata.clone();
        metadata.insert(key.into(), value.into());
        Model::open(&encode(&metadata, &tensors)).map(|_| ()).unwrap_err()
    };
    assert_eq!(set("ddn.format", "2"), ModelError::Version);
    for (key, value) in [
        ("ddn.gates", "zrn"),
        ("ddn.agents", "0"),
        ("ddn.agents", "+2"),
        ("ddn.actions", "a,,b"),
        ("ddn.actions", "a\nb"),
        ("ddn.inputs", "obs:5,last_action:4,agent_id:2"),
        ("ddn.inputs", "obs:5,obs:5"),
        ("ddn.inputs", "obs"),
        ("ddn.inputs", "sound:5"),
    ] {
        assert_eq!(set(key, value), ModelError::Value { key }, "{key}={value}");
    }
    for key in ["ddn.format", "ddn.graph", "ddn.inputs", "ddn.agents", "ddn.actions", "ddn.gates"] {
        let mut metadata = metadata.clone();
        metadata.remove(key);
        assert_eq!(Model::open(&encode(&metadata, &tensors)).unwrap_err(), ModelError::Missing { key });
    }
}

#[test]
fn the_range_of_observations_is_read() {
    let (metadata, mut tensors) = fixture::agent(SMALL, 1);
    assert!(Model::open(&encode(&metadata, &tensors)).unwrap().obs_range().is_none());
    let bounds: Vec<f32> = (0..2 * SMALL.obs).map(|i| i as f32).collect();
    tensors.insert("obs.range".into(), (vec![2, SMALL.obs], bounds.clone()));
    let file = encode(&metadata, &tensors);
    let (low, high) = fixture::policy(&file).obs_range().unwrap();
    assert_eq!((low.as_slice(), high.as_slice()), bounds.split_at(SMALL.obs));
    tensors.insert("obs.range".into(), (vec![1, 2 * SMALL.obs], bounds));
    let error = Model::open(&encode(&metadata, &tensors)).map(|_| ()).unwrap_err();
    assert_eq!(error, ModelError::Recording { name: "obs.range" });
}
