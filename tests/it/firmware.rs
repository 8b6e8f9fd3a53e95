//! The Cortex-M4F in QEMU against the host: equal actions and equal bits of every Q-value.

use std::path::{Path, PathBuf};
use std::process::Command;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

fn lines(command: &mut Command) -> Vec<String> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{said}");
    out.lines().map(str::to_owned).collect()
}

/// What a program prints on the board.
fn board(program: &str) -> Vec<String> {
    let firmware = top().join("examples/firmware");
    lines(Command::new("cargo").args(["run", "--release", "--bin", program]).current_dir(firmware))
}

#[test]
fn the_board_says_what_the_host_says() {
    let firmware = top().join("examples/firmware");
    let board = board("replay");
    let mut host = Command::new("cargo");
    host.args(["run", "--release", "-p", "ddn-runtime", "--example", "replay", "--"]).current_dir(top());
    let assets = firmware.join("assets");
    let host = lines(host.arg(assets.join("policy.safetensors")).arg(assets.join("episodes.safetensors")));
    assert!(host.len() > 40, "the host replays only {} lines", host.len());
    assert_eq!(board[..host.len()], host[..]);
}
