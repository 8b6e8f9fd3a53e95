//! The program itself, on checkpoints of runs that have just begun.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ddn_trainer::checkpoint::Checkpoint;
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::eval;
use ddn_trainer::train::Run;

const SCHEMES: [&str; 2] = [
    "kind = \"ddn\"\n[scheme.lpn]\nhyper = 3\nhidden = 8\n[scheme.ggn]\nhyper = 3\nhidden = 8",
    "kind = \"plain\"",
];

/// A run's folder with its first checkpoint.
fn begin(dir: &Path, scheme: &str) {
    let text = format!(
        "t_max = 100\n[env]\nkind = \"predator-prey\"\nrows = 6\ncols = 6\npredators = 3\nprey = 2\n\
         episode_limit = 20\n[mixer]\nkind = \"vdn\"\n[scheme]\n{scheme}\n"
    );
    let config = ExperimentConfig::from_text(&text, "test", &[]).expect("a config");
    Run::create(config, dir).expect("begins");
}

fn ddn_export(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddn-export"));
    command.args(args).env_remove("ORT_DYLIB_PATH").output().expect("starts")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_run_is_verified_and_exported() {
    for scheme in SCHEMES {
        let dir = tempfile::tempdir().expect("a folder");
        begin(dir.path(), scheme);
        let run = dir.path().to_str().expect("a name");
        let args = ["--verify", "--engines", "runtime,tract", "--episodes", "3", "--record", "2"];
        let done = ddn_export(&[&[run, "--json"], &args[..]].concat());
        assert_eq!(code(&done), Some(0), "{}", stderr(&done));
        let report: serde_json::Value = serde_json::from_slice(&done.stdout).expect("is JSON");
        assert_eq!(report["verified"], true);
        assert_eq!(report["engines"][1]["engine"], "tract");
        assert_eq!(report["engines"][1]["equal_actions"], report["engines"][1]["steps"]);
        let folder = dir.path().join("export");
        let written = ["policy.safetensors", "policy.onnx", "episodes.safetensors"]
            .map(|name| fs::read(folder.join(name)).expect("was written"));

        // Again from the checkpoint itself, without the check: the same bytes, beside the run.
        fs::remove_dir_all(&folder).expect("is there");
        let checkpoint = dir.path().join("ckpt_0000000000");
        let done = ddn_export(&[checkpoint.to_str().expect("a name"), "--record", "2"]);
        assert_eq!(code(&done), Some(0), "{}", stderr(&done));
        for (name, bytes) in
            ["policy.safetensors", "policy.onnx", "episodes.safetensors"].iter().zip(&written)
        {
            assert_eq!(&fs::read(folder.join(name)).expect("was written"), bytes, "{name}");
        }

        for name in ["policy.safetensors", "policy.onnx"] {
            let shown = ddn_export(&["inspect", folder.join(name).to_str().expect("a name")]);
            assert_eq!(code(&shown), Some(0));
            assert!(String::from_utf8_lossy(&shown.stdout).contains("ddn.environment  predator-prey"));
        }
    }
}

#[test]
fn an_exported_file_earns_what_the_trained_network_does() {
    let dir = tempfile::tempdir().expect("a folder");
    begin(dir.path(), SCHEMES[0]);
    let [run, policy, config, rounded] =
        ["", "export/policy.safetensors", "config.toml", "export/policy_int8.safetensors"]
            .map(|name| dir.path().join(name).to_str().expect("a name").to_owned());
    let done = ddn_export(&[&run, "--quantize", "int8", "--agreement-steps", "100", "--min-agreement", "0"]);
    assert_eq!(code(&done), Some(0), "{}", stderr(&done));
    assert!(stderr(&done).contains("rounding to integers") && !stderr(&done).contains("WARN"));

    let checkpoint = Checkpoint::open(dir.path()).expect("opens");
    let scheme = checkpoint.scheme_built().expect("builds");
    let mut envs = checkpoint.envs(3).expect("builds");
    for (seed, episodes, options) in
        [(1, 30, &["--episodes", "30"][..]), (7, 200, &["--seed", "7"]), (9, 200, &["--set", "seed=9"])]
    {
        let score = eval::greedy(&*scheme, "lpn", &mut envs, (seed, "final", episodes)).expect("plays");
        let done = ddn_export(&[&["eval", &policy, &config, "--json"], options].concat());
        assert_eq!(code(&done), Some(0), "{}", stderr(&done));
        let earned: serde_json::Value = serde_json::from_slice(&done.stdout).expect("is JSON");
        let [mean, interval] = ["mean", "interval"].map(|key| earned[key].as_f64().expect("a number"));
        assert_eq!(earned["episodes"], episodes);
        assert!((mean - score.mean).abs() < 1e-4, "{mean} {}", score.mean);
        assert!((interval - score.interval).abs() < 1e-4, "{interval} {}", score.interval);
        assert!(interval > 0.0);
    }
    let done = ddn_export(&["eval", &rounded, &config, "--episodes", "2"]);
    assert_eq!(code(&done), Some(0), "{}", stderr(&done));
    assert!(String::from_utf8_lossy(&done.stdout).ends_with(" over 2 episodes\n"));

    let onnx = policy.replace("safetensors", "onnx");
    let flipped = dir.path().join("flipped").to_str().expect("a name").to_owned();
    let mut bytes = fs::read(&policy).expect("reads");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&flipped, bytes).expect("writes");
    // A folder stands for the config in it.
    let [one, other] = [&config, &run].map(|config| ddn_export(&["eval", &policy, config]).stdout);
    assert_eq!(one, other);
    for (args, want, reason) in [
        (&[&policy, &config, "--set", "env.predators=4"][..], 2, "number of agents: `3` in the file, `4` in"),
        (&[&policy, &config, "--set", "env.sight=1"], 2, "observation: `window 5x5"),
        (
            &[&policy, &config, "--set", "env.kind=\"repeat\""],
            2,
            "environment: `predator-prey` in the file, `repeat`",
        ),
        (&[&policy, &config, "--episodes", "0"], 2, "0 is not in 1.."),
        (&[&policy, &config, "--set", "env.rows=99"], 2, "[env] rows: is 99"),
        (&[&onnx, &config], 6, "policy.onnx: model file: is none"),
        (&[&flipped, &config], 6, "CRC is"),
        (&[&policy, &policy], 2, "policy.safetensors"),
        (&["/nonexistent/file", &config], 5, "/nonexistent/file"),
        (&[&policy, "/nonexistent/file"], 2, "/nonexistent/file"),
    ] {
        let done = ddn_export(&[&["eval"], args].concat());
        assert_eq!(code(&done), Some(want), "{args:?}: {}", stderr(&done));
        assert!(stderr(&done).contains(reason), "{args:?}: {}", stderr(&done));
    }
}

#[test]
fn what_goes_wrong_has_a_code_and_a_reason() {
    let dir = tempfile::tempdir().expect("a folder");
    begin(dir.path(), SCHEMES[1]);
    let run = dir.path().to_str().expect("a name");
    let odd = dir.path().join("odd.bin");
    fs::write(&odd, b"neither format").expect("writes");
    let odd = odd.to_str().expect("a name");
    for (args, want, reason) in [
        (&["--to"][..], 2, "required"),
        (&[run, "--to", "gguf"], 2, "unknown format `gguf`; known: safetensors, onnx"),
        (&[run, "--engines", "tract"], 2, "--verify"),
        (&[run, "--verify", "--engines", "candle"], 2, "nothing to hold to it"),
        (&[run, "--verify", "--engines", "nnef"], 2, "unknown engine `nnef`"),
        (&[run, "--verify", "--engines", "onnxruntime"], 2, "pip install onnxruntime"),
        (&["/nonexistent/run"], 5, "/nonexistent/run"),
        (&[run, "--out", "/proc/none"], 5, "/proc/none"),
        (&["inspect", "/nonexistent/file"], 5, "/nonexistent/file"),
        (&["inspect", odd], 6, "onnx"),
        (&[env!("CARGO_MANIFEST_DIR")], 6, "holds no checkpoint"),
    ] {
        let done = ddn_export(args);
        assert_eq!(code(&done), Some(want), "{args:?}: {}", stderr(&done));
        assert!(stderr(&done).contains(reason), "{args:?}: {}", stderr(&done));
    }
    assert!(!dir.path().join("export").exists(), "nothing was written");
}
