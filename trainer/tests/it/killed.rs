//! `ddn-train` killed without warning, again and again: nothing is lost, done twice or done otherwise.
//!
//! ```text
//! train ─► kill -9 ─► does the newest checkpoint load? ─► resume ─► kill -9 ─► … ─► the same bytes
//! ```
//!
//! The moments are drawn from a fixed stream, and counted in what can be seen of a run: changes of
//! its folder, files of a checkpoint that is not yet in place, checkpoints in place, looks at them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use ddn_trainer::checkpoint::{Checkpoint, store};
use ddn_trainer::metrics::{self, tensorboard};
use ddn_trainer::seed::{Draw, stream};
use rand_chacha::ChaCha8Rng;

/// A small team, saved after nearly every wave of episodes, and plain agents beside it.
fn experiment(scheme: &str) -> String {
    format!(
        "t_max = 2000\nthreads = 1\ncompare = {{ plain = true }}\n\
        env = {{ kind = \"predator-prey\", rows = 5, cols = 5, predators = 3, prey = 2, episode_limit = 20 }}\n\
        scheme = {{ {scheme} }}\nmixer = {{ kind = \"qmix\" }}\n\
        rollout = {{ envs = 4 }}\nlearner = {{ updates_per_episode = 0.25, target_interval = 30 }}\n\
        replay = {{ batch = 8 }}\neval = {{ interval = 500, episodes = 4, final_episodes = 8 }}\n\
        checkpoint = {{ interval = 100 }}\n"
    )
}

/// How often it is killed at least, and of these how often at a special moment. More are made
/// until each number is reached.
const WANTED: Tally = Tally { kills: 20, in_a_write: 5, before_the_first: 1, in_a_resume: 3 };

/// As [`WANTED`], where the other schemes take turns.
const FEWER: Tally = Tally { kills: 6, in_a_write: 2, before_the_first: 1, in_a_resume: 0 };

/// More runs than this and the special moments are not being hit.
const TOO_MANY: usize = 8;

/// Kills, and what they hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    kills: usize,
    /// A checkpoint was being written.
    in_a_write: usize,
    /// There was no checkpoint yet.
    before_the_first: usize,
    /// A run was being taken up; it had not said yet that it goes on.
    in_a_resume: usize,
}

impl Tally {
    fn is_enough(&self, wanted: &Self) -> bool {
        self.kills >= wanted.kills
            && self.in_a_write >= wanted.in_a_write
            && self.before_the_first >= wanted.before_the_first
            && self.in_a_resume >= wanted.in_a_resume
    }
}

/// When a process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So many looks after its folder has changed so often.
    Change { changes: usize, looks: usize },
    /// After so many other writes of checkpoints: in the next, once it has so many files.
    Write { others: usize, files: usize },
    /// As soon as the one after so many others is in place: its mark is not made yet, and older
    /// ones are not removed.
    Placed { others: usize },
    /// It is left alone.
    Never,
}

impl Moment {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        match rng.below(6) {
            0 => Self::Change { changes: 0, looks: rng.below(600) },
            1 => Self::Change { changes: rng.below(60), looks: rng.below(200) },
            2 => Self::Placed { others: rng.below(4) },
            _ => Self::Write { others: rng.below(4), files: rng.below(13) },
        }
    }
}

/// Everything in a folder, path to length, without the insides of folders that `closed` names. What
/// goes while it is read is left out.
pub(super) fn walk(dir: &Path, closed: fn(&str) -> bool, found: &mut BTreeMap<PathBuf, u64>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(data) = entry.metadata() else { continue };
        found.insert(entry.path(), data.len());
        if data.is_dir() && !closed(&entry.file_name().to_string_lossy()) {
            walk(&entry.path(), closed, found);
        }
    }
}

/// What can be seen of a run while it goes on: all but the insides of checkpoints in place.
fn look(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    walk(dir, |name| name.starts_with("ckpt_"), &mut found);
    found
}

/// Whether a part of the path begins so.
fn within(path: &Path, begins: &str) -> bool {
    path.iter().any(|part| part.to_string_lossy().starts_with(begins))
}

/// Files of the checkpoint that the process is writing; `None` while it writes none.
fn being_written(seen: &BTreeMap<PathBuf, u64>, process: u32) -> Option<usize> {
    let folder = format!(".tmp-{process}-save");
    seen.keys().filter(|path| within(path, &folder)).count().checked_sub(1)
}

/// Checkpoints in place, of both runs.
fn in_place(seen: &BTreeMap<PathBuf, u64>) -> impl Iterator<Item = &Path> {
    let is_one = |path: &&Path| path.file_name().is_some_and(|name| within(Path::new(name), "ckpt_"));
    seen.keys().map(PathBuf::as_path).filter(is_one)
}

/// Kills `child` at `moment`; false if it ended by itself before.
fn kill(child: &mut Child, dir: &Path, moment: Moment, said: &Path) -> bool {
    let (mut before, mut moment) = (look(dir), moment);
    loop {
        let done = if matches!(moment, Moment::Never) { child.wait().map(Some) } else { child.try_wait() };
        if let Some(status) = done.expect("it is our child") {
            assert!(status.success(), "{status}: {}", fs::read_to_string(said).unwrap_or_default());
            return false;
        }
        let now = look(dir);
        let writes = |seen| being_written(seen, child.id());
        // One that replaces another has its name: what shows it is the end of the write.
        let is_new = in_place(&now).any(|path| !before.contains_key(path));
        let is_placed = is_new || writes(&before).is_some() && writes(&now).is_none();
        let is_due = match &mut moment {
            Moment::Change { changes: 0, looks: 0 } => true,
            Moment::Change { changes: 0, looks } => {
                *looks -= 1;
                false
            }
            Moment::Change { changes, .. } => {
                *changes -= usize::from(now != before);
                false
            }
            Moment::Write { others: 0, files } => writes(&now).is_some_and(|have| have >= *files),
            Moment::Placed { others: 0 } => is_placed,
            Moment::Write { others, .. } | Moment::Placed { others } => {
                *others -= usize::from(is_placed);
                false
            }
            Moment::Never => false,
        };
        if is_due {
            child.kill().expect("it is our child");
            let status = child.wait().expect("it is our child");
            return status.signal() == Some(9);
        }
        before = now;
    }
}

/// Begins a run in `dir`, or goes on with it; what it says goes to `said`.
fn start(dir: &Path, config: &Path, said: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddn-train"));
    if dir.join("config.toml").exists() {
        command.arg("resume").arg(dir);
    } else {
        command.arg("train").arg(config).arg("--out").arg(dir);
    }
    let to = || File::create(said).expect("a new file");
    command.stdout(to()).stderr(to());
    command.spawn().expect("it was built")
}

/// Environment steps at the newest checkpoint of each of the two runs; `None` before the first.
/// Whatever is in place is whole.
fn reached(dir: &Path) -> [Option<u64>; 2] {
    for path in in_place(&look(dir)) {
        store::open(path).unwrap_or_else(|error| panic!("{error}"));
    }
    [dir.to_owned(), dir.join("plain")].map(|dir| {
        let has_one = look(&dir).keys().any(|path| within(path, "ckpt_") || within(path, ".old-"));
        has_one.then(|| {
            let checkpoint = Checkpoint::open(&dir).unwrap_or_else(|error| panic!("{error}"));
            checkpoint.scheme_built().expect("its networks take the values");
            checkpoint.counters().t_env
        })
    })
}

/// No step of a curve is there twice or out of order.
fn check_rows(dir: &Path) {
    let path = dir.join(metrics::METRICS);
    if path.exists() {
        let rows = metrics::read(&path).expect("whole lines");
        assert!(rows.is_sorted_by(|one, next| one.t_env < next.t_env), "{}", path.display());
    }
}

/// Every file of a finished run that is a function of config and seed, by its path in `dir`.
pub(super) fn result(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut all, mut found) = (BTreeMap::new(), BTreeMap::new());
    walk(dir, |_| false, &mut all);
    for path in all.into_keys().filter(|path| path.is_file()) {
        let mut bytes = fs::read(&path).expect("a finished run");
        match path.file_name().and_then(|name| name.to_str()) {
            Some(metrics::TIMING | "run.lock") => continue,
            Some(tensorboard::FILE_NAME) => bytes = without_times(&bytes),
            _ => {}
        }
        found.insert(path.strip_prefix(dir).expect("it was listed there").to_owned(), bytes);
    }
    found
}

/// The events of a TensorBoard file without their wall-clock times, which the checksums cover too.
fn without_times(mut events: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((length, rest)) = events.split_first_chunk::<8>() {
        let length = usize::try_from(u64::from_le_bytes(*length)).expect("a small file");
        // Checksum of the length, tag of the time, time, the rest of the event, checksum.
        out.extend(&rest[4 + 9..4 + length]);
        events = &rest[4 + length + 4..];
    }
    assert!(events.is_empty(), "a torn event");
    out
}

pub(super) fn assert_same(found: &BTreeMap<PathBuf, Vec<u8>>, want: &BTreeMap<PathBuf, Vec<u8>>) {
    assert!(found.keys().eq(want.keys()), "{:?}\nundisturbed: {:?}", found.keys(), want.keys());
    for (path, bytes) in want {
        assert!(found[path] == *bytes, "{} differs", path.display());
    }
}

/// Kills runs of `scheme` until `wanted` is reached; each must end as an undisturbed one does.
fn kill_runs(scheme: &str, wanted: &Tally) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (config, said) = (folder.path().join("small.toml"), folder.path().join("said"));
    fs::write(&config, experiment(scheme)).expect("a temporary folder");
    let undisturbed = folder.path().join("undisturbed");
    let mut child = start(&undisturbed, &config, &said);
    assert!(!kill(&mut child, &undisturbed, Moment::Never, &said));
    let want = result(&undisturbed);
    for file in ["summary.json", "curve.svg", "best", "metrics.jsonl", "plain/metrics.jsonl"] {
        assert!(!want[Path::new(file)].is_empty(), "{file}");
    }

    let (mut rng, mut tally, mut runs) = (stream(1, "kill"), Tally::default(), 0);
    // A run that ends before there were enough kills is followed by another.
    while !tally.is_enough(wanted) {
        runs += 1;
        assert!(runs <= TOO_MANY, "{tally:?}, wanted {wanted:?}");
        let dir = folder.path().join(format!("killed {runs}"));
        // The first write is that of the first checkpoint.
        let mut moment = Moment::Write { others: 0, files: 1 };
        let mut before = [None; 2];
        loop {
            let is_resumed = dir.join("config.toml").exists();
            let mut child = start(&dir, &config, &said);
            if !kill(&mut child, &dir, moment, &said) {
                break;
            }
            let in_a_write = being_written(&look(&dir), child.id()).is_some();
            let spoke = fs::metadata(&said).is_ok_and(|said| said.len() > 0);
            let now = reached(&dir);
            assert!(now >= before, "{moment:?}: from {before:?} back to {now:?}");
            assert!(!is_resumed || dir.join("config.toml").exists(), "{moment:?}: the run is gone");
            check_rows(&dir);
            check_rows(&dir.join("plain"));
            tally.kills += 1;
            tally.in_a_write += usize::from(in_a_write);
            tally.before_the_first += usize::from(now[0].is_none());
            tally.in_a_resume += usize::from(is_resumed && !spoke);
            before = now;
            moment = if tally.is_enough(wanted) { Moment::Never } else { Moment::draw(&mut rng) };
        }
        assert_same(&result(&dir), &want);
    }
    eprintln!("{scheme}: {tally:?} in {runs} runs");
}

#[test]
fn killed_at_any_moment_a_run_ends_with_the_bytes_of_an_undisturbed_one() {
    kill_runs("kind = \"ddn\", behaviour = \"mix\"", &WANTED);
}

#[test]
fn so_does_a_run_of_a_scheme_that_keeps_teacher_views_or_has_a_second_phase() {
    let phase = "distill = { episodes = 30, updates = 20, rows = 50 }";
    for scheme in ["kind = \"ctds\"", "kind = \"igm-da\"", &format!("kind = \"ptde\", {phase}")] {
        kill_runs(scheme, &FEWER);
    }
}
