//! `ddn-train list` and `ddn-train check-env`.

use std::path::Path;

use crate::config::ExperimentConfig;
use crate::env;
use crate::env::check::check_env;
use crate::env::pace::pace;
use crate::learner::{mixer, scheme};

/// Steps that are timed side by side.
const PACED_STEPS: usize = 2000;

/// Prints all environments, schemes and mixers, one per line under their heading.
#[allow(clippy::print_stdout)]
pub fn list(json: bool) {
    let envs: Vec<_> = env::REGISTRY.iter().map(|entry| (entry.name, entry.about)).collect();
    let schemes: Vec<_> = scheme::REGISTRY.iter().map(|kind| (kind.name, kind.about)).collect();
    let mixers: Vec<_> = mixer::all().iter().map(|kind| (kind.name, kind.about)).collect();
    let groups = [("environments", envs), ("schemes", schemes), ("mixers", mixers)];
    if json {
        let object = |rows: &Vec<(&str, &str)>| {
            rows.iter()
                .map(|(name, about)| serde_json::json!({"name": name, "about": about}))
                .collect::<Vec<_>>()
        };
        let all = groups.iter().map(|(heading, rows)| ((*heading).to_owned(), object(rows).into()));
        println!("{}", serde_json::Value::Object(all.collect()));
        return;
    }
    for (heading, rows) in groups {
        println!("{heading}");
        for (name, about) in rows {
            println!("  {name:<16} {about}");
        }
    }
}

/// Checks the environment of a config, or of the registry by name, and steps some side by side.
///
/// # Errors
/// If it breaks its contract.
#[allow(clippy::print_stdout)]
pub fn check(
    (what, overrides): (&str, &[String]),
    (seed, episodes): (u64, usize),
    side_by_side: Option<usize>,
    json: bool,
) -> anyhow::Result<()> {
    let path = Path::new(what);
    let table = if path.exists() {
        ExperimentConfig::load(path, overrides)?.env
    } else {
        toml::Table::from_iter([("kind".to_owned(), toml::Value::String(what.to_owned()))])
    };
    let mut envs = env::build_many(&table, side_by_side.unwrap_or(1))?;
    let report = check_env(&mut *envs[0], seed, episodes)?;
    let paced = side_by_side.is_some() || envs[0].spent().is_some();
    let pace = if paced { Some(pace(&mut envs, seed, PACED_STEPS)?) } else { None };
    if json {
        let value = serde_json::json!({
            "env": report.env, "obs_dim": report.dims[0], "state_dim": report.dims[1],
            "teacher_dim": report.dims[2], "episodes": report.episodes, "steps": report.steps,
            "steps_per_second": report.steps_per_second, "mean_return": report.mean_return,
            "mean_length": report.mean_length, "saves": report.saves, "hints": report.hints,
            "side_by_side": pace.map(|pace| serde_json::json!({
                "envs": pace.envs, "steps": pace.steps, "steps_per_second": pace.steps_per_second(),
                "inside_s": pace.inside.map(|time| time.as_secs_f64()),
                "around_s": pace.around.map(|time| time.as_secs_f64()),
            })),
        });
        println!("{value}");
    } else {
        print!("{report}");
        pace.iter().for_each(|pace| print!("{pace}"));
    }
    Ok(())
}
