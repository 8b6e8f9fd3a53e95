//! From a study to its cells: tasks × algorithms × settings × seeds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::spec::{Algorithm, StudySpec, Task, flat, is_folder_name};
use crate::config::{CompareConfig, ExperimentConfig};
use crate::error::ConfigError;

/// One run of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// What it is, and where.
    pub name: CellName,
    /// Its whole experiment.
    pub config: ExperimentConfig,
}

/// What a cell is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellName {
    /// Its directory, as seen from that of the study.
    pub dir: PathBuf,
    /// What is learned.
    pub task: String,
    /// What learns.
    pub algorithm: String,
    /// Keys and values as `learner.gamma=0.95, …`; empty where the study has one setting.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub setting: String,
    /// Place of the setting among those of the study.
    #[serde(default)]
    pub setting_index: usize,
    /// Its seed.
    pub seed: u64,
}

/// The cells of a study, in order: task, algorithm, setting, seed.
///
/// # Errors
/// Names the cell and the key at fault, or the cells that are the same experiment.
pub fn cells(spec: &StudySpec, overrides: &[String]) -> Result<Vec<Cell>, ConfigError> {
    check_size(spec)?;
    let settings = settings(spec)?;
    let mut cells = Vec::new();
    for task in tasks(spec) {
        let path = task.config.as_deref().unwrap_or(&spec.config);
        for algorithm in algorithms(spec, path, overrides)? {
            for (index, setting) in settings.iter().enumerate() {
                let tables = [&spec.set, &task.set, &algorithm.set, setting];
                let mut keys: Vec<String> = tables.iter().flat_map(|table| assigned(table)).collect();
                keys.extend_from_slice(overrides);
                if let Some(key) =
                    keys.iter().find(|key| key.split('=').next().is_some_and(|key| key.trim() == "seed"))
                {
                    return Err(ConfigError::value(key, "is what `seeds` says; leave it out"));
                }
                let label = label(setting);
                let place = [task.name.as_str(), &algorithm.name, &label].map(str::to_owned);
                let config = ExperimentConfig::load_as(path, &keys, "the study's keys")
                    .map_err(|error| at(&place, &error))?;
                if let Some(halving) = &spec.halving {
                    halving.check_against(config.t_max, config.eval.interval)?;
                }
                for &seed in &spec.seeds.0 {
                    let mut dir = Path::new(&task.name).join(&algorithm.name);
                    if !label.is_empty() {
                        dir.push(folder(&label, index));
                    }
                    dir.push(format!("seed_{seed}"));
                    // What is compared is in the study.
                    let config =
                        ExperimentConfig { seed, compare: CompareConfig::default(), ..config.clone() };
                    let name = CellName {
                        dir,
                        task: task.name.clone(),
                        algorithm: algorithm.name.clone(),
                        setting: label.clone(),
                        setting_index: index,
                        seed,
                    };
                    cells.push(Cell { name, config });
                }
            }
        }
    }
    distinct(&cells)?;
    Ok(cells)
}

fn tasks(spec: &StudySpec) -> Vec<Task> {
    if spec.tasks.is_empty() {
        return vec![Task { name: stem(&spec.config), config: None, set: Table::new() }];
    }
    spec.tasks.clone()
}

fn algorithms(spec: &StudySpec, path: &Path, overrides: &[String]) -> Result<Vec<Algorithm>, ConfigError> {
    if spec.algorithms.is_empty() {
        let keys: Vec<String> = assigned(&spec.set).into_iter().chain(overrides.iter().cloned()).collect();
        let name = ExperimentConfig::load_as(path, &keys, "the study's keys")?.algorithm();
        return Ok(vec![Algorithm { name, set: Table::new() }]);
    }
    Ok(spec.algorithms.clone())
}

/// Most cells of a study.
const MOST_CELLS: usize = 100_000;

/// Refuses a study that is too large before it is written out.
fn check_size(spec: &StudySpec) -> Result<(), ConfigError> {
    let lists = flat(&spec.grid);
    let grid = lists.iter().map(|(_, value)| value.as_array().map_or(1, Vec::len));
    let others = [
        spec.tasks.len().max(1),
        spec.algorithms.len().max(1),
        spec.random.as_ref().map_or(1, |random| random.draws),
        spec.seeds.0.len(),
    ];
    let count = grid.chain(others).try_fold(1_usize, usize::checked_mul);
    if count.is_some_and(|count| count <= MOST_CELLS) {
        return Ok(());
    }
    let count = count.map_or_else(|| "too many to count".into(), |count| count.to_string());
    let reason = format!(
        "tasks × algorithms × settings × seeds are {count} cells; {MOST_CELLS} are the most: draw settings by [random], or leave some out"
    );
    Err(ConfigError::value("grid", reason))
}

/// Every combination of `[grid]` with every draw of `[random]`; one empty setting where there is neither.
fn settings(spec: &StudySpec) -> Result<Vec<Table>, ConfigError> {
    let mut settings = vec![Table::new()];
    for (key, value) in flat(&spec.grid) {
        let Some(values) = value.as_array().filter(|values| !values.is_empty()) else {
            return Err(ConfigError::value(
                &format!("grid.{key}"),
                format!("is {value}; give a list of values"),
            ));
        };
        if let Some(twice) = (1..values.len()).find(|&index| values[..index].contains(&values[index])) {
            return Err(ConfigError::value(
                &format!("grid.{key}"),
                format!("{} occurs twice", values[twice]),
            ));
        }
        let with = |setting: &Table, value: &Value| {
            let mut setting = setting.clone();
            setting.insert(key.clone(), value.clone());
            setting
        };
        settings = settings.iter().flat_map(|one| values.iter().map(move |value| with(one, value))).collect();
    }
    let Some(random) = &spec.random else { return Ok(settings) };
    let mut draws: Vec<Table> = Vec::new();
    for draw in random.settings()? {
        if let Some(key) = draw.keys().find(|key| flat(&spec.grid).contains_key(*key)) {
            return Err(ConfigError::value(
                &format!("random.keys.{key}"),
                "is in [grid] too; leave it out of one",
            ));
        }
        // Of few choices the same comes again: once is enough.
        if !draws.contains(&draw) {
            draws.push(draw);
        }
    }
    let both =
        |one: &Table, draw: &Table| one.iter().chain(draw).map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok(settings.iter().flat_map(|one| draws.iter().map(move |draw| both(one, draw))).collect())
}

/// A table as overrides.
fn assigned(table: &Table) -> Vec<String> {
    flat(table).iter().map(|(key, value)| format!("{key}={value}")).collect()
}

fn label(setting: &Table) -> String {
    let value = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    setting.iter().map(|(key, it)| format!("{key}={}", value(it))).collect::<Vec<_>>().join(", ")
}

/// A folder for a setting: its label where that is fit, else its number.
fn folder(label: &str, index: usize) -> String {
    let short = label.replace(", ", "+").replace('=', "-");
    if is_folder_name(&short) { short } else { format!("setting_{index:03}") }
}

fn stem(path: &Path) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if is_folder_name(&name) { name } else { "task".into() }
}

fn at(place: &[String; 3], error: &ConfigError) -> ConfigError {
    let place: Vec<_> = place.iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
    ConfigError::value(&place.join(" / "), error.to_string())
}

/// Refuses two cells of one directory, and two that are the same experiment.
fn distinct(cells: &[Cell]) -> Result<(), ConfigError> {
    let mut places = BTreeMap::new();
    let mut configs = BTreeMap::new();
    for cell in cells {
        if places.insert(&cell.name.dir, ()).is_some() {
            let reason = format!(
                "two cells would lie in {}; give their settings names that differ",
                cell.name.dir.display()
            );
            return Err(ConfigError::value("grid", reason));
        }
        if let Some(other) = configs.insert(cell.config.sha256()?, &cell.name) {
            let reason = format!(
                "{} and {} are the same experiment; one of them is enough",
                other.dir.display(),
                cell.name.dir.display()
            );
            return Err(ConfigError::value("algorithm", reason));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "t_max = 100\n[env]\nkind = \"matrix-game\"\n[scheme]\nkind = \"ddn\"\n[mixer]\nkind = \"qmix\"\n[compare]\nplain = true\n";

    fn expand(spec: &str, overrides: &[&str]) -> Result<Vec<Cell>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("game.toml"), BASE).unwrap();
        let path = folder.path().join("study.toml");
        std::fs::write(&path, format!("config = \"game.toml\"\nseeds = 2\n{spec}")).unwrap();
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        let spec = StudySpec::load(&path, None).map_err(|error| error.to_string())?;
        cells(&spec, &overrides).map_err(|error| error.to_string())
    }

    fn dirs(cells: &[Cell]) -> Vec<String> {
        cells.iter().map(|cell| cell.name.dir.display().to_string()).collect()
    }

    #[test]
    fn one_config_and_its_seeds() {
        let cells = expand("", &["eval.interval=50"]).unwrap();
        assert_eq!(dirs(&cells), ["game/ddn+qmix/seed_1", "game/ddn+qmix/seed_2"]);
        assert_eq!((cells[1].config.seed, cells[1].config.eval.interval), (2, 50));
        assert!(!cells[0].config.compare.plain);
    }

    #[test]
    fn tasks_algorithms_and_a_grid_multiply_in_order() {
        let cells = expand(
            "set = { learner.gamma = 0.5 }\ntask = [{ name = \"a\" }, { name = \"b\", set = { t_max = 70 } }]\n\
            algorithm = [{ name = \"DDN\" }, { name = \"QMIX\", set = { \"scheme.kind\" = \"plain\", mixer.embed = 8 } }]\n\
            [grid]\n\"learner.clip\" = [1.0, 2.0]\n\"rollout.envs\" = [2, 4, 8]\n",
            &[],
        )
        .unwrap();
        assert_eq!(cells.len(), 2 * 2 * 6 * 2);
        let one = &cells[2 * 2 * 6 * 2 - 1];
        assert_eq!(one.name.dir, Path::new("b/QMIX/learner.clip-2.0+rollout.envs-8/seed_2"));
        assert_eq!(one.name.setting, "learner.clip=2.0, rollout.envs=8");
        assert_eq!((one.config.t_max, one.config.algorithm().as_str()), (70, "plain+qmix"));
        assert_eq!(one.config.mixer["embed"].as_integer(), Some(8));
        assert!((one.config.learner.gamma - 0.5).abs() < 1e-12 && one.config.rollout.envs == 8);
    }

    #[test]
    fn a_setting_whose_label_is_no_folder_gets_a_number() {
        let cells = expand(
            "[grid]\n\"env.payoffs\" = [[0, 0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 1, 0]]\n",
            &[],
        )
        .unwrap();
        assert_eq!(cells[2].name.dir, Path::new("game/ddn+qmix/setting_001/seed_1"));
        let cells =
            expand("[random]\ndraws = 3\nkeys.learner.gamma = { uniform = [0.8, 0.9] }\n", &[]).unwrap();
        assert_eq!(cells.len(), 6);
        assert!(cells.iter().all(|cell| (0.8..0.9).contains(&cell.config.learner.gamma)));
        let cells = expand("[random]\ndraws = 30\nkeys.mixer.kind = { choice = [\"vdn\", \"qmix\"] }\n", &[])
            .unwrap();
        assert_eq!(cells.len(), 4, "two settings, two seeds");
        let list = format!("[{}]", (0..100).map(|number| number.to_string()).collect::<Vec<_>>().join(", "));
        let grid: String = (0..12).map(|key| format!("\"key{key}\" = {list}\n")).collect();
        let message = expand(&format!("[grid]\n{grid}"), &[]).unwrap_err();
        assert!(message.contains("too many to count cells; 100000 are the most"), "{message}");
    }

    #[test]
    fn mistakes_name_the_cell() {
        for (spec, want) in [
            ("set = { learner.gama = 1.0 }", "gama"),
            ("[grid]\n\"learner.gamma\" = 0.9\n", "grid.learner.gamma: is 0.9; give a list"),
            (
                "[grid]\n\"learner.gamma\" = [0.9, 7.0]\n",
                "game / ddn+qmix / learner.gamma=7.0: learner.gamma",
            ),
            ("[grid]\n\"learner.gamma\" = [0.9, 0.9]\n", "grid.learner.gamma: 0.9 occurs twice"),
            ("set = { seed = 3 }", "seed=3: is what `seeds` says"),
            ("set = { t_maxx = 3 }", "game.toml with the study's keys"),
            (
                "[grid]\n\"learner.gamma\" = [0.9]\n[random]\ndraws = 2\nkeys.learner.gamma = { choice = [0.5] }\n",
                "random.keys.learner.gamma: is in [grid] too",
            ),
            (
                "algorithm = [{ name = \"a\" }, { name = \"b\" }]",
                "game/a/seed_1 and game/b/seed_1 are the same experiment",
            ),
            ("[halving]\nrungs = [50]\n", "multiple of eval.interval"),
        ] {
            let message = expand(spec, &[]).unwrap_err();
            assert!(message.contains(want), "{message}");
        }
    }
}
