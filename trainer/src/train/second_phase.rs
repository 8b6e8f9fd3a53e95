//! What some schemes do once the environment steps of training are made: play more episodes, then
//! learn from single steps of them.
//!
//! ```text
//! … training ─► its last test ─► [ episodes ─► gradient steps ] ─► one more test
//! ```
//!
//! How far it is follows from the counters, as everything else does, so it can be stopped and taken
//! up at any moment. The replay is emptied when it begins; the last fifth of its episodes is never
//! learned from.

use std::time::Instant;

use super::{Outcome, Run};
use crate::checkpoint::SecondPhaseStart;
use crate::error::{LearnError, TrainError};
use crate::learner::scheme::SecondPhase;
use crate::metrics::progress::Progress;
use crate::replay::{Episode, ReplayBuffer, Rows};
use crate::rollout::{Plan, Player, play};
use crate::seed::stream;
use crate::signal::Signals;

/// How many checkpoints are spread over the gradient steps.
const CHECKPOINTS: u64 = 5;

/// Episodes that are learned from; the ones after them are held out.
fn learned(phase: SecondPhase) -> usize {
    (phase.episodes - phase.episodes / 5) as usize
}

impl Run {
    /// What was played beyond `t_max`: episodes and environment steps; `None` in a scheme without a
    /// second phase, and before it begins.
    #[must_use]
    pub fn extra(&self) -> Option<(u64, u64)> {
        let start = self.counters.second_phase?;
        Some((self.counters.episode - start.episode, self.counters.t_env - start.t_env))
    }

    /// Does what remains of the phase.
    pub(super) fn second_phase(
        &mut self,
        phase: SecondPhase,
        signals: &Signals,
        progress: &Progress,
        began: (Instant, u64),
    ) -> Result<Outcome, TrainError> {
        let start = self.counters.second_phase.unwrap_or(SecondPhaseStart {
            t_env: self.counters.t_env,
            episode: self.counters.episode,
            update: self.counters.update,
        });
        if self.counters.second_phase.is_none() {
            self.counters.second_phase = Some(start);
            self.replay = ReplayBuffer::new(self.config.replay.capacity.max(phase.episodes as usize));
        }
        let made = |run: &Self| run.counters.update - start.update;
        let missing = |run: &Self| phase.episodes - (run.counters.episode - start.episode);
        if missing(self) > 0 || made(self) < phase.updates {
            let SecondPhase { episodes, updates, .. } = phase;
            progress.note(&format!("second phase: {episodes} more episodes, then {updates} gradient steps"));
        }
        while missing(self) > 0 || made(self) < phase.updates {
            let mut due = false;
            if missing(self) > 0 {
                self.gather(missing(self), progress)?;
            } else {
                self.distil(phase, made(self))?;
                let share = |made: u64| made * CHECKPOINTS / phase.updates;
                due = share(made(self)) > share(made(self) - 1);
                if made(self) == phase.updates {
                    self.hold_out(phase)?;
                    self.test(progress, began)?;
                }
            }
            let stop = self.asked(signals)?;
            if std::mem::take(&mut self.save_asked) || due || stop.is_some() {
                self.save()?;
            }
            if let Some(stop) = stop {
                return Ok(Outcome::Stopped(stop));
            }
        }
        Ok(Outcome::Done)
    }

    /// One wave of at most `missing` episodes, with the least exploration.
    fn gather(&mut self, missing: u64, progress: &Progress) -> Result<(), TrainError> {
        let (seed, first) = (self.config.seed, self.counters.episode);
        let count = self.envs.len().min(missing as usize);
        let epsilon = self.config.rollout.epsilon_finish;
        let plan = Plan { seed, purpose: "env", first, count, epsilon, record: false };
        let network = self.scheme.networks()[0];
        for played in play(Player::Network(&*self.scheme, network), &mut self.envs, &plan)? {
            self.counters.t_env += played.episode.len() as u64;
            self.counters.episode += 1;
            self.note("extra_return", f64::from(played.episode.total()));
            self.replay.push(played.episode);
        }
        if missing == count as u64
            && let Some((episodes, steps)) = self.extra()
        {
            progress.note(&format!("played {episodes} episodes, {steps} environment steps beyond t_max"));
        }
        Ok(())
    }

    /// One gradient step, the one after `made` others.
    fn distil(&mut self, phase: SecondPhase, made: u64) -> Result<(), TrainError> {
        let mut rng = stream(self.config.seed, &format!("second phase/{made}"));
        let rows = Rows::sample(&self.spec, &self.replay, 0..learned(phase), phase.rows, &mut rng);
        self.counters.update += 1;
        let Some(rows) = rows else { return Ok(()) };
        let metrics = self.scheme.distil(&rows)?;
        if let Some((what, &value)) = metrics.iter().find(|(_, value)| !value.is_finite()) {
            let (update, what) = (self.counters.update - 1, what.clone());
            return Err(LearnError::Diverged { update, what, value }.into());
        }
        for (name, value) in metrics {
            self.note(&name, value);
        }
        Ok(())
    }

    /// Notes the error on the episodes that were held out, and what all of them cost.
    fn hold_out(&mut self, phase: SecondPhase) -> Result<(), TrainError> {
        let (mut sum, mut count) = (0.0, 0);
        for episode in self.replay.iter().skip(learned(phase)).filter(|episode| !Episode::is_empty(episode)) {
            let rows = Rows::all(&self.spec, episode);
            sum += self.scheme.distil_error(&rows)?;
            count += rows.len();
        }
        if count > 0 {
            self.note("held_out_error", sum / count as f64);
        }
        if let Some((episodes, steps)) = self.extra() {
            self.note("extra_episodes", episodes as f64);
            self.note("extra_steps", steps as f64);
        }
        Ok(())
    }
}
