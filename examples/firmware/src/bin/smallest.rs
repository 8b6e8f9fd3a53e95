//! The least that a product needs: a policy in flash, opened once, acting. Says nothing; its size is what is of interest.
#![no_std]
#![no_main]

use core::hint::black_box;

use ddn_firmware::board::{Board, Here};
use ddn_runtime::{AgentInput, Memory, Model};

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    Here::exit(run().is_some())
}

fn run() -> Option<usize> {
    let model = Model::open(ddn_runtime::flash!(env!("DDN_REFERENCE_FILE"))).ok()?;
    let mut memory = Memory::<64>::new();
    let mut scratch = [0.0; 512];
    let policy = model.verify(&mut memory, &mut scratch).ok()?;
    // What sensors would write: unknown to the compiler.
    let (obs, available) = black_box(([0.0; 64], [true; 4]));
    let input = AgentInput { obs: &obs, last_action: None, agent_id: 0, available: &available };
    policy.act(&mut memory, input, &mut scratch).ok().map(|action| action.index)
}
