//! One step of many agents, for hosts: simulations and servers.

use super::greedy::greedy;
use super::{Action, AgentInput, Policy};
use crate::error::{ActError, BatchError};
use crate::kernel::batch::{LANES, Lanes};
use crate::model::Layers;
use crate::model::graph::lanes::{One, gather, spread};

/// As long as all lanes take, so many agents take one after the other.
const FEW: usize = 10;

impl<L: Layers> Policy<'_, L> {
    /// Floats of scratch that [`Policy::act_batch`] needs, however many agents there are.
    pub fn batch_scratch_len(&self) -> usize {
        self.scratch_len().saturating_add(self.memory_len()).saturating_mul(LANES + 1)
    }

    /// The greedy actions of many agents: what [`Policy::act`] would give to each, to the bit, in less time.
    ///
    /// `memory`: at least `[N, memory_len]`, one row for each of the N agents of `inputs`. `scratch`: at least
    /// `batch_scratch_len` floats. `each` is called with every agent's row and action, in order.
    ///
    /// # Errors
    /// If a length or an index is wrong, an observation is not finite, or nothing is available to an agent; all memories are
    /// then unchanged and nobody has acted. If no available action's value is a number for an agent, the others have acted,
    /// and all memories have been advanced.
    pub fn act_batch<'a>(
        &self,
        memory: &mut [f32],
        inputs: impl ExactSizeIterator<Item = AgentInput<'a>> + Clone,
        scratch: &mut [f32],
        mut each: impl FnMut(usize, Action<'_>),
    ) -> Result<(), BatchError> {
        let width = self.memory_len();
        let fail = |agent, error| BatchError { agent, error };
        let (want, got) = (inputs.len().saturating_mul(width), memory.len());
        if got < want {
            return Err(fail(None, ActError::Memory { want, got }));
        }
        let (want, got) = (self.batch_scratch_len(), scratch.len());
        let too_short = fail(None, ActError::Scratch { want, got });
        if got < want {
            return Err(too_short);
        }
        for (agent, input) in inputs.clone().enumerate() {
            input.seen().check(self.spec()).map_err(|error| fail(Some(agent), error))?;
        }

        let mut failed = None;
        let (mut first, mut inputs, mut memory) = (0, inputs, memory);
        let gains = self.model.graph.gains();
        while inputs.len() > 0 {
            let tile = inputs.clone().take(LANES);
            let count = tile.len();
            let (mut memories, rest) = memory.split_at_mut_checked(count * width).unwrap_or_default();
            memory = rest;
            let at_once = gains && count > FEW;
            if at_once {
                self.advance(memories, tile.clone(), scratch).ok_or(too_short)?;
            }
            for (agent, input) in tile.enumerate() {
                let acted = if at_once {
                    self.choose(agent, input, scratch)
                } else {
                    let (memory, rest) = memories.split_at_mut_checked(width).unwrap_or_default();
                    memories = rest;
                    self.act(memory, input, scratch)
                };
                match acted {
                    Ok(action) => each(first + agent, action),
                    Err(error) => failed = failed.or(Some(fail(Some(first + agent), error))),
                }
                inputs.next();
            }
            first += count;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Computes the Q-values of up to [`LANES`] agents and leaves them in the scratch.
    fn advance<'a>(
        &self,
        memories: &mut [f32],
        inputs: impl ExactSizeIterator<Item = AgentInput<'a>>,
        scratch: &mut [f32],
    ) -> Option<()> {
        let graph = &self.model.graph;
        let count = inputs.len();
        let (mut one, scratch, memory) = self.split(scratch)?;
        let x = graph.places.input.range();
        if count < LANES {
            // Numbers, in the lanes that nobody uses: computing with what is none is slow.
            scratch.get_mut(x.clone())?.fill([0.0; LANES]);
            memory.fill([0.0; LANES]);
        }
        let width = graph.places.memory_len;
        for (lane, input) in inputs.enumerate() {
            input.seen().encode(self.spec(), one.scratch.get_mut(x.clone())?);
            spread(one.scratch.get(x.clone())?, lane, scratch.get_mut(x.clone())?);
            spread(memories.get(lane * width..)?, lane, memory);
        }
        graph.run_lanes(count, memory, scratch, &mut one)?;
        for lane in 0..count {
            gather(memory, lane, memories.get_mut(lane * width..(lane + 1) * width)?);
        }
        Some(())
    }

    /// The greedy action of the agent in a lane, after [`Policy::advance`].
    fn choose<'s>(
        &self,
        lane: usize,
        input: AgentInput<'_>,
        scratch: &'s mut [f32],
    ) -> Result<Action<'s>, ActError> {
        let too_short = ActError::Scratch { want: self.batch_scratch_len(), got: scratch.len() };
        let (one, lanes, _) = self.split(scratch).ok_or(too_short)?;
        let q = self.model.graph.places.q.range();
        let to = one.scratch.get_mut(q.clone()).ok_or(too_short)?;
        gather(lanes.get(q).ok_or(too_short)?, lane, to);
        let index = greedy(to, input.seen().available).ok_or(ActError::NotANumber)?;
        Ok(Action { index, q: to })
    }

    /// The parts of the scratch: one agent's buffers, then the scratch and the memory of all lanes.
    fn split<'s>(&self, scratch: &'s mut [f32]) -> Option<(One<'s>, &'s mut [Lanes], &'s mut [Lanes])> {
        let (scratch_len, memory_len) = (self.scratch_len(), self.memory_len());
        let (one, lanes) = scratch.split_at_mut_checked(scratch_len + memory_len)?;
        let (scratch, memory) = one.split_at_mut_checked(scratch_len)?;
        let (lanes, _) = lanes.as_chunks_mut::<LANES>();
        let (lanes, memories) = lanes.split_at_mut_checked(scratch_len)?;
        Some((One { memory, scratch }, lanes, memories.get_mut(..memory_len)?))
    }
}
