//! A policy that always answers: what it does when the world it sees is not the one it was trained for.
//!
//! ```text
//! AgentInput, age ─> fresh? within range? ──> Policy::act ──> Decision { action, source: Policy, q }
//!                              └── Fault ──────────┴────────> Decision { action, source: Fallback(fault) }
//! ```
//!
//! [`Policy::act`] refuses what it cannot answer, and a control loop then needs an action all the same.
//! [`Guarded::step`] has one each time: the policy's, or the fallback that the integrator named in [`Rules`], with the
//! [`Fault`] that was the reason. The rules also say how old an observation may be, what happens beyond the calibrated
//! range, and what becomes of the recurrent memory when it misses a step; none of them has a default.
//! [`Counters`] keep the sum.
//!
//! The fallback action obeys the mask: if it is not available, the lowest action that is takes its place. If none is,
//! or the mask has the wrong length, it is used as it stands.
//!
//! # Example
//!
//! ```
//! use ddn_runtime::guard::{Beyond, Calibration, Fault, Forget, Guarded, Rules, Source};
//! use ddn_runtime::{ActError, AgentInput, Memory, Model};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let header = concat!(
//! #     r#"{"__metadata__":{"ddn.actions":"stop,left,right","ddn.agents":"1","ddn.format":"1","ddn.gates":"rzn","#,
//! #     r#""ddn.graph":"linear:0>1:fc","ddn.inputs":"obs:2"},"#,
//! #     r#""fc.bias":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"#,
//! #     r#""fc.weight":{"dtype":"F32","shape":[3,2],"data_offsets":[12,36]}}"#,
//! # );
//! # let header = format!("{header:0$}", header.len().next_multiple_of(8)); // aligns the data
//! # let mut file = (header.len() as u64).to_le_bytes().to_vec();
//! # file.extend_from_slice(header.as_bytes());
//! # file.extend([-9.0_f32, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0].iter().flat_map(|v| v.to_le_bytes()));
//! let policy = Model::open(&file)?.assume_verified(); // actions: stop, left, right
//! let rules = Rules {
//!     fallback: 0,              // stop
//!     forget: Forget::After(3), // the memory starts anew when three steps in a row are lost
//!     max_age: 20,              // milliseconds, as the ages below
//!     calibration: Some(Calibration { low: &[-1.0; 2], high: &[1.0; 2], beyond: Beyond::Clamp }),
//! };
//! let mut agent = Guarded::new(&policy, Memory::<64>::new(), rules)?; // one per agent
//! let mut scratch = [0.0; 256]; // one for all
//! assert!(agent.scratch_len() <= scratch.len());
//!
//! let mut step = |obs: &[f32], age| {
//!     let input = AgentInput { obs, last_action: agent.last_action(), agent_id: 0, available: &[true; 3] };
//!     let decision = agent.step(input, age, &mut scratch);
//!     (decision.action, decision.source)
//! };
//! assert_eq!(step(&[0.25, 0.5], 3), (2, Source::Policy));
//! assert_eq!(step(&[0.25, 7.5], 3), (2, Source::Policy)); // the policy sees 1.0
//! assert_eq!(step(&[0.25, 0.5], 21), (0, Source::Fallback(Fault::Stale { age: 21, max_age: 20 })));
//! assert_eq!(step(&[f32::NAN, 0.5], 3), (0, Source::Fallback(Fault::Act(ActError::NotFinite))));
//!
//! let counters = agent.take_counters();
//! assert_eq!((counters.steps, counters.beyond, counters.stale, counters.not_finite), (4, 1, 1, 1));
//! # Ok(())
//! # }
//! ```

mod fault;
mod rules;

pub use fault::{Counters, Fault};
pub use rules::{Beyond, Calibration, Forget, Rules, RulesError};

use core::ops::DerefMut;

use crate::error::ActError;
use crate::model::{Layers, Read};
use crate::policy::{Action, AgentInput, Policy};

/// Where an action comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The policy chose it.
    Policy,
    /// The policy was not asked, or had no answer.
    Fallback(Fault),
}

/// What an agent does.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Decision<'s> {
    /// The action, below `n_actions`.
    pub action: usize,
    /// Who chose it, or why it is the fallback.
    pub source: Source,
    /// The Q-values behind the policy's choice, `[n_actions]`, in the scratch buffer; `None` with a fallback.
    pub q: Option<&'s [f32]>,
}

/// A policy for one agent, with the agent's memory and the rules for what can go wrong.
///
/// `M` holds the memory: a [`Memory`](crate::Memory), or a `&mut [f32]`.
#[derive(Clone, Debug)]
pub struct Guarded<'p, M, L = Read<'p>> {
    policy: &'p Policy<'p, L>,
    memory: M,
    rules: Rules<'p>,
    last_action: Option<usize>,
    /// Faults since the policy last chose an action.
    in_a_row: u32,
    counters: Counters,
}

impl<'p, M: DerefMut<Target = [f32]>, L: Layers> Guarded<'p, M, L> {
    /// Binds a policy to an agent's memory, at least [`Policy::memory_len`] floats, and resets it.
    ///
    /// # Errors
    /// If the rules do not fit the policy, or the memory is too short.
    pub fn new(policy: &'p Policy<'p, L>, memory: M, rules: Rules<'p>) -> Result<Self, RulesError> {
        rules.check(policy.spec())?;
        if memory.len() < policy.memory_len() {
            return Err(RulesError::Memory { want: policy.memory_len(), got: memory.len() });
        }
        let counters = Counters::default();
        let mut guarded = Self { policy, memory, rules, last_action: None, in_a_row: 0, counters };
        guarded.reset();
        Ok(guarded)
    }

    /// Forgets an episode: memory, last action and the faults in a row. Counters stay.
    pub fn reset(&mut self) {
        self.forget();
        self.in_a_row = 0;
    }

    /// What the agent did last, for [`AgentInput::last_action`]: the action of the last decision, fallbacks included.
    /// `None` from each reset of the memory until the policy has chosen an action, as at the first step of training
    /// episodes. If the machine did something else than was decided, say that instead.
    pub fn last_action(&self) -> Option<usize> {
        self.last_action
    }

    /// The policy behind the guard.
    pub fn policy(&self) -> &'p Policy<'p, L> {
        self.policy
    }

    /// Floats of scratch that [`Guarded::step`] needs: those of the policy, and with [`Beyond::Clamp`] another
    /// `obs_dim`, where the clamped observation goes.
    pub fn scratch_len(&self) -> usize {
        self.policy.scratch_len().saturating_add(self.clamped_len())
    }

    /// What went wrong since the guard was made or the counters were last taken.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Hands out the counters and begins anew.
    pub fn take_counters(&mut self) -> Counters {
        core::mem::take(&mut self.counters)
    }

    /// One step of the agent; there is always an action. Call it at the rate of training.
    ///
    /// `age`: how old the observation is, in the unit of [`Rules::max_age`]; a wrapped difference will do, and an
    /// observation from the future is then stale. `scratch`: at least
    /// [`Guarded::scratch_len`] floats; it may be shared by all agents.
    ///
    /// With a fault, the action is the fallback and the memory keeps the state of the last good step or is reset, as
    /// [`Forget`] says. If several things are wrong, the fault is the first of: age; calibrated range, if the
    /// observation has the right length and is finite; what [`Policy::act`] checks, in its order.
    pub fn step<'s>(&mut self, input: AgentInput<'_>, age: u32, scratch: &'s mut [f32]) -> Decision<'s> {
        match self.decide(input, age, scratch) {
            Ok(Action { index, q }) => {
                self.counters.step();
                self.in_a_row = 0;
                self.last_action = Some(index);
                Decision { action: index, source: Source::Policy, q: Some(q) }
            }
            Err(fault) => self.fall_back(input.available, fault),
        }
    }

    /// A step for which there is no observation, or to which an [`Executor`](crate::Executor) says
    /// [`Verdict::Fallback`](crate::executor::Verdict::Fallback): the fallback action, with [`Fault::Missed`].
    ///
    /// `available`: which actions may be chosen, `[n_actions]`; empty if that is not known.
    pub fn miss(&mut self, available: &[bool]) -> Decision<'static> {
        self.fall_back(available, Fault::Missed)
    }

    fn decide<'s>(
        &mut self,
        input: AgentInput<'_>,
        age: u32,
        scratch: &'s mut [f32],
    ) -> Result<Action<'s>, Fault> {
        if age > self.rules.max_age {
            return Err(Fault::Stale { age, max_age: self.rules.max_age });
        }
        let short = ActError::Scratch { want: self.scratch_len(), got: scratch.len() };
        let split = scratch.len().checked_sub(self.clamped_len());
        let (scratch, clamped) = split.and_then(|at| scratch.split_at_mut_checked(at)).ok_or(short)?;
        let mut seen = input;
        if let Some(calibration) = &self.rules.calibration
            && input.obs.len() == self.policy.spec().obs_dim()
            && let Some(at) = calibration.beyond(input.obs)
        {
            self.counters.beyond();
            match calibration.beyond {
                Beyond::Count => {}
                Beyond::Clamp => seen.obs = calibration.clamp(input.obs, clamped),
                Beyond::Fallback => return Err(Fault::Beyond { at }),
            }
        }
        Ok(self.policy.act(&mut self.memory, seen, scratch)?)
    }

    fn fall_back(&mut self, available: &[bool], fault: Fault) -> Decision<'static> {
        self.counters.step();
        self.counters.fault(fault);
        self.in_a_row = self.in_a_row.saturating_add(1);
        let action = self.fallback(available);
        if let Some(last_action) = &mut self.last_action {
            *last_action = action;
        }
        // A network whose values are not numbers may remember what is not a number.
        if fault == Fault::Act(ActError::NotANumber) || self.rules.forget.now(self.in_a_row) {
            self.forget();
            self.counters.reset();
        }
        Decision { action, source: Source::Fallback(fault), q: None }
    }

    /// The fallback action as the mask allows it.
    fn fallback(&self, available: &[bool]) -> usize {
        let named = self.rules.fallback;
        if available.len() != self.policy.spec().n_actions() || available.get(named) == Some(&true) {
            return named;
        }
        available.iter().position(|&available| available).unwrap_or(named)
    }

    fn forget(&mut self) {
        self.policy.reset(&mut self.memory);
        self.last_action = None;
    }

    /// Floats of scratch for a clamped observation.
    fn clamped_len(&self) -> usize {
        let clamps = self.rules.calibration.is_some_and(|calibration| calibration.beyond == Beyond::Clamp);
        if clamps { self.policy.spec().obs_dim() } else { 0 }
    }
}
