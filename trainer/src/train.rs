//! The training loop: collect, learn, test, save.

mod begin;
mod second_phase;
mod shards;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use candle_core::DType;

use crate::checkpoint::store::Store;
use crate::checkpoint::{Counters, State};
use crate::config::ExperimentConfig;
use crate::env::{self, Env, EnvSpec};
use crate::error::{ConfigError, During, EnvError, LearnError, TrainError};
use crate::eval::Score;
use crate::learner::normaliser::Normaliser;
use crate::learner::scheme::{self, Metrics, Normalised, Scheme, Setting};
use crate::metrics::progress::Progress;
use crate::metrics::{Record, Recorder};
use crate::ranks::{Team, play_together};
use crate::replay::{Episode, ReplayBuffer};
use crate::rollout::{Plan, Player};
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
    let td = config.learner.td();
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

/// What the rank that leads writes.
struct Files {
    recorder: Recorder,
    store: Store,
}

/// One training run and its directory.
///
/// On several ranks every one of them has all of it but the episodes of others' shards, and the first
/// one writes.
pub struct Run {
    config: ExperimentConfig,
    spec: EnvSpec,
    envs: Vec<Box<dyn Env>>,
    scheme: Box<dyn Scheme>,
    replay: ReplayBuffer,
    counters: Counters,
    team: Team,
    dir: PathBuf,
    files: Option<Files>,
    /// Stands in the replay for an episode of another rank.
    elsewhere: Arc<Episode>,
    /// Whether a checkpoint was asked for.
    save_asked: bool,
    /// Whether the user was told that the environment is slow.
    hinted: bool,
}

impl Run {
    /// Trains until all steps are made or a signal comes.
    ///
    /// # Errors
    /// If an environment fails, learning diverges, or a file cannot be written; the last
    /// checkpoint is intact then, and where an environment of the rank that leads is gone, it is one of this moment.
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
        if outcome.is_ok() {
            // Whoever leaves first would end the others while files are written.
            self.team.told(())?;
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
                    && let Some(stop) = self.asked(signals)?
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
            let stop = self.asked(signals)?;
            if std::mem::take(&mut self.save_asked) || due || stop.is_some() {
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

    /// Whether and why to stop, which all ranks learn together.
    fn asked(&mut self, signals: &Signals) -> Result<Option<Stop>, TrainError> {
        let (stop, save) = self.team.asked(signals)?;
        self.save_asked |= save;
        Ok(stop)
    }

    /// Keeps an episode where it is learned from, and where the files are written.
    fn keep(&mut self, id: u64, episode: impl Into<Arc<Episode>>) {
        let here = self.team.leads() || self.team.owns(id);
        self.replay.push(if here { episode.into() } else { Arc::clone(&self.elsewhere) });
    }

    /// One wave of episodes into the replay.
    fn collect(&mut self) -> Result<(), TrainError> {
        let (seed, first) = (self.config.seed, self.counters.episode);
        let epsilon = self.config.rollout.epsilon(self.counters.t_env);
        let network = self.scheme.behaviour(&mut stream(seed, &format!("behaviour/{first}")));
        let slots = self.config.rollout.envs;
        let plan = Plan { seed, purpose: "env", first, count: slots, epsilon, record: false };
        let player = Player::Network(&*self.scheme, network);
        for played in play_together(&self.team, player, (&mut self.envs, slots), &plan)? {
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
            self.keep(self.counters.episode - 1, played.episode);
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
        let update = self.counters.update;
        let metrics = if self.team.shards() == 1 { self.update()? } else { self.update_in_shards()? };
        let Some(metrics) = metrics else { return Ok(()) };
        self.scheme.settle(&metrics)?;
        self.counters.update += 1;
        if let Some((what, &value)) = metrics.iter().find(|(_, value)| !value.is_finite()) {
            return Err(LearnError::Diverged { update, what: what.clone(), value }.into());
        }
        for (name, value) in metrics {
            self.note(&name, value);
        }
        if self.counters.episode - self.counters.synced >= self.config.learner.target_interval {
            self.scheme.sync_slow().during("copying into the slow networks")?;
            self.replay.forget();
            self.counters.synced = self.counters.episode;
        }
        Ok(())
    }

    /// One update from one batch; `None` while there is too little to learn from.
    fn update(&mut self) -> Result<Option<Metrics>, TrainError> {
        let (seed, update) = (self.config.seed, self.counters.update);
        let mut rng = stream(seed, &format!("replay/{update}"));
        let Some(sampled) = self.replay.sample(self.config.replay.batch, &mut rng) else { return Ok(None) };
        let batch = self.config.learner.batch(&self.spec, &sampled);
        Ok(Some(self.scheme.update(&batch, &mut stream(seed, &format!("update/{update}")))?))
    }

    /// Greedy tests of every network, and one record.
    fn test(&mut self, progress: &Progress, began: (Instant, u64)) -> Result<(), TrainError> {
        let (seed, episodes) = (self.config.seed, self.config.eval.episodes);
        let mut values = self.means();
        values.insert("epsilon".into(), self.config.rollout.epsilon(self.counters.t_env));
        let mut shipped = f64::NEG_INFINITY;
        for network in self.scheme.networks() {
            let plan = Plan { seed, purpose: "test", first: 0, count: episodes, epsilon: 0.0, record: false };
            let (player, slots) = (Player::Network(&*self.scheme, network), self.config.rollout.envs);
            let score = Score::of(&play_together(&self.team, player, (&mut self.envs, slots), &plan)?);
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
        let record = Record { t_env, episode, update, values };
        if let Some(Files { recorder, .. }) = &mut self.files {
            recorder.write_timing(&Record { t_env, episode, update, values: timing })?;
            recorder.write(&record)?;
        }
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
        let Some(Files { recorder, store }) = &mut self.files else { return Ok(()) };
        self.counters.positions = recorder.positions()?;
        let state = State::of_scheme(&self.config, &self.spec, &self.counters, &*self.scheme, &self.replay)?;
        store.save(self.counters.update, state.files(), self.counters.best_update)?;
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

    /// The processes that train it.
    #[must_use]
    pub fn team(&self) -> &Team {
        &self.team
    }

    /// Writes one file of its directory whole, on the rank that leads.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
        let written = self.files.as_ref().map(|files| files.store.write_file(name, bytes));
        Ok(written.unwrap_or(Ok(()))?)
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.dir.clone()
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
