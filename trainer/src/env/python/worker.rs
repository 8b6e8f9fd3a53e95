//! A few environments that share one process: asked together, restarted together.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::config::{PythonConfig, seconds};
use super::pipe::Fault;
use super::process::{Complaint, Process, Told, Trouble};
use super::wire::{self, Deed, Done, Kind};
use crate::env::registry::bad;
use crate::env::{EnvSpec, Frame, Spent};
use crate::error::EnvError;

/// Failures are counted over this time.
const HOUR: Duration = Duration::from_secs(3600);

/// Where one environment stands.
#[derive(Debug, Default)]
struct Seat {
    /// Between reset and end.
    running: bool,
    deed: Pending,
    /// The frame of the last answer, where it came through the pipe.
    frame: Vec<u8>,
    /// Why its episode is lost, until it was told.
    lost: Option<Loss>,
}

/// Why an episode cannot go on.
#[derive(Clone, Debug)]
enum Loss {
    /// The process failed; another try may succeed.
    Failed(String),
    /// The config does not fit the environment; another try would show the same.
    Config { key: String, reason: String },
}

impl Loss {
    fn into_error(self) -> EnvError {
        match self {
            Self::Failed(reason) => EnvError::Lost { reason },
            Self::Config { key, reason } => bad(key, reason),
        }
    }
}

#[derive(Debug, Default)]
enum Pending {
    #[default]
    Nothing,
    Queued(Deed),
    Sent,
    Answered(Done),
}

/// What was sent and not answered yet.
#[derive(Debug)]
struct Batch {
    seats: Vec<usize>,
    began: Instant,
    patience: Duration,
    /// The key that says how long.
    key: &'static str,
}

/// One process and its environments.
#[derive(Debug)]
pub(super) struct Worker {
    config: PythonConfig,
    index: usize,
    first: usize,
    spec: EnvSpec,
    told: Told,
    process: Option<Process>,
    seats: Vec<Seat>,
    batch: Option<Batch>,
    failures: VecDeque<Instant>,
    last_failure: String,
    pub(super) spent: Spent,
}

impl Worker {
    /// Takes over a process that was just started for `count` environments from `first` on.
    pub(super) fn new(
        config: &PythonConfig,
        index: usize,
        first: usize,
        count: usize,
        mut process: Process,
    ) -> Result<Self, EnvError> {
        let told = process.greet(config, first, count)?;
        Ok(Self {
            config: config.clone(),
            index,
            first,
            spec: told.spec(&config.env)?,
            told,
            process: Some(process),
            seats: (0..count).map(|_| Seat::default()).collect(),
            batch: None,
            failures: VecDeque::new(),
            last_failure: String::new(),
            spent: Spent::default(),
        })
    }

    pub(super) fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    pub(super) fn told(&self) -> &Told {
        &self.told
    }

    /// Notes what a seat is to do next; sends as soon as every seat that plays has said so.
    pub(super) fn begin(&mut self, seat: usize, deed: Deed) -> Result<(), EnvError> {
        let resets = matches!(deed, Deed::Reset(_));
        if resets {
            self.settle();
            self.seats[seat] = Seat::default();
            self.revive()?;
        }
        // A lost episode takes no more steps; its end is told when this one is finished.
        if self.seats[seat].lost.is_some() {
            return Ok(());
        }
        self.seats[seat].deed = Pending::Queued(deed);
        let queued = |seat: &Seat| matches!(seat.deed, Pending::Queued(_));
        let all = if resets {
            self.seats.iter().all(queued)
        } else {
            self.seats.iter().all(|s| queued(s) || !s.running)
        };
        if all {
            self.flush();
        }
        Ok(())
    }

    /// What came of a seat's last deed, and its frame.
    ///
    /// # Errors
    /// [`EnvError::Lost`] where the process failed since the episode began.
    pub(super) fn finish(&mut self, seat: usize, frame: &mut Frame) -> Result<Done, EnvError> {
        if matches!(self.seats[seat].deed, Pending::Queued(_)) {
            self.flush();
        }
        if matches!(self.seats[seat].deed, Pending::Sent) {
            self.settle();
        }
        if let Some(loss) = self.seats[seat].lost.take() {
            self.seats[seat].running = false;
            return Err(loss.into_error());
        }
        let Pending::Answered(done) = std::mem::take(&mut self.seats[seat].deed) else {
            return Err(EnvError::NotRunning);
        };
        if let Err(fault) = self.take_frame(seat, done, frame) {
            let what = format!("environment {}: {fault}", self.first + seat);
            self.fail(&Trouble::Fault(Fault::System(what.clone())));
            self.seats[seat].lost = None;
            self.seats[seat].running = false;
            return Err(EnvError::Lost { reason: what });
        }
        self.seats[seat].running = !(done.terminated || done.truncated);
        Ok(done)
    }

    /// The episode of this seat is over, whatever the environment says.
    pub(super) fn cut(&mut self, seat: usize) {
        self.seats[seat].running = false;
    }

    fn take_frame(&mut self, seat: usize, done: Done, frame: &mut Frame) -> Result<(), String> {
        let mut bytes = std::mem::take(&mut self.seats[seat].frame);
        bytes.resize(wire::stride(&self.spec), 0);
        if let Some(process) = &self.process {
            process
                .read_frame(seat, &mut bytes)
                .map_err(|error| format!("the shared memory cannot be read: {error}"))?;
        }
        let unpacked = wire::unpack(&bytes, &self.spec, frame);
        self.seats[seat].frame = bytes;
        unpacked?;
        // Rewards are single numbers in the trainer.
        if (done.reward as f32).is_finite() { Ok(()) } else { Err(format!("the reward is {}", done.reward)) }
    }

    /// Sends everything that is queued.
    fn flush(&mut self) {
        self.settle();
        let mut payload = Vec::new();
        let mut sent = Vec::new();
        let (mut patience, mut key) = (self.config.step_timeout, "step_timeout");
        for (index, seat) in self.seats.iter_mut().enumerate() {
            if let Pending::Queued(deed) = &seat.deed {
                if matches!(deed, Deed::Reset(_)) {
                    (patience, key) = (self.config.reset_timeout, "reset_timeout");
                }
                deed.write(index, &mut payload);
                seat.deed = Pending::Sent;
                sent.push(index);
            }
        }
        if sent.is_empty() {
            return;
        }
        let (began, patience) = (Instant::now(), seconds(patience));
        self.batch = Some(Batch { seats: sent, began, patience, key });
        // Where the process is gone, the seats have been told so.
        if let Some(process) = &mut self.process
            && let Err(trouble) = process.send(Kind::Batch, &payload, began + patience)
        {
            self.fail(&trouble);
        }
    }

    /// Takes in the answer to the batch that is under way.
    fn settle(&mut self) {
        let Some(Batch { seats: sent, began, patience, key }) = self.batch.take() else { return };
        let Some(process) = &mut self.process else { return };
        let trouble = match process.answer(Kind::Done, began + patience) {
            Ok(payload) => match self.sort(&sent, &payload, began) {
                Some(()) => return,
                None => Fault::Garbage("results that do not fit the batch".into()).into(),
            },
            Err(trouble) => trouble.naming(key),
        };
        self.fail(&trouble);
    }

    /// Gives results and frames to their seats; `None` where they are not those that were asked for.
    fn sort(&mut self, sent: &[usize], payload: &[u8], began: Instant) -> Option<()> {
        let (results, frames) = payload.split_at_checked(Done::BYTES * sent.len())?;
        let stride = wire::stride(&self.spec);
        if !(frames.is_empty() || frames.len() == stride * sent.len()) {
            return None;
        }
        let mut stepped = false;
        for (k, (&index, bytes)) in sent.iter().zip(results.as_chunks::<{ Done::BYTES }>().0).enumerate() {
            let done = Done::read(bytes).filter(|done| done.seat == index)?;
            let seat = &mut self.seats[index];
            if !frames.is_empty() {
                seat.frame.clear();
                seat.frame.extend_from_slice(&frames[k * stride..][..stride]);
            }
            if seat.running {
                stepped = true;
                self.spent.inside += Duration::from_micros(u64::from(done.micros));
            }
            seat.deed = Pending::Answered(done);
        }
        if stepped {
            self.spent.waiting += began.elapsed();
        }
        Some(())
    }

    /// Asks about one environment, between two deeds.
    pub(super) fn ask(
        &mut self,
        kind: Kind,
        seat: usize,
        bytes: &[u8],
        want: Kind,
    ) -> Result<Vec<u8>, EnvError> {
        self.settle();
        let until = Instant::now() + seconds(self.config.reset_timeout);
        let payload = [&(seat as u32).to_le_bytes(), bytes].concat();
        let Some(process) = &mut self.process else {
            return Err(EnvError::Lost { reason: self.last_failure.clone() });
        };
        process.ask(kind, &payload, want, until).map_err(|trouble| {
            self.fail(&trouble.naming("reset_timeout"));
            EnvError::Lost { reason: self.last_failure.clone() }
        })
    }

    /// Takes up a saved episode; the answer is finished like that to a step.
    pub(super) fn load(&mut self, seat: usize, saved: &[u8], frame: &mut Frame) -> Result<(), EnvError> {
        self.settle();
        self.seats[seat] = Seat::default();
        self.revive()?;
        let began = Instant::now();
        let payload = self.ask(Kind::Load, seat, saved, Kind::Done)?;
        if self.sort(&[seat], &payload, began).is_none() {
            self.fail(&Fault::Garbage("results that do not fit the command".into()).into());
        }
        self.finish(seat, frame).map(|_| ())
    }

    /// Ends the process, and every episode that was played in it.
    fn fail(&mut self, trouble: &Trouble) {
        let Some(mut process) = self.process.take() else { return };
        let reason = process.end(trouble);
        tracing::warn!(worker = self.index, "a worker failed: {reason}");
        // What was logged in full is told again by its first line.
        let reason = reason.lines().next().unwrap_or_default().to_owned();
        let loss = match trouble {
            Trouble::Complaint(Complaint { key: Some(key), message, .. }) => {
                Loss::Config { key: key.clone(), reason: message.clone() }
            }
            _ => Loss::Failed(reason.clone()),
        };
        for seat in &mut self.seats {
            if seat.running || !matches!(seat.deed, Pending::Nothing) {
                seat.lost = Some(loss.clone());
                seat.deed = Pending::Nothing;
            }
        }
        self.batch = None;
        self.last_failure = reason;
        self.failures.push_back(Instant::now());
    }

    /// Starts the process again where it has ended, as often as the config allows.
    fn revive(&mut self) -> Result<(), EnvError> {
        while self.process.is_none() {
            while self.failures.front().is_some_and(|failure| failure.elapsed() > HOUR) {
                self.failures.pop_front();
            }
            let count = self.failures.len();
            if count > self.config.restarts {
                return Err(EnvError::Gone {
                    reason: format!(
                        "worker {} failed {count} times within an hour, env.restarts allows {}; at last: {}",
                        self.index, self.config.restarts, self.last_failure
                    ),
                });
            }
            let doublings = i32::try_from(count.saturating_sub(1)).unwrap_or(2).min(2);
            std::thread::sleep(seconds(
                self.config.restart_wait * f64::from(2_i32.pow(doublings.unsigned_abs())),
            ));
            tracing::warn!(worker = self.index, "starting a worker again, {count} failures within an hour");
            match self.restarted() {
                Ok(process) => self.process = Some(process),
                Err(EnvError::Gone { reason }) => {
                    self.last_failure = reason;
                    self.failures.push_back(Instant::now());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn restarted(&self) -> Result<Process, EnvError> {
        let mut process = Process::spawn(&self.config)?;
        let told = process.greet(&self.config, self.first, self.seats.len())?;
        if told == self.told {
            Ok(process)
        } else {
            let reason = format!("{} is another one since its worker was started again", self.config.env);
            Err(EnvError::Contract(reason))
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // An answer that is still under way is not waited for longer than the end itself.
        if let Some(process) = &mut self.process {
            process.close(seconds(self.config.close_timeout));
        }
    }
}
