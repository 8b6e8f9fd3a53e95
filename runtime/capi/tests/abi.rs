//! The functions as C calls them, called from Rust: the same answers as the crate below, and a code for each mistake.
//! `tests/run miri` runs it as well.
#![allow(missing_docs, clippy::unwrap_used)]
#![allow(unsafe_code)] // each call of the functions, which keep their contract with locals of the test

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::ptr::{null, null_mut};
use std::slice;
use std::sync::OnceLock;

use ddn_runtime::{Memory, Model};
use ddn_runtime_capi::*;
use fixture::{Metadata, Random, Sizes, Tensors, agent, encode, metadata, record};

#[path = "../../fixture/mod.rs"]
mod fixture;

/// A file at an address divisible by 16.
struct File {
    blocks: Vec<u128>,
    len: usize,
}

impl File {
    fn new(bytes: &[u8]) -> Self {
        let block = |chunk: &[u8]| {
            let mut block = [0; 16];
            block[..chunk.len()].copy_from_slice(chunk);
            u128::from_ne_bytes(block)
        };
        Self { blocks: bytes.chunks(16).map(block).collect(), len: bytes.len() }
    }

    fn encode(metadata: &Metadata, tensors: &Tensors) -> Self {
        Self::new(&encode(metadata, tensors))
    }

    fn bytes(&self) -> &[u8] {
        unsafe { slice::from_raw_parts(self.blocks.as_ptr().cast(), self.len) }
    }

    /// A small policy that carries four recorded steps.
    fn policy(seed: u64) -> Self {
        static FILES: [OnceLock<Vec<u8>>; 3] = [const { OnceLock::new() }; 3];
        let make = || {
            let (mut metadata, mut tensors) = agent(SIZES, seed);
            metadata.insert("ddn.contract".into(), "0123abcd".into());
            let bare = Self::encode(&metadata, &tensors);
            tensors.extend(record(bare.bytes(), &[SIZES.agents - 1], 4, seed + 1));
            encode(&metadata, &tensors)
        };
        Self::new(FILES[seed as usize].get_or_init(make))
    }
}

/// An open policy with the buffers of one agent.
struct Agent {
    policy: Box<DdnPolicy>,
    memory: Vec<f32>,
    scratch: Vec<f32>,
}

const ALL: [u8; 3] = [1; 3];
/// As small as can be: an interpreter runs this too.
const SIZES: Sizes = Sizes { obs: 5, actions: 3, agents: 2, hyper: 2, width: 3, hidden: 6 };

impl Agent {
    fn new(file: &File) -> Self {
        let mut policy = Box::<DdnPolicy>::default();
        assert_eq!(
            unsafe { ddn_policy_open(&raw mut *policy, file.bytes().as_ptr(), file.len) },
            DdnStatus::Ok
        );
        assert_eq!(unsafe { ddn_policy_assume_verified(&raw mut *policy) }, DdnStatus::Ok);
        let sizes = sizes(&policy).unwrap();
        Self { policy, memory: vec![0.0; sizes.memory_len], scratch: vec![0.0; sizes.scratch_len] }
    }

    fn act(&mut self, input: &DdnInput) -> Result<(u32, Vec<u32>), DdnStatus> {
        let Self { policy, memory, scratch } = self;
        let mut action = DdnAction { q: null(), q_len: 0, index: 99 };
        let (memory, memory_len) = (memory.as_mut_ptr(), memory.len());
        let (scratch, scratch_len) = (scratch.as_mut_ptr(), scratch.len());
        let status = unsafe {
            ddn_policy_act(&raw const **policy, memory, memory_len, input, scratch, scratch_len, &mut action)
        };
        if status != DdnStatus::Ok {
            assert_eq!((action.index, action.q_len), (99, 0), "nothing is written on an error");
            return Err(status);
        }
        let q = unsafe { slice::from_raw_parts(action.q, action.q_len) };
        Ok((action.index, q.iter().map(|q| q.to_bits()).collect()))
    }
}

fn sizes(policy: &DdnPolicy) -> Result<DdnSizes, DdnStatus> {
    let mut sizes = DdnSizes::default();
    match unsafe { ddn_policy_sizes(policy, &mut sizes) } {
        DdnStatus::Ok => Ok(sizes),
        status => Err(status),
    }
}

fn input(obs: &[f32], available: &[u8]) -> DdnInput {
    DdnInput {
        obs: obs.as_ptr(),
        obs_len: obs.len(),
        available: available.as_ptr(),
        available_len: available.len(),
        agent: 1,
        last_action: DDN_NO_ACTION,
    }
}

fn text(text: DdnText) -> &'static str {
    str::from_utf8(unsafe { slice::from_raw_parts(text.start.cast(), text.len) }).unwrap()
}

#[test]
fn the_answers_are_those_of_the_crate() {
    let file = File::policy(1);
    let rust = Model::open(file.bytes()).unwrap().assume_verified();
    let (mut memory, mut scratch) = (Memory::<6>::new(), vec![0.0; rust.scratch_len()]);
    let mut c = Agent::new(&file);
    let mut recording = DdnRecording::default();
    let mut steps = 0;
    let opened = unsafe {
        ddn_recording_open(&mut recording, &*c.policy, file.bytes().as_ptr(), file.len, &mut steps)
    };
    assert_eq!((opened, steps), (DdnStatus::Ok, 4));
    for (index, recorded) in rust.recording().unwrap().steps().enumerate() {
        let mut step = std::mem::MaybeUninit::uninit();
        assert_eq!(unsafe { ddn_recording_step(&recording, index as u32, step.as_mut_ptr()) }, DdnStatus::Ok);
        let step: DdnStep = unsafe { step.assume_init() };
        assert_eq!((step.obs_len, step.n_actions, step.agent), (5, 3, 1));
        let available = unsafe { slice::from_raw_parts(step.available, step.n_actions) };
        let available: Vec<u8> = available.iter().map(|&flag| u8::from(flag > 0.0)).collect();
        let obs = unsafe { slice::from_raw_parts(step.obs, step.obs_len) };
        let q = unsafe { slice::from_raw_parts(step.q, step.n_actions) };
        assert_eq!(recorded.obs.as_slice(), obs);
        let seen = DdnInput { agent: step.agent, last_action: step.last_action, ..input(obs, &available) };
        let (action, bits) = c.act(&seen).unwrap();
        let want = rust.replay(&mut memory, &recorded, &mut scratch).unwrap();
        assert_eq!((action as usize, step.action), (want.index, action));
        assert_eq!(bits, want.q.iter().map(|q| q.to_bits()).collect::<Vec<_>>());
        assert_eq!(bits, q.iter().map(|q| q.to_bits()).collect::<Vec<_>>());
    }
    assert_eq!(c.memory, memory[..]);
    let mut step = std::mem::MaybeUninit::uninit();
    let beyond = unsafe { ddn_recording_step(&recording, 4, step.as_mut_ptr()) };
    assert_eq!(beyond, DdnStatus::NoSuchIndex);
}

#[test]
fn a_policy_says_what_it_was_trained_for() {
    let file = File::policy(1);
    let mut c = Agent::new(&file);
    let rust = Model::open(file.bytes()).unwrap().assume_verified();
    let want = DdnSizes {
        memory_len: 6,
        scratch_len: rust.scratch_len(),
        obs_dim: 5,
        n_actions: 3,
        n_agents: 2,
        recorded_steps: 4,
    };
    assert_eq!(sizes(&c.policy), Ok(want));
    let mut said = DdnText { start: null(), len: 0 };
    assert_eq!(unsafe { ddn_policy_contract(&*c.policy, &mut said) }, DdnStatus::Ok);
    assert_eq!(text(said), "0123abcd");
    assert_eq!(unsafe { ddn_policy_action_name(&*c.policy, 2, &mut said) }, DdnStatus::Ok);
    assert_eq!(text(said), "action 2");
    assert_eq!(unsafe { ddn_policy_action_name(&*c.policy, 3, &mut said) }, DdnStatus::NoSuchIndex);
    let mut steps = 0;
    let Agent { policy, memory, scratch } = &mut c;
    memory.fill(1.0);
    let tested = unsafe {
        let (memory, scratch) = (memory.as_mut_slice(), scratch.as_mut_slice());
        let (m, s) = (memory.as_mut_ptr(), scratch.as_mut_ptr());
        ddn_policy_verify(&raw mut **policy, m, memory.len(), s, scratch.len(), &mut steps)
    };
    assert_eq!((tested, steps), (DdnStatus::Ok, 4));
    assert_eq!(*memory, [0.0; 6]);
}

#[test]
fn a_self_test_notices() {
    let (metadata, mut tensors) = agent(SIZES, 1);
    let bare = File::encode(&metadata, &tensors);
    let test = |file: &File| {
        let mut c = Agent::new(file);
        let mut steps = 0;
        let (m, s) = (c.memory.as_mut_ptr(), c.scratch.as_mut_ptr());
        unsafe { ddn_policy_verify(&raw mut *c.policy, m, c.memory.len(), s, c.scratch.len(), &mut steps) }
    };
    assert_eq!(test(&bare), DdnStatus::NoRecord);
    tensors.extend(record(bare.bytes(), &[0], 2, 5));
    tensors.get_mut("kat.q").unwrap().1[4] += 1.0;
    assert_eq!(test(&File::encode(&metadata, &tensors)), DdnStatus::SelfTestQ);
}

#[test]
fn every_wrong_argument_has_a_code_and_changes_nothing() {
    let file = File::policy(1);
    let mut c = Agent::new(&file);
    let (obs, mut memory) = ([0.5; 5], [0.25; 6]);
    // Aligned for an action, too.
    let mut scratch = vec![0_u64; c.scratch.len().div_ceil(2)];
    let mut action = DdnAction { q: null(), q_len: 0, index: 99 };
    let (p, m, s) = (&raw const *c.policy, memory.as_mut_ptr(), scratch.as_mut_ptr().cast::<f32>());
    let (a, len, fine) = (&raw mut action, c.scratch.len(), input(&obs, &ALL));
    let act = |p, m, n, i, s, len, a| unsafe { ddn_policy_act(p, m, n, i, s, len, a) };

    assert_eq!(act(null(), m, 6, &fine, s, len, a), DdnStatus::Null);
    assert_eq!(act(p, null_mut(), 6, &fine, s, len, a), DdnStatus::Null);
    assert_eq!(act(p, m, 6, null(), s, len, a), DdnStatus::Null);
    assert_eq!(act(p, m, 6, &fine, null_mut(), len, a), DdnStatus::Null);
    assert_eq!(act(p, m, 6, &fine, s, len, null_mut()), DdnStatus::Null);
    assert_eq!(act(p, null_mut(), 0, &fine, s, len, a), DdnStatus::Memory, "an empty vector is too short");

    assert_eq!(act(p.wrapping_byte_add(1), m, 6, &fine, s, len, a), DdnStatus::Misaligned);
    assert_eq!(act(p, m.wrapping_byte_add(2), 5, &fine, s, len, a), DdnStatus::Misaligned);
    assert_eq!(act(p, m, 6, (&raw const fine).wrapping_byte_add(1), s, len, a), DdnStatus::Misaligned);
    assert_eq!(act(p, m, 6, &fine, s.wrapping_byte_add(3), len, a), DdnStatus::Misaligned);
    assert_eq!(act(p, m, 6, &fine, s, len, a.wrapping_byte_add(1)), DdnStatus::Misaligned);

    assert_eq!(act(p, m, 5, &fine, s, len, a), DdnStatus::Memory);
    assert_eq!(act(p, m, 6, &fine, s, len - 1, a), DdnStatus::Scratch);
    assert_eq!(act(p, m, usize::MAX, &fine, s, len, a), DdnStatus::Length);
    assert_eq!(act(p, m, 6, &fine, s, usize::MAX / 4, a), DdnStatus::Length);
    assert_eq!(act(p, m, 6, &fine, m, 6, a), DdnStatus::Overlap);
    assert_eq!(act(p, m, 6, &fine, p.cast_mut().cast(), len, a), DdnStatus::Overlap);
    assert_eq!(act(p, obs.as_ptr().cast_mut(), 5, &fine, s, len, a), DdnStatus::Overlap);
    assert_eq!(act(p, file.bytes().as_ptr().cast_mut().cast(), 6, &fine, s, len, a), DdnStatus::Overlap);
    assert_eq!(act(p, m, 6, &fine, s, len, s.cast()), DdnStatus::Overlap);

    // The rest is in the input.
    let with = |input: DdnInput| act(p, m, 6, &input, s, len, a);
    assert_eq!(with(DdnInput { obs: null(), ..fine }), DdnStatus::Null);
    assert_eq!(with(DdnInput { available: null(), ..fine }), DdnStatus::Null);
    assert_eq!(
        with(DdnInput { obs: obs.as_ptr().wrapping_byte_add(1), obs_len: 4, ..fine }),
        DdnStatus::Misaligned
    );
    assert_eq!(with(DdnInput { obs: null(), obs_len: 0, ..fine }), DdnStatus::Obs);
    assert_eq!(with(DdnInput { obs_len: 4, ..fine }), DdnStatus::Obs);
    assert_eq!(with(DdnInput { available_len: 2, ..fine }), DdnStatus::Available);
    assert_eq!(with(DdnInput { agent: 2, ..fine }), DdnStatus::Index);
    assert_eq!(with(DdnInput { last_action: 3, ..fine }), DdnStatus::Index);
    assert_eq!(with(DdnInput { last_action: DDN_NO_ACTION - 1, ..fine }), DdnStatus::Index);
    assert_eq!(with(input(&obs, &[1, 2, 0])), DdnStatus::Mask);
    assert_eq!(with(input(&obs, &[0; 3])), DdnStatus::NoAction);
    assert_eq!(with(input(&[0.0, 0.0, f32::NAN, 0.0, 0.0], &ALL)), DdnStatus::NotFinite);
    assert_eq!(memory.map(f32::to_bits), [0.25_f32; 6].map(f32::to_bits), "nothing has been written");
    assert_eq!((action.index, action.q_len), (99, 0), "nothing has been written");

    assert_eq!(c.act(&input(&obs, &ALL)).map(|(_, q)| q.len()), Ok(3), "and all is well in the end");
    let (p, m) = (&raw const *c.policy, memory.as_mut_ptr());
    assert_eq!(unsafe { ddn_policy_reset(p, m, 5) }, DdnStatus::Memory);
    assert_eq!(unsafe { ddn_policy_reset(p, null_mut(), 6) }, DdnStatus::Null);
    assert_eq!(unsafe { ddn_policy_reset(p, m, 6) }, DdnStatus::Ok);
    assert_eq!(memory.map(f32::to_bits), [0; 6]);
}

#[test]
fn a_policy_acts_only_when_it_is_verified() {
    let file = File::policy(1);
    let mut c = Agent::new(&file);
    let open = |at: *mut DdnPolicy| unsafe { ddn_policy_open(at, file.bytes().as_ptr(), file.len) };
    let obs = [0.5; 5];
    assert_eq!(open(&raw mut *c.policy), DdnStatus::Ok);
    assert_eq!(c.act(&input(&obs, &ALL)), Err(DdnStatus::NotVerified));
    let mut steps = 0;
    let (m, s) = (c.memory.as_mut_ptr(), c.scratch.as_mut_ptr());
    let at = &raw mut *c.policy;
    let short = unsafe { ddn_policy_verify(at, m, 1, s, c.scratch.len(), &mut steps) };
    assert_eq!(short, DdnStatus::Memory);
    assert_eq!(c.act(&input(&obs, &ALL)), Err(DdnStatus::NotVerified));
    let (m, s) = (c.memory.as_mut_ptr(), c.scratch.as_mut_ptr());
    let verified = unsafe { ddn_policy_verify(at, m, c.memory.len(), s, c.scratch.len(), &mut steps) };
    assert_eq!(verified, DdnStatus::Ok);
    assert!(c.act(&input(&obs, &ALL)).is_ok());
}

#[test]
fn a_handle_that_is_not_open_says_so() {
    let file = File::policy(1);
    let check = |policy: &mut DdnPolicy| {
        let policy = &raw mut *policy;
        let (mut steps, mut buffer) = (7, [0.0; 8]);
        let m = buffer.as_mut_ptr();
        let mut recording = DdnRecording::default();
        let mut said = DdnText { start: null(), len: 0 };
        let mut all = Vec::new();
        unsafe {
            all.push(ddn_policy_sizes(policy, &mut DdnSizes::default()));
            all.push(ddn_policy_contract(policy, &mut said));
            all.push(ddn_policy_action_name(policy, 0, &mut said));
            all.push(ddn_policy_reset(policy, m, 8));
            all.push(ddn_policy_verify(policy, m, 4, m.add(4), 4, &mut steps));
            let mut action = DdnAction { q: null(), q_len: 0, index: 0 };
            all.push(ddn_policy_act(policy, m, 4, &input(&[0.0; 5], &ALL), m.add(4), 4, &mut action));
            all.push(ddn_recording_open(&mut recording, policy, file.bytes().as_ptr(), file.len, &mut steps));
        }
        assert_eq!((all, steps), (vec![DdnStatus::NotOpen; 7], 7));
        assert_eq!(unsafe { ddn_policy_close(policy) }, DdnStatus::Ok, "closing twice is fine");
    };
    let mut policy = Box::<DdnPolicy>::default();
    check(&mut policy);
    let at = &raw mut *policy;
    for fault in 0..4 {
        assert_eq!(unsafe { ddn_policy_open(at, file.bytes().as_ptr(), file.len) }, DdnStatus::Ok);
        let (status, want) = unsafe {
            match fault {
                0 => (ddn_policy_close(at), DdnStatus::Ok),
                1 => (ddn_policy_open(at, null(), 8), DdnStatus::Null),
                2 => (ddn_policy_open(at, at.cast(), 8), DdnStatus::Overlap),
                _ => (ddn_policy_open(at, file.bytes().as_ptr(), file.len - 4), DdnStatus::Offsets),
            }
        };
        assert_eq!(status, want);
        check(&mut policy);
    }
    let mut step = std::mem::MaybeUninit::uninit();
    let recording = DdnRecording::default();
    assert_eq!(unsafe { ddn_recording_step(&recording, 0, step.as_mut_ptr()) }, DdnStatus::NotOpen);
}

#[test]
fn a_recording_belongs_to_the_sizes_of_its_policy() {
    let (file, other) =
        (File::policy(1), File::encode(&metadata("concat:0,0>1", "obs:2", 1, "a,a"), &Tensors::new()));
    let c = Agent::new(&file);
    let mut recording = DdnRecording::default();
    let (at, mut steps) = (&raw mut recording, 0);
    let mut open = |file: &File| unsafe {
        ddn_recording_open(at, &*c.policy, file.bytes().as_ptr(), file.len, &mut steps)
    };
    assert_eq!(open(&file), DdnStatus::Ok);
    assert_eq!(open(&other), DdnStatus::Recording);
    let mut step = std::mem::MaybeUninit::uninit();
    let closed = unsafe { ddn_recording_step(at, 0, step.as_mut_ptr()) };
    assert_eq!(closed, DdnStatus::NotOpen, "a failed open closes");
    assert_eq!(open(&file), DdnStatus::Ok);
    assert_eq!(unsafe { ddn_recording_close(at) }, DdnStatus::Ok);
    assert_eq!(unsafe { ddn_recording_step(at, 0, step.as_mut_ptr()) }, DdnStatus::NotOpen);
}

#[test]
fn no_beginning_of_a_file_opens() {
    let file = File::policy(1);
    let mut policy = Box::<DdnPolicy>::default();
    let at = &raw mut *policy;
    let stride = if cfg!(miri) { 1009 } else { 1 };
    for len in (0..file.len).step_by(stride) {
        let status = unsafe { ddn_policy_open(at, file.bytes().as_ptr(), len) };
        assert!((16..48).contains(&(status as u32)), "{len} bytes: {status:?}");
        assert_eq!(sizes(&policy), Err(DdnStatus::NotOpen));
    }
    for offset in 1..4 {
        let mut moved = vec![0_u128; file.blocks.len() + 1];
        let start = moved.as_mut_ptr().cast::<u8>().wrapping_add(offset);
        unsafe { start.copy_from(file.bytes().as_ptr(), file.len) };
        assert_eq!(unsafe { ddn_policy_open(at, start, file.len) }, DdnStatus::FileMisaligned);
    }
}

#[test]
fn two_policies_at_once_equal_each_alone() {
    let files = [File::policy(1), File::policy(2)];
    let observations: Vec<[f32; 5]> = {
        let mut random = Random(3);
        (0..6).map(|_| [(); 5].map(|()| random.uniform(1.0))).collect()
    };
    let alone = files.each_ref().map(|file| {
        let mut c = Agent::new(file);
        observations.iter().map(|obs| c.act(&input(obs, &ALL)).unwrap()).collect::<Vec<_>>()
    });
    assert_ne!(alone[0], alone[1]);
    let mut both = files.each_ref().map(Agent::new);
    for (step, obs) in observations.iter().enumerate() {
        for (c, alone) in both.iter_mut().zip(&alone) {
            assert_eq!(c.act(&input(obs, &ALL)).as_ref(), Ok(&alone[step]));
        }
    }
}

#[test]
fn every_status_of_the_header_has_a_text_of_its_own() {
    let header = include_str!("../include/ddn_runtime.h");
    let named = header.lines().filter_map(|line| line.trim().strip_prefix("DDN_STATUS_")?.split_once(" = "));
    let codes: Vec<u32> = named.map(|(_, code)| code.trim_end_matches(',').parse().unwrap()).collect();
    assert!(codes.len() > 30, "{codes:?}");
    let text = |code| unsafe { CStr::from_ptr(ddn_status_text(code)) }.to_str().unwrap();
    let texts: BTreeSet<&str> = codes.iter().map(|&code| text(code)).collect();
    assert_eq!(texts.len(), codes.len());
    assert!(!texts.contains("unknown status") && texts.iter().all(|text| text.is_ascii()));
    for code in 0..if cfg!(miri) { 99 } else { 1000 } {
        assert_eq!(text(code) == "unknown status", !codes.contains(&code), "{code}");
    }
    assert_eq!(text(u32::MAX), "unknown status");
    assert_eq!(ddn_abi_version(), DDN_ABI_VERSION);
}
