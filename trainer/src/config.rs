//! Experiments as TOML: loaded, overridden, resolved, saved beside the results.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use crate::env;
use crate::error::ConfigError;
use crate::learner::td::TdConfig;
use crate::learner::{mixer, scheme};
use crate::registry::find;
use crate::replay::{Batch, Sampled};

/// One experiment, with every default written out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentConfig {
    /// All randomness of the run comes from it.
    #[serde(default = "one")]
    pub seed: u64,
    /// Environment steps to train for.
    pub t_max: u64,
    /// Threads of the kernels; 0 takes all cores. The bits do not depend on it.
    #[serde(default)]
    pub threads: usize,
    /// Where tensors live; `cpu` is the only one there is.
    #[serde(default = "cpu")]
    pub device: String,
    /// `kind` names an environment; the other keys are its own.
    pub env: Table,
    /// `kind` names a scheme; the other keys are its own.
    pub scheme: Table,
    /// `kind` names a mixer; the other keys are its own.
    pub mixer: Table,
    /// Collecting episodes.
    #[serde(default)]
    pub rollout: RolloutConfig,
    /// Keeping them.
    #[serde(default)]
    pub replay: ReplayConfig,
    /// Learning from them.
    #[serde(default)]
    pub learner: LearnerConfig,
    /// Greedy tests.
    #[serde(default)]
    pub eval: EvalConfig,
    /// Saving the run.
    #[serde(default)]
    pub checkpoint: CheckpointConfig,
    /// What to train beside, for the summary.
    #[serde(default)]
    pub compare: CompareConfig,
}

fn one() -> u64 {
    1
}

fn cpu() -> String {
    "cpu".into()
}

/// Collecting episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutConfig {
    /// Environments stepped together.
    pub envs: usize,
    /// Exploration at the start.
    pub epsilon_start: f64,
    /// Exploration at the end.
    pub epsilon_finish: f64,
    /// Environment steps from one to the other, in a straight line.
    pub epsilon_steps: u64,
}

impl Default for RolloutConfig {
    /// PyMARL's schedule; the paper's too.
    fn default() -> Self {
        Self { envs: 8, epsilon_start: 1.0, epsilon_finish: 0.05, epsilon_steps: 50_000 }
    }
}

impl RolloutConfig {
    /// ε after `t_env` steps.
    #[must_use]
    pub fn epsilon(&self, t_env: u64) -> f64 {
        let share = (t_env as f64 / self.epsilon_steps.max(1) as f64).min(1.0);
        self.epsilon_start + (self.epsilon_finish - self.epsilon_start) * share
    }
}

/// Keeping episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplayConfig {
    /// Episodes kept.
    pub capacity: usize,
    /// Episodes per update.
    pub batch: usize,
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self { capacity: 5000, batch: 32 }
    }
}

/// Learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LearnerConfig {
    /// Gradient steps per collected episode.
    pub updates_per_episode: f64,
    /// Discount per step.
    pub gamma: f64,
    /// The online network picks the next action, the slow one values it.
    pub double_q: bool,
    /// λ of TD(λ): the share of each target that follows the rewards of the steps after instead of the slow network's
    /// value of the next one. 0 is the paper's. More carries rewards back faster, and with them what exploring cost.
    pub td_lambda: f64,
    /// Episodes between copies into the slow networks.
    pub target_interval: u64,
    /// What the slow networks make of an episode is kept until the next copy, in the replay: the same bits in less time,
    /// for 4 bytes per step, agent and action. Nothing is kept with the scheme PTDE, the mixer QTRAN or `normalise`.
    pub keep_slow: bool,
    /// Largest gradient norm of each optimiser.
    pub clip: f64,
    /// Factor on every reward as the learner sees it; the log keeps the environment's own. Returns of
    /// about 10 suit the networks' first values and the optimisers' smallest steps.
    pub reward_scale: f64,
    /// S, the parts of environments, replay and batch that are played, sampled and learned apart, their gradients added
    /// in order. Each rank of a run on several processes takes some; it decides the bits, the ranks do not.
    pub shards: usize,
    /// Networks see observations and states brought to mean 0 and deviation 1, by what was seen so far.
    pub normalise: bool,
}

impl Default for LearnerConfig {
    fn default() -> Self {
        Self {
            updates_per_episode: 1.0,
            gamma: 0.99,
            double_q: true,
            td_lambda: 0.0,
            target_interval: 200,
            keep_slow: true,
            clip: 10.0,
            reward_scale: 1.0,
            shards: 1,
            normalise: false,
        }
    }
}

impl LearnerConfig {
    /// How targets are made.
    #[must_use]
    pub const fn td(&self) -> TdConfig {
        TdConfig { gamma: self.gamma, double_q: self.double_q, lambda: self.td_lambda }
    }

    /// What is learned from episodes that replay gave.
    #[must_use]
    pub fn batch(&self, spec: &env::EnvSpec, sampled: &[Sampled<'_>]) -> Batch {
        let mut batch = Batch::sampled(spec, sampled);
        if !self.keep_slow {
            batch.kept.clear();
        }
        batch.scale_rewards(self.reward_scale as f32);
        batch
    }
}

/// Greedy tests of every network of the scheme.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// Environment steps between tests.
    pub interval: u64,
    /// Episodes of each test.
    pub episodes: usize,
    /// Episodes of the test after training.
    pub final_episodes: usize,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self { interval: 10_000, episodes: 16, final_episodes: 200 }
    }
}

/// Saving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Environment steps between checkpoints.
    pub interval: u64,
    /// How many of the newest are kept; the best is kept besides.
    pub keep: usize,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { interval: 50_000, keep: 2 }
    }
}

/// What the summary compares with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompareConfig {
    /// Train the `plain` scheme with the same mixer, seed and number of steps as well.
    pub plain: bool,
}

impl ExperimentConfig {
    /// Reads a file, applies `--set` overrides, fills in all defaults and checks the values.
    ///
    /// # Errors
    /// Names the file, table or key at fault and what would be right.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        Self::load_as(path, overrides, "--set")
    }

    /// The same, with overrides from `whence`, which messages name.
    ///
    /// # Errors
    /// As there.
    pub fn load_as(path: &Path, overrides: &[String], whence: &str) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.display().to_string(), source })?;
        Self::parse(&text, &path.display().to_string(), overrides, whence)
    }

    /// As [`ExperimentConfig::load`], from text; `origin` names it in messages.
    ///
    /// # Errors
    /// As there.
    pub fn from_text(text: &str, origin: &str, overrides: &[String]) -> Result<Self, ConfigError> {
        Self::parse(text, origin, overrides, "--set")
    }

    fn parse(text: &str, origin: &str, overrides: &[String], whence: &str) -> Result<Self, ConfigError> {
        let parse = |source| ConfigError::Parse { origin: origin.to_owned(), source: Box::new(source) };
        // The text itself first, so that a message shows the line.
        let _: Self = toml::from_str(text).map_err(parse)?;
        let mut table: Table = toml::from_str(text).map_err(parse)?;
        let whole = |table: &Table| -> Result<Self, ConfigError> {
            let config: Self = table.clone().try_into().map_err(|source| ConfigError::Parse {
                origin: if overrides.is_empty() {
                    origin.to_owned()
                } else {
                    format!("{origin} with {whence}")
                },
                source: Box::new(source),
            })?;
            config.resolve()
        };
        // Kinds first, wherever they stand: what else is set belongs to the new ones.
        let is_kind =
            |text: &&String| text.split('=').next().is_some_and(|key| key.trim().ends_with(".kind"));
        let (kinds, others): (Vec<&String>, Vec<&String>) = overrides.iter().partition(is_kind);
        for text in kinds {
            set(&mut table, text, &Table::new())?;
        }
        if !others.is_empty() {
            // Where the text leaves a table out, an override changes one key of its default.
            let defaults: Table = toml::from_str(&whole(&table)?.to_text()?).map_err(parse)?;
            for text in others {
                set(&mut table, text, &defaults)?;
            }
        }
        whole(&table)
    }

    /// Fills in the defaults of the three tables and checks the values.
    fn resolve(mut self) -> Result<Self, ConfigError> {
        self.env = env::resolve(&self.env)?;
        self.scheme = (find(scheme::REGISTRY, "scheme", &self.scheme)?.resolve)(&self.scheme)?;
        self.mixer = (mixer::find(&self.mixer)?.resolve)(&self.mixer)?;
        let check = |ok: bool, key: &str, reason: &str| {
            if ok { Ok(()) } else { Err(ConfigError::value(key, reason)) }
        };
        check(self.device == "cpu", "device", "only \"cpu\" is supported in this version")?;
        check(self.t_max > 0, "t_max", "must be at least 1")?;
        check(self.threads <= 1024, "threads", "must be at most 1024")?;
        check((1..=4096).contains(&self.rollout.envs), "rollout.envs", "must be in 1..=4096")?;
        for (key, value) in [("start", self.rollout.epsilon_start), ("finish", self.rollout.epsilon_finish)] {
            check((0.0..=1.0).contains(&value), &format!("rollout.epsilon_{key}"), "must be in 0..=1")?;
        }
        check((1..=65_536).contains(&self.replay.batch), "replay.batch", "must be in 1..=65536")?;
        check(
            self.replay.capacity >= self.replay.batch,
            "replay.capacity",
            "must be at least replay.batch, or learning never starts",
        )?;
        let ratio = self.learner.updates_per_episode;
        check(
            ratio > 0.0 && ratio <= 1000.0,
            "learner.updates_per_episode",
            "must be above 0 and at most 1000",
        )?;
        check((0.0..=1.0).contains(&self.learner.gamma), "learner.gamma", "must be in 0..=1")?;
        check((0.0..=1.0).contains(&self.learner.td_lambda), "learner.td_lambda", "must be in 0..=1")?;
        let clip = self.learner.clip;
        check(clip > 0.0 && clip.is_finite(), "learner.clip", "must be a number above 0")?;
        let scale = self.learner.reward_scale;
        check((1e-6..=1e6).contains(&scale), "learner.reward_scale", "must be in 1e-6..=1e6")?;
        let shards = self.learner.shards;
        check(
            shards > 0
                && self.rollout.envs.is_multiple_of(shards)
                && self.replay.batch.is_multiple_of(shards),
            "learner.shards",
            "must be at least 1, and divide both rollout.envs and replay.batch",
        )?;
        check(self.learner.target_interval > 0, "learner.target_interval", "must be at least 1")?;
        check(self.eval.interval > 0, "eval.interval", "must be at least 1")?;
        check(self.eval.episodes > 0, "eval.episodes", "must be at least 1")?;
        check(self.eval.final_episodes > 0, "eval.final_episodes", "must be at least 1")?;
        check(self.checkpoint.interval > 0, "checkpoint.interval", "must be at least 1")?;
        check(self.checkpoint.keep > 0, "checkpoint.keep", "must be at least 1")?;
        Ok(self)
    }

    /// Refuses a `config.toml` that was changed since the checkpoint `saved` was written. What
    /// changes no result, `threads`, `checkpoint.keep` and `learner.keep_slow`, may differ.
    ///
    /// # Errors
    /// Names the tables that differ.
    pub fn must_be(&self, saved: &Self) -> Result<(), ConfigError> {
        let names = self.differs_from(saved);
        if names.is_empty() {
            return Ok(());
        }
        Err(ConfigError::value(
            "config.toml",
            format!(
                "{} differ from those of the checkpoint; put them back, or train anew in another directory",
                names.join(", ")
            ),
        ))
    }

    /// The tables and keys at the top in which two experiments differ, but for what changes no result.
    #[must_use]
    pub fn differs_from(&self, saved: &Self) -> Vec<String> {
        let mut given = self.clone();
        given.threads = saved.threads;
        given.checkpoint.keep = saved.checkpoint.keep;
        given.learner.keep_slow = saved.learner.keep_slow;
        for key in env::registry::free(&saved.env) {
            if let (Some(given), Some(saved)) = (given.env.get_mut(*key), saved.env.get(*key)) {
                given.clone_from(saved);
            }
        }
        if given == *saved {
            return Vec::new();
        }
        let table = |config: &Self| Table::try_from(config).unwrap_or_default();
        let (given, saved) = (table(&given), table(saved));
        given.keys().filter(|key| given.get(*key) != saved.get(*key)).cloned().collect()
    }

    /// Scheme and mixer, as `ddn+qmix`.
    #[must_use]
    pub fn algorithm(&self) -> String {
        let kind = |table: &Table| table.get("kind").and_then(Value::as_str).unwrap_or("?").to_owned();
        format!("{}+{}", kind(&self.scheme), kind(&self.mixer))
    }

    /// As TOML, the form that is saved and hashed.
    ///
    /// # Errors
    /// If a number does not fit TOML.
    pub fn to_text(&self) -> Result<String, ConfigError> {
        toml::to_string_pretty(self).map_err(|source| ConfigError::Unwritable {
            section: "experiment".into(),
            source: Box::new(source),
        })
    }

    /// SHA-256 of [`ExperimentConfig::to_text`] in hexadecimal digits.
    ///
    /// # Errors
    /// As there.
    pub fn sha256(&self) -> Result<String, ConfigError> {
        let digest = Sha256::digest(self.to_text()?.as_bytes());
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The same experiment with the `plain` scheme, for comparison.
    ///
    /// # Errors
    /// Never for a resolved config.
    pub fn as_plain(&self) -> Result<Self, ConfigError> {
        let scheme = Table::from_iter([("kind".to_owned(), Value::String("plain".into()))]);
        Self { scheme, compare: CompareConfig::default(), ..self.clone() }.resolve()
    }
}

/// Applies `a.b=c` to a table; the value is TOML, or a string where it is none.
///
/// Tables that are missing on the way come from `defaults`. Another `kind` starts its table anew:
/// the keys of the one before mean nothing to it.
fn set(table: &mut Table, text: &str, defaults: &Table) -> Result<(), ConfigError> {
    let (path, value) = text.split_once('=').ok_or_else(|| ConfigError::Override(text.to_owned()))?;
    let value = toml::from_str::<Table>(&format!("v = {value}"))
        .ok()
        .and_then(|mut parsed| parsed.remove("v"))
        .unwrap_or_else(|| Value::String(value.to_owned()));
    let mut keys: Vec<&str> = path.split('.').map(str::trim).collect();
    let Some(last) = keys.pop().filter(|key| !key.is_empty()) else {
        return Err(ConfigError::Override(text.to_owned()));
    };
    let (mut table, mut defaults) = (table, Some(defaults));
    for key in keys {
        defaults = defaults.and_then(|defaults| defaults.get(key)?.as_table());
        let missing = || Value::Table(defaults.cloned().unwrap_or_default());
        let entry = table.entry(key).or_insert_with(missing);
        table = entry
            .as_table_mut()
            .ok_or_else(|| ConfigError::value(path, format!("\"{key}\" is not a table")))?;
    }
    if last == "kind" && table.get(last).is_some_and(|kind| *kind != value) {
        table.clear();
    }
    table.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str =
        "t_max = 10\n[env]\nkind = \"matrix-game\"\n[scheme]\nkind = \"ddn\"\n[mixer]\nkind = \"qmix\"\n";

    fn load(overrides: &[&str]) -> Result<ExperimentConfig, ConfigError> {
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        ExperimentConfig::from_text(SMALL, "small.toml", &overrides)
    }

    #[test]
    fn a_resolved_config_reads_back_as_itself() {
        let config = load(&[]).expect("it is whole");
        let again = ExperimentConfig::from_text(&config.to_text().expect("plain numbers"), "again", &[]);
        assert_eq!(again.expect("it was written by us"), config);
    }

    #[test]
    fn overrides_reach_nested_keys_and_strings() {
        let config = load(&["scheme.ggn.hyper=8", "mixer.embed=16", "scheme.behaviour=lpn", "seed=7"]);
        let config = config.expect("all keys exist");
        assert_eq!(config.seed, 7);
        assert_eq!(config.mixer["embed"], Value::Integer(16));
        assert_eq!(config.scheme["behaviour"], Value::String("lpn".into()));
    }

    #[test]
    fn an_override_changes_one_key_of_a_default_table_and_another_kind_starts_anew() {
        let config = load(&["scheme.lpn_optimiser.lr=0.25"]).expect("adam has that key");
        let optimiser = config.scheme["lpn_optimiser"].as_table().expect("a table");
        assert_eq!((optimiser["kind"].as_str(), optimiser["lr"].as_float()), (Some("adam"), Some(0.25)));
        let config = load(&["scheme.ggn_optimiser.lr=0.125", "scheme.ggn_optimiser.kind=adam"]);
        let config = config.expect("its keys have defaults");
        let optimiser = config.scheme["ggn_optimiser"].as_table().expect("a table");
        assert_eq!((optimiser["kind"].as_str(), optimiser["lr"].as_float()), (Some("adam"), Some(0.125)));
        let config = load(&["mixer.kind=vdn"]).expect("vdn has no keys");
        assert_eq!(config.mixer.len(), 1);
        // What is set belongs to the new kind, wherever that stands.
        assert!(load(&["mixer.embed=16", "mixer.kind=vdn"]).is_err());
        let config = load(&["mixer.kernels=4", "mixer.kind=qplex"]).expect("qplex has kernels");
        assert_eq!(config.mixer["kernels"], Value::Integer(4));
        let config = load(&["scheme.distill.episodes=16", "scheme.kind=ptde"]).expect("ptde has episodes");
        assert_eq!(config.scheme["distill"]["episodes"], Value::Integer(16));
    }

    #[test]
    fn a_config_that_was_edited_is_refused_by_name() {
        let saved = load(&[]).expect("it is whole");
        let edited = load(&["t_max=20", "learner.gamma=0.5"]).expect("valid values");
        let message = edited.must_be(&saved).expect_err("two keys differ").to_string();
        assert!(message.contains("learner, t_max"), "{message}");
        let free = ["threads=1", "checkpoint.keep=9", "learner.keep_slow=false"];
        load(&free).expect("valid").must_be(&saved).expect("no result differs");
    }

    #[test]
    fn mistakes_are_named() {
        for (given, want) in [
            ("t_mx=3", "t_mx"),
            ("mixer.embd=3", "embd"),
            ("scheme.idm.mu=2.0", "scheme.idm.mu"),
            ("env.kind=chess", "chess"),
            ("mixer.kind=qmax", "vdn, qmix"),
            ("device=cuda", "only \"cpu\""),
            ("replay.batch=0", "replay.batch"),
            ("mixer.embed=0", "mixer.embed: is 0"),
            ("mixer.hyper=1000000", "mixer.hyper: is 1000000"),
            ("mixer={ kind = \"qplex\", layers = 0 }", "mixer.layers: is 0"),
            ("mixer={ kind = \"wqmix\", weighting = \"best\" }", "`ow` or `cw`"),
            ("mixer={ kind = \"wqmix\", alpha = 2.0 }", "mixer.alpha: is 2"),
            ("mixer={ kind = \"qtran\", opt = -1.0 }", "mixer.opt: is -1"),
            ("mixer={ kind = \"qatten\", heads = 16384 }", "mixer.heads × mixer.key: is 524288"),
            ("rollout.envs=1000000", "rollout.envs"),
            ("threads=1000000", "threads"),
            ("learner.updates_per_episode=1e9", "updates_per_episode"),
            ("learner.reward_scale=0", "learner.reward_scale"),
            ("scheme.width=1000000000", "scheme.width"),
            ("scheme.distill.q=-1.0", "scheme.distill.q"),
            ("scheme.distill.temperature=nan", "scheme.distill.temperature"),
            ("scheme.idm.coefficient=nan", "scheme.idm.coefficient"),
            ("scheme.ggn.scale=1e300", "scheme.ggn.scale"),
            ("scheme.lpn_optimiser.lr=nan", "scheme.lpn_optimiser.lr"),
            ("scheme.ggn_optimiser.alpha=2.0", "scheme.ggn_optimiser.alpha"),
            ("scheme.idm.optimiser.beta1=1.0", "scheme.idm.optimiser.beta1"),
            ("rollout=3", "rollout"),
            ("noequals", "a.b=value"),
        ] {
            let config = load(&[given]);
            let message = match config {
                Err(error) => error.to_string(),
                Ok(config) => crate::train::build_scheme(&config).err().expect("must fail").to_string(),
            };
            assert!(message.contains(want), "{given}: {message}");
        }
    }
}
