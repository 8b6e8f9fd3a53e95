//! A map file that changed since a run began.

use std::path::Path;
use std::process::{Command, Output};

fn run(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddn-train"));
    command.current_dir(dir).args(arguments).output().expect("it runs")
}

/// One marine against so many, with these hit points.
fn map(enemies: usize, hp: u32) -> String {
    format!(
        "episode_limit = 5\nblocked = []\n[allies]\nunits = [['marine', 1]]\nat = [9.0, 16.0]\n\
         [enemies]\nunits = [['foe', {enemies}]]\nat = [23.0, 16.0]\n\
         [unit.foe]\nhp = {hp}.0\nrange = 5.0\nspeed = 2.0\nradius = 0.4\n"
    )
}

#[test]
fn it_is_noticed_when_the_run_is_taken_up_or_tested() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("duel.toml", &map(1, 40));
    write(
        "train.toml",
        "t_max = 40\nenv = { kind = \"combat\", map = \"duel.toml\" }\nscheme = { kind = \"plain\" }\n\
         mixer = { kind = \"vdn\" }\nrollout = { envs = 2 }\nreplay = { batch = 2 }\n\
         eval = { episodes = 2, final_episodes = 2 }\n",
    );
    let trained = run(folder.path(), &["train", "train.toml", "--out", "run"]);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    assert!(run(folder.path(), &["eval", "run", "--episodes", "2"]).status.success());
    for changed in [map(2, 40), map(1, 41)] {
        write("duel.toml", &changed);
        for command in [["eval", "run", "--episodes", "2"].as_slice(), &["resume", "run"]] {
            let output = run(folder.path(), command);
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success(), "{command:?}: {message}");
            assert!(message.contains("duel.toml is not the file that it was"), "{command:?}: {message}");
        }
    }
}
