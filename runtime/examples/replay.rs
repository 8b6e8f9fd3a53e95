//! Replays recorded steps and prints what the policy answers; the firmware prints the same lines.
//!
//! `cargo run -p ddn-runtime --release --example replay -- POLICY EPISODES`
//!
//! ```text
//! self-test 8 steps
//! step 0 agent 3 action 2 q 3d8a1b2c bd012345 …
//! ```
#![allow(clippy::print_stdout)]

use std::{env, error::Error, fs};

use ddn_runtime::{Model, Recording};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut file = || arguments.next().ok_or("usage: replay POLICY EPISODES");
    let (policy, episodes) = (fs::read(file()?)?, fs::read(file()?)?);
    let model = Model::open(&policy)?;
    let mut memory = vec![0.0; model.memory_len()];
    let mut scratch = vec![0.0; model.scratch_len()];
    let policy = model.verify(&mut memory, &mut scratch)?;
    let episodes = Recording::from_bytes(&episodes, policy.spec())?;
    println!("self-test {} steps", policy.recording().map_or(0, Recording::len));
    for (index, step) in episodes.steps().enumerate() {
        let action = policy.replay(&mut memory, &step, &mut scratch)?;
        print!("step {index} agent {} action {} q", step.agent, action.index);
        for q in action.q {
            print!(" {:08x}", q.to_bits());
        }
        println!();
    }
    Ok(())
}
