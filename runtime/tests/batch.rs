//! Many agents in one call do what each would do alone, to the bit.
//!
//! Where the feature `std` finds AVX2, they are computed together, as in a test of the whole workspace; elsewhere one after
//! the other.
#![allow(missing_docs, clippy::unwrap_used)]

use ddn_runtime::{ActError, Action, AgentInput, BatchError, Policy};
use fixture::{
    EIGHT_AGENTS, Metadata, Random, SMALL, Tensors, agent, agent_file, encode, metadata, policy,
    reference_file,
};

#[path = "../fixture/mod.rs"]
mod fixture;

/// What one agent sees.
struct Seen {
    obs: Vec<f32>,
    last_action: Option<usize>,
    agent_id: usize,
    available: Vec<bool>,
}

impl Seen {
    fn input(&self) -> AgentInput<'_> {
        let Self { obs, last_action, agent_id, available } = self;
        AgentInput { obs, last_action: *last_action, agent_id: *agent_id, available }
    }
}

/// What `agents` agents see, half of it zeros.
fn sights(policy: &Policy<'_>, agents: usize, random: &mut Random) -> Vec<Seen> {
    let spec = policy.spec();
    let mut sight = || {
        let mut number = || if random.below(2) == 0 { 0.0 } else { random.uniform(1.0) };
        let obs = (0..spec.obs_dim()).map(|_| number()).collect();
        let mut available: Vec<bool> = (0..spec.n_actions()).map(|_| random.below(4) > 0).collect();
        available[random.below(spec.n_actions())] = true;
        let last_action =
            Some(random.below(spec.n_actions() + 1)).filter(|action| *action < spec.n_actions());
        Seen { obs, last_action, agent_id: random.below(spec.n_agents()), available }
    };
    (0..agents).map(|_| sight()).collect()
}

fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|float| float.to_bits()).collect()
}

/// Steps all agents together and each alone, three times, and compares everything.
fn check(name: &str, file: &[u8]) {
    let policy = policy(file);
    let width = policy.memory_len();
    let mut random = Random(3);
    for agents in [0, 1, 10, 11, 16, 17, 33, 60] {
        let mut together = vec![0.0; agents * width + 3];
        let mut alone = together.clone();
        // Full of what is not a number to begin with.
        let mut scratch = vec![f32::NAN; policy.batch_scratch_len()];
        for step in 0..3 {
            let sights = sights(&policy, agents, &mut random);
            let mut acted = Vec::new();
            let each = |agent, action: Action<'_>| acted.push((agent, action.index, bits(action.q)));
            policy.act_batch(&mut together, sights.iter().map(Seen::input), &mut scratch, each).unwrap();
            let want = sights.iter().enumerate().map(|(agent, seen)| {
                let memory = &mut alone[agent * width..][..width];
                let action = policy.act(memory, seen.input(), &mut scratch).unwrap();
                (agent, action.index, bits(action.q))
            });
            let want: Vec<_> = want.collect();
            assert_eq!(acted, want, "{name}: {agents} agents, step {step}");
            assert_eq!(bits(&together), bits(&alone), "{name}: memories of {agents} agents, step {step}");
        }
    }
}

/// The follower as `ddn-export` writes it.
fn folded() -> (Metadata, Tensors) {
    let (mut metadata, mut tensors) = agent(EIGHT_AGENTS, 5);
    let graph = "sparse:0>1:hyper;relu:1>1;sparse:0>2:shift;folded_block:1,0,2>3:block;linear:3>4:fc1;relu:4>4;\
                 gru:4>5:gru;linear:5>6:fc2";
    metadata.insert("ddn.graph".into(), graph.into());
    let mut random = Random(6);
    for (name, shape) in
        [("hyper.weight", &[89, 16][..]), ("shift.weight", &[89, 64]), ("block.weight", &[89, 64, 16])]
    {
        tensors.insert(name.into(), random.tensor(shape, 0.1));
    }
    (metadata, tensors)
}

/// A graph with layers of every kind that keeps numbers, two of them recurrent, and every part among its inputs.
fn every_kind() -> (Metadata, Tensors) {
    let graph = "linear:0>1:one;leaky_relu:1>2;gru:2>3:first;concat:0,3>4;sparse:4>5:two;relu:5>5;\
                 block:5,0,3>6:mix;gru:6>7:second;concat:7,1>8;linear:8>9:out";
    let mut tensors = Tensors::new();
    let mut random = Random(7);
    for (name, shape) in [
        ("one.weight", &[9, 13][..]),
        ("one.bias", &[9]),
        ("first.weight_ih", &[21, 9]),
        ("first.weight_hh", &[21, 7]),
        ("first.bias_ih", &[21]),
        ("first.bias_hh", &[21]),
        ("two.weight", &[20, 5]),
        ("two.bias", &[5]),
        ("mix.weight", &[13, 6, 7]),
        ("second.weight_ih", &[36, 7]),
        ("second.weight_hh", &[36, 12]),
        ("second.bias_ih", &[36]),
        ("second.bias_hh", &[36]),
        ("out.weight", &[3, 21]),
        ("out.bias", &[3]),
    ] {
        tensors.insert(name.into(), random.tensor(shape, 0.7));
    }
    (metadata(graph, "obs:5,last_action:3,agent_id:2,available:3", 2, "a,b,c"), tensors)
}

#[test]
fn agents_together_do_what_each_does_alone() {
    check("small", &agent_file(SMALL, 1, 2));
    check("eight agents", &agent_file(EIGHT_AGENTS, 1, 2));
    check("reference", &reference_file(13));
    for (name, (metadata, tensors)) in [("folded", folded()), ("every kind", every_kind())] {
        check(name, &encode(&metadata, &tensors));
    }
}

#[test]
fn what_is_wrong_with_one_agent_leaves_all_as_they_were() {
    let file = agent_file(SMALL, 1, 2);
    let policy = policy(&file);
    let agents = 20;
    let mut memory = vec![0.25; agents * policy.memory_len()];
    let mut scratch = vec![0.0; policy.batch_scratch_len()];
    let mut sights = sights(&policy, agents, &mut Random(9));
    let mut fails = |sights: &[Seen], memory_len: usize, scratch_len: usize| -> BatchError {
        let inputs = sights.iter().map(Seen::input);
        let (memory, scratch) = (&mut memory[..memory_len], &mut scratch[..scratch_len]);
        let error = policy.act_batch(memory, inputs, scratch, |agent, _| panic!("agent {agent} acted"));
        assert!(memory.iter().all(|value| value.to_bits() == 0.25_f32.to_bits()));
        error.unwrap_err()
    };
    let (memory_len, scratch_len) = (agents * policy.memory_len(), policy.batch_scratch_len());
    let error = fails(&sights, memory_len - 1, scratch_len);
    let short = ActError::Memory { want: memory_len, got: memory_len - 1 };
    assert_eq!((error.agent, error.error), (None, short));
    let error = fails(&sights, memory_len, scratch_len - 1);
    let short = ActError::Scratch { want: scratch_len, got: scratch_len - 1 };
    assert_eq!((error.agent, error.error), (None, short));

    sights[19].agent_id = 2;
    let error = fails(&sights, memory_len, scratch_len);
    assert_eq!((error.agent, error.error), (Some(19), ActError::Index));
    sights[18].available.fill(false);
    let error = fails(&sights, memory_len, scratch_len);
    assert_eq!((error.agent, error.error), (Some(18), ActError::NoAction));
    assert_eq!(error.to_string(), "agent in row 18: no action is available");
    sights[3].obs[0] = f32::NAN;
    let error = fails(&sights, memory_len, scratch_len);
    assert_eq!((error.agent, error.error), (Some(3), ActError::NotFinite));
}

/// Two numbers whose difference is not a number if both are infinite.
#[test]
fn an_agent_without_numbers_does_not_keep_the_others_from_acting() {
    let mut tensors = Tensors::new();
    tensors.insert("l.weight".into(), (vec![1, 1], vec![f32::MAX]));
    tensors.insert("l.bias".into(), (vec![1], vec![0.0]));
    tensors.insert("m.weight".into(), (vec![1, 2], vec![1.0, -1.0]));
    tensors.insert("m.bias".into(), (vec![1], vec![0.0]));
    let graph = "linear:0>1:l;linear:0>2:l;concat:1,2>3;linear:3>4:m";
    let file = encode(&metadata(graph, "obs:1", 1, "a"), &tensors);
    let policy = policy(&file);
    let obs: Vec<[f32; 1]> = (0..20).map(|agent| [if agent % 7 == 3 { f32::MAX } else { 0.5 }]).collect();
    let inputs = obs.iter().map(|obs| AgentInput { obs, last_action: None, agent_id: 0, available: &[true] });
    let mut acted = Vec::new();
    let mut scratch = vec![0.0; policy.batch_scratch_len()];
    let error = policy.act_batch(&mut [], inputs, &mut scratch, |agent, _| acted.push(agent)).unwrap_err();
    assert_eq!((error.agent, error.error), (Some(3), ActError::NotANumber));
    assert_eq!(acted, (0..20).filter(|agent| agent % 7 != 3).collect::<Vec<_>>());
}
