//! Every board of `examples/firmware` against the host: equal actions and equal bits of every Q-value.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use fixture::{Metadata, Random, Tensors, encode, metadata, record};
use integers::Numbers;

#[path = "../../runtime/fixture/mod.rs"]
mod fixture;
#[path = "../../runtime/fixture/integers.rs"]
mod integers;

/// The boards whose vector unit takes numbers below the normal range for zeros, whatever its control register says.
const FLUSHING: &[&str] = &["an547"];

/// Held while an image is built and run: all tests build the same images, with other files in it.
static IMAGE: Mutex<()> = Mutex::new(());

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

/// The names of the files in `boards/`.
fn boards() -> Vec<String> {
    let files = fs::read_dir(top().join("examples/firmware/boards")).expect("there are boards");
    let files = files.map(|file| file.expect("a file").path());
    let named = files.filter(|file| file.extension().is_some_and(|extension| extension == "toml"));
    let mut boards: Vec<_> =
        named.map(|file| file.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    boards.sort();
    assert!(boards.len() > 4, "{boards:?}");
    boards
}

fn run(command: &mut Command) -> Output {
    let _alone = IMAGE.lock().unwrap_or_else(PoisonError::into_inner);
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// What a command prints, if it succeeds.
fn lines(command: &mut Command) -> Vec<String> {
    let output = run(command);
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{said}");
    out.lines().map(str::to_owned).collect()
}

/// The program `replay` for a board.
fn replay(board: &str) -> Command {
    let mut command = Command::new("cargo");
    command.args(["run", "--release", "--locked", "--bin", "replay", "--config"]);
    command.arg(format!("boards/{board}.toml")).current_dir(top().join("examples/firmware"));
    command
}

/// What the host prints.
fn host(policy: &Path, episodes: &Path) -> Vec<String> {
    let mut host = Command::new("cargo");
    host.args(["run", "--release", "-p", "ddn-runtime", "--example", "replay", "--"]).current_dir(top());
    lines(host.arg(policy).arg(episodes))
}

#[test]
fn every_board_says_what_the_host_says() {
    let assets = top().join("examples/firmware/assets");
    let host = host(&assets.join("policy.safetensors"), &assets.join("episodes.safetensors"));
    assert!(host.len() > 40, "the host replays only {} lines", host.len());
    for board in boards() {
        assert_eq!(lines(&mut replay(&board))[..host.len()], host[..], "{board}");
    }
}

/// Steps that no file was made with: the reference net, and a network of every kind of integer layer.
#[test]
fn integers_have_the_same_bits_on_every_board() {
    let folder = tempfile::tempdir().expect("a folder");
    let reference = fs::read(top().join("examples/firmware/assets/reference_int8.safetensors"));
    let mut every = integers::network(3);
    for (name, (shape, values)) in record(&integers::file(&every), &[1], 4, 11) {
        every.insert(name, (shape, Numbers::F32(values)));
    }
    for (name, file, agents) in [
        ("reference", reference.expect("is committed"), &[0][..]),
        ("every kind", integers::file(&every), &[0, 1, 2]),
    ] {
        let [policy, episodes] = ["policy", "episodes"].map(|name| folder.path().join(name));
        fs::write(&policy, &file).expect("a file");
        fs::write(&episodes, encode(&Metadata::new(), &record(&file, agents, 60, 23))).expect("a file");
        let host = host(&policy, &episodes);
        assert_eq!(host.len(), 1 + 60 * agents.len(), "{name}");
        let actions: BTreeSet<_> = host.iter().filter_map(|line| line.split(' ').nth(5)).collect();
        assert!(actions.len() > 1, "{name}: a network that always acts alike shows little");
        for board in boards() {
            let mut replay = replay(&board);
            replay.env("DDN_POLICY", &policy).env("DDN_EPISODES", &episodes);
            assert_eq!(lines(&mut replay)[..host.len()], host[..], "{name} on {board}");
        }
    }
}

/// The examples for Embassy and RTIC act on what the first agent saw as the host does.
#[test]
fn tasks_act_as_the_host_does() {
    let assets = top().join("examples/firmware/assets");
    let host = host(&assets.join("policy.safetensors"), &assets.join("episodes.safetensors"));
    let first = host.iter().filter(|line| line.starts_with("step")).take(15);
    let want: Vec<&str> = first.filter_map(|line| Some(line.split_once(" q ")?.0)).collect();
    assert_eq!(want.len(), 15);
    for example in ["embassy", "rtic"] {
        let mut task = Command::new("cargo");
        task.args(["run", "--release", "--locked"]).current_dir(top().join("examples").join(example));
        assert_eq!(lines(&mut task), want, "{example}");
    }
}

/// Weights so small that products and sums leave the range of normal numbers: exact on every board but those known to
/// flush them, where the self-test refuses the policy.
#[test]
fn numbers_below_the_normal_range_are_exact_or_refused() {
    let mut random = Random(3);
    let weights = [("fc.weight", &[8, 16][..]), ("fc.bias", &[8])];
    let mut tensors: Tensors =
        weights.map(|(name, shape)| (name.to_owned(), random.tensor(shape, 3.0 * f32::MIN_POSITIVE))).into();
    let about = metadata("linear:0>1:fc", "obs:16", 1, "a,b,c,d,e,f,g,h");
    let answers = record(&encode(&about, &tensors), &[0], 8, 5);
    let subnormal = answers["kat.q"].1.iter().filter(|q| q.is_subnormal()).count();
    assert!(subnormal > 8, "only {subnormal} answers are below the normal range");
    tensors.extend(answers.clone());
    let folder = tempfile::tempdir().expect("a folder");
    let [policy, episodes] = ["policy", "episodes"].map(|name| folder.path().join(name));
    fs::write(&policy, encode(&about, &tensors)).expect("a file");
    fs::write(&episodes, encode(&about, &answers)).expect("a file");

    let host = host(&policy, &episodes);
    for board in boards() {
        let mut replay = replay(&board);
        replay.env("DDN_POLICY", &policy).env("DDN_EPISODES", &episodes);
        if FLUSHING.contains(&board.as_str()) {
            let output = run(&mut replay);
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(!output.status.success(), "{board} does not flush any more");
            assert_eq!(
                said.trim_end(),
                "failed: the policy file is damaged, or acts otherwise here",
                "{board}"
            );
        } else {
            assert_eq!(lines(&mut replay)[..host.len()], host[..], "{board}");
        }
    }
}
