//! `ddn-train list` and `ddn-train check-env`.

use std::path::Path;

use crate::commands::out::{put, say};
use crate::config::ExperimentConfig;
use crate::env;
use crate::env::check::{CheckReport, check_env};
use crate::env::pace::pace;
use crate::learner::{mixer, scheme};

/// Steps that are timed side by side.
const PACED_STEPS: usize = 2000;

/// Prints all environments, schemes and mixers, one per line under their heading.
///
/// # Errors
/// If they cannot be written.
pub fn list(json: bool) -> anyhow::Result<()> {
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
        say!("{}", serde_json::Value::Object(all.collect()))?;
        return Ok(());
    }
    for (heading, rows) in groups {
        say!("{heading}")?;
        for (name, about) in rows {
            say!("  {name:<16} {about}")?;
        }
    }
    Ok(())
}

/// Checks the environment of a config, or of the registry by name, and steps some side by side.
///
/// # Errors
/// If it breaks its contract.
pub fn check(
    (what, overrides): (&str, &[String]),
    (seed, episodes): (u64, usize),
    side_by_side: Option<usize>,
    json: bool,
) -> anyhow::Result<()> {
    let path = Path::new(what);
    let (table, gamma) = if path.exists() {
        let config = ExperimentConfig::load(path, overrides)?;
        (config.env, Some(config.learner.gamma))
    } else {
        (toml::Table::from_iter([("kind".to_owned(), toml::Value::String(what.to_owned()))]), None)
    };
    let mut envs = env::build_many(&table, side_by_side.unwrap_or(1))?;
    let mut report = check_env(&mut *envs[0], seed, episodes)?;
    report.hints.extend(gamma.and_then(|gamma| beyond_the_limit(&report, gamma)));
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
        say!("{value}")?;
    } else {
        put(format_args!("{report}"))?;
        if let Some(pace) = pace {
            put(format_args!("{pace}"))?;
        }
    }
    Ok(())
}

/// A hint where every episode is cut before the end of what a learner with this discount looks at.
fn beyond_the_limit(report: &CheckReport, gamma: f64) -> Option<String> {
    let horizon = 1.0 / (1.0 - gamma);
    (report.always_cut && (report.lengths.1 as f64) < horizon).then(|| {
        format!(
            "every episode was cut at its limit of {} steps, and learner.gamma = {gamma} looks {horizon:.0} steps \
             ahead: values count on what would come after; if the task is these steps, let the limit be an end \
             (env.limit_is_end = true)",
            report.lengths.1
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_within_sight_is_a_hint_where_it_cuts() {
        let mut report = CheckReport {
            env: "short".into(),
            dims: [1, 1, 0],
            episodes: 2,
            steps: 50,
            steps_per_second: 1.0,
            mean_return: 0.0,
            mean_length: 25.0,
            lengths: (25, 25),
            always_cut: true,
            saves: false,
            hints: Vec::new(),
        };
        let hint = beyond_the_limit(&report, 0.99).expect("25 steps are fewer than 100");
        assert!(
            hint.contains("25 steps") && hint.contains("100 steps") && hint.contains("limit_is_end"),
            "{hint}"
        );
        assert_eq!(beyond_the_limit(&report, 0.9), None);
        report.always_cut = false;
        assert_eq!(beyond_the_limit(&report, 0.99), None);
    }
}
