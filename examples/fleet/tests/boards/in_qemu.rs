//! Boards in QEMU. Needs `qemu-system-arm` and the target; `tests/run fleet` sees to both.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ddn_fleet::{Fleet, FleetError, Machine, Patience, Qemu, Team as _, View, contract};
use ddn_runtime::Model;
use ddn_trainer::signal::Signals;

use super::{fleet, outcome, policy, top};

/// The image of every board, with the committed policy.
fn firmware() -> PathBuf {
    let firmware = top().join("examples/firmware");
    let target = firmware.join("target");
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--bin", "agent", "--target-dir"]).arg(&target);
    let (code, out, said) = outcome(build.env_remove("DDN_POLICY").current_dir(firmware));
    assert_eq!(code, Some(0), "{out}{said}");
    target.join("thumbv7em-none-eabihf/release/agent")
}

/// A program that notes its process in `folder` and becomes QEMU.
fn noted_qemu(folder: &Path) -> PathBuf {
    let program = folder.join("qemu");
    let text = format!("#!/bin/sh\n: > '{}'/$$.pid\nexec qemu-system-arm \"$@\"\n", folder.display());
    std::fs::write(&program, text).expect("a script");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it may be run");
    program
}

/// Those of the processes noted in `folder` that there are, and those that are left.
fn noted(folder: &Path) -> (usize, Vec<String>) {
    let names =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.into_string().expect("UTF-8"));
    let pids: Vec<String> = names.filter_map(|name| name.strip_suffix(".pid").map(str::to_owned)).collect();
    let alive = |pid: &String| Path::new("/proc").join(pid).exists();
    (pids.len(), pids.iter().filter(|pid| alive(pid)).cloned().collect())
}

#[test]
fn every_action_on_the_boards_is_the_hosts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut fleet = fleet();
    fleet.arg("--firmware").arg(firmware()).arg("--qemu").arg(noted_qemu(folder.path()));
    let (code, out, said) = outcome(fleet.args(["--boards", "4", "--episodes", "3", "--seed", "5"]));
    assert_eq!(code, Some(0), "{out}{said}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "4 boards mps2-an386, 523272 bytes of policy each, 16 steps of self-test");
    assert_eq!(lines.len(), 7, "{out}");
    assert!(lines[6].starts_with("3 episodes, ") && lines[6].contains("equals the host's"), "{out}");
    assert_eq!(noted(folder.path()), (4, vec![]));
}

#[test]
fn no_board_outlives_a_run_that_is_stopped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut fleet = fleet();
    fleet.arg("--firmware").arg(firmware()).arg("--qemu").arg(noted_qemu(folder.path()));
    let mut run = fleet.args(["--episodes", "1000000"]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(run.stdout.take().expect("a pipe")).lines();
    let first =
        lines.by_ref().map(|line| line.expect("UTF-8")).find(|line| line.trim_start().starts_with("0 "));
    assert!(first.is_some_and(|line| !line.contains("DIFFERENT")), "the first episode is played");
    assert_eq!(noted(folder.path()).1.len(), 4);
    let (code, ..) = outcome(Command::new("kill").args(["-TERM", &run.id().to_string()]));
    assert_eq!(code, Some(0));
    assert_eq!(run.wait().expect("it ends").code(), Some(143));
    assert_eq!(noted(folder.path()), (4, vec![]));
}

#[test]
fn a_board_that_dies_and_one_with_another_policy_are_named() {
    let mut file = contract::read(&policy()).expect("the committed policy");
    let machine = Machine { qemu: "qemu-system-arm".into(), firmware: firmware() };
    let patience = Patience { wait: Duration::from_secs(60), tries: 1 };
    let start = |count: usize| {
        let boards = (0..count).map(|board| Qemu::start(board, &machine, Signals::detached()));
        boards.collect::<Result<Vec<_>, _>>().expect("QEMU starts")
    };
    {
        let policy = Model::open(&file).expect("the committed policy").assume_verified();
        let mut fleet = Fleet::meet(start(3), &policy, &file, patience).expect("they carry the policy");
        let (obs, available) = ([0.0; 75], [true; 6]);
        let views = [View { obs: &obs, available: &available }; 3];
        fleet.reset().expect("an episode begins");
        assert_eq!(fleet.act(&views).expect("they act").len(), 3);
        fleet.links()[1].line().kill();
        let error = fleet.act(&views).expect_err("one is dead");
        assert!(matches!(error, FleetError::Died { board: 1, during: "observe", .. }), "{error}");
        assert!(error.to_string().starts_with("board 1 died at `observe`: QEMU ended, signal: 9"), "{error}");
    }
    // One bit of one weight, in the middle of the file.
    let middle = file.len() / 2;
    file[middle] ^= 1;
    let policy = Model::open(&file).expect("still a policy").assume_verified();
    let error = Fleet::meet(start(1), &policy, &file, patience).err().expect("another policy");
    assert!(error.to_string().starts_with("board 0: CRC of the policy: it has"), "{error}");
}
