//! What the program says where it cannot play.

use std::process::Command;

use super::{fleet, outcome, policy, top};

/// The program ends with `code` and says each of `wants`.
fn refuses(command: &mut Command, code: i32, wants: &[&str]) {
    let (got, out, said) = outcome(command);
    assert_eq!(got, Some(code), "{out}{said}");
    for want in wants {
        assert!(said.contains(want), "{want:?} is not in {said}");
    }
}

fn with(policy: &str, config: &str) -> Command {
    let mut fleet = Command::new(env!("CARGO_BIN_EXE_ddn-fleet"));
    fleet.args(["--policy", policy, "--config", config]).current_dir(top());
    fleet
}

#[test]
fn a_policy_of_another_contract_is_refused() {
    let policy = policy().display().to_string();
    let mut fleet = with(&policy, "trainer/configs/predator_prey.toml");
    refuses(&mut fleet, 2, &["agents: the policy has 4, the environment 8", "--config"]);
    let mut fleet = with(&policy, "trainer/configs/matrix_game.toml");
    refuses(&mut fleet, 2, &["environment: the policy has predator-prey, the environment matrix-game"]);
}

#[test]
fn files_that_are_missing_or_something_else_are_named() {
    let quickstart = "trainer/configs/quickstart.toml";
    refuses(&mut with("nowhere.safetensors", quickstart), 5, &["cannot read nowhere.safetensors"]);
    refuses(&mut with("README.md", quickstart), 6, &["README.md is not a policy: "]);
    refuses(&mut with(&policy().display().to_string(), "nowhere.toml"), 2, &["nowhere.toml"]);
    refuses(
        fleet().args(["--firmware", "nowhere"]),
        2,
        &["no firmware at nowhere", "cargo build --release --bin agent"],
    );
}

#[test]
fn every_agent_needs_a_board() {
    refuses(fleet().args(["--boards", "8"]), 2, &["--boards 8: the policy is that of a team of 4"]);
}

#[test]
fn qemu_that_is_missing_or_ends_is_said_with_the_board() {
    let image = policy().display().to_string(); // Any file: nothing gets as far as to run it.
    let mut missing = fleet();
    missing.args(["--firmware", &image, "--qemu", "no-such-program"]);
    refuses(&mut missing, 5, &["board 0: cannot start no-such-program", "Debian: qemu-system-arm"]);
    let mut ends = fleet();
    ends.args(["--firmware", &image, "--qemu", "false"]);
    // All boards end; which one is noticed first is up to the system.
    refuses(&mut ends, 5, &["ddn-fleet: board ", " died at `hello`: QEMU ended, exit status: 1"]);
}
