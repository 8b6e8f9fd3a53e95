//! Environments written in Python: each one is a guest in a worker process.
//!
//! ```text
//! trainer ── begin_step ──►┐ commands over a pipe        ┌─► ddn_env ─► adapter ─► environment
//!         ── begin_step ──►├────────────────────────────►│
//!         ◄───── step ─────┤ results over a pipe,        └─► … as many as env.envs_per_worker
//!         ◄───── step ─────┘ frames in shared memory
//! ```
//!
//! Results go to their environment by its number, never by when they come: the bits depend on
//! neither the number of workers nor the transport. A worker that fails is started again; the
//! episodes that it was playing are lost, which [`EnvError::Lost`] says.

mod config;
mod memory;
mod pipe;
mod process;
mod wire;
mod words;
mod worker;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::config::{PythonConfig, RewardFrom, StateFrom, Transport};
use self::process::Process;
use self::wire::{Deed, Kind};
use self::worker::Worker;
use super::registry::EnvKind;
use super::{End, Env, EnvSpec, Frame, Spent, Step};
use crate::error::EnvError;

/// First bytes of a saved episode; the last one is the version.
const TAG: &[u8; 8] = b"DDNpyth\x01";

/// One environment of a worker; see the [module](self).
#[derive(Debug)]
pub struct PythonEnv {
    spec: EnvSpec,
    worker: Arc<Mutex<Worker>>,
    seat: usize,
    seeded: bool,
    saves: bool,
    /// What the limit cuts is [`End::Terminated`].
    limit_is_end: bool,
    /// Steps of the running episode; `None` where none runs.
    t: Option<usize>,
    /// `[N, A]`, what may be done now.
    available: Vec<bool>,
    /// What was begun and not finished.
    begun: Option<Deed>,
}

impl EnvKind for PythonEnv {
    const NAME: &'static str = "python";
    const ABOUT: &'static str = "any environment of yours in Python: PettingZoo, Gymnasium, SMAC, a class";
    const OUTSIDE: bool = true;
    const FREE: &'static [&'static str] = &[
        "python",
        "path",
        "envs_per_worker",
        "transport",
        "start_timeout",
        "reset_timeout",
        "step_timeout",
        "close_timeout",
        "restarts",
        "restart_wait",
    ];
    type Config = PythonConfig;

    fn from_config(config: PythonConfig) -> Result<Self, EnvError> {
        let mut envs = Self::many(&config, 1)?;
        envs.pop().ok_or_else(|| EnvError::Contract("no environment was made".into()))
    }

    fn many(config: &PythonConfig, count: usize) -> Result<Vec<Self>, EnvError> {
        config.check()?;
        let firsts: Vec<_> = (0..count).step_by(config.envs_per_worker).collect();
        // All start at once, then each is waited for.
        let processes = firsts.iter().map(|_| Process::spawn(config)).collect::<Result<Vec<_>, _>>()?;
        let mut envs = Vec::with_capacity(count);
        for (index, (first, process)) in firsts.into_iter().zip(processes).enumerate() {
            let guests = config.envs_per_worker.min(count - first);
            let worker = Worker::new(config, index, first, guests, process)?;
            if index == 0 {
                tracing::info!(versions = ?worker.told().versions, agents = ?worker.told().agents, "{}", config.env);
            }
            let (spec, told) = (worker.spec().clone(), worker.told().clone());
            let worker = Arc::new(Mutex::new(worker));
            envs.extend((0..guests).map(|seat| Self {
                spec: spec.clone(),
                worker: Arc::clone(&worker),
                seat,
                seeded: told.seeded,
                saves: told.saves,
                limit_is_end: config.limit_is_end,
                t: None,
                available: Vec::new(),
                begun: None,
            }));
        }
        if let Some(other) = envs.iter().find(|env| env.spec != envs[0].spec) {
            let reason = format!("its workers disagree about it: {:?} and {:?}", envs[0].spec, other.spec);
            return Err(EnvError::Contract(reason));
        }
        Ok(envs)
    }
}

impl PythonEnv {
    fn worker(&self) -> MutexGuard<'_, Worker> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, actions: &[usize]) -> Result<(), EnvError> {
        if self.t.is_none() {
            return Err(EnvError::NotRunning);
        }
        let (agents, n_actions) = (self.spec.n_agents, self.spec.n_actions());
        if actions.len() != agents {
            return Err(EnvError::Actions { want: agents, got: actions.len() });
        }
        let mut masks = self.available.chunks_exact(n_actions).zip(actions).enumerate();
        match masks.find(|(_, (mask, action))| !mask.get(**action).is_some_and(|open| *open)) {
            Some((agent, (_, &action))) => Err(EnvError::Unavailable { agent, action }),
            None => Ok(()),
        }
    }

    fn begin(&mut self, deed: Deed) -> Result<(), EnvError> {
        self.worker().begin(self.seat, deed.clone())?;
        self.begun = Some(deed);
        Ok(())
    }

    /// Begins what was not begun yet, and finishes it.
    fn finish(&mut self, deed: Deed, frame: &mut Frame) -> Result<wire::Done, EnvError> {
        match self.begun.take() {
            Some(begun) if begun == deed => {}
            Some(begun) => {
                return Err(EnvError::Contract(format!("{begun:?} was begun, {deed:?} is to be finished")));
            }
            None => self.worker().begin(self.seat, deed)?,
        }
        let done = self.worker().finish(self.seat, frame);
        if done.is_err() {
            self.t = None;
        }
        self.available.clone_from(&frame.available);
        done
    }
}

impl Env for PythonEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn seeded(&self) -> bool {
        self.seeded
    }

    fn spent(&self) -> Option<Spent> {
        // Once for each worker.
        (self.seat == 0).then(|| self.worker().spent)
    }

    fn begin_reset(&mut self, seed: u64) -> Result<(), EnvError> {
        self.t = None;
        self.begin(Deed::Reset(seed))
    }

    fn reset(&mut self, seed: u64, frame: &mut Frame) -> Result<(), EnvError> {
        self.t = None;
        self.finish(Deed::Reset(seed), frame)?;
        self.t = Some(0);
        Ok(())
    }

    fn begin_step(&mut self, actions: &[usize]) -> Result<(), EnvError> {
        self.check(actions)?;
        self.begin(Deed::Step(actions.to_vec()))
    }

    fn step(&mut self, actions: &[usize], frame: &mut Frame) -> Result<Step, EnvError> {
        self.check(actions)?;
        let done = self.finish(Deed::Step(actions.to_vec()), frame)?;
        let t = self.t.map_or(1, |t| t + 1);
        let end = match (done.terminated, done.truncated || t >= self.spec.episode_limit) {
            (true, _) => Some(End::Terminated),
            (false, true) if self.limit_is_end => Some(End::Terminated),
            (false, true) => Some(End::Truncated),
            (false, false) => None,
        };
        self.t = end.is_none().then_some(t);
        if end.is_some() {
            self.worker().cut(self.seat);
        }
        Ok(Step { reward: done.reward as f32, end, won: end.and(done.won) })
    }

    fn save(&self) -> Option<Vec<u8>> {
        let t = self.t.filter(|_| self.saves && self.begun.is_none())?;
        let inner = self.worker().ask(Kind::Save, self.seat, &[], Kind::Bytes).ok()?;
        let mut saved = TAG.to_vec();
        saved.extend((t as u64).to_le_bytes());
        saved.extend((inner.len() as u64).to_le_bytes());
        saved.extend(inner);
        Some(saved)
    }

    fn load(&mut self, saved: &[u8], frame: &mut Frame) -> Result<(), EnvError> {
        let refuse = |reason: &str| Err(EnvError::Restore { reason: reason.into() });
        if !self.saves {
            return refuse("this environment cannot save or restore");
        }
        let Some((head, inner)) = saved.split_first_chunk::<24>() else {
            return refuse("the bytes are too few");
        };
        let [tag, t, length] = *head.as_chunks::<8>().0 else { return refuse("the bytes are too few") };
        let (t, length) = (u64::from_le_bytes(t), u64::from_le_bytes(length));
        if tag != *TAG || length != inner.len() as u64 || t >= self.spec.episode_limit as u64 {
            return refuse("the bytes are not an episode of a Python environment");
        }
        (self.t, self.begun) = (None, None);
        self.worker().load(self.seat, inner, frame)?;
        self.available.clone_from(&frame.available);
        self.t = Some(t as usize);
        Ok(())
    }

    fn render(&self) -> String {
        let drawn = self.worker().ask(Kind::Render, self.seat, &[], Kind::Bytes);
        drawn.map_or_else(|error| format!("{error}\n"), |text| String::from_utf8_lossy(&text).into_owned())
    }
}
