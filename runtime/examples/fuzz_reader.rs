//! Judges changed files by the reader and by the `safetensors` crate; ends with an error at the first that only the reader
//! accepts.
//!
//! `cargo run -p ddn-runtime --release --example fuzz_reader -- FILES [SEED]`
#![allow(clippy::print_stdout)]

use std::{env, error::Error, fs};

#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "../fixture/mutate.rs"]
mod mutate;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let files: u64 = arguments.next().ok_or("usage: fuzz_reader FILES [SEED]")?.parse()?;
    let seed = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
    let mut mutator = mutate::Mutator::new(seed);
    let mut counts = mutate::Counts::default();
    for index in 0..files {
        if let Err(file) = counts.judge(mutator.next()) {
            fs::write("accepted_by_the_reader_alone.safetensors", file)?;
            return Err(format!("file {index} of seed {seed} is accepted by the reader alone").into());
        }
    }
    println!("{} files, seed {seed}", counts.files);
    println!("accepted by both: {} (policies: {})", counts.both_accept, counts.policies);
    println!("refused by both: {}", counts.both_refuse);
    println!("accepted by the reader alone: 0");
    println!("accepted by the crate alone: {}", counts.stricter.values().sum::<u64>());
    for (class, count) in counts.stricter {
        println!("  {class}: {count}");
    }
    Ok(())
}
