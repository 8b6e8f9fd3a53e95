//! Random play, with wrong calls in between.

use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;

use super::Check;
use super::trace::{Moment, Trace};
use crate::env::{End, Frame, Step};
use crate::error::EnvError;
use crate::seed::{Draw, number, stream};

impl Check<'_> {
    /// Random play, with a wrong call before every step.
    pub(super) fn play(&mut self, episode: usize) -> Result<Trace, EnvError> {
        let seed = number(self.seed, &format!("check/{episode}"));
        let mut rng = stream(self.seed, &format!("check/actions/{episode}"));
        // Half of the episodes are saved early, the others later.
        let save_at = rng.below(if episode.is_multiple_of(2) { 3 } else { 40 });
        let mut frame = self.dirty(true);
        self.env.reset(seed, &mut frame)?;
        self.frame(&frame, episode, 0)?;
        let mut trace = Trace {
            episode,
            seed,
            first: frame.clone(),
            moments: Vec::new(),
            saved: None,
            time: Duration::ZERO,
        };
        let mut total = 0.0;
        loop {
            let t = trace.moments.len();
            if t <= save_at
                && let Some(saved) = self.env.save()
            {
                trace.saved = Some((t, saved));
            }
            let actions = random_actions(&frame, self.spec.n_actions(), &mut rng);
            self.wrong_calls(&actions, &frame, episode, t, &mut rng)?;
            frame = self.dirty(true);
            let start = Instant::now();
            let step = self.env.step(&actions, &mut frame)?;
            trace.time += start.elapsed();
            self.frame(&frame, episode, t + 1)?;
            self.step(&step, episode, t + 1)?;
            total += f64::from(step.reward);
            trace.moments.push(Moment { actions, step, frame: frame.clone() });
            if step.end.is_some() {
                break;
            }
        }
        if let Some(best) = self.spec.best_return {
            let slack = 1e-4 * f64::from(best.abs()).max(1.0);
            if total > f64::from(best) + slack {
                return self.breach(format_args!(
                    "episode {episode} returned {total}, above spec.best_return = {best}; raise \
                     it, or give None"
                ));
            }
        }
        self.refused_after_the_end(&trace)?;
        Ok(trace)
    }

    /// Sizes, finiteness, masks.
    fn frame(&mut self, frame: &Frame, episode: usize, t: usize) -> Result<(), EnvError> {
        if *self.env.spec() != self.spec {
            return self.breach(format_args!(
                "spec() changed in episode {episode}, step {t}; it must be the same at every call"
            ));
        }
        let (agents, actions) = (self.spec.n_agents, self.spec.n_actions());
        let place = format!("episode {episode}, step {t}");
        for (field, got, rows, cols) in [
            ("obs", frame.obs.len(), agents, self.spec.obs_dim),
            ("state", frame.state.len(), 1, self.spec.state_dim),
            ("available", frame.available.len(), agents, actions),
            ("alive", frame.alive.len(), agents, 1),
            ("teacher", frame.teacher.len(), agents, self.spec.teacher_dim),
        ] {
            if got != rows * cols {
                return self.breach(format_args!(
                    "{place}: frame.{field} has {got} values, spec() promises {}; its size must \
                     never change",
                    rows * cols
                ));
            }
        }
        for (field, values, dim) in [
            ("obs", &frame.obs, self.spec.obs_dim),
            ("state", &frame.state, self.spec.state_dim),
            ("teacher", &frame.teacher, self.spec.teacher_dim),
        ] {
            if let Some(k) = values.iter().position(|value| !value.is_finite()) {
                let whose = match field {
                    "state" => String::new(),
                    _ => format!(" of agent {}", k / dim),
                };
                return self.breach(format_args!(
                    "{place}: frame.{field}{whose}, index {}, is {} or was not written; fill the \
                     whole buffer with finite values",
                    k % dim,
                    values[k]
                ));
            }
        }
        for (agent, mask) in frame.available.chunks_exact(actions).enumerate() {
            let open = mask.iter().filter(|&&open| open).count();
            if open == 0 {
                return self.breach(format_args!(
                    "{place}: agent {agent} has no available action; leave at least one, for \
                     example one that does nothing"
                ));
            }
            if open > 1 && !frame.alive[agent] {
                self.hint(format!(
                    "agent {agent} is not alive but may choose among {open} actions ({place}); \
                     its choice can influence nothing, so one action is enough"
                ));
            }
        }
        Ok(())
    }

    fn step(&self, step: &Step, episode: usize, t: usize) -> Result<(), EnvError> {
        let place = format!("episode {episode}, step {t}");
        let limit = self.spec.episode_limit;
        if !step.reward.is_finite() {
            return self.breach(format_args!("{place}: the reward is {}; give a finite number", step.reward));
        }
        if step.end.is_none() && t >= limit {
            return self.breach(format_args!(
                "{place}: the episode goes on, spec.episode_limit is {limit}; end it by then"
            ));
        }
        if step.end == Some(End::Truncated) && t < limit {
            return self.breach(format_args!(
                "{place}: the episode is Truncated before its limit of {limit} steps; an end that \
                 the task itself brings is Terminated"
            ));
        }
        if step.end.is_none() && step.won.is_some() {
            return self.breach(format_args!(
                "{place}: won is {:?} while the episode runs; say so at its end only",
                step.won
            ));
        }
        Ok(())
    }

    /// Calls that must be refused. That they change nothing shows when the episode is repeated.
    fn wrong_calls(
        &mut self,
        actions: &[usize],
        frame: &Frame,
        episode: usize,
        t: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<(), EnvError> {
        let place = format!("episode {episode}, step {t}");
        let (agents, n_actions) = (self.spec.n_agents, self.spec.n_actions());
        let mut scratch = self.dirty(false);
        let agent = rng.below(agents);
        let mask = &frame.available[agent * n_actions..][..n_actions];
        // Among the closed actions there is always the one behind the last.
        let closed: Vec<_> =
            (0..=n_actions).filter(|&action| !mask.get(action).is_some_and(|open| *open)).collect();
        let action = closed[rng.below(closed.len())];
        let mut wrong = actions.to_vec();
        wrong[agent] = action;
        match self.env.step(&wrong, &mut scratch) {
            Err(EnvError::Unavailable { agent: a, action: b }) if (a, b) == (agent, action) => {}
            other => {
                return self.breach(format_args!(
                    "{place}: agent {agent} chose action {action}, which is not available; step \
                     must return Unavailable {{ agent: {agent}, action: {action} }}, it gave \
                     {other:?}"
                ));
            }
        }
        wrong[agent] = actions[agent];
        if t.is_multiple_of(2) {
            wrong.push(0);
        } else {
            wrong.pop();
        }
        let got = wrong.len();
        match self.env.step(&wrong, &mut scratch) {
            Err(EnvError::Actions { want, got: n }) if (want, n) == (agents, got) => Ok(()),
            other => self.breach(format_args!(
                "{place}: {got} actions for {agents} agents; step must return Actions {{ want: \
                 {agents}, got: {got} }}, it gave {other:?}"
            )),
        }
    }

    fn refused_after_the_end(&mut self, trace: &Trace) -> Result<(), EnvError> {
        let mut scratch = self.dirty(false);
        let Some(last) = trace.moments.last() else {
            return Ok(());
        };
        let n_actions = self.spec.n_actions();
        let first_open = |mask: &[bool]| mask.iter().position(|open| *open).unwrap_or(0);
        let actions: Vec<_> = last.frame.available.chunks_exact(n_actions).map(first_open).collect();
        match self.env.step(&actions, &mut scratch) {
            Err(EnvError::NotRunning) => Ok(()),
            other => self.breach(format_args!(
                "episode {}: step after the end must return NotRunning until the next reset, it \
                 gave {other:?}",
                trace.episode
            )),
        }
    }
}

/// An available action for each agent, all equally likely; every mask leaves one.
pub(in crate::env) fn random_actions(frame: &Frame, n_actions: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let masks = frame.available.chunks_exact(n_actions);
    let pick = |mask: &[bool]| {
        let nth = rng.below(mask.iter().filter(|&&open| open).count());
        let mut open = (0..mask.len()).filter(|&action| mask[action]);
        open.nth(nth).expect("the mask was checked to leave an action")
    };
    masks.map(pick).collect()
}
