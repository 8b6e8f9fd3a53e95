//! How deep the stack gets in each part of the runtime.
//!
//! The three functions below are also the roots of the bounds that `tests/run proofs` computes for this very image.
#![no_std]
#![no_main]

use ddn_firmware::console::Line;
use ddn_firmware::stack::depth;
use ddn_runtime::{Action, AgentInput, Memory, Model, ModelError, Policy, VerifyError};

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    ddn_firmware::exit(run())
}

fn run() -> Result<(), &'static str> {
    let mut memory = Memory::<256>::new();
    let mut scratch = [0.0; 2048];
    let (model, used) = depth(|| open(ddn_runtime::flash!(env!("DDN_POLICY_FILE"))));
    print("open", used);
    let model = model.map_err(|_| "the policy file is not valid")?;
    let (policy, used) = depth(|| test(model, &mut memory, &mut scratch));
    print("test", used);
    let policy = policy.map_err(|_| "the policy file is damaged, or acts otherwise here")?;

    let (obs, available) = ([0.5; 512], [true; 64]);
    let obs = obs.get(..policy.spec().obs_dim()).ok_or("the observation is too wide")?;
    let available = available.get(..policy.spec().n_actions()).ok_or("there are too many actions")?;
    let input = AgentInput { obs, last_action: None, agent_id: 0, available };
    let (action, used) = depth(|| act(&policy, &mut memory, input, &mut scratch).is_some());
    print("act", used);
    Line::new().text("policy ").number(size_of::<Policy<'_>>()).text(" bytes").print();
    if action { Ok(()) } else { Err("a step cannot be taken") }
}

/// Prints `stack of … …`, in bytes.
fn print(what: &str, used: usize) {
    Line::new().text("stack of ").text(what).text(" ").number(used).print();
}

#[inline(never)]
fn open(file: &'static [u8]) -> Result<Model<'static>, ModelError> {
    Model::open(file)
}

#[inline(never)]
fn test(
    model: Model<'static>,
    memory: &mut [f32],
    scratch: &mut [f32],
) -> Result<Policy<'static>, VerifyError> {
    model.verify(memory, scratch)
}

#[inline(never)]
fn act<'s>(
    policy: &Policy<'_>,
    memory: &mut [f32],
    input: AgentInput<'_>,
    scratch: &'s mut [f32],
) -> Option<Action<'s>> {
    policy.act(memory, input, scratch).ok()
}
