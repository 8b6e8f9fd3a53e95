//! The trained policies of `zoo` are whole, small, and as good as they are said to be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ddn_export::earn::earn;
use ddn_export::shipped;
use ddn_runtime::Model;
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::train::build_envs;
use sha2::{Digest, Sha256};

/// Of all files together.
const BYTES: usize = 8 << 20;
/// What each folder holds; a policy in integers may stand beside the one in floats.
const FILES: [&str; 4] = ["config.toml", "curve.svg", "policy.safetensors", "summary.json"];
const INT8: &str = "policy_int8.safetensors";
/// Environments of this kind need another program.
const ELSEWHERE: &str = "python";

fn zoo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("zoo")
}

/// Every file of the folders, by its path below the zoo.
fn files() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in folders() {
        for entry in fs::read_dir(zoo().join(&name)).expect("a folder") {
            let entry = entry.expect("an entry");
            let file = entry.file_name().into_string().expect("UTF-8");
            files.insert(format!("{name}/{file}"), fs::read(entry.path()).expect("reads"));
        }
    }
    files
}

fn folders() -> Vec<String> {
    let entries = fs::read_dir(zoo()).expect("the zoo").map(|entry| entry.expect("an entry"));
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> =
        folders.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    assert!(names.len() >= 3, "{names:?}");
    names
}

#[test]
fn every_file_has_its_hash_and_all_are_small() {
    let files = files();
    let hashed: Vec<String> = files
        .iter()
        .map(|(path, bytes)| {
            let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hash}  {path}\n")
        })
        .collect();
    assert_eq!(fs::read_to_string(zoo().join("SHA256SUMS")).expect("reads"), hashed.concat());
    let bytes: usize = files.values().map(Vec::len).sum();
    assert!(bytes <= BYTES, "{bytes}");
    for folder in folders() {
        let mut names: Vec<&str> =
            files.keys().filter_map(|path| path.strip_prefix(&format!("{folder}/"))).collect();
        names.retain(|name| *name != INT8);
        assert_eq!(names, FILES, "{folder}");
    }
}

#[test]
fn every_policy_gives_its_known_answers() {
    for (path, bytes) in files().iter().filter(|(path, _)| path.ends_with(".safetensors")) {
        let model = Model::open(bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(model.recording().is_some_and(|recording| !recording.is_empty()), "{path} has none");
        let mut memory = vec![0.0; model.memory_len() * model.spec().n_agents()];
        let mut scratch = vec![0.0; model.scratch_len()];
        model.verify(&mut memory, &mut scratch).map(drop).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

#[test]
fn a_policy_earns_what_the_summary_of_its_run_says() {
    let mut played = 0;
    for folder in folders() {
        let at = |file: &str| zoo().join(&folder).join(file);
        let config = ExperimentConfig::load(&at("config.toml"), &[]).expect("a config");
        let text = fs::read_to_string(at("summary.json")).expect("reads");
        let summary: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
        let rows = summary["rows"].as_array().expect("a list");
        let ships = rows.iter().rfind(|row| ["lpn", "agent"].iter().any(|name| row["player"] == *name));
        let ships = ships.expect("what ships was tested");
        let number = |key: &str| ships[key].as_f64().expect("a number");
        if config.env["kind"].as_str() == Some(ELSEWHERE) {
            continue;
        }
        let mut env = build_envs(&config, 1).expect("builds").remove(0);
        for file in ["policy.safetensors", INT8] {
            let Ok(bytes) = fs::read(at(file)) else { continue };
            let mut policy = shipped::open(bytes, env.spec()).expect("is for this environment");
            let earned =
                earn(&mut *env, &mut policy, (config.seed, config.eval.final_episodes)).expect("plays");
            let (want, interval) = (number("mean_return"), number("interval"));
            // In floats the very same episodes; in integers some actions differ.
            let close = if file == INT8 { interval + earned.interval } else { 0.2 * interval };
            assert!((earned.mean - want).abs() <= close, "{folder}/{file}: {earned:?}, not {want}");
            played += 1;
        }
    }
    assert!(played > 0);
}
