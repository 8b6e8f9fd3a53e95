//! The training loop: collect, learn, test, save.

mod second_phase;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::DType;

use crate::checkpoint::store::{MANIFEST, Store};
use crate::checkpoint::{Counters, State};
use crate::config::ExperimentConfig;
use crate::env::{self, Env, EnvSpec};
use crate::error::{CheckpointError, ConfigError, During, EnvError, LearnError, TrainError};
use crate::eval;
use crate::learner::normaliser::Normaliser;
use crate::learner::scheme::{self, Normalised, Scheme, Setting};
use crate::learner::td::TdConfig;
use crate::metrics::progress::Progress;
use crate::metrics::{self, Record, Recorder};
use crate::replay::{Batch, ReplayBuffer};
use crate::rollout::{Plan, Player, play};
use crate::seed::stream;
use crate::signal::{Signals, Stop};

/// Name of the saved experiment in a run directory.
pub const CONFIG: &str = "config.toml";

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps were made.
    Done,
    /// A signal came; everything is saved.
    Stopped(Stop),
    /// It came as far as it was to; everything is saved.
    Paused,
}

/// The experiment's networks, freshly initialised.
///
/// # Errors
/// If a table of the config is wrong.
pub fn build_scheme(config: &ExperimentConfig) -> Result<Box<dyn Scheme>, ConfigError> {
    build_scheme_as(config, env::build(&config.env)?.spec(), DType::F32)
}

/// [`build_scheme`] for a given environment, in f32 or f64.
///
/// # Errors
/// As there.
pub fn build_scheme_as(
    config: &ExperimentConfig,
    spec: &EnvSpec,
    dtype: DType,
) -> Result<Box<dyn Scheme>, ConfigError> {
    let td = TdConfig { gamma: config.learner.gamma, double_q: config.learner.double_q };
    let setting =
        Setting { spec, mixer: &config.mixer, seed: config.seed, dtype, td, clip: config.learner.clip };
    let scheme = scheme::build(&config.scheme, &setting)?;
    Ok(if config.learner.normalise {
        Box::new(Normalised::new(scheme, Normaliser::new(spec)))
    } else {
        scheme
    })
}

/// `count` environments of the experiment.
///
/// # Errors
/// If the environment cannot be built.
pub fn build_envs(config: &ExperimentConfig, count: usize) -> Result<Vec<Box<dyn Env>>, TrainError> {
    let envs = env::build_many(&config.env, count)?;
    // The replay keeps an action in 16 bits.
    let many = envs.iter().map(|env| env.spec().n_actions()).find(|&actions| actions > 1 << 16);
    match many {
        Some(actions) => {
            Err(EnvError::Contract(format!("{actions} actions; an agent has at most 65536")).into())
        }
        None => Ok(envs),
    }
}

/// Networks and environments of a run.
type Built = (Box<dyn Scheme>, Vec<Box<dyn Env>>);

/// One training run and its directory.
pub struct Run {
    config: ExperimentConfig,
    spec: EnvSpec,
    envs: Vec<Box<dyn Env>>,
    scheme: Box<dyn Scheme>,
    replay: ReplayBuffer,
    counters: Counters,
    recorder: Recorder,
    store: Store,
    /// Whether the user was told that the environment is slow.
    hinted: bool,
}

impl Run {
    /// A new run in `dir`, which must not hold one yet.
    ///
    /// # Errors
    /// If the directory is in use or the config cannot be built.
    pub fn create(config: ExperimentConfig, dir: &Path) -> Result<Self, TrainError> {
        // All that can be wrong with the config, before anything is made.
        let built = Self::built(&config)?;
        if dir.join(CONFIG).exists() {
            return Err(TrainError::Exists { dir: dir.to_owned() });
        }
        let store = Store::open(dir, config.checkpoint.keep)?;
        if dir.join(CONFIG).exists() {
            return Err(TrainError::Exists { dir: dir.to_owned() });
        }
        Self::begin(config, built, store)
    }

    fn built(config: &ExperimentConfig) -> Result<Built, TrainError> {
        let envs = build_envs(config, config.rollout.envs)?;
        Ok((build_scheme_as(config, envs[0].spec(), DType::F32)?, envs))
    }

    /// The first files of a run. From the config on, the directory holds a run to be resumed.
    fn begin(config: ExperimentConfig, (scheme, envs): Built, store: Store) -> Result<Self, TrainError> {
        store.write_file(CONFIG, config.to_text()?.as_bytes())?;
        let recorder = Recorder::create(store.dir())?;
        let mut run = Self {
            spec: envs[0].spec().clone(),
            replay: ReplayBuffer::new(config.replay.capacity),
            counters: Counters { next_checkpoint: config.checkpoint.interval, ..Counters::default() },
            config,
            envs,
            scheme,
            recorder,
            store,
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
        if dir.join(MANIFEST).exists() {
            return Err(TrainError::OneCheckpoint { dir: dir.to_owned() });
        }
        if !dir.join(CONFIG).exists() {
            return Err(TrainError::NoRun { dir: dir.to_owned() });
        }
        let saved = ExperimentConfig::load(&dir.join(CONFIG), &[])?;
        let store = Store::open(dir, saved.checkpoint.keep)?;
        let Some(path) = store.newest()? else {
            // The first checkpoint of a run is older than its first record.
            if std::fs::metadata(dir.join(metrics::METRICS)).is_ok_and(|log| log.len() > 0) {
                let reason = "had begun, as metrics.jsonl shows, but its ckpt_* folders are gone; put one back, or \
                              train anew with --out";
                return Err(CheckpointError::content(dir, reason).into());
            }
            for log in [metrics::METRICS, metrics::TIMING, metrics::tensorboard::FILE_NAME] {
                store.remove_file(log)?;
            }
            let built = Self::built(&saved)?;
            return Self::begin(saved, built, store);
        };
        let state = State::read(&path)?;
        saved.must_be(&state.config)?;
        // What may differ is as the user wants it now.
        let state = State { config: saved, ..state };
        let envs = state.envs(state.config.rollout.envs)?;
        let mut scheme = build_scheme_as(&state.config, &state.spec, DType::F32)?;
        state.restore(&mut *scheme)?;
        // A second phase may need more room than the first.
        let more = state.counters.second_phase.and(scheme.second_phase());
        let room = more.map_or(0, |phase| phase.episodes as usize).max(state.config.replay.capacity);
        let mut replay = ReplayBuffer::new(room);
        state.replay.into_iter().for_each(|episode| replay.push(episode));
        let recorder = Recorder::resume(dir, &state.counters.positions)?;
        let State { config, spec, counters, .. } = state;
        Ok(Self { config, spec, envs, scheme, replay, counters, recorder, store, hinted: false })
    }

    /// Trains until all steps are made or a signal comes.
    ///
    /// # Errors
    /// If an environment fails, learning diverges, or a file cannot be written; the last
    /// checkpoint is intact then, and where the environment is gone, it is one of this moment.
    pub fn train(&mut self, signals: &Signals, progress: &Progress) -> Result<Outcome, TrainError> {
        self.train_until(u64::MAX, signals, progress)
    }

    /// As [`Self::train`], but pauses after the first wave with which `until` environment steps are made.
    ///
    /// # Errors
    /// As there.
    pub fn train_until(
        &mut self,
        until: u64,
        signals: &Signals,
        progress: &Progress,
    ) -> Result<Outcome, TrainError> {
        let outcome = self.run(until, signals, progress);
        // Between two tests all counters are whole; one of a second phase is made anew as a whole.
        let whole = self.counters.second_phase.is_none_or(|start| start.update == self.counters.update);
        if whole && let Err(TrainError::Learn(LearnError::Env(EnvError::Gone { .. }))) = outcome {
            self.save()?;
        }
        outcome
    }

    fn run(&mut self, until: u64, signals: &Signals, progress: &Progress) -> Result<Outcome, TrainError> {
        progress.start(self.counters.t_env, self.config.t_max);
        if self.envs.iter().any(|env| !env.seeded()) {
            tracing::warn!(
                "{} takes no seed: a run that is resumed goes on with other episodes than one that was not stopped",
                self.spec.name
            );
        }
        let began = (Instant::now(), self.counters.t_env);
        // A run that was stopped between two updates goes on with those that are due.
        let in_first_phase = |run: &Self| {
            let is_open = run.counters.t_env < run.config.t_max || run.updates_due() > 0;
            run.counters.second_phase.is_none() && is_open
        };
        while in_first_phase(self) {
            if self.counters.t_env >= until && self.updates_due() == 0 {
                self.save()?;
                return Ok(Outcome::Paused);
            }
            if self.updates_due() == 0 {
                self.collect()?;
            }
            while self.updates_due() > 0 {
                self.learn()?;
                if self.updates_due() > 0
                    && let Some(stop) = signals.stop()
                {
                    self.save()?;
                    return Ok(Outcome::Stopped(stop));
                }
            }
            // Counted before the test, whose checkpoint of a new best then is the one that is due.
            let due = self.counters.t_env >= self.counters.next_checkpoint;
            if due {
                self.counters.next_checkpoint = next(self.counters.t_env, self.config.checkpoint.interval);
            }
            if self.counters.t_env >= self.counters.next_test || self.counters.t_env >= self.config.t_max {
                self.test(progress, began)?;
            }
            let stop = signals.stop();
            if due || stop.is_some() || signals.take_save() {
                self.save()?;
            }
            if let Some(stop) = stop {
                return Ok(Outcome::Stopped(stop));
            }
            self.show(progress);
        }
        if self.counters.update == 0 {
            tracing::warn!(
                episodes = self.replay.len(),
                "nothing was learned: no update is made before the replay holds replay.batch = {} episodes; \
                 raise t_max or lower replay.batch",
                self.config.replay.batch
            );
        }
        if let Some(phase) = self.scheme.second_phase()
            && let Outcome::Stopped(stop) = self.second_phase(phase, signals, progress, began)?
        {
            return Ok(Outcome::Stopped(stop));
        }
        // Where this was saved before, it completes what a kill right after has left undone.
        self.counters.done = true;
        self.save()?;
        Ok(Outcome::Done)
    }

    /// One wave of episodes into the replay.
    fn collect(&mut self) -> Result<(), TrainError> {
        let (seed, first) = (self.config.seed, self.counters.episode);
        let epsilon = self.config.rollout.epsilon(self.counters.t_env);
        let network = self.scheme.behaviour(&mut stream(seed, &format!("behaviour/{first}")));
        let plan = Plan { seed, purpose: "env", first, count: self.envs.len(), epsilon, record: false };
        for played in play(Player::Network(&*self.scheme, network), &mut self.envs, &plan)? {
            self.counters.t_env += played.episode.len() as u64;
            self.counters.episode += 1;
            if let Some(normaliser) = self.scheme.normaliser_mut() {
                normaliser.observe(&played.episode);
            }
            self.note("train_return", f64::from(played.episode.total()));
            self.note("train_length", played.episode.len() as f64);
            if let Some(won) = played.won {
                self.note("train_won", f64::from(u8::from(won)));
            }
            self.replay.push(played.episode);
        }
        Ok(())
    }

    /// Gradient steps that the episodes so far have earned and that were not made yet.
    fn updates_due(&self) -> u64 {
        let counted = (self.counters.episode + 1).saturating_sub(self.config.replay.batch as u64);
        let earned = (counted as f64 * self.config.learner.updates_per_episode).floor() as u64;
        earned.saturating_sub(self.counters.update)
    }

    fn learn(&mut self) -> Result<(), TrainError> {
        let (seed, update) = (self.config.seed, self.counters.update);
        let mut rng = stream(seed, &format!("replay/{update}"));
        let Some(episodes) = self.replay.sample(self.config.replay.batch, &mut rng) else { return Ok(()) };
        let mut batch = Batch::new(&self.spec, &episodes);
        batch.scale_rewards(self.config.learner.reward_scale as f32);
        let metrics = self.scheme.update(&batch, &mut stream(seed, &format!("update/{update}")))?;
        self.counters.update += 1;
        if let Some((what, &value)) = metrics.iter().find(|(_, value)| !value.is_finite()) {
            return Err(LearnError::Diverged { update, what: what.clone(), value }.into());
        }
        for (name, value) in metrics {
            self.note(&name, value);
        }
        if self.counters.episode - self.counters.synced >= self.config.learner.target_interval {
            self.scheme.sync_slow().during("copying into the slow networks")?;
            self.counters.synced = self.counters.episode;
        }
        Ok(())
    }

    /// Greedy tests of every network, and one record.
    fn test(&mut self, progress: &Progress, began: (Instant, u64)) -> Result<(), TrainError> {
        let (seed, episodes) = (self.config.seed, self.config.eval.episodes);
        let mut values = self.means();
        values.insert("epsilon".into(), self.config.rollout.epsilon(self.counters.t_env));
        let mut shipped = f64::NEG_INFINITY;
        for network in self.scheme.networks() {
            let score = eval::greedy(&*self.scheme, network, &mut self.envs, (seed, "test", episodes))?;
            values.insert(format!("test_{network}_return"), score.mean);
            values.insert(format!("test_{network}_length"), score.length);
            if let Some(won) = score.won {
                values.insert(format!("test_{network}_won"), won);
            }
            shipped = score.mean;
        }
        let Counters { t_env, episode, update, .. } = self.counters;
        let seconds = began.0.elapsed().as_secs_f64();
        let steps_per_s = (t_env - began.1) as f64 / seconds.max(1e-9);
        let mut timing =
            BTreeMap::from([("seconds".to_owned(), seconds), ("steps_per_s".to_owned(), steps_per_s)]);
        // The busiest process of an environment that has some.
        if let Some(waiting) = self.envs.iter().filter_map(|env| env.spent()).map(|spent| spent.waiting).max()
        {
            timing.insert("env_seconds".into(), waiting.as_secs_f64());
            self.hint(waiting.as_secs_f64() / seconds.max(1e-9), progress);
        }
        self.counters.means.clear();
        self.recorder.write_timing(&Record { t_env, episode, update, values: timing })?;
        let record = Record { t_env, episode, update, values };
        self.recorder.write(&record)?;
        let returns = record.values.iter().filter(|(name, _)| name.ends_with("_return"));
        let line = returns.map(|(name, value)| format!("{name} {value:.2}")).collect::<Vec<_>>().join("  ");
        progress.note(&format!("t_env {t_env}  {line}"));
        self.counters.next_test = next(t_env, self.config.eval.interval);
        // Before a second phase, what ships has learned nothing.
        let learned = self.scheme.second_phase().is_none() || self.counters.second_phase.is_some();
        if learned && self.counters.best.is_none_or(|best| shipped > f64::from_bits(best)) {
            self.counters.best = Some(shipped.to_bits());
            self.counters.best_update = Some(update);
            self.save()?;
        }
        Ok(())
    }

    /// Says once, as soon as something is learned, that the environment holds the learner up.
    fn hint(&mut self, share: f64, progress: &Progress) {
        if share > 0.5 && self.counters.update > 0 && !std::mem::replace(&mut self.hinted, true) {
            progress.note(&format!(
                "hint: {:.0} % of the time goes into the environment; a lower env.envs_per_worker makes more \
                 processes, which helps as long as there are cores",
                100.0 * share
            ));
        }
    }

    /// A checkpoint of this moment.
    fn save(&mut self) -> Result<(), TrainError> {
        self.counters.positions = self.recorder.positions()?;
        let state = State::of_scheme(&self.config, &self.spec, &self.counters, &*self.scheme, &self.replay)?;
        self.store.save(self.counters.update, state.files(), self.counters.best_update)?;
        Ok(())
    }

    fn show(&self, progress: &Progress) {
        let returns = self.counters.means.get("train_return");
        let values: Vec<_> = returns.into_iter().map(|&sum| ("train return", mean(sum))).collect();
        progress.update(self.counters.t_env, &values);
    }

    /// Adds to the mean of `name` since the last record.
    fn note(&mut self, name: &str, value: f64) {
        let (sum, count) = self.counters.means.entry(name.to_owned()).or_default();
        *sum = (f64::from_bits(*sum) + value).to_bits();
        *count += 1;
    }

    fn means(&self) -> BTreeMap<String, f64> {
        self.counters.means.iter().map(|(name, &sum)| (name.clone(), mean(sum))).collect()
    }

    /// The networks as they are now.
    #[must_use]
    pub fn scheme(&self) -> &dyn Scheme {
        &*self.scheme
    }

    /// The experiment.
    #[must_use]
    pub fn config(&self) -> &ExperimentConfig {
        &self.config
    }

    /// Where the run stands.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Writes one file of its directory whole.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
        Ok(self.store.write_file(name, bytes)?)
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.store.dir().to_owned()
    }
}

/// The mean that a sum, as bits, and its count stand for.
fn mean((sum, count): (u64, u64)) -> f64 {
    f64::from_bits(sum) / count as f64
}

/// The first multiple of `interval` after `t_env`.
fn next(t_env: u64, interval: u64) -> u64 {
    (t_env / interval + 1) * interval
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

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
