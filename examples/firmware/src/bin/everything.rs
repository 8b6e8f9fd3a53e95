//! The whole interface of the runtime, with numbers that the compiler does not know: if this image links with the feature
//! `no-panic-proof`, nothing of the runtime can panic on the target it is linked for.
#![no_std]
#![no_main]

use core::fmt::{self, Display, Write};
use core::hint::black_box;

use ddn_firmware::board::{Board, Here};
use ddn_runtime::executor::{Executor, Overrun, Schedule, Verdict};
use ddn_runtime::guard::{Beyond, Calibration, Forget, Guarded, Rules};
use ddn_runtime::model::Layers;
use ddn_runtime::model::Text;
use ddn_runtime::{AgentInput, Memory, Model, Policy, Recording, crc32, math, table};

include!(concat!(env!("OUT_DIR"), "/reference.rs"));

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    let mut memory = Memory::<256>::new();
    let mut scratch = [0.0; 2048];
    let file = black_box(ddn_runtime::flash!(env!("DDN_POLICY_FILE")));
    let model = Model::open(file).inspect_err(say).ok();
    let policy = model.and_then(|model| model.verify(&mut memory, &mut scratch).inspect_err(say).ok());
    let well = policy.is_some_and(|policy| {
        black_box(Model::open_for(file, black_box("0123")).inspect_err(say).is_ok());
        black_box((policy.obs_range().is_some(), policy.clone().into_model().assume_verified().memory_len()));
        [
            ask(&policy),
            replay(&policy, &mut memory, &mut scratch),
            guard(&policy, &mut memory, &mut scratch),
            built_in(&mut memory, &mut scratch),
            time(),
            reckon(),
        ]
        .iter()
        .all(Option::is_some)
    });
    Here::exit(well)
}

/// Everything that a policy says of itself.
fn ask<L: Layers>(policy: &Policy<'_, L>) -> Option<()> {
    let spec = policy.spec();
    for text in [spec.obs_layout(), spec.environment(), spec.config(), spec.contract()] {
        say(&text);
        black_box((text.plain(), text.is(black_box("x")), text.chars().count(), text == Text::EMPTY));
    }
    black_box((spec.inputs(), spec.n_agents(), policy.recording(), spec.actions().map(str::len).max()));
    Some(())
}

/// All that runs a policy.
fn replay(policy: &Policy<'_>, memory: &mut [f32], scratch: &mut [f32]) -> Option<()> {
    policy.self_test(memory, scratch).inspect_err(say).ok()?;
    policy.reset(memory);
    let episodes = black_box(ddn_runtime::flash!(env!("DDN_EPISODES_FILE")));
    let episodes = Recording::from_bytes(episodes, policy.spec()).inspect_err(say).ok()?;
    black_box((episodes.len(), episodes.is_empty()));
    for step in episodes.steps().take(black_box(4)) {
        let action = policy.replay(memory, &step, scratch).inspect_err(say).ok()?;
        black_box((action, step.obs.iter().sum::<f32>(), step.q.len(), step.q.is_empty()));
        step.q.copy_to(scratch);
    }
    // What is wrong on purpose must come back as an error.
    let input = AgentInput { obs: &[], last_action: None, agent_id: black_box(0), available: &[] };
    policy.act(memory, input, scratch).inspect_err(say).is_err().then_some(())
}

/// A policy that always answers.
fn guard<L: Layers>(policy: &Policy<'_, L>, memory: &mut [f32], scratch: &mut [f32]) -> Option<()> {
    let ((obs, low, high), available) =
        black_box((([0.5; 512], [-1.0_f32; 512], [1.0_f32; 512]), [true; 64]));
    let (dim, actions) = (policy.spec().obs_dim(), policy.spec().n_actions());
    let (obs, available) = (obs.get(..dim)?, available.get(..actions)?);
    let calibration =
        Calibration { low: low.get(..dim)?, high: high.get(..dim)?, beyond: black_box(Beyond::Clamp) };
    let (forget, max_age) = black_box((Forget::After(2), 7));
    let rules = Rules { fallback: 0, forget, max_age, calibration: Some(calibration) };
    let mut agent = Guarded::new(policy, memory, rules).inspect_err(say).ok()?;
    for age in black_box(0)..10 {
        let input = AgentInput { obs, last_action: agent.last_action(), agent_id: 0, available };
        black_box(agent.step(input, age, scratch));
    }
    black_box((agent.miss(available), agent.scratch_len(), agent.policy(), agent.counters()));
    agent.reset();
    black_box(agent.take_counters());
    Some(())
}

/// The same with a policy that was read when this program was built.
fn built_in(memory: &mut [f32], scratch: &mut [f32]) -> Option<()> {
    let policy = reference::POLICY.verify(memory, scratch).inspect_err(say).ok()?;
    black_box(reference::POLICY.assume_verified().memory_len());
    let input = AgentInput { obs: &[], last_action: None, agent_id: black_box(0), available: &[] };
    policy.act(memory, input, scratch).inspect_err(say).is_err().then_some(())?;
    policy.self_test(memory, scratch).inspect_err(say).ok()?;
    ask(policy)?;
    guard(policy, memory, scratch)
}

/// When to take a step.
fn time() -> Option<()> {
    let schedule = Schedule { steps: 10, ticks: 1000, poll: 30, tolerated: 0, overrun: Overrun::Reset };
    let mut executor = Executor::new(black_box(schedule)).inspect_err(say).ok()?;
    let mut steps = 0;
    for now in [0, 30, 100, 500, 90] {
        steps += usize::from(executor.poll(black_box(now)).verdict != Verdict::Hold);
    }
    executor.restart();
    black_box((executor.timing(), executor.take_timing()));
    (steps > 2).then_some(())
}

/// What does not need a policy.
fn reckon() -> Option<()> {
    black_box((math::tanh(black_box(0.5)), math::sigmoid(black_box(0.5))));
    black_box((table::tanh(black_box(99)), table::sigmoid(black_box(99))));
    (crc32(black_box(b"123456789")) == 0xcbf4_3926).then_some(())
}

/// Text that goes nowhere.
struct Nowhere;

impl Write for Nowhere {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        black_box(text);
        Ok(())
    }
}

/// Formats what can be shown to people.
fn say(what: &impl Display) {
    black_box(write!(Nowhere, "{what}").is_ok());
}
