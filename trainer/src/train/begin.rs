//! How a run begins, and how it is taken up again, by one process or by several ranks together.

use std::path::Path;
use std::sync::Arc;

use candle_core::DType;

use super::{CONFIG, Files, Run, build_envs, build_scheme_as};
use crate::checkpoint::store::{MANIFEST, Store};
use crate::checkpoint::{Counters, State};
use crate::config::ExperimentConfig;
use crate::env::Env;
use crate::error::{CheckpointError, ConfigError, TrainError};
use crate::learner::scheme::Scheme;
use crate::metrics::{self, Recorder};
use crate::ranks::{Link, Team, alone};
use crate::replay::{Episode, ReplayBuffer};

/// Networks and environments of a run.
type Built = (Box<dyn Scheme>, Vec<Box<dyn Env>>);

impl Run {
    /// A new run in `dir`, which must not hold one yet.
    ///
    /// # Errors
    /// If the directory is in use or the config cannot be built.
    pub fn create(config: ExperimentConfig, dir: &Path) -> Result<Self, TrainError> {
        Self::create_on(alone(), config, dir)
    }

    /// The same, by all ranks of `link` together.
    ///
    /// # Errors
    /// As there, and where a rank has another config.
    pub fn create_on(link: Arc<dyn Link>, config: ExperimentConfig, dir: &Path) -> Result<Self, TrainError> {
        let team = Team::new(link, config.learner.shards)?;
        // All that can be wrong with the config, before anything is made.
        let built = Self::built(&config, &team)?;
        agree_on(&team, &config)?;
        if !team.leads() {
            return Self::begin(config, built, (team, dir, None));
        }
        if dir.join(CONFIG).exists() {
            return Err(TrainError::Exists { dir: dir.to_owned() });
        }
        let store = Store::open(dir, config.checkpoint.keep)?;
        if dir.join(CONFIG).exists() {
            return Err(TrainError::Exists { dir: dir.to_owned() });
        }
        Self::begin(config, built, (team, dir, Some(store)))
    }

    fn built(config: &ExperimentConfig, team: &Team) -> Result<Built, TrainError> {
        let envs = build_envs(config, owned(config, team))?;
        refuse_unseeded(&envs, team)?;
        let mut scheme = build_scheme_as(config, envs[0].spec(), DType::F32)?;
        divide(&mut *scheme, team)?;
        Ok((scheme, envs))
    }

    /// The first files of a run. From the config on, the directory holds a run to be resumed.
    fn begin(
        config: ExperimentConfig,
        (scheme, envs): Built,
        (team, dir, store): (Team, &Path, Option<Store>),
    ) -> Result<Self, TrainError> {
        let mut files = None;
        if let Some(store) = store {
            store.write_file(CONFIG, config.to_text()?.as_bytes())?;
            files = Some(Files { recorder: Recorder::create(dir)?, store });
        }
        let spec = envs[0].spec().clone();
        let mut run = Self {
            replay: ReplayBuffer::new(config.replay.capacity),
            counters: Counters { next_checkpoint: config.checkpoint.interval, ..Counters::default() },
            config,
            envs,
            scheme,
            team,
            dir: dir.to_owned(),
            files,
            elsewhere: Arc::new(Episode::new(&spec)),
            spec,
            save_asked: false,
            hinted: false,
        };
        run.save()?;
        Ok(run)
    }

    /// Takes up the run in `dir` at its newest whole checkpoint, or from the start where it was
    /// stopped before the first.
    ///
    /// # Errors
    /// If `dir` holds no run, or another process writes it.
    pub fn resume(dir: &Path) -> Result<Self, TrainError> {
        Self::resume_on(alone(), dir)
    }

    /// The same, by all ranks of `link` together; there may be more or fewer than before.
    ///
    /// # Errors
    /// As there, and where a rank sees another directory.
    pub fn resume_on(link: Arc<dyn Link>, dir: &Path) -> Result<Self, TrainError> {
        if dir.join(MANIFEST).exists() {
            return Err(TrainError::OneCheckpoint { dir: dir.to_owned() });
        }
        if !dir.join(CONFIG).exists() {
            return Err(TrainError::NoRun { dir: dir.to_owned() });
        }
        let saved = ExperimentConfig::load(&dir.join(CONFIG), &[])?;
        let team = Team::new(link, saved.learner.shards)?;
        agree_on(&team, &saved)?;
        let store = if team.leads() { Some(Store::open(dir, saved.checkpoint.keep)?) } else { None };
        let newest = store.as_ref().map_or(Ok(None), Store::newest)?;
        let Some(path) = team.told(newest)? else {
            if let Some(store) = &store {
                clear_for_a_new_beginning(store)?;
            }
            let built = Self::built(&saved, &team)?;
            return Self::begin(saved, built, (team, dir, store));
        };
        let state = State::read(&path)?;
        saved.must_be(&state.config)?;
        // What may differ is as the user wants it now.
        let state = State { config: saved, ..state };
        let envs = state.envs(owned(&state.config, &team))?;
        refuse_unseeded(&envs, &team)?;
        let mut scheme = build_scheme_as(&state.config, &state.spec, DType::F32)?;
        divide(&mut *scheme, &team)?;
        state.restore(&mut *scheme)?;
        // A second phase may need more room than the first.
        let more = state.counters.second_phase.and(scheme.second_phase());
        let room = more.map_or(0, |phase| phase.episodes as usize).max(state.config.replay.capacity);
        let mut files = None;
        if let Some(store) = store {
            files = Some(Files { recorder: Recorder::resume(dir, &state.counters.positions)?, store });
        }
        let State { config, spec, counters, replay: episodes, .. } = state;
        let elsewhere = Arc::new(Episode::new(&spec));
        let (replay, dir) = (ReplayBuffer::new(room), dir.to_owned());
        let (save_asked, hinted) = (false, false);
        let mut run = Self {
            config,
            spec,
            envs,
            scheme,
            replay,
            counters,
            team,
            dir,
            files,
            elsewhere,
            save_asked,
            hinted,
        };
        let oldest = run.counters.episode - episodes.len() as u64;
        (oldest..).zip(episodes).for_each(|(id, episode)| run.keep(id, episode));
        // The checkpoint may be removed once all have read it.
        run.team.told(())?;
        Ok(run)
    }
}

/// How many of the run's environments stand on this rank.
fn owned(config: &ExperimentConfig, team: &Team) -> usize {
    (0..config.rollout.envs as u64).filter(|&slot| team.owns(slot)).count()
}

/// Refuses ranks with different configs; how many threads each has changes no bit.
fn agree_on(team: &Team, config: &ExperimentConfig) -> Result<(), TrainError> {
    let same = ExperimentConfig { threads: 0, ..config.clone() };
    Ok(team.must_agree("the config", same.to_text()?.as_bytes())?)
}

/// Refuses several ranks where each would play the same episodes.
fn refuse_unseeded(envs: &[Box<dyn Env>], team: &Team) -> Result<(), TrainError> {
    if team.is_alone() || envs.iter().all(|env| env.seeded()) {
        return Ok(());
    }
    let reason = "takes no seed: the environments of all ranks would play the same; train it in one process";
    Err(ConfigError::value("env", reason).into())
}

/// Has gradients wait for each other where the batch is learned in parts.
fn divide(scheme: &mut dyn Scheme, team: &Team) -> Result<(), ConfigError> {
    if team.shards() == 1 {
        return Ok(());
    }
    if scheme.second_phase().is_some() {
        let reason =
            "is above 1, but this scheme has a second phase, which is learned in one part: set it to 1";
        return Err(ConfigError::value("learner.shards", reason));
    }
    scheme.optimisers_mut().into_iter().for_each(|(_, optimiser)| optimiser.hold());
    Ok(())
}

/// Removes the logs of a run that was stopped before its first checkpoint.
fn clear_for_a_new_beginning(store: &Store) -> Result<(), TrainError> {
    let dir = store.dir();
    // The first checkpoint of a run is older than its first record.
    if std::fs::metadata(dir.join(metrics::METRICS)).is_ok_and(|log| log.len() > 0) {
        let reason = "had begun, as metrics.jsonl shows, but its ckpt_* folders are gone; put one back, or \
                      train anew with --out";
        return Err(CheckpointError::content(dir, reason).into());
    }
    for log in [metrics::METRICS, metrics::TIMING, metrics::tensorboard::FILE_NAME] {
        store.remove_file(log)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Outcome;
    use super::*;
    use crate::metrics::progress::Progress;
    use crate::signal::Signals;

    #[test]
    fn before_its_first_checkpoint_a_run_is_begun_again_and_never_lost() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let row = "{\"t_env\":1,\"episode\":1,\"update\":0}\n";
        let config =
            "t_max = 10\n[env]\nkind = \"matrix-game\"\n[mixer]\nkind = \"vdn\"\n[scheme]\nkind = \"ddn\"\n";
        fs::write(dir.join(CONFIG), config).unwrap();
        fs::write(dir.join(metrics::METRICS), row).unwrap();
        let error = Run::resume(dir).err().expect("its checkpoints are gone").to_string();
        assert!(error.contains("ckpt_* folders are gone"), "{error}");
        assert_eq!(fs::read_to_string(dir.join(metrics::METRICS)).unwrap(), row);
        fs::write(dir.join(metrics::METRICS), "").unwrap();
        // Passes for an experiment, until the networks are built.
        fs::write(dir.join(CONFIG), format!("{config}idm = {{ mu = 2.0 }}\n")).unwrap();
        let error = Run::resume(dir).err().expect("must fail").to_string();
        assert!(error.contains("scheme.idm.mu"), "{error}");
        fs::write(dir.join(CONFIG), config).unwrap();
        let mut run = Run::resume(dir).unwrap();
        assert_eq!(run.train(&Signals::detached(), &Progress::hidden()).unwrap(), Outcome::Done);
        let rows = metrics::read(&dir.join(metrics::METRICS)).unwrap();
        assert_eq!(rows.iter().map(|row| row.t_env).collect::<Vec<_>>(), [8, 16]);
    }
}
