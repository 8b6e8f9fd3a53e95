//! From a verified model to actions: one call per agent and control step.
//!
//! ```text
//! AgentInput ── input ──> x ── graph ──> Q-values ── greedy ──> Action
//!                              ^   v
//!                              memory
//! ```

mod arranged;
mod batch;
mod greedy;
mod input;
mod memory;
mod self_test;
mod verify;

pub use input::AgentInput;
pub use memory::Memory;

use crate::error::ActError;
use crate::model::graph::{self, Places, Step};
use crate::model::{AgentSpec, Layers, Model, Read, Recording, Row};
use input::Seen;

/// What an agent does.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Action<'s> {
    /// The chosen action.
    pub index: usize,
    /// The Q-values of all actions, available or not, `[n_actions]`. They lie in the scratch buffer.
    pub q: &'s [f32],
}

/// A frozen local policy network, shared by all agents. [`Model::verify`] makes one, and so does
/// [`BuiltIn::verify`](crate::BuiltIn::verify), of another `L`: where its layers are.
///
/// It borrows the file it was read from and holds no state: what an agent remembers is in the caller's `memory`, one
/// per agent; `scratch` holds nothing between calls and may be shared.
#[derive(Clone, Debug)]
pub struct Policy<'m, L = Read<'m>> {
    model: Model<'m, L>,
}

impl<'m, L: Layers> Policy<'m, L> {
    /// Of a model whose numbers are right.
    pub(crate) const fn of(model: Model<'m, L>) -> Self {
        Self { model }
    }

    /// The file again, to verify it once more: it may have changed since.
    pub fn into_model(self) -> Model<'m, L> {
        self.model
    }

    /// The sizes, names and contracts the policy was trained for.
    pub fn spec(&self) -> &AgentSpec<'m> {
        &self.model.spec
    }

    /// The steps the file carries to test itself with.
    pub fn recording(&self) -> Option<&Recording<'m>> {
        self.model.recording.as_ref()
    }

    /// See [`Model::obs_range`].
    pub fn obs_range(&self) -> Option<(Row<'m>, Row<'m>)> {
        self.model.obs_range()
    }

    /// Floats of memory per agent.
    pub fn memory_len(&self) -> usize {
        self.model.graph.places.memory_len
    }

    /// Floats of scratch that [`Policy::act`] needs.
    pub fn scratch_len(&self) -> usize {
        self.model.graph.places.scratch_len
    }

    /// Forgets an episode. Call it before the first step of each; a memory of zeros is the same.
    pub fn reset(&self, memory: &mut [f32]) {
        memory.fill(0.0);
    }

    /// The greedy action of one agent. Call it once per control step, at the rate of training.
    ///
    /// `memory`: at least `memory_len` floats, the agent's own. `scratch`: at least `scratch_len` floats.
    /// Among available actions with equal Q-values the lowest index wins; a value that is not a number never wins.
    ///
    /// # Errors
    /// If a length or an index is wrong, the observation is not finite, or nothing is available; the memory is then
    /// unchanged. If no available action's value is a number, the memory has been advanced.
    pub fn act<'s>(
        &self,
        memory: &mut [f32],
        input: AgentInput<'_>,
        scratch: &'s mut [f32],
    ) -> Result<Action<'s>, ActError> {
        self.act_on(memory, input.seen(), scratch)
    }

    fn act_on<'s>(
        &self,
        memory: &mut [f32],
        seen: Seen<'_>,
        scratch: &'s mut [f32],
    ) -> Result<Action<'s>, ActError> {
        let Model { spec, graph, .. } = &self.model;
        Network { spec, places: &graph.places, steps: graph.steps() }.act(memory, seen, scratch)
    }
}

/// What acts, wherever its layers are: one copy of the code for all policies.
struct Network<'a> {
    spec: &'a AgentSpec<'a>,
    places: &'a Places,
    steps: &'a [Step<'a>],
}

impl Network<'_> {
    #[inline(never)]
    fn act<'s>(
        &self,
        memory: &mut [f32],
        seen: Seen<'_>,
        scratch: &'s mut [f32],
    ) -> Result<Action<'s>, ActError> {
        let Self { spec, places, steps } = self;
        let too_short = ActError::Scratch { want: places.scratch_len, got: scratch.len() };
        if memory.len() < places.memory_len {
            return Err(ActError::Memory { want: places.memory_len, got: memory.len() });
        }
        if scratch.len() < places.scratch_len {
            return Err(too_short);
        }
        seen.check(spec)?;
        seen.encode(spec, scratch.get_mut(places.input.range()).ok_or(too_short)?);
        graph::run(steps, memory, scratch).ok_or(too_short)?;
        let q = scratch.get(places.q.range()).ok_or(too_short)?;
        let index = greedy::greedy(q, seen.available).ok_or(ActError::NotANumber)?;
        Ok(Action { index, q })
    }
}
