//! The same episode once more: from its beginning, and from a saved moment on.

use super::Check;
use super::trace::{Trace, difference, same_step};
use crate::error::EnvError;
use crate::seed::number;

impl Check<'_> {
    /// The same seed and actions, without wrong calls in between.
    pub(super) fn replay(&mut self, trace: &Trace) -> Result<(), EnvError> {
        let mut frame = self.dirty(false);
        self.env.reset(trace.seed, &mut frame)?;
        if let Some(place) = difference(&trace.first, &frame, &self.spec) {
            return self.breach(format_args!(
                "episode {}: reset with the same seed gives another {place}; derive everything \
                 from the seed, forget the last episode, and write the whole frame",
                trace.episode
            ));
        }
        self.go_on(
            trace,
            0,
            "the same actions",
            "draw from the episode's own stream only, let refused calls change nothing, and write \
             the whole frame",
        )
    }

    /// Steps along the trace from `t`, where `env` stands.
    fn go_on(&mut self, trace: &Trace, t: usize, how: &str, mend: &str) -> Result<(), EnvError> {
        for (k, moment) in trace.moments.iter().enumerate().skip(t) {
            let place = format!("episode {}, step {}", trace.episode, k + 1);
            let mut frame = self.dirty(false);
            let step = match self.env.step(&moment.actions, &mut frame) {
                Ok(step) => step,
                Err(error) => {
                    return self.breach(format_args!("{place}: {how} are refused: {error}; {mend}"));
                }
            };
            if !same_step(&step, &moment.step) {
                return self.breach(format_args!(
                    "{place}: {how} lead to {step:?}, first it was {:?}; {mend}",
                    moment.step
                ));
            }
            if let Some(what) = difference(&moment.frame, &frame, &self.spec) {
                return self.breach(format_args!("{place}: {how} lead to another {what}; {mend}"));
            }
        }
        Ok(())
    }

    /// From the saved moment on; returns whether there was one.
    pub(super) fn restore(&mut self, trace: &Trace) -> Result<bool, EnvError> {
        let Some((t, saved)) = &trace.saved else {
            return Ok(false);
        };
        let place = format!("episode {}, saved after {t} steps", trace.episode);
        // Another episode, so that nothing is right by chance.
        let mut frame = self.dirty(true);
        self.env.reset(number(trace.seed, "another"), &mut frame)?;
        let broken = [
            ("no bytes", Vec::new()),
            ("the bytes without the last one", saved[..saved.len().saturating_sub(1)].to_vec()),
            ("the bytes and one more", [saved.as_slice(), &[0]].concat()),
        ];
        for (what, bytes) in broken {
            match self.env.load(&bytes, &mut frame) {
                Err(EnvError::Restore { .. }) => {}
                other => {
                    return self.breach(format_args!(
                        "{place}: load with {what} must return Restore, it gave {other:?}"
                    ));
                }
            }
        }
        let mut frame = self.dirty(false);
        self.env.load(saved, &mut frame)?;
        let mend = "save everything that the rest of the episode depends on, the position of the \
                    random stream included";
        if let Some(what) = difference(trace.frame(*t), &frame, &self.spec) {
            return self.breach(format_args!("{place}: load gives another {what}; {mend}"));
        }
        if self.env.save().as_ref() != Some(saved) {
            return self.breach(format_args!("{place}: save after load gives other bytes; {mend}"));
        }
        self.go_on(trace, *t, "the same actions after load", mend)?;
        Ok(true)
    }
}
