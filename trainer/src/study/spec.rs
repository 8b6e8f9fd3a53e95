//! The file that describes a study.
//!
//! ```toml
//! config = "../configs/quickstart.toml"   # as seen from this file
//! seeds = 4                               # 1, 2, 3, 4; or a list
//!
//! [[algorithm]]
//! name = "DDN-QMIX"
//!
//! [[algorithm]]
//! name = "QMIX"
//! set = { "scheme.kind" = "plain" }
//!
//! [grid]
//! "learner.gamma" = [0.95, 0.99]
//!
//! [scale.small]
//! set = { t_max = 20_000 }
//! seeds = 2
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::draw::RandomSpec;
use super::halving::Halving;
use crate::error::ConfigError;

/// A study, as its file says it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudySpec {
    /// Heading of the report; default the name of the file.
    #[serde(default)]
    pub title: String,
    /// What is asked, in a sentence or two, for the report.
    #[serde(default)]
    pub about: String,
    /// The experiment that everything here changes keys of, as seen from the file.
    pub config: PathBuf,
    /// A list of seeds, or how many from 1 on.
    pub seeds: Seeds,
    /// Keys of every cell.
    #[serde(default)]
    pub set: Table,
    /// Other sizes of the same study, chosen by `--scale NAME`.
    #[serde(default)]
    pub scale: BTreeMap<String, Scale>,
    /// What is learned; one task, named after the config, where there is none.
    #[serde(default, rename = "task")]
    pub tasks: Vec<Task>,
    /// What learns; one, named after scheme and mixer, where there is none.
    #[serde(default, rename = "algorithm")]
    pub algorithms: Vec<Algorithm>,
    /// Key to list of values; every combination is a setting.
    #[serde(default)]
    pub grid: Table,
    /// Settings drawn at random.
    #[serde(default)]
    pub random: Option<RandomSpec>,
    /// Which settings go on after how many steps; all of them where it is missing.
    #[serde(default)]
    pub halving: Option<Halving>,
    /// Values from elsewhere that a report puts beside ours.
    #[serde(default)]
    pub published: Vec<Published>,
}

/// Most seeds that a number stands for.
const MOST_SEEDS: u64 = 10_000;

/// A list of seeds, or how many from 1 on.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub struct Seeds(pub Vec<u64>);

impl TryFrom<Value> for Seeds {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let wrong = "give a list of whole numbers, or how many seeds there are from 1 on";
        let whole = |value: &Value| value.as_integer().and_then(|seed| u64::try_from(seed).ok());
        let seeds = match &value {
            Value::Integer(_) => match whole(&value).ok_or(wrong)? {
                count if count <= MOST_SEEDS => (1..=count).collect(),
                count => return Err(format!("{count} seeds are too many; give at most {MOST_SEEDS}")),
            },
            Value::Array(list) => list.iter().map(whole).collect::<Option<Vec<_>>>().ok_or(wrong)?,
            _ => return Err(wrong.into()),
        };
        let mut seen = BTreeSet::new();
        match seeds.iter().find(|&&seed| !seen.insert(seed)) {
            Some(twice) => Err(format!("seed {twice} occurs twice; equal seeds are the same run")),
            None if seeds.is_empty() => Err(format!("there is none; {wrong}")),
            None => Ok(Self(seeds)),
        }
    }
}

/// Another size of the study.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scale {
    /// Keys of every cell, over those of the study.
    pub set: Table,
    /// Other seeds.
    pub seeds: Option<Seeds>,
    /// Other rungs of [`Halving`].
    pub rungs: Option<Vec<u64>>,
    /// Names of the tasks that take part; all where it is missing.
    pub tasks: Option<Vec<String>>,
    /// Other tasks instead.
    pub task: Option<Vec<Task>>,
    /// Names of the algorithms that take part; all where it is missing.
    pub algorithms: Option<Vec<String>>,
}

/// One task.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Its name, also that of its folder.
    pub name: String,
    /// Its experiment, where it is not that of the study; as seen from the file.
    #[serde(default)]
    pub config: Option<PathBuf>,
    /// Its keys.
    #[serde(default)]
    pub set: Table,
}

/// One algorithm.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Algorithm {
    /// Its name, also that of its folder.
    pub name: String,
    /// Its keys.
    #[serde(default)]
    pub set: Table,
}

/// A value from elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Of which task.
    pub task: String,
    /// Of which algorithm.
    pub algorithm: String,
    /// What was measured, as it is named there.
    pub what: String,
    /// The value, with its spread, as it is printed there.
    pub value: String,
    /// Where it stands.
    pub source: String,
}

impl StudySpec {
    /// Reads a file and, where `scale` is given, takes that size of it.
    ///
    /// # Errors
    /// Names the file, key or name at fault.
    pub fn load(path: &Path, scale: Option<&str>) -> Result<Self, ConfigError> {
        let origin = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: origin.clone(), source })?;
        let mut spec: Self = toml::from_str(&text)
            .map_err(|source| ConfigError::Parse { origin, source: Box::new(source) })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        spec.config = folder.join(&spec.config);
        let others = spec.scale.values_mut().filter_map(|scale| scale.task.as_mut()).flatten();
        for config in spec.tasks.iter_mut().chain(others).filter_map(|task| task.config.as_mut()) {
            *config = folder.join(&*config);
        }
        if spec.title.is_empty() {
            spec.title = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        }
        spec.check_published()?;
        if let Some(name) = scale {
            spec.take(name)?;
        }
        spec.check()?;
        Ok(spec)
    }

    fn take(&mut self, name: &str) -> Result<(), ConfigError> {
        let Some(scale) = self.scale.remove(name) else {
            let known: Vec<_> = self.scale.keys().map(String::as_str).collect();
            let reason = format!("there is no [scale.{name}]; there are: {}", listed(&known));
            return Err(ConfigError::value("--scale", reason));
        };
        self.set.extend(flat(&scale.set));
        self.seeds = scale.seeds.unwrap_or_else(|| self.seeds.clone());
        if let (Some(rungs), Some(halving)) = (scale.rungs, &mut self.halving) {
            halving.rungs = rungs;
        }
        let here = format!("scale.{name}");
        self.tasks = scale.task.unwrap_or_else(|| std::mem::take(&mut self.tasks));
        if let Some(names) = scale.tasks {
            let known: Vec<_> = self.tasks.iter().map(|task| task.name.as_str()).collect();
            known_names(&format!("{here}.tasks"), &names, &known)?;
            self.tasks.retain(|task| names.contains(&task.name));
        }
        if let Some(names) = scale.algorithms {
            let known: Vec<_> = self.algorithms.iter().map(|algorithm| algorithm.name.as_str()).collect();
            known_names(&format!("{here}.algorithms"), &names, &known)?;
            self.algorithms.retain(|algorithm| names.contains(&algorithm.name));
        }
        Ok(())
    }

    /// A value from elsewhere stands beside something.
    fn check_published(&self) -> Result<(), ConfigError> {
        let tasks: Vec<_> = self.tasks.iter().map(|task| task.name.as_str()).collect();
        let algorithms: Vec<_> = self.algorithms.iter().map(|algorithm| algorithm.name.as_str()).collect();
        for value in &self.published {
            if !tasks.is_empty() {
                known_names("published.task", std::slice::from_ref(&value.task), &tasks)?;
            }
            if !algorithms.is_empty() {
                known_names("published.algorithm", std::slice::from_ref(&value.algorithm), &algorithms)?;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), ConfigError> {
        let tasks = self.tasks.iter().map(|task| ("task", task.name.as_str()));
        let algorithms = self.algorithms.iter().map(|algorithm| ("algorithm", algorithm.name.as_str()));
        let mut seen = BTreeSet::new();
        for (what, name) in tasks.chain(algorithms) {
            if !is_folder_name(name) {
                let reason = format!("\"{name}\" names a folder: give letters, digits and any of . _ + -");
                return Err(ConfigError::value(&format!("{what}.name"), reason));
            }
            if !seen.insert((what, name)) {
                return Err(ConfigError::value(&format!("{what}.name"), format!("\"{name}\" occurs twice")));
            }
        }
        if let Some(random) = &self.random {
            random.check()?;
        }
        if let Some(halving) = &self.halving {
            halving.check()?;
        }
        Ok(())
    }
}

/// Whether `name` may be that of a folder anywhere.
pub(super) fn is_folder_name(name: &str) -> bool {
    let fit = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    (1..=80).contains(&name.len()) && name.chars().all(fit) && !name.starts_with(['.', '-'])
}

/// Nested tables as dotted keys.
pub(super) fn flat(table: &Table) -> Table {
    let mut out = Table::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                out.extend(flat(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            _ => {
                out.insert(key.clone(), value.clone());
            }
        }
    }
    out
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn known_names(key: &str, names: &[String], known: &[&str]) -> Result<(), ConfigError> {
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => {
            Err(ConfigError::value(key, format!("\"{name}\" is not known; there are: {}", listed(known))))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, scale: Option<&str>) -> Result<StudySpec, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pair.toml");
        std::fs::write(&path, text).unwrap();
        StudySpec::load(&path, scale).map_err(|error| error.to_string())
    }

    #[test]
    fn seeds_are_a_list_or_a_number() {
        let seeds = |text: &str| {
            load(&format!("config = \"a.toml\"\nseeds = {text}\n"), None).map(|spec| spec.seeds.0)
        };
        assert_eq!(seeds("3"), Ok(vec![1, 2, 3]));
        assert_eq!(seeds("[7, 5]"), Ok(vec![7, 5]));
        for (text, want) in [
            ("[1, 2, 1]", "seed 1 occurs twice"),
            ("0", "there is none"),
            ("\"all\"", "whole numbers"),
            ("4000000000000", "at most 10000"),
            ("[-1]", "whole numbers"),
        ] {
            let message = seeds(text).unwrap_err();
            assert!(message.contains(want) && message.contains("pair.toml"), "{message}");
        }
    }

    #[test]
    fn a_scale_changes_keys_seeds_and_who_takes_part() {
        let text = "config = \"a.toml\"\nseeds = 9\nset = { t_max = 100 }\n\
            task = [{ name = \"x\" }, { name = \"y\" }]\n[scale.small]\nset = { t_max = 5, learner.gamma = 0.5 }\n\
            seeds = [3]\ntasks = [\"y\"]\n";
        let spec = load(text, Some("small")).unwrap();
        assert_eq!((spec.seeds.0, spec.tasks.len(), spec.tasks[0].name.as_str()), (vec![3], 1, "y"));
        assert_eq!(spec.set["t_max"].as_integer(), Some(5));
        assert_eq!(spec.set["learner.gamma"].as_float(), Some(0.5));
        assert_eq!((spec.title.as_str(), spec.config.ends_with("a.toml")), ("pair", true));
        let other = text.replace("tasks = [\"y\"]", "task = [{ name = \"z\", config = \"b.toml\" }]");
        let spec = load(&other, Some("small")).unwrap();
        assert_eq!((spec.tasks.len(), spec.tasks[0].name.as_str()), (1, "z"));
        assert!(spec.tasks[0].config.as_ref().is_some_and(|config| config.is_absolute()));
        let message = load(text, Some("tiny")).unwrap_err();
        assert!(message.contains("no [scale.tiny]; there are: small"), "{message}");
        let message = load(&text.replace("[\"y\"]", "[\"z\"]"), Some("small")).unwrap_err();
        assert!(message.contains("scale.small.tasks: \"z\" is not known; there are: x, y"), "{message}");
    }

    #[test]
    fn names_are_folders_and_differ() {
        let named = |names: &str| {
            load(&format!("config = \"a.toml\"\nseeds = 1\nalgorithm = [{names}]\n"), None).map(|_| ())
        };
        assert_eq!(named("{ name = \"OW-QMIX_2\" }, { name = \"ddn+qmix\" }"), Ok(()));
        for (names, want) in [
            ("{ name = \"a/b\" }", "names a folder"),
            ("{ name = \"..\" }", "names a folder"),
            ("{ name = \"a\" }, { name = \"a\" }", "\"a\" occurs twice"),
            ("{ name = \"a\", sett = {} }", "sett"),
        ] {
            let message = named(names).unwrap_err();
            assert!(message.contains(want), "{message}");
        }
    }
}
