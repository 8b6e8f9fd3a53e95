//! `ddn-train report`: the numbers of runs on one page, and refused where they do not belong together.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const GAME: &str = "t_max = 300\nthreads = 1\nenv = { kind = \"matrix-game\" }\nscheme = { kind = \"ddn\" }\n\
    mixer = { kind = \"qmix\" }\nreplay = { batch = 8 }\neval = { interval = 100, episodes = 4, final_episodes = 4 }\n";

fn ddn_train(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ddn-train")).args(arguments).output().expect("it was built")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn string(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Runs of the game, each by its keys, in folders `0`, `1`, …
fn runs(folder: &Path, keys: &[&[&str]]) -> Vec<PathBuf> {
    let config = folder.join("game.toml");
    fs::write(&config, GAME).expect("a temporary folder");
    let run = |(index, keys): (usize, &&[&str])| {
        let dir = folder.join(index.to_string());
        let mut arguments = vec!["train", string(&config), "--out", string(&dir)];
        keys.iter().for_each(|key| arguments.extend(["--set", key]));
        let output = ddn_train(&arguments);
        assert!(output.status.success(), "{}", said(&output));
        dir
    };
    keys.iter().enumerate().map(run).collect()
}

#[test]
fn a_report_says_what_the_runs_say_and_the_same_each_time() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runs =
        runs(folder.path(), &[&[], &["seed=7"], &["scheme.kind=plain"], &["scheme.kind=plain", "seed=7"]]);
    let [page, again, csv, json] =
        ["a.html", "b.html", "a.csv", "a.json"].map(|name| folder.path().join(name));
    let mut arguments = vec!["report"];
    arguments.extend(runs.iter().map(|run| string(run)));
    let all = |out: &Path| {
        let more = ["-o", string(out), "--csv", string(&csv), "--marl-eval", string(&json)];
        let output = ddn_train(&[&arguments[..], &more].concat());
        assert!(output.status.success(), "{}", said(&output));
        fs::read_to_string(out).expect("it was written")
    };
    let html = all(&page);
    assert_eq!(html, all(&again));
    for part in [
        "ddn+qmix",
        "plain+qmix",
        "matrix-game",
        "scheme.kind",
        "best possible",
        "<td class=\"number\">2</td>",
    ] {
        assert!(html.contains(part), "{part}");
    }

    let table = fs::read_to_string(&csv).expect("it was written");
    for (run, (algorithm, seed)) in
        runs.iter().zip([("ddn+qmix", 1), ("ddn+qmix", 7), ("plain+qmix", 1), ("plain+qmix", 7)])
    {
        let summary = fs::read_to_string(run.join("summary.json")).expect("a finished run");
        let summary: Value = serde_json::from_str(&summary).expect("JSON");
        for row in summary["rows"].as_array().expect("rows") {
            let (player, mean) =
                (row["player"].as_str().expect("a name"), row["mean_return"].as_f64().expect("a number"));
            let start = format!("matrix-game,{algorithm},{seed},304,final: {player},");
            let line = table
                .lines()
                .find(|line| line.starts_with(&start))
                .unwrap_or_else(|| panic!("no {start}\n{table}"));
            let value: f64 = line[start.len()..].parse().expect("a number");
            assert!((value - mean).abs() < 1e-12, "{line}");
        }
    }
    let values: Value =
        serde_json::from_str(&fs::read_to_string(&json).expect("it was written")).expect("JSON");
    let of_seed = &values["matrix-game"]["matrix-game"]["ddn+qmix"]["seed_7"];
    assert_eq!(of_seed["step_1"]["step_count"].as_u64(), Some(0), "{of_seed}");
    assert!(of_seed["absolute_metrics"].is_object());
}

#[test]
fn runs_that_do_not_belong_together_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runs = runs(folder.path(), &[&[], &["seed=2", "learner.gamma=0.5"], &[]]);
    let [one, other, twin] = [0, 1, 2].map(|index| string(&runs[index]));
    let nothing = folder.path().join("nothing");
    fs::create_dir(&nothing).expect("a temporary folder");
    for (paths, want) in [
        (vec![one, twin], "have the same seed 1"),
        (vec![one, one], "is given twice"),
        (vec![one, other], "but learner differ"),
        (vec![string(&nothing)], "is neither a run (config.toml) nor a study (study.json)"),
    ] {
        let output = ddn_train(&[&["report"], &paths[..]].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(want), "{}", said(&output));
    }
    let page = folder.path().join("none").join("a.html");
    let output = ddn_train(&["report", one, "-o", string(&page)]);
    assert!(!output.status.success() && said(&output).contains("give a file in a folder that exists"));
}
