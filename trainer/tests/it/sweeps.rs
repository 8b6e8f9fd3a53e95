//! `ddn-train sweep`: every cell is the run that it would be alone, however the study was stopped.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use ddn_trainer::metrics;

use super::killed::{assert_same, result};

const BASE: &str = "t_max = 1500\nthreads = 1\ncompare = { plain = true }\n\
    env = { kind = \"predator-prey\", rows = 5, cols = 5, predators = 3, prey = 2, episode_limit = 20 }\n\
    scheme = { kind = \"ddn\" }\nmixer = { kind = \"qmix\" }\n\
    rollout = { envs = 4 }\nlearner = { updates_per_episode = 0.25, target_interval = 30 }\n\
    replay = { batch = 8 }\neval = { interval = 500, episodes = 4, final_episodes = 8 }\n\
    checkpoint = { interval = 100 }\n";

const THREE_BY_TWO: &str = "config = \"base.toml\"\nseeds = [1, 5]\n\
    algorithm = [\n  { name = \"DDN-QMIX\" },\n  { name = \"QMIX\", set = { \"scheme.kind\" = \"plain\" } },\n  \
    { name = \"CTDS-VDN\", set = { \"scheme.kind\" = \"ctds\", \"mixer.kind\" = \"vdn\" } },\n]\n";

/// A folder with a study in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new(study: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("base.toml"), BASE).expect("a temporary folder");
        fs::write(folder.path().join("study.toml"), study).expect("a temporary folder");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sweep(&self, out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ddn-train"));
        command.arg("sweep").arg(self.path("study.toml")).arg("--out").arg(self.path(out)).args(more);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, out: &str, more: &[&str]) -> Output {
        self.sweep(out, more).output().expect("it was built")
    }

    /// Runs it to its end, which must be a good one; gives what it printed.
    fn done(&self, out: &str, more: &[&str]) -> String {
        let output = self.run(out, more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Files of this name below `dir`.
fn files(dir: &Path, name: &str) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, name));
        } else if path.ends_with(name) {
            found.insert(path);
        }
    }
    found
}

/// Waits until `wanted`, or the end of the process; whether it came first.
fn reaches(child: &mut Child, wanted: impl Fn() -> bool) -> bool {
    loop {
        if wanted() {
            return true;
        }
        if child.try_wait().expect("it is our child").is_some() {
            return false;
        }
    }
}

#[test]
fn killed_twice_a_study_ends_as_an_undisturbed_one_and_every_cell_as_if_alone() {
    let place = Place::new(THREE_BY_TWO);
    let text = place.done("undisturbed", &["--jobs", "2", "--threads", "1"]);
    assert!(text.starts_with("6 of 6 cells done\n"), "{text}");
    let want = result(&place.path("undisturbed"));

    let out = place.path("killed");
    let summaries = || files(&out, "summary.json").len();
    for cells in [1, 3] {
        let mut child = place.sweep("killed", &["--jobs", "2"]).spawn().expect("it was built");
        assert!(reaches(&mut child, || summaries() >= cells), "it ended before {cells} cells were done");
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
        assert!(summaries() < 6, "nothing is left to do");
    }
    // A person's Ctrl-C saves what trains.
    let mut child = place.sweep("killed", &["--jobs", "1"]).spawn().expect("it was built");
    assert!(reaches(&mut child, || summaries() >= 4));
    let interrupt = Command::new("kill").arg("-INT").arg(child.id().to_string()).status();
    assert!(interrupt.expect("a shell's command").success());
    let output = child.wait_with_output().expect("it is our child");
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("the same command goes on"));

    place.done("killed", &["--jobs", "3"]);
    assert_same(&result(&out), &want);
    // Once more changes nothing.
    place.done("killed", &[]);
    assert_same(&result(&out), &want);

    let alone = place.path("alone");
    let train = Command::new(env!("CARGO_BIN_EXE_ddn-train"))
        .arg("train")
        .arg(place.path("base.toml"))
        .args(["--set", "scheme.kind=plain", "--set", "seed=5", "--set", "compare.plain=false", "--out"])
        .arg(&alone)
        .output()
        .expect("it was built");
    assert!(train.status.success(), "{}", said(&train));
    assert_same(&result(&place.path("undisturbed/base/QMIX/seed_5")), &result(&alone));
}

#[test]
fn one_cell_by_its_number_as_an_array_job_runs_it() {
    let place = Place::new(THREE_BY_TWO);
    place.done("out", &["--index", "4"]);
    let summaries = files(&place.path("out"), "summary.json");
    assert_eq!(summaries, BTreeSet::from([place.path("out/base/CTDS-VDN/seed_1/summary.json")]));
    let list = place.done("out", &["--list"]);
    let states: Vec<_> =
        list.lines().map(|line| line.split_whitespace().nth(1).unwrap_or_default()).collect();
    assert_eq!(states.iter().position(|&state| state == "done"), Some(4), "{list}");
    assert_eq!(list.lines().count(), 6);
    let script = place.done("out", &["--emit-slurm", "--jobs", "3", "--set", "t_max=900"]);
    assert!(script.contains("#SBATCH --array=0-5%3\n") && script.contains("--set t_max=900"), "{script}");
    let output = place.run("out", &["--index", "6"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--index: is 6; there are cells 0 to 5"), "{}", said(&output));
}

#[test]
fn configs_are_not_mixed_and_a_cell_that_fails_keeps_no_other_from_its_end() {
    let place = Place::new(&THREE_BY_TWO.replace("[1, 5]", "1"));
    place.done("out", &["--set", "t_max=600"]);
    let before = result(&place.path("out"));
    let output = place.run("out", &["--set", "t_max=600", "--set", "learner.gamma=0.5"]);
    assert_eq!(output.status.code(), Some(2));
    let text = said(&output);
    assert!(text.contains("DDN-QMIX/seed_1") && text.contains("(learner differ)"), "{text}");
    assert_same(&result(&place.path("out")), &before);

    let output = place.run("out/base/QMIX/seed_1", &[]);
    assert!(output.status.code() == Some(2) && said(&output).contains("holds a run"), "{}", said(&output));

    // A game of one step has no view for a teacher: `ctds` cannot be built for it.
    let output = place.run("game", &["--set", "env.kind=matrix-game", "--set", "t_max=600", "--jobs", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("CTDS-VDN/seed_1 failed: ") && text.contains("needs a teacher view"), "{text}");
    assert_eq!(files(&place.path("game"), "summary.json").len(), 2);
}

#[test]
fn halving_leaves_the_worse_settings_behind_at_their_rung_and_repeats_after_a_kill() {
    let place = Place::new(
        "config = \"base.toml\"\nseeds = 2\nset = { scheme.kind = \"plain\" }\n\
         [grid]\n\"learner.gamma\" = [0.0, 0.9, 0.99]\n[halving]\nrungs = [500, 1000]\nkeep = 0.5\n",
    );
    let text = place.done("out", &[]);
    assert!(text.starts_with("2 of 6 cells done, 4 left behind\n"), "{text}");
    // The mean over seeds of the greedy return at the rung says who went on.
    let score = |gamma: &str, rung: u64| {
        let of = |seed: u64| {
            let dir = place.path(&format!("out/base/plain+qmix/learner.gamma-{gamma}/seed_{seed}"));
            let records = metrics::read(&dir.join("metrics.jsonl")).expect("it was trained");
            let record = records.iter().find(|record| record.t_env >= rung);
            record.map(|record| record.values["test_agent_return"])
        };
        Some((of(1)? + of(2)?) / 2.0)
    };
    let gammas = ["0.0", "0.9", "0.99"];
    let first = gammas.map(|gamma| score(gamma, 500).expect("all reach the first rung"));
    let worst = (0..3).rev().min_by(|&a, &b| first[a].total_cmp(&first[b])).expect("three");
    for (index, gamma) in gammas.iter().enumerate() {
        assert_eq!(score(gamma, 1000).is_none(), index == worst, "{gamma}: {first:?}");
    }
    let finished = gammas.iter().filter(|gamma| score(gamma, 1500).is_some()).count();
    assert_eq!(finished, 1);

    let out = place.path("killed");
    let mut child = place.sweep("killed", &[]).spawn().expect("it was built");
    // The second round has begun, or soon will.
    assert!(reaches(&mut child, || files(&out, "metrics.jsonl").len() == 6));
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
    place.done("killed", &[]);
    assert_same(&result(&out), &result(&place.path("out")));
}

#[test]
fn nothing_that_was_trained_is_lost_to_the_report_and_a_torn_summary_is_written_again() {
    let place = Place::new(&THREE_BY_TWO.replace("[1, 5]", "1"));
    let short = ["--set", "t_max=400", "--jobs", "2"];
    place.done("out", &short);
    let want = result(&place.path("out"));
    let summary = place.path("out/base/QMIX/seed_1/summary.json");
    let bytes = fs::read(&summary).expect("a finished run");
    fs::write(&summary, &bytes[..bytes.len() / 2]).expect("it is ours");
    let list = place.done("out", &[&short[..], &["--list"]].concat());
    assert!(list.lines().any(|line| line.contains("begun") && line.contains("QMIX/seed_1")), "{list}");
    place.done("out", &short);
    assert_same(&result(&place.path("out")), &want);

    // Another study in the same place: the cells of both are in the report.
    let other = "config = \"base.toml\"\nseeds = 1\n[[algorithm]]\nname = \"VDN\"\n\
        set = { \"scheme.kind\" = \"plain\", \"mixer.kind\" = \"vdn\" }\n";
    fs::write(place.path("study.toml"), other).expect("a temporary folder");
    place.done("out", &short);
    let index = fs::read_to_string(place.path("out/study.json")).expect("a study");
    for name in ["VDN", "DDN-QMIX", "QMIX", "CTDS-VDN"] {
        assert!(index.contains(&format!("\"dir\": \"base/{name}/seed_1\"")), "{index}");
    }
}

#[test]
fn a_metric_that_no_cell_has_ends_the_study_before_it_drops_a_setting() {
    let place = Place::new(
        "config = \"base.toml\"\nseeds = 1\nset = { scheme.kind = \"plain\" }\n[grid]\n\
         \"learner.gamma\" = [0.0, 0.9]\n[halving]\nrungs = [500]\nmetric = \"train_retrun\"\n",
    );
    let output = place.run("out", &[]);
    assert_eq!(output.status.code(), Some(2));
    let text = said(&output);
    assert!(text.contains("halving.metric: no cell has logged \"train_retrun\"; there are: "), "{text}");
    assert!(text.contains("train_return"), "{text}");
}
