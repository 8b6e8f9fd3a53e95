//! The keys of a `python` table.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::env::registry::bad;
use crate::error::EnvError;

/// How frames travel from a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// In shared memory where the system has a place for it, else through the pipe.
    Auto,
    /// In a file in memory that trainer and worker share.
    Shared,
    /// Through the pipe, behind the answer.
    Pipe,
}

/// Where the state comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateFrom {
    /// The environment has one.
    Env,
    /// The observations of all agents, joined.
    Concat,
}

/// How the team is rewarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RewardFrom {
    /// The environment gives one number.
    Team,
    /// The sum of what it gives to each agent.
    Sum,
    /// The mean of what it gives to each agent.
    Mean,
}

/// A `python` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PythonConfig {
    /// Which environment: `pettingzoo:MODULE`, `gym:MODULE:ID`, `smac:MODULE.CLASS` or `class:MODULE.CLASS`.
    pub env: String,
    /// The interpreter that has the environment's packages.
    pub python: PathBuf,
    /// Folders where it looks for modules first.
    pub path: Vec<PathBuf>,
    /// Keyword arguments of the environment.
    pub args: Table,
    /// Steps after which an episode is cut; 0 takes what the environment says.
    pub episode_limit: usize,
    /// At its limit an episode is over, as EPyMARL stores it; false: it is cut, so that learners bootstrap.
    pub limit_is_end: bool,
    /// Where the state comes from.
    pub state: StateFrom,
    /// How the team is rewarded.
    pub reward: RewardFrom,
    /// Points on each axis of a continuous action; 0 refuses environments that have one.
    pub discretise: usize,
    /// Each episode begins in an environment that was made for it.
    pub fresh: bool,
    /// Environments in one process; the bits do not depend on it.
    pub envs_per_worker: usize,
    /// How frames travel; the bits do not depend on it.
    pub transport: Transport,
    /// Seconds for the interpreter to start, import and make the environments.
    pub start_timeout: f64,
    /// Seconds for a worker to reset its environments.
    pub reset_timeout: f64,
    /// Seconds for a worker to step each of its environments once.
    pub step_timeout: f64,
    /// Seconds for a worker to close.
    pub close_timeout: f64,
    /// Failures of one worker within an hour after which the run gives up.
    pub restarts: usize,
    /// Seconds before a worker is started again; twice as long each time, four times at most.
    pub restart_wait: f64,
}

impl Default for PythonConfig {
    fn default() -> Self {
        Self {
            env: "class:ddn_env.template.Meet".into(),
            python: "python3".into(),
            path: Vec::new(),
            args: Table::new(),
            episode_limit: 0,
            limit_is_end: false,
            state: StateFrom::Env,
            reward: RewardFrom::Team,
            discretise: 0,
            fresh: false,
            envs_per_worker: 4,
            transport: Transport::Auto,
            start_timeout: 120.0,
            reset_timeout: 60.0,
            step_timeout: 30.0,
            close_timeout: 5.0,
            restarts: 5,
            restart_wait: 1.0,
        }
    }
}

impl PythonConfig {
    /// Refuses values that cannot work before anything is started.
    ///
    /// # Errors
    /// [`EnvError::Config`] with the key at fault.
    pub(super) fn check(&self) -> Result<(), EnvError> {
        if self.env.trim().is_empty() {
            return Err(bad("env", "is empty; name one, as \"pettingzoo:mpe2.simple_spread_v3\""));
        }
        let bounds = [
            ("envs_per_worker", self.envs_per_worker, 1, 1024),
            ("episode_limit", self.episode_limit, 0, 1_000_000),
            ("discretise", self.discretise, 0, 256),
            ("restarts", self.restarts, 0, 1_000_000),
        ];
        for (key, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return Err(bad(key, format!("is {value}; give {least} to {most}")));
            }
        }
        let seconds = [
            ("start_timeout", self.start_timeout),
            ("reset_timeout", self.reset_timeout),
            ("step_timeout", self.step_timeout),
            ("close_timeout", self.close_timeout),
            ("restart_wait", self.restart_wait),
        ];
        for (key, value) in seconds {
            let least = if key == "restart_wait" { 0.0 } else { 0.001 };
            if !(least..=86_400.0).contains(&value) {
                return Err(bad(key, format!("is {value} seconds; give {least} to 86400")));
            }
        }
        Ok(())
    }

    /// What the worker is told, as JSON; `first` is the index of its first environment, of `count`.
    pub(super) fn asked(&self, first: usize, count: usize) -> Result<Vec<u8>, EnvError> {
        if let Some(key) = self.args.iter().find_map(|(key, value)| has_infinite(value).then_some(key)) {
            return Err(bad(
                "args",
                format!("{key} holds a number that is not finite, which cannot be passed on"),
            ));
        }
        let asked = serde_json::json!({
            "first": first,
            "count": count,
            "options": {
                "env": self.env,
                "args": self.args,
                "episode_limit": self.episode_limit,
                "state": self.state,
                "reward": self.reward,
                "discretise": self.discretise,
                "fresh": self.fresh,
            },
        });
        serde_json::to_vec(&asked).map_err(|error| bad("args", format!("cannot be passed on: {error}")))
    }
}

fn has_infinite(value: &toml::Value) -> bool {
    match value {
        toml::Value::Float(number) => !number.is_finite(),
        toml::Value::Array(values) => values.iter().any(has_infinite),
        toml::Value::Table(table) => table.values().any(has_infinite),
        _ => false,
    }
}

/// Seconds as a duration.
pub(super) fn seconds(value: f64) -> Duration {
    Duration::from_secs_f64(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_values_are_refused_by_key() {
        let says = |config: PythonConfig| config.check().expect_err("refused").to_string();
        let usual = PythonConfig::default;
        usual().check().expect("the defaults are fine");
        assert!(says(PythonConfig { env: " ".into(), ..usual() }).starts_with("[env] env: is empty"));
        assert!(
            says(PythonConfig { envs_per_worker: 0, ..usual() }).starts_with("[env] envs_per_worker: is 0")
        );
        assert!(says(PythonConfig { step_timeout: 0.0, ..usual() }).starts_with("[env] step_timeout: is 0"));
        assert!(
            says(PythonConfig { step_timeout: f64::NAN, ..usual() })
                .starts_with("[env] step_timeout: is NaN")
        );
        assert!(
            says(PythonConfig { restart_wait: -1.0, ..usual() }).starts_with("[env] restart_wait: is -1")
        );
    }
}
