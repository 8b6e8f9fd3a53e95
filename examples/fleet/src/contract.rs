//! A policy and an experiment that belong together.

use std::path::{Path, PathBuf};

use ddn_runtime::{AgentSpec, Model, Policy};
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::env::{Env, EnvSpec};

use crate::error::FleetError;

/// The experiment that is meant where none is named: that of the run which `policy` was exported from.
///
/// # Errors
/// [`FleetError::Usage`] if it does not lie in the export folder of a run.
pub fn config_of(policy: &Path) -> Result<PathBuf, FleetError> {
    let whole = policy.canonicalize().unwrap_or_else(|_| policy.to_owned());
    let run = whole.parent().and_then(Path::parent);
    run.map(|run| run.join("config.toml")).filter(|config| config.is_file()).ok_or_else(|| {
        FleetError::Usage(format!(
            "{} is not in the export folder of a run; name the experiment it was trained in with --config",
            policy.display()
        ))
    })
}

/// The bytes of a file.
///
/// # Errors
/// [`FleetError::Read`].
pub fn read(path: &Path) -> Result<Vec<u8>, FleetError> {
    std::fs::read(path).map_err(|source| FleetError::Read { path: path.to_owned(), source })
}

/// A policy that was held to an environment.
pub struct Playable<'f> {
    /// The policy.
    pub policy: Policy<'f>,
    /// The experiment.
    pub config: ExperimentConfig,
    /// Whether the policy was trained by this very experiment, not only for its contract.
    pub same_experiment: bool,
}

impl<'f> Playable<'f> {
    /// Opens the policy in `file`, whose name is `path`, for the environment of `config`.
    ///
    /// # Errors
    /// If it is no policy, or was trained for another environment, team, observation or set of actions.
    pub fn open(path: &Path, file: &'f [u8], config: ExperimentConfig) -> Result<Self, FleetError> {
        let path = path.to_owned();
        let model = match Model::open(file) {
            Ok(model) => model,
            Err(reason) => return Err(FleetError::Policy { path, reason }),
        };
        let (mut memory, mut scratch) = (vec![0.0; model.memory_len()], vec![0.0; model.scratch_len()]);
        let policy = match model.verify(&mut memory, &mut scratch) {
            Ok(policy) => policy,
            Err(reason) => return Err(FleetError::Damaged { path, reason }),
        };
        let env = ddn_trainer::env::build(&config.env)?;
        let differ = differences(policy.spec(), env.spec());
        if !differ.is_empty() {
            return Err(FleetError::Contract { path, differ: differ.join("; ") });
        }
        let same_experiment = policy.spec().config().is(&config.sha256()?);
        Ok(Self { policy, config, same_experiment })
    }

    /// An environment of the experiment.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn env(&self) -> Result<Box<dyn Env>, FleetError> {
        Ok(ddn_trainer::env::build(&self.config.env)?)
    }
}

/// What of the contract differs, in words. What a file does not say is not compared.
fn differences(policy: &AgentSpec<'_>, env: &EnvSpec) -> Vec<String> {
    let actions = policy.actions().collect::<Vec<_>>().join(", ");
    let rows = [
        ("environment", policy.environment().to_string(), env.name.clone()),
        ("agents", policy.n_agents().to_string(), env.n_agents.to_string()),
        ("actions", actions, env.actions.join(", ")),
        ("numbers of an observation", policy.obs_dim().to_string(), env.obs_dim.to_string()),
        ("observation", policy.obs_layout().to_string(), env.obs_layout.clone()),
    ];
    let differ = rows.into_iter().filter(|(_, policy, env)| policy != env && !policy.is_empty());
    differ
        .map(|(what, policy, env)| format!("{what}: the policy has {policy}, the environment {env}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "t_max = 10\n[env]\nkind = 'predator-prey'\nrows = 6\ncols = 6\npredators = 4\nprey = 4\n\
                        [scheme]\nkind = 'ddn'\n[mixer]\nkind = 'vdn'\n";

    fn opened(overrides: &[&str]) -> Result<bool, String> {
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        let config =
            ExperimentConfig::from_text(TASK, "test", &overrides).expect("the test writes experiments");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/assets/policy.safetensors");
        let file = read(&path).expect("it is committed");
        let playable = Playable::open(Path::new("it"), &file, config).map_err(|error| error.to_string())?;
        Ok(playable.same_experiment)
    }

    #[test]
    fn a_policy_plays_what_it_was_trained_for() {
        assert_eq!(opened(&[]), Ok(false), "the grid is the same, the rest of the experiment is not");
        assert_eq!(opened(&["env.rows=9"]), Ok(false), "an agent cannot tell");
    }

    #[test]
    fn what_differs_is_named() {
        for (set, want) in [
            (&["env.predators=8"][..], "agents: the policy has 4, the environment 8"),
            (&["env.sight=3"], "numbers of an observation: the policy has 75, the environment 147"),
            (
                &["env.kind=matrix-game"],
                "environment: the policy has predator-prey, the environment matrix-game",
            ),
        ] {
            let message = opened(set).expect_err("another contract");
            assert!(message.contains(want) && message.contains("--config"), "{message}");
        }
    }

    #[test]
    fn the_experiment_of_a_run_is_found() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let export = folder.path().join("export");
        std::fs::create_dir(&export).expect("a folder");
        let policy = export.join("policy.safetensors");
        std::fs::write(&policy, []).expect("a file");
        assert!(config_of(&policy).expect_err("no run").to_string().contains("--config"));
        std::fs::write(folder.path().join("config.toml"), []).expect("a file");
        assert!(config_of(&policy).expect("a run").ends_with("config.toml"));
    }
}
