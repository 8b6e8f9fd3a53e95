//! A worker's process: started, greeted, asked, and never left behind.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;

use super::config::{PythonConfig, Transport, seconds};
use super::memory::{place, shared};
use super::pipe::{Fault, Pipe};
use super::wire::{self, Header, Kind};
use super::words::Words;
use crate::env::EnvSpec;
use crate::env::check::check_spec;
use crate::env::registry::bad;
use crate::error::EnvError;

/// What the worker says about its environments.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Told {
    /// Names of the agents.
    pub(super) agents: Vec<String>,
    actions: Vec<String>,
    obs_dim: usize,
    state_dim: usize,
    episode_limit: usize,
    /// Whether a seed decides an episode.
    pub(super) seeded: bool,
    /// Whether episodes can be saved.
    pub(super) saves: bool,
    /// Versions of the packages involved.
    pub(super) versions: BTreeMap<String, String>,
    stride: usize,
}

impl Told {
    /// As the trainer sees it.
    pub(super) fn spec(&self, name: &str) -> Result<EnvSpec, EnvError> {
        let spec = EnvSpec {
            name: name.into(),
            n_agents: self.agents.len(),
            actions: self.actions.clone(),
            obs_dim: self.obs_dim,
            state_dim: self.state_dim,
            teacher_dim: 0,
            episode_limit: self.episode_limit,
            obs_layout: format!("{} floats as {name} gives them, padded with 0", self.obs_dim),
            best_return: None,
        };
        check_spec(&spec)?;
        let sizes = [spec.n_agents, spec.n_actions(), spec.obs_dim, spec.state_dim, spec.episode_limit];
        if sizes.iter().any(|&size| size > 1 << 24) || self.stride != wire::stride(&spec) {
            return Err(EnvError::Contract(format!(
                "{name}: {} agents, {} actions, observations of {}, states of {}, {} steps cannot be",
                sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
            )));
        }
        Ok(spec)
    }
}

/// What a worker says when it could not do as asked.
#[derive(Debug, Deserialize)]
pub(super) struct Complaint {
    /// Which environment was at work, counted over all workers.
    pub(super) env: Option<usize>,
    /// The key of the config that is at fault.
    pub(super) key: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) message: String,
    pub(super) traceback: String,
}

/// Why a worker is of no more use.
#[derive(Debug)]
pub(super) enum Trouble {
    /// No sensible answer.
    Fault(Fault),
    /// The environment failed.
    Complaint(Complaint),
}

impl Trouble {
    /// Says which key the time came from, where it ran out.
    pub(super) fn naming(self, key: &str) -> Self {
        match self {
            Self::Fault(Fault::Late) => {
                Fault::System(format!("it did not answer in time; raise env.{key} if that is too short"))
                    .into()
            }
            other => other,
        }
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A running worker.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pipe: Pipe,
    words: Words,
    /// Frames, one stride after the other; `None` where they come through the pipe.
    memory: Option<File>,
    number: u32,
    killed: bool,
}

impl Process {
    /// Starts the interpreter; it has not said anything yet.
    pub(super) fn spawn(config: &PythonConfig) -> Result<Self, EnvError> {
        let mut command = Command::new(&config.python);
        command.args(["-m", "ddn_env"]).env("PYTHONPATH", search_path(config)?).env("PYTHONUNBUFFERED", "1");
        command.env("PYTHONSAFEPATH", "1");
        // A worker steps its environments on one thread: many workers must not fight for the cores.
        for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"] {
            if std::env::var_os(name).is_none() {
                command.env(name, "1");
            }
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| {
            let python = config.python.display();
            bad(
                "python",
                format!("\"{python}\" cannot be started ({error}); name the interpreter of your environment"),
            )
        })?;
        let (Some(commands), Some(answers), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(EnvError::Gone { reason: "the worker has no pipes".into() });
        };
        let words = Words::of(errors, child.id());
        match Pipe::new(commands, answers) {
            Ok(pipe) => Ok(Self { child, pipe, words, memory: None, number: 0, killed: false }),
            Err(fault) => Err(EnvError::Gone { reason: fault.to_string() }),
        }
    }

    /// Has the environments made, and agrees on where their frames are.
    pub(super) fn greet(
        &mut self,
        config: &PythonConfig,
        first: usize,
        count: usize,
    ) -> Result<Told, EnvError> {
        let until = Instant::now() + seconds(config.start_timeout);
        match self.handshake(config, first, count, until) {
            Ok(told) => told,
            Err(Trouble::Complaint(Complaint { key: Some(key), message, .. })) => Err(bad(key, message)),
            Err(trouble) => {
                let reason = self.end(&trouble.naming("start_timeout"));
                if reason.contains("No module named ddn_env") {
                    let python = config.python.display();
                    return Err(bad(
                        "python",
                        format!(
                            "\"{python}\" has no package ddn_env; run `{python} -m pip install trainer/python`, or name \
                         that folder in env.path"
                        ),
                    ));
                }
                Err(EnvError::Gone { reason: format!("{} cannot be made: {reason}", config.env) })
            }
        }
    }

    fn handshake(
        &mut self,
        config: &PythonConfig,
        first: usize,
        count: usize,
        until: Instant,
    ) -> Result<Result<Told, EnvError>, Trouble> {
        self.answer(Kind::Hello, until)?;
        let asked = match config.asked(first, count) {
            Ok(asked) => asked,
            Err(error) => return Ok(Err(error)),
        };
        let told = self.ask(Kind::Open, &asked, Kind::Spec, until)?;
        let told: Told = match serde_json::from_slice(&told) {
            Ok(told) => told,
            Err(error) => return Err(Fault::Garbage(error.to_string()).into()),
        };
        let memory = match shared(config.transport, told.stride * count) {
            Ok(memory) => memory,
            Err(error) => return Ok(Err(error)),
        };
        self.memory = self.map(memory, config.transport, until)?;
        Ok(Ok(told))
    }

    /// Has the worker put its frames into this memory; gives it back where frames lie there from now on.
    fn map(
        &mut self,
        memory: Option<File>,
        transport: Transport,
        until: Instant,
    ) -> Result<Option<File>, Trouble> {
        let asked = |place: Option<(String, u64)>| {
            let (path, inode) = place.unzip();
            serde_json::json!({ "path": path, "inode": inode }).to_string()
        };
        let found = memory.as_ref().map(place).transpose();
        let shared = asked(found.map_err(|error| Fault::Garbage(error.to_string()))?);
        match self.ask(Kind::Map, shared.as_bytes(), Kind::Done, until) {
            Err(Trouble::Complaint(complaint)) if memory.is_some() && transport == Transport::Auto => {
                tracing::warn!(complaint.message, "frames travel through the pipe");
                self.ask(Kind::Map, asked(None).as_bytes(), Kind::Done, until).map(|_| None)
            }
            answer => answer.map(|_| memory),
        }
    }

    /// Sends a command; its answer is awaited with [`Self::answer`].
    pub(super) fn send(&mut self, kind: Kind, payload: &[u8], until: Instant) -> Result<(), Trouble> {
        self.number = self.number.wrapping_add(1);
        Ok(self.pipe.send(kind, self.number, payload, until)?)
    }

    /// The answer to the last command.
    pub(super) fn answer(&mut self, want: Kind, until: Instant) -> Result<Vec<u8>, Trouble> {
        let (Header { kind, number, .. }, payload) = self.pipe.receive(until)?;
        if number != self.number {
            return Err(Fault::Garbage(format!("answer {number} to command {}", self.number)).into());
        }
        if kind == Kind::Error {
            let complaint = serde_json::from_slice(&payload);
            return Err(
                complaint.map_or_else(|error| Fault::Garbage(error.to_string()).into(), Trouble::Complaint)
            );
        }
        if kind != want {
            return Err(Fault::Garbage(format!("{kind:?} where {want:?} was due")).into());
        }
        Ok(payload)
    }

    /// Both.
    pub(super) fn ask(
        &mut self,
        kind: Kind,
        payload: &[u8],
        want: Kind,
        until: Instant,
    ) -> Result<Vec<u8>, Trouble> {
        self.send(kind, payload, until)?;
        self.answer(want, until)
    }

    /// Reads frame `seat` from shared memory; false where frames come through the pipe.
    pub(super) fn read_frame(&self, seat: usize, bytes: &mut [u8]) -> std::io::Result<bool> {
        match &self.memory {
            Some(memory) => memory.read_exact_at(bytes, (seat * bytes.len()) as u64).map(|()| true),
            None => Ok(false),
        }
    }

    /// Ends a worker that failed, with all that it started, and says all that is known about why.
    pub(super) fn end(&mut self, trouble: &Trouble) -> String {
        // Of a process that ends by itself, the last words come before its status is asked for.
        let ended = matches!(trouble, Trouble::Fault(Fault::Ended));
        let status = if ended && self.words.wait() { self.status() } else { None };
        self.kill();
        match trouble {
            Trouble::Complaint(Complaint { env, kind, message, traceback, .. }) => {
                let which = env.map_or_else(String::new, |env| format!("environment {env}: "));
                format!("{which}{kind}: {message}\n{}", traceback.trim_end())
            }
            Trouble::Fault(fault) => {
                let how = match (fault, status) {
                    (Fault::Ended, Some(status)) => match (status.code(), status.signal()) {
                        (Some(code), _) => format!("its process ended with exit code {code}"),
                        (None, Some(signal)) => {
                            format!("its process was ended by signal {signal}{}", named(signal))
                        }
                        (None, None) => fault.to_string(),
                    },
                    _ => fault.to_string(),
                };
                format!("{how}{}", self.words.last())
            }
        }
    }

    /// How a process ended whose files are closed already, which is moments before it can be asked.
    fn status(&mut self) -> Option<ExitStatus> {
        let until = Instant::now() + Duration::from_secs(1);
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < until => std::thread::yield_now(),
                status => return status.ok().flatten(),
            }
        }
    }

    /// Asks it to close, and sees that nothing of it stays.
    pub(super) fn close(&mut self, patience: Duration) {
        let until = Instant::now() + patience;
        let closed = self.send(Kind::Close, &[], until).is_ok() && self.pipe.drain(until).is_ok();
        if !closed {
            tracing::warn!(pid = self.child.id(), "a worker did not close in time and was killed");
        }
    }

    /// The worker, its guard and whatever they started are one process group.
    fn kill(&mut self) {
        if std::mem::replace(&mut self.killed, true) {
            return;
        }
        // The guard is left of a group whose first process has ended, so that its number is not another's.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        drop(self.child.wait());
    }
}

/// What people call a signal that ends processes.
fn named(signal: i32) -> &'static str {
    match signal {
        6 => " (abort)",
        7 => " (bus error)",
        9 => " (kill; out of memory?)",
        11 => " (segmentation fault)",
        15 => " (terminate)",
        _ => "",
    }
}

/// The folders of the config, then what the user has set.
fn search_path(config: &PythonConfig) -> Result<std::ffi::OsString, EnvError> {
    let missing = config.path.iter().find(|folder| !folder.is_dir());
    if let Some(folder) = missing {
        let reason =
            format!("\"{}\" is no folder, seen from where this program was started", folder.display());
        return Err(bad("path", reason));
    }
    let set = std::env::var_os("PYTHONPATH").unwrap_or_default();
    let set = std::env::split_paths(&set).filter(|folder| !folder.as_os_str().is_empty()).collect::<Vec<_>>();
    std::env::join_paths(config.path.iter().chain(&set)).map_err(|error| bad("path", error.to_string()))
}
