//! Checkpoints: the whole state of a training run, so that it goes on as if it had never stopped.

pub mod state;
pub mod store;

use std::collections::BTreeMap;
use std::path::Path;

pub use state::{Counters, SecondPhaseStart, State};

use candle_core::DType;

use crate::config::ExperimentConfig;
use crate::env::{Env, EnvSpec};
use crate::error::{CheckpointError, TrainError};
use crate::learner::normaliser::Normaliser;
use crate::learner::scheme::Scheme;
use crate::nn::params::Values;
use crate::train::build_scheme_as;

/// A checkpoint that was read, for whoever wants to play or freeze what was learned.
pub struct Checkpoint {
    state: State,
}

impl Checkpoint {
    /// Opens a run directory (its newest whole checkpoint) or one checkpoint's directory.
    ///
    /// # Errors
    /// If there is none, or it is damaged.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        if path.is_file() {
            let reason = "is a file, not the folder of a run; a config file can be played with --policy only";
            return Err(CheckpointError::content(path, reason));
        }
        let is_checkpoint = path.join(store::MANIFEST).exists();
        let path = if is_checkpoint { Some(path.to_owned()) } else { store::newest(path)? }
            .ok_or_else(|| CheckpointError::content(path, "holds no checkpoint of a run"))?;
        Ok(Self { state: State::read(&path)? })
    }

    /// The resolved experiment.
    #[must_use]
    pub fn config(&self) -> &ExperimentConfig {
        &self.state.config
    }

    /// SHA-256 of the resolved experiment.
    #[must_use]
    pub fn config_sha256(&self) -> String {
        self.config().sha256().unwrap_or_default()
    }

    /// Sizes and names of the environment.
    #[must_use]
    pub fn spec(&self) -> &EnvSpec {
        &self.state.spec
    }

    /// Environment steps, episodes and updates so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.state.counters
    }

    /// Name of the scheme.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.config().scheme.get("kind").and_then(toml::Value::as_str).unwrap_or_default()
    }

    /// All networks, with the values of the checkpoint.
    ///
    /// # Errors
    /// If the values do not fit the networks.
    pub fn scheme_built(&self) -> Result<Box<dyn Scheme>, TrainError> {
        let mut scheme = build_scheme_as(self.config(), &self.state.spec, DType::F32)?;
        self.state.restore(&mut *scheme)?;
        Ok(scheme)
    }

    /// Gradient steps that the network that ships has made and must make in its scheme's second phase;
    /// `None` where it learns with the others.
    ///
    /// # Errors
    /// If the networks cannot be built.
    pub fn second_phase(&self) -> Result<Option<(u64, u64)>, TrainError> {
        let counters = self.counters();
        let made = counters.second_phase.map_or(0, |start| counters.update - start.update);
        let scheme = build_scheme_as(self.config(), &self.state.spec, DType::F32)?;
        Ok(scheme.second_phase().map(|phase| (made, phase.updates)))
    }

    /// `count` environments of the experiment.
    ///
    /// # Errors
    /// As [`State::envs`].
    pub fn envs(&self, count: usize) -> Result<Vec<Box<dyn Env>>, TrainError> {
        self.state.envs(count)
    }

    /// What brings observations and states to a common scale, where the run has it.
    #[must_use]
    pub fn normaliser(&self) -> Option<Normaliser> {
        self.state.normaliser()
    }

    /// Online parameters whose name begins with `prefix`, named without it.
    #[must_use]
    pub fn parameters(&self, prefix: &str) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
        let sets = self.state.params.iter().filter(|(set, _)| set.as_str() != "slow");
        let all = sets.flat_map(|(_, values): (_, &Values)| values);
        all.filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value.clone()))).collect()
    }
}
