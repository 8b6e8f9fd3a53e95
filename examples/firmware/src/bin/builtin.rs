//! The least that a product needs whose policy is a part of it: read when the firmware is built, verified when it starts.
//! Says nothing; its size is what is of interest.
#![no_std]
#![no_main]

use core::hint::black_box;

use ddn_firmware::board::{Board, Here};

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    // What sensors would write: unknown to the compiler.
    let (obs, available) = black_box(([0.0; reference::OBS], [true; reference::ACTIONS]));
    Here::exit(first_action(&obs, &available).is_some())
}

// begin: docs/runtime.md
use ddn_runtime::{AgentInput, Memory};

// The module `reference`, which `build.rs` has made of `reference.safetensors`.
include!(concat!(env!("OUT_DIR"), "/reference.rs"));

fn first_action(obs: &[f32; reference::OBS], available: &[bool; reference::ACTIONS]) -> Option<usize> {
    let mut memory = Memory::<{ reference::MEMORY }>::new();
    let mut scratch = [0.0; reference::SCRATCH];
    let policy = reference::POLICY.verify(&mut memory, &mut scratch).ok()?;
    let input = AgentInput { obs, last_action: None, agent_id: 0, available };
    policy.act(&mut memory, input, &mut scratch).ok().map(|action| action.index)
}
// end
