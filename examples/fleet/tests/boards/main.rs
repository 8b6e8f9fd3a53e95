//! `ddn-fleet` as a program.

mod cli;
mod in_qemu;

use std::path::{Path, PathBuf};
use std::process::Command;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// The committed policy, of a team of four.
fn policy() -> PathBuf {
    top().join("examples/firmware/assets/policy.safetensors")
}

/// `ddn-fleet` with the committed policy on its own task.
fn fleet() -> Command {
    let mut fleet = Command::new(env!("CARGO_BIN_EXE_ddn-fleet"));
    fleet.arg("--policy").arg(policy()).arg("--config").arg(top().join("trainer/configs/quickstart.toml"));
    fleet
}

/// Exit code, standard output and standard error.
fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}
