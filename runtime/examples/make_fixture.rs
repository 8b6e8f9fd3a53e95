//! Writes a policy with random weights, recorded episodes of it, and the reference net.
//!
//! `cargo run -p ddn-runtime --release --example make_fixture -- DIR`
#![allow(clippy::print_stdout)]

use std::{env, error::Error, fs, path::PathBuf};

#[path = "../fixture/mod.rs"]
mod fixture;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(env::args().nth(1).ok_or("usage: make_fixture DIR")?);
    fs::create_dir_all(&dir)?;
    let policy = fixture::agent_file(fixture::EIGHT_AGENTS, 7, 8);
    let episodes = fixture::record(&policy, &[0, 3, 7], 20, 11);
    let metadata = fixture::Metadata::from([("ddn.format".into(), "1".into())]);
    let files = [
        ("policy.safetensors", policy),
        ("episodes.safetensors", fixture::encode(&metadata, &episodes)),
        ("reference.safetensors", fixture::reference_file(13)),
    ];
    for (name, bytes) in files {
        println!("{name}: {} bytes", bytes.len());
        fs::write(dir.join(name), bytes)?;
    }
    Ok(())
}
