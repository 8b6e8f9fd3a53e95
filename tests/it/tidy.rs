//! The rules that hold for the repository as a whole.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The files that may allow unsafe code, from the top of the repository.
/// Each says at the top of the file why it must.
const UNSAFE: &[&str] = &[
    "runtime/capi/src/handle.rs",
    "runtime/capi/src/panic.rs",
    "runtime/capi/src/pointer.rs",
    "runtime/capi/src/policy.rs",
    "runtime/capi/src/recording.rs",
    "runtime/capi/src/status.rs",
    "runtime/capi/tests/abi.rs",
    "runtime/src/builtin/plan.rs",
    "runtime/src/kernel/simd.rs",
    "runtime/src/kernel/simd/mve.rs",
    "runtime/src/kernel/x86.rs",
    "runtime/src/kernel/x86/columns.rs",
    "trainer/src/bin/ddn-train.rs",
    "trainer/src/memory.rs",
    "trainer/src/nn/kernel/gemm/layout.rs",
    "trainer/src/nn/kernel/shards.rs",
];

/// The files outside the tests that may wait for time to pass.
const SLEEP: &[&str] = &["trainer/src/commands/evaluate.rs", "trainer/src/env/python/worker.rs"];

/// What `ddn-runtime` may be linked with: two crates, and one each for its features `ed25519` and `store`.
const RUNTIME_DEPENDENCIES: &[&str] = &["bytemuck", "ed25519-compact", "embedded-storage", "heapless"];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

fn output(command: &mut Command) -> Vec<u8> {
    let output = command.current_dir(top()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output.stdout
}

/// The files that are, or may become, part of the repository, from its top.
fn files(endings: &[&str]) -> Vec<String> {
    let list = ["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let names = String::from_utf8(output(Command::new("git").args(list))).expect("names in UTF-8");
    let wanted =
        |name: &&str| endings.iter().any(|ending| name.ends_with(ending)) && top().join(name).is_file();
    let names: BTreeSet<String> = names.split('\0').filter(wanted).map(str::to_owned).collect();
    names.into_iter().collect()
}

fn text(name: &str) -> String {
    std::fs::read_to_string(top().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Files with one of `endings` that contain one of `needles`.
fn holding(endings: &[&str], needles: &[String]) -> Vec<String> {
    let holds = |name: &String| needles.iter().any(|needle| text(name).contains(needle));
    files(endings).into_iter().filter(holds).collect()
}

/// The names of the direct dependencies of each member: `(member, kind, dependency)`.
fn arrows() -> Vec<(String, String, String)> {
    let metadata = ["metadata", "--format-version=1", "--no-deps", "--locked", "--offline"];
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let metadata: Value = serde_json::from_slice(&output(Command::new(cargo).args(metadata))).expect("JSON");
    let mut arrows = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let kind = dependency["kind"].as_str().unwrap_or("normal");
            let [from, to] = [package, dependency].map(|v| v["name"].as_str().expect("a name").to_owned());
            arrows.push((from, kind.to_owned(), to));
        }
    }
    assert!(!arrows.is_empty());
    arrows
}

/// In a document, the block of code after `<!-- from FILE -->` is the part of that file between its marks.
#[test]
fn code_in_documents_is_the_code_that_is_built() {
    let begin = concat!("// begin", ": docs/");
    let mut shown = BTreeSet::new();
    for name in files(&[".md"]) {
        for part in text(&name).split("<!-- from ").skip(1) {
            let (file, part) = part.split_once(" -->\n\n```rust\n").expect("a file and a block");
            let (block, _) = part.split_once("\n```\n").expect("the block ends");
            let source = text(file);
            let (_, source) = source.split_once(&format!("// begin: {name}\n")).expect("a mark");
            let lines: Vec<&str> = source.lines().take_while(|line| line.trim() != "// end").collect();
            let indents =
                lines.iter().filter(|line| !line.is_empty()).map(|line| line.len() - line.trim_start().len());
            let indent = indents.min().unwrap_or(0);
            let lines: Vec<&str> = lines.iter().map(|line| line.get(indent..).unwrap_or_default()).collect();
            assert_eq!(block, lines.join("\n"), "{name} shows {file}");
            shown.insert(file.to_owned());
        }
    }
    let marked: BTreeSet<String> = holding(&[".rs"], &[begin.to_owned()]).into_iter().collect();
    assert_eq!(shown, marked);
    assert!(!shown.is_empty());
}

#[test]
fn the_trainer_knows_neither_runtime_nor_export() {
    for (from, kind, to) in arrows() {
        let forbidden = from == "ddn-trainer" && ["ddn-export", "ddn-runtime"].contains(&to.as_str());
        assert!(!forbidden, "ddn-trainer has a {kind} dependency on {to}");
    }
}

#[test]
fn the_runtime_is_linked_with_next_to_nothing() {
    let arrows = arrows();
    let linked = arrows.iter().filter(|(from, kind, _)| from == "ddn-runtime" && kind != "dev");
    let linked: Vec<&str> = linked.map(|(_, _, to)| to.as_str()).collect();
    assert_eq!(linked, RUNTIME_DEPENDENCIES);
    let ours = arrows.iter().find(|(from, _, to)| from == "ddn-runtime" && to.starts_with("ddn-"));
    assert_eq!(ours, None, "a crate that needs the runtime's tests belongs under tests/");
}

#[test]
fn unsafe_code_is_where_it_is_known_to_be() {
    // Put together here, so that this file is not one of those it looks for.
    let [allow, expect] = ["allow", "expect"].map(|level| format!("{level}({}", "unsafe_code"));
    assert_eq!(holding(&[".rs"], &[allow]), UNSAFE, "left: found; right: the list in this file");
    let expected = holding(&[".rs"], &[expect]);
    assert_eq!(expected, [""; 0], "allow it, so that it is found");
}

#[test]
fn no_test_is_ignored_and_none_waits_for_time() {
    assert_eq!(holding(&[".rs"], &[format!("#[{}", "ignore")]), [""; 0]);
    let waiting = holding(&[".rs"], &[format!("thread::{}", "sleep")]);
    let unknown: Vec<_> = waiting.iter().filter(|name| !SLEEP.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "wait for what is to happen, not for time to pass: {unknown:?}");
}

#[test]
fn nothing_names_a_place_on_one_machine() {
    let endings = [".md", ".rs", ".toml", ".py", ".sh", ".svg", ".json", "/run"];
    let places = ["work", "root", "home"].map(|place| format!("/{place}/"));
    let named: Vec<String> = holding(&endings, &places);
    assert_eq!(named, [""; 0]);
}

/// The targets of the inline links of a document, code left out.
fn links(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
            continue;
        }
        if in_code {
            continue;
        }
        // Every second piece between backticks is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
        for piece in prose.split("](").skip(1) {
            let target = piece.split([')', ' ']).next().unwrap_or_default();
            found.push(target.trim_matches(['<', '>']).to_owned());
        }
        // A definition (`[name]: target`) or HTML, as for pictures with a width.
        if let Some((name, target)) = prose.split_once("]: ")
            && name.starts_with('[')
        {
            found.push(target.split(' ').next().unwrap_or_default().to_owned());
        }
        for attribute in ["src=\"", "href=\""] {
            let targets = prose.split(attribute).skip(1).filter_map(|piece| piece.split('"').next());
            found.extend(targets.map(str::to_owned));
        }
    }
    found
}

/// What a heading is called in a link, the way code hosts do it.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for name in files(&[".md"]) {
        for link in links(&text(&name)) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let path = match file {
                "" => top().join(&name),
                file => top().join(&name).parent().expect("a folder").join(file),
            };
            let document = std::fs::read_to_string(&path).unwrap_or_default();
            let mut headings = document.lines().filter(|line| line.starts_with('#')).map(anchor);
            let leads = fragment.is_empty() || file.ends_with(".rs") || headings.any(|it| it == fragment);
            if !path.exists() || !leads {
                broken.push(format!("{name}: {link}"));
            }
        }
    }
    assert_eq!(broken, [""; 0]);
}

#[test]
fn links_are_found() {
    let document =
        "a [b](c.md) `[no](x)` ![p](<d.svg>)\n```\n[no](y)\n```\n[e]: f.md\n<img src=\"g.svg\" width=\"9\">";
    assert_eq!(links(document), ["c.md", "d.svg", "f.md", "g.svg"]);
    assert_eq!(anchor("## What it's for: `a_b`"), "what-its-for-a_b");
}

#[test]
fn every_mixer_has_a_section() {
    let document = text("docs/algorithms.md");
    for kind in ddn_trainer::learner::mixer::REGISTRY {
        let heading = format!("### `{}`", kind.name);
        assert!(document.lines().any(|line| line == heading), "docs/algorithms.md lacks {heading}");
    }
}

/// Every experiment under `trainer/configs` is one that `parse` takes.
fn check_configs<T, E: Display>(parse: impl Fn(&str) -> Result<T, E>) {
    let configs: Vec<_> =
        files(&[".toml"]).into_iter().filter(|name| name.starts_with("trainer/configs/")).collect();
    assert!(!configs.is_empty(), "there are no experiments");
    for name in configs {
        if let Err(error) = parse(&text(&name)) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn every_experiment_of_the_repository_is_valid() {
    check_configs(|text| ddn_trainer::config::ExperimentConfig::from_text(text, "config", &[]));
}

#[test]
fn every_study_of_the_repository_has_cells_at_every_scale() {
    use ddn_trainer::study::{cells::cells, spec::StudySpec};
    let studies: Vec<_> =
        files(&[".toml"]).into_iter().filter(|name| name.starts_with("trainer/studies/")).collect();
    assert!(!studies.is_empty(), "there are no studies");
    for name in studies {
        let path = top().join(&name);
        let whole = StudySpec::load(&path, None).unwrap_or_else(|error| panic!("{error}"));
        let scales: Vec<Option<&str>> = whole.scale.keys().map(|scale| Some(scale.as_str())).collect();
        for scale in scales.into_iter().chain([None]) {
            let spec = StudySpec::load(&path, scale).unwrap_or_else(|error| panic!("{error}"));
            let cells = cells(&spec, &[]).unwrap_or_else(|error| panic!("{name} {scale:?}: {error}"));
            assert!(cells.len() >= spec.seeds.0.len(), "{name} {scale:?}");
            // A value from elsewhere stands beside something.
            for value in spec.published.iter().filter(|_| scale.is_none()) {
                let mut names = cells.iter().map(|cell| (&cell.name.task, &cell.name.algorithm));
                assert!(names.any(|name| name == (&value.task, &value.algorithm)), "{name}: {value:?}");
            }
        }
    }
}
