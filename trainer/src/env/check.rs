//! Checks that an environment keeps what [`Env`] promises, and measures it along the way.
//!
//! ```text
//! random play, with wrong calls in between  ─► trace
//! the same seed and actions, without them   ─► must be the same trace
//! from a saved moment on                    ─► must be the same rest
//! ```

mod play;
mod repeat;
mod report;
mod spec;
mod trace;

pub use report::CheckReport;
pub(super) use {play::random_actions, spec::check_spec};

use std::time::Duration;

use super::{End, Env, EnvSpec, Frame};
use crate::error::EnvError;

/// Plays `episodes` random episodes (at least one) and checks everything an environment must keep.
///
/// # Errors
/// [`EnvError::Contract`] at the first breach, with what to mend; or the environment's own error.
pub fn check_env(env: &mut dyn Env, seed: u64, episodes: usize) -> Result<CheckReport, EnvError> {
    let spec = env.spec().clone();
    check_spec(&spec)?;
    let mut check = Check { env, seed, hints: Vec::new(), spec };
    let mut report = CheckReport {
        env: check.spec.name.clone(),
        dims: [check.spec.obs_dim, check.spec.state_dim, check.spec.teacher_dim],
        episodes: episodes.max(1),
        steps: 0,
        steps_per_second: 0.0,
        mean_return: 0.0,
        mean_length: 0.0,
        lengths: (usize::MAX, 0),
        always_cut: false,
        saves: false,
        hints: Vec::new(),
    };
    let mut time = Duration::ZERO;
    let mut ends_at_limit = Vec::new();
    for episode in 0..report.episodes {
        let trace = check.play(episode)?;
        // Where the seed does not decide, nothing can be repeated.
        if check.env.seeded() {
            check.replay(&trace)?;
            report.saves |= check.restore(&trace)?;
        }
        let length = trace.moments.len();
        time += trace.time;
        report.steps += length;
        report.mean_return += trace.total() / report.episodes as f64;
        report.lengths = (report.lengths.0.min(length), report.lengths.1.max(length));
        if length == check.spec.episode_limit {
            ends_at_limit.extend(trace.moments.last().and_then(|moment| moment.step.end));
        }
    }
    if ends_at_limit.contains(&End::Terminated) && ends_at_limit.contains(&End::Truncated) {
        check.hint(
            "episodes that reach the limit are sometimes Terminated, sometimes Truncated; right \
             only if the task can be over at that very step"
                .into(),
        );
    }
    if !check.env.seeded() {
        check.hint(
            "reset takes no seed: episodes cannot be repeated, so a run that is resumed goes on with \
             other episodes than one that was never stopped"
                .into(),
        );
    }
    if report.lengths == (1, 1) && check.spec.episode_limit > 1 {
        check.hint(format!(
            "every episode ended with its first step, the limit is {}; is what step gives for the end right?",
            check.spec.episode_limit
        ));
    }
    report.always_cut = ends_at_limit.len() == report.episodes && !ends_at_limit.contains(&End::Terminated);
    report.mean_length = report.steps as f64 / report.episodes as f64;
    report.steps_per_second = report.steps as f64 / time.as_secs_f64().max(1e-9);
    report.hints = check.hints;
    Ok(report)
}

/// An environment under examination.
struct Check<'a> {
    env: &'a mut dyn Env,
    seed: u64,
    spec: EnvSpec,
    hints: Vec<String>,
}

impl Check<'_> {
    fn breach<T>(&self, what: impl std::fmt::Display) -> Result<T, EnvError> {
        Err(EnvError::Contract(format!("{}: {what}", self.spec.name)))
    }

    fn hint(&mut self, what: String) {
        if !self.hints.contains(&what) {
            self.hints.push(what);
        }
    }

    /// A frame that shows what the environment leaves unwritten: no value is a valid one.
    fn dirty(&self, flags: bool) -> Frame {
        let mut frame = self.spec.frame();
        for values in [&mut frame.obs, &mut frame.state, &mut frame.teacher] {
            values.fill(f32::NAN);
        }
        frame.available.fill(flags);
        frame.alive.fill(flags);
        frame
    }
}

#[cfg(test)]
mod tests;
