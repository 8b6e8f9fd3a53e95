//! Policies that are read when a firmware is built: the same as those that are read when it starts.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::panic;
use std::path::Path;

use ddn_runtime::build::{BuildError, Planned, plan, policy, source};
use ddn_runtime::builtin::{Step, layer};
use ddn_runtime::guard::{Forget, Guarded, Rules};
use ddn_runtime::model::{KINDS, Layers};
use ddn_runtime::{AgentInput, Aligned, BuiltIn, Policy, SelfTestError, VerifyError};
use fixture::{Random, Tensors, encode, metadata, record};

#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "../fixture/integers.rs"]
mod integers;

/// Room for any file of these tests.
const ROOM: usize = 1 << 18;

/// As the compiler would place it.
fn placed(file: &[u8]) -> &'static Aligned<[u8]> {
    let mut place = Box::new(Aligned([0; ROOM]));
    place.0[..file.len()].copy_from_slice(file);
    Box::leak(place)
}

fn planned(file: &[u8]) -> Planned<'_> {
    plan(Path::new("x.safetensors"), file).unwrap()
}

/// What the compiler would make of the Rust file.
fn built(file: &[u8]) -> &'static BuiltIn {
    let plan = planned(file);
    built_from(placed(file), &plan.layers, &plan.numbers)
}

fn built_from(
    file: &'static Aligned<[u8]>,
    layers: &[(&str, Vec<u32>)],
    numbers: &[u32],
) -> &'static BuiltIn {
    let layers: Vec<Step<'_>> = layers.iter().map(|(kind, numbers)| layer(file, kind, numbers)).collect();
    Box::leak(Box::new(BuiltIn::new(file, Box::leak(layers.into_boxed_slice()), numbers)))
}

fn buffers<L: Layers>(policy: &Policy<'_, L>) -> (Vec<f32>, Vec<f32>) {
    (vec![1.0; policy.memory_len()], vec![1.0; policy.scratch_len()])
}

fn verify(policy: &'static BuiltIn) -> Result<(), VerifyError> {
    let (mut memory, mut scratch) = buffers(policy.assume_verified());
    policy.verify(&mut memory, &mut scratch).map(|_| ())
}

/// A layer of every kind that computes with floats.
fn floats() -> Vec<u8> {
    let mut random = Random(5);
    let mut tensors = Tensors::new();
    for (name, shape) in [
        ("s.weight", &[7, 5][..]),
        ("s.bias", &[5]),
        ("h.weight", &[3, 7]),
        ("h.bias", &[3]),
        ("b.weight", &[7, 4, 5]),
        ("f.weight", &[7, 5, 3]),
        ("g.weight_ih", &[18, 10]),
        ("g.weight_hh", &[18, 6]),
        ("g.bias_ih", &[18]),
        ("g.bias_hh", &[18]),
        ("q.weight", &[2, 6]),
        ("q.bias", &[2]),
    ] {
        tensors.insert(name.into(), random.tensor(shape, 0.7));
    }
    tensors.insert("obs.range".into(), (vec![2, 5], [[-1.0; 5], [1.0; 5]].concat()));
    let graph = "sparse:0>1:s;leaky_relu:1>1;linear:0>2:h;relu:2>2;block:2,0,1>3:b;folded_block:2,0,3>4:f;\
                 concat:4,1>5;gru:5>6:g;linear:6>7:q";
    let mut about = metadata(graph, "obs:5,available:2", 3, "left,right");
    about.insert("ddn.contract".into(), "a \\\"quoted\\\" text".into());
    tensors.extend(record(&encode(&about, &tensors), &[0, 2], 4, 6));
    encode(&about, &tensors)
}

/// A layer of every kind that computes with integers.
fn integers() -> Vec<u8> {
    let mut tensors = integers::network(3);
    let recorded = record(&integers::file(&tensors), &[0, 1], 4, 9);
    tensors.extend(
        recorded.into_iter().map(|(name, (shape, values))| (name, (shape, integers::Numbers::F32(values)))),
    );
    integers::file(&tensors)
}

fn files() -> [Vec<u8>; 4] {
    [floats(), integers(), fixture::agent_file(fixture::SMALL, 1, 3), fixture::reference_file(2)]
}

#[test]
fn every_kind_of_layer_acts_as_if_it_had_been_read() {
    let mut kinds = BTreeSet::new();
    for file in files() {
        kinds.extend(planned(&file).layers.iter().map(|&(kind, _)| kind));
        // Its recorded answers are those of the policy that was read.
        let built = built(&file);
        verify(built).unwrap();
        let (built, read) = (built.assume_verified(), fixture::policy(&file));
        let (mut memory, mut scratch) = buffers(built);
        let (mut other, mut rest) = buffers(&read);
        built.reset(&mut memory);
        read.reset(&mut other);
        let (obs, available) = (vec![0.3; read.spec().obs_dim()], vec![true; read.spec().n_actions()]);
        for last_action in [None, Some(1), Some(0)] {
            let input = AgentInput { obs: &obs, last_action, agent_id: 0, available: &available };
            let action = built.act(&mut memory, input, &mut scratch).unwrap();
            assert_eq!(action, read.act(&mut other, input, &mut rest).unwrap());
        }
    }
    assert_eq!(kinds, KINDS.iter().copied().collect());
}

#[test]
fn it_says_of_itself_what_the_file_says() {
    for file in files() {
        let (built, read) = (built(&file).assume_verified(), fixture::policy(&file));
        assert_eq!(format!("{:?}", built.spec()), format!("{:?}", read.spec()));
        assert_eq!(format!("{:?}", built.recording()), format!("{:?}", read.recording()));
        assert_eq!(format!("{:?}", built.obs_range()), format!("{:?}", read.obs_range()));
        let sizes = (read.memory_len(), read.scratch_len());
        assert_eq!((built.memory_len(), built.scratch_len()), sizes);
    }
}

#[test]
fn a_guard_takes_it() {
    let policy = built(&floats()).assume_verified();
    let rules = Rules { fallback: 1, forget: Forget::After(3), max_age: 7, calibration: None };
    let mut agent = Guarded::new(policy, vec![0.0; policy.memory_len()], rules).unwrap();
    let mut scratch = vec![0.0; agent.scratch_len()];
    let input = AgentInput { obs: &[f32::NAN; 5], last_action: None, agent_id: 0, available: &[true; 2] };
    assert_eq!(agent.step(input, 0, &mut scratch).action, 1);
    assert_eq!(agent.counters().not_finite, 1);
}

/// Flash that does not hold what the firmware was built with.
#[test]
fn no_wrong_byte_passes() {
    let file = fixture::agent_file(fixture::SMALL, 1, 3);
    let plan = planned(&file);
    for at in (0..file.len()).step_by(7) {
        let mut damaged = file.clone();
        damaged[at] ^= 1 << (at % 8);
        let policy = built_from(placed(&damaged), &plan.layers, &plan.numbers);
        assert!(matches!(verify(policy), Err(VerifyError::Crc { .. } | VerifyError::NoCrc)), "byte {at}");
    }
}

/// Whether it does not verify; then lets it act all the same, alone and on many agents.
fn run(policy: &'static BuiltIn) -> bool {
    let refused = verify(policy).is_err();
    let policy = policy.assume_verified();
    let (obs, available) =
        (vec![0.5; policy.spec().obs_dim().min(99)], vec![true; policy.spec().n_actions().min(99)]);
    let input = AgentInput { obs: &obs, last_action: None, agent_id: 0, available: &available };
    let (mut memory, mut scratch) =
        (vec![0.0; 12 * policy.memory_len()], vec![0.0; policy.batch_scratch_len()]);
    let _ = policy.act(&mut memory, input, &mut scratch);
    let _ = policy.act_batch(&mut memory, [input; 12].into_iter(), &mut scratch, |_, _| {});
    refused
}

/// What the compiler evaluates refuses a plan that does not fit, and whatever it lets through can be run.
#[test]
fn a_wrong_plan_is_refused_or_harmless() {
    let file = floats();
    let plan = planned(&file);
    let place = placed(&file);
    let quiet = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let attempt = |layers: &[(&str, Vec<u32>)], numbers: &[u32]| {
        panic::catch_unwind(panic::AssertUnwindSafe(|| built_from(place, layers, numbers)))
    };
    let (mut refused, mut passed, mut short) = (0, 0, 0);
    for len in 0..plan.numbers.len() {
        short += usize::from(attempt(&plan.layers, &plan.numbers[..len]).is_err());
    }
    for wrong in [0, u32::MAX, 1 << 20, 3] {
        for at in 0..plan.numbers.len() {
            let mut numbers = plan.numbers.clone();
            numbers[at] = wrong;
            match attempt(&plan.layers, &numbers) {
                Ok(policy) => passed += usize::from(run(policy)),
                Err(_) => refused += 1,
            }
        }
        for layer in 0..plan.layers.len() {
            for at in 0..plan.layers[layer].1.len() {
                let mut layers = plan.layers.clone();
                layers[layer].1[at] = wrong;
                match attempt(&layers, &plan.numbers) {
                    Ok(policy) => passed += usize::from(run(policy)),
                    Err(_) => refused += 1,
                }
            }
        }
    }
    let unknown = attempt(&[("tanh", plan.layers[0].1.clone())], &plan.numbers).is_err();
    panic::set_hook(quiet);
    assert!(unknown);
    assert_eq!(short, plan.numbers.len());
    assert!(refused > 100 && passed > 20, "{refused} refused, {passed} without the recorded answers");
}

#[test]
fn what_cannot_be_built_in_is_an_error_that_names_it() {
    let file = fixture::reference_file(2);
    let path = Path::new("folder/net.safetensors");
    let refused = |name: &str, file: &[u8]| source(name, path, file).unwrap_err();
    for name in ["", "7", "a-b", "a b", "ä", "A", "_", "loop", "self", "gen"] {
        let error = refused(name, &file);
        assert!(matches!(error, BuildError::Name(_)) && error.to_string().contains(name), "{name}");
    }
    for (cut, what) in [(0, "header"), (7, "header"), (20, "header")] {
        let error = refused("net", &file[..cut]);
        assert!(matches!(error, BuildError::Model(..)), "{error}");
        assert!(
            error.to_string().starts_with("folder/net.safetensors: ") && error.to_string().contains(what),
            "{error}"
        );
    }
    let mut damaged = file.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(matches!(refused("net", &damaged), BuildError::Verify(_, VerifyError::Crc { .. })));
    // Without recorded answers there is nothing that a device could verify.
    let (about, tensors) = fixture::reference(1);
    let error = refused("net", &encode(&about, &tensors));
    assert!(matches!(error, BuildError::Verify(_, VerifyError::SelfTest(SelfTestError::NoRecord))));
    assert!(matches!(policy("net", "x").unwrap_err(), BuildError::OutDir | BuildError::File(..)));
}

/// What a firmware takes its sizes and its contract from.
#[test]
fn constants_are_those_of_the_file() {
    let file = floats();
    let text = source("net", Path::new("a \"net\".safetensors"), &file).unwrap();
    let read = fixture::policy(&file);
    let spec = read.spec();
    let contract: String = spec.contract().chars().collect();
    assert!(contract.len() > 9);
    for (name, size) in [
        ("MEMORY", read.memory_len()),
        ("SCRATCH", read.scratch_len()),
        ("OBS", spec.obs_dim()),
        ("ACTIONS", spec.n_actions()),
        ("AGENTS", spec.n_agents()),
    ] {
        assert!(text.contains(&format!("pub const {name}: usize = {size};\n")), "{name}");
    }
    assert!(text.contains(&format!("pub const CONTRACT: &str = {contract:?};\n")));
    assert!(text.contains("pub mod net {\n") && text.contains("include_bytes!(\"net.safetensors\")"));
}
