//! Standard output that is full, or whose reader has left.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

fn program(arguments: &[&str]) -> Command {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddn-train"));
    command.current_dir(configs).args(arguments).stderr(Stdio::piped());
    command
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_device_is_an_error_that_says_so() {
    for arguments in [
        &["list"][..],
        &["check-env", "matrix_game.toml"],
        &["eval", "combat_5m_vs_6m.toml", "--policy", "focus", "--episodes", "1"],
        &["play", "predator_prey.toml", "--policy", "chase"],
    ] {
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let output = program(arguments).stdout(full).output().expect("it runs");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{arguments:?}: {err}");
        assert!(err.contains("writing to standard output: No space left"), "{arguments:?}: {err}");
    }
}

#[test]
fn a_training_ends_well_without_a_reader() {
    let run = Path::new(env!("CARGO_TARGET_TMPDIR")).join("without_a_reader");
    let _ = std::fs::remove_dir_all(&run);
    let out = run.to_str().expect("UTF-8");
    let arguments = ["train", "matrix_game.toml", "--set", "t_max=200", "--out", out];
    let mut child = program(&arguments).stdout(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(run.join("summary.json").exists());
}
