//! Runs every example of this folder; each returns an error where it does not show what it claims.

use std::path::Path;
use std::process::Command;

/// Each example, and something of what it prints.
const EXAMPLES: [(&str, &str, &str); 4] = [
    ("01_matrix_game", env!("CARGO_BIN_EXE_01_matrix_game"), "largest error of the table"),
    ("02_predator_prey", env!("CARGO_BIN_EXE_02_predator_prey"), "t_env,ggn,lpn"),
    ("03_new_mixer", env!("CARGO_BIN_EXE_03_new_mixer"), ", weighted\n"),
    ("05_freeze_and_act", env!("CARGO_BIN_EXE_05_freeze_and_act"), "actions is that of the trained network"),
];

#[test]
fn every_example_shows_what_it_claims() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, program, prints) in EXAMPLES {
        let mut command = Command::new(program);
        let output = command.current_dir(folder.path()).env("TMPDIR", folder.path()).output();
        let output = output.unwrap_or_else(|error| panic!("{name}: {error}"));
        let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name}: {}\n{out}\n{said}", output.status);
        assert!(out.contains(prints), "{name} does not print {prints:?}:\n{out}");
    }
}

#[test]
fn no_example_is_left_out() {
    let folder =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("the folder of the examples");
    let names = folder.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let mut names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".rs").map(str::to_owned)).collect();
    names.sort();
    assert_eq!(names, EXAMPLES.map(|(name, ..)| name), "left: in the folder; right: in this test");
}
