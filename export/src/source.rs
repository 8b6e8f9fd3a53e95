//! A checkpoint of the trainer as the team to export.

use std::path::{Path, PathBuf};

use ddn_trainer::checkpoint::{Checkpoint, store};
use ddn_trainer::env::Env;
use ddn_trainer::error::CheckpointError;
use ddn_trainer::eval;
use ddn_trainer::learner::fusion::BlockActivation;
use ddn_trainer::learner::normaliser::Affine;
use ddn_trainer::learner::scheme::DdnConfig;
use ddn_trainer::registry;

use crate::error::ExportError;
use crate::freeze::{freeze, network};
use crate::frozen::Frozen;
use crate::job::Trained;
use crate::normalise;
use crate::record::Recording;
use crate::spec::AgentSpec;
use crate::verify::REFERENCE;

/// Seed of the recorded episodes: the same checkpoint gives the same files.
const SEED: u64 = 0;

/// A checkpoint that was read.
pub struct Source {
    checkpoint: Checkpoint,
    path: PathBuf,
}

impl Source {
    /// Opens a run's folder (its newest valid checkpoint) or the folder of one checkpoint.
    ///
    /// # Errors
    /// [`ExportError::Io`] or [`ExportError::Corrupt`].
    pub fn open(path: &Path) -> Result<Self, ExportError> {
        std::fs::metadata(path).map_err(ExportError::io(path))?;
        let checkpoint = Checkpoint::open(path).map_err(|error| match error {
            CheckpointError::Io { path, source, .. } => ExportError::Io { path, source },
            other => ExportError::Corrupt { what: "checkpoint".into(), reason: other.to_string() },
        })?;
        Ok(Self { checkpoint, path: path.to_path_buf() })
    }

    /// Where its files go unless told otherwise: `export` in the run's folder.
    #[must_use]
    pub fn default_out(&self) -> PathBuf {
        let is_checkpoint = self.path.join(store::MANIFEST).exists();
        // The parent of `.` or `ckpt_1` is only found once the path is whole.
        let run = if is_checkpoint { self.path.join("..") } else { self.path.clone() };
        run.canonicalize().unwrap_or(run).join("export")
    }

    /// What multiplies the product of the follower's personalised block; 1 where there is none.
    fn block_scale(&self) -> Result<f64, ExportError> {
        if self.checkpoint.scheme() != "ddn" {
            return Ok(1.0);
        }
        let config: DdnConfig = registry::typed("scheme", &self.checkpoint.config().scheme)
            .map_err(|e| ExportError::Corrupt { what: "config".into(), reason: e.to_string() })?;
        if config.lpn.activation != BlockActivation::None {
            return Err(ExportError::Unsupported {
                format: "format 1 of the model file",
                reason: "the block is followed by an activation (scheme.lpn.activation)".into(),
            });
        }
        Ok(config.lpn.scale)
    }
}

impl Trained for Source {
    #[allow(clippy::cast_possible_truncation)]
    fn freeze(&self) -> Result<Frozen, ExportError> {
        let (from, network) = (self.checkpoint.spec(), network(self.checkpoint.scheme())?);
        let phase = self.checkpoint.second_phase();
        let phase =
            phase.map_err(|e| ExportError::Corrupt { what: "checkpoint".into(), reason: e.to_string() })?;
        if let Some((made, steps)) = phase
            && made < steps
        {
            return Err(ExportError::Unfinished { made, steps });
        }
        let spec = AgentSpec {
            environment: from.name.clone(),
            n_agents: from.n_agents,
            actions: from.actions.clone(),
            obs_dim: from.obs_dim,
            obs_layout: from.obs_layout.clone(),
            inputs: network.inputs.to_vec(),
        };
        let parts = network.prefixes.iter().flat_map(|prefix| self.checkpoint.parameters(prefix));
        let parameters = parts.collect();
        let config = self.checkpoint.config_sha256();
        // The trainer multiplies by the same f32.
        let mut frozen = freeze(network, spec, config, self.block_scale()? as f32, parameters)?;
        if let Some(normaliser) = self.checkpoint.normaliser() {
            let Affine { mean, scale } = normaliser.obs();
            normalise::fold(&mut frozen, mean, scale)?;
        }
        Ok(frozen)
    }

    fn record(&self, episodes: usize) -> Result<Vec<Recording>, ExportError> {
        let recorded = eval::record(&self.checkpoint, episodes, SEED)
            .map_err(ExportError::trainer(REFERENCE, "recording"))?;
        let episodes = recorded.into_iter().map(|r| Recording {
            n_steps: r.n_steps,
            obs: r.obs,
            last_action: r.last_action,
            available: r.available,
            q: r.q,
            action: r.action,
        });
        Ok(episodes.collect())
    }

    fn env(&self) -> Result<Box<dyn Env>, ExportError> {
        let mut envs = self.checkpoint.envs(1).map_err(ExportError::building)?;
        envs.pop().ok_or_else(|| ExportError::Usage("no environment was built".into()))
    }
}
