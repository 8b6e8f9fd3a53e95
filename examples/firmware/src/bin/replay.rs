//! A policy in flash: tests itself, replays recorded steps, prints the answers and what they cost.
//!
//! The lines up to `instructions` are those of the host's `cargo run -p ddn-runtime --example replay`.
#![no_std]
#![no_main]

use ddn_firmware::console::Line;
use ddn_firmware::counter::{Counter, Range};
use ddn_firmware::report;
use ddn_runtime::{AgentInput, Memory, Model, Policy, Recording};

/// Floats an agent may remember.
const MEMORY: usize = 256;
/// Floats of scratch, shared by all agents.
const SCRATCH: usize = 2048;

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    ddn_firmware::exit(run())
}

fn run() -> Result<(), &'static str> {
    let counter = Counter::new();
    let mut memory = Memory::<MEMORY>::new();
    let mut scratch = [0.0; SCRATCH];

    let (model, open) = counter.count(|| Model::open(ddn_runtime::flash!(env!("DDN_POLICY_FILE"))));
    let model = model.map_err(|_| "the policy file is not valid")?;
    let steps = model.recording().map_or(0, Recording::len);
    let (policy, verify) = counter.count(|| model.verify(&mut memory, &mut scratch));
    let policy = policy.map_err(|_| "the policy file is damaged, or acts otherwise here")?;
    let episodes = Recording::from_bytes(ddn_runtime::flash!(env!("DDN_EPISODES_FILE")), policy.spec())
        .map_err(|_| "the episode file is not valid")?;
    Line::new().text("self-test ").number(steps).text(" steps").print();

    let mut cost = Range::default();
    let mut differ = 0;
    for (index, step) in episodes.steps().enumerate() {
        let (action, count) = counter.count(|| policy.replay(&mut memory, &step, &mut scratch));
        let action = action.map_err(|_| "a recorded step cannot be taken")?;
        cost.add(count);
        let line = Line::new().text("step ").number(index).text(" agent ").number(step.agent);
        let line = line.text(" action ").number(action.index).text(" q");
        action.q.iter().fold(line, |line, &q| line.text(" ").bits(q)).print();
        let same = action.q.iter().zip(step.q.iter()).all(|(got, want)| got.to_bits() == want.to_bits());
        differ += usize::from(!same || action.index != step.action);
    }
    cost.print();
    bounds(&counter, &policy, &mut memory, &mut scratch)?.print_extremes();
    report::open(open, verify);
    report::buffers(&policy);
    Line::new().text("steps that differ from the recording: ").number(differ).print();
    if differ == 0 { Ok(()) } else { Err("the replay disagrees with the recording") }
}

/// The cheapest and the dearest step there can be: layers that see the observation leave out what is zero.
fn bounds(
    counter: &Counter,
    policy: &Policy<'_>,
    memory: &mut [f32],
    scratch: &mut [f32],
) -> Result<Range, &'static str> {
    let (obs_dim, n_actions) = (policy.spec().obs_dim(), policy.spec().n_actions());
    let available = [true; 64];
    let available = available.get(..n_actions).ok_or("there are too many actions")?;
    let mut cost = Range::default();
    for (value, last_action) in [(0.0, None), (0.5, Some(0))] {
        let obs = [value; 512];
        let obs = obs.get(..obs_dim).ok_or("the observation is too wide")?;
        let input = AgentInput { obs, last_action, agent_id: 0, available };
        let (action, count) = counter.count(|| policy.act(memory, input, scratch).map(|action| action.index));
        action.map_err(|_| "a step cannot be taken")?;
        cost.add(count);
    }
    Ok(cost)
}
