//! The policy against its own recorded answers, on the machine it is about to run on.

use super::input::{Mask, Seen};
use super::{Action, Policy};
use crate::error::{ActError, SelfTestError};
use crate::model::{Layers, RecordedStep};

impl<L: Layers> Policy<'_, L> {
    /// Replays the steps the file carries and compares every Q-value bit for bit; returns how many steps there were.
    ///
    /// `memory` and `scratch` as for [`Policy::act`]; the memory is reset before and after.
    ///
    /// # Errors
    /// If there are no recorded steps, or at the first difference.
    #[inline(never)]
    pub fn self_test(&self, memory: &mut [f32], scratch: &mut [f32]) -> Result<usize, SelfTestError> {
        let recording = self.recording().ok_or(SelfTestError::NoRecord)?;
        self.reset(memory);
        for (step, recorded) in recording.steps().enumerate() {
            let action = self
                .replay(memory, &recorded, scratch)
                .map_err(|error| SelfTestError::Act { step, error })?;
            let mut pairs = action.q.iter().zip(recorded.q.iter());
            if let Some(action) = pairs.position(|(got, want)| got.to_bits() != want.to_bits()) {
                return Err(SelfTestError::Q { step, action });
            }
            if action.index != recorded.action {
                return Err(SelfTestError::Action { step });
            }
        }
        self.reset(memory);
        Ok(recording.len())
    }

    /// Takes one recorded step, as [`Policy::act`] would. A step without a previous action resets the memory first.
    ///
    /// # Errors
    /// As for [`Policy::act`].
    pub fn replay<'s>(
        &self,
        memory: &mut [f32],
        step: &RecordedStep<'_>,
        scratch: &'s mut [f32],
    ) -> Result<Action<'s>, ActError> {
        if step.last_action.is_none() {
            self.reset(memory);
        }
        let seen = Seen {
            obs: step.obs.as_slice(),
            last_action: step.last_action,
            agent_id: step.agent,
            available: Mask::Numbers(step.available.as_slice()),
        };
        self.act_on(memory, seen, scratch)
    }
}
