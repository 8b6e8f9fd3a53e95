//! What cannot be resumed, and what is said then.

use std::path::Path;
use std::process::{Command, Output};

fn run(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddn-train"));
    command.current_dir(dir).args(arguments).output().expect("it runs")
}

#[test]
fn one_checkpoint_and_a_run_that_lost_all_of_them_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = "t_max = 40\nenv = { kind = \"repeat\" }\nscheme = { kind = \"plain\" }\n\
                  mixer = { kind = \"vdn\" }\nrollout = { envs = 2 }\nreplay = { batch = 2 }\n\
                  eval = { episodes = 2, final_episodes = 2 }\n";
    std::fs::write(folder.path().join("train.toml"), config).expect("written");
    let trained = run(folder.path(), &["train", "train.toml", "--out", "run"]);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));

    let checkpoints = || {
        let entries = std::fs::read_dir(folder.path().join("run"))
            .expect("a run")
            .map(|entry| entry.expect("readable"));
        entries.map(|entry| entry.path()).filter(|path| path.is_dir())
    };
    let one = checkpoints().next().expect("a checkpoint");
    let files = || std::fs::read_dir(&one).expect("readable").count();
    let before = files();
    let refused = run(folder.path(), &["resume", one.to_str().expect("UTF-8")]);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && message.contains("is one checkpoint of a run"), "{message}");
    assert_eq!(files(), before, "nothing was written");

    let log = || std::fs::read(folder.path().join("run/metrics.jsonl")).expect("a log");
    let before = log();
    checkpoints().for_each(|path| std::fs::remove_dir_all(path).expect("removed"));
    let refused = run(folder.path(), &["resume", "run"]);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && message.contains("its ckpt_* folders are gone"), "{message}");
    assert_eq!(log(), before, "nothing was written");
}
