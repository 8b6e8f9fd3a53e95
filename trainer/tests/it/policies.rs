//! Policies that an environment brings along, from the command line.

use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddn-train"));
    command.current_dir(configs).args(arguments).output().expect("it runs")
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_policy_is_tested_without_a_run() {
    let output = run(&["eval", "combat_5m_vs_6m.toml", "--policy", "focus", "--episodes", "5", "--json"]);
    let (out, err) = said(&output);
    assert!(output.status.success(), "{err}");
    let value: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((value["policy"].as_str(), value["episodes"].as_u64()), (Some("focus"), Some(5)));
    assert_eq!(value["won"].as_f64(), Some(0.0));
    assert!(value["mean_return"].as_f64().is_some_and(|mean| (5.0..12.0).contains(&mean)), "{out}");
}

#[test]
fn a_policy_is_watched_without_a_run() {
    let output = run(&["play", "predator_prey.toml", "--policy", "chase"]);
    let (out, err) = said(&output);
    assert!(output.status.success(), "{err}");
    assert!(out.contains("\nstep 1: ") && out.contains("\nchase: return "), "{out}");
}

#[test]
fn an_unknown_policy_is_a_mistake_of_the_user() {
    for (config, want) in [
        ("combat_MMM2.toml", "has no policy \"none\"; it has: random, hold, nearest, focus, kite"),
        ("matrix_game.toml", "this environment has no policy of its own"),
    ] {
        let output = run(&["eval", config, "--policy", "none"]);
        let (_, err) = said(&output);
        assert_eq!(output.status.code(), Some(2), "{err}");
        assert!(err.contains(want), "{err}");
    }
    let both = run(&["eval", "combat_MMM2.toml", "--policy", "kite", "--network", "lpn"]);
    assert_eq!(both.status.code(), Some(2));
}
