//! A graph on many agents at once.

use super::{Graph, Layers, Span, Step};
use crate::kernel::MAX_INPUTS;
use crate::kernel::batch::{LANES, Lanes};
use crate::kernel::work::wide;

/// The buffers of one agent.
pub(crate) struct One<'a> {
    pub(crate) memory: &'a mut [f32],
    pub(crate) scratch: &'a mut [f32],
}

impl<L: Layers> Graph<L> {
    /// Whether many agents at once are faster than one after the other, on this processor.
    pub(crate) fn gains(&self) -> bool {
        wide() && self.layers.steps().iter().any(|step| step.layer.has_lanes())
    }

    /// Runs all layers on the inputs of the agents in the first `count` lanes, which are already in their place, as
    /// [`run`](super::run) would run them on each.
    ///
    /// A layer that does not gain from many agents runs on one after the other, in `one`. `None` if a buffer is too short;
    /// the caller has ruled that out.
    pub(crate) fn run_lanes(
        &self,
        count: usize,
        memory: &mut [Lanes],
        scratch: &mut [Lanes],
        one: &mut One<'_>,
    ) -> Option<()> {
        for step in self.layers.steps() {
            let Step { layer, inputs, output, memory: span, .. } = step;
            let output = output.range();
            let [a, b, c, d] = inputs.map(Span::range);
            if layer.in_place() {
                if a != output {
                    let [from, to] = scratch.get_disjoint_mut([a, output.clone()]).ok()?;
                    to.copy_from_slice(from);
                }
                let words = scratch.get_mut(output)?.as_flattened_mut();
                layer.run([&[]; MAX_INPUTS], &mut [], &mut [], words);
            } else if layer.has_lanes() {
                let [a, b, c, d, output] = scratch.get_disjoint_mut([a, b, c, d, output]).ok()?;
                layer.run_lanes([a, b, c, d], memory.get_mut(span.range())?, output);
            } else {
                for lane in 0..count.min(LANES) {
                    step.run_lane(lane, memory, scratch, one)?;
                }
            }
        }
        Some(())
    }
}

impl Step<'_> {
    /// Runs the layer on the agent in one lane.
    fn run_lane(
        &self,
        lane: usize,
        memory: &mut [Lanes],
        scratch: &mut [Lanes],
        one: &mut One<'_>,
    ) -> Option<()> {
        for span in self.inputs {
            gather(scratch.get(span.range())?, lane, one.scratch.get_mut(span.range())?);
        }
        gather(memory.get(self.memory.range())?, lane, one.memory.get_mut(self.memory.range())?);
        let [a, b, c, d] = self.inputs.map(Span::range);
        let ranges = [a, b, c, d, self.work.range(), self.output.range()];
        let [a, b, c, d, work, output] = one.scratch.get_disjoint_mut(ranges).ok()?;
        let state = one.memory.get_mut(self.memory.range())?;
        self.layer.run([a, b, c, d], state, work, output);
        spread(output, lane, scratch.get_mut(self.output.range())?);
        spread(state, lane, memory.get_mut(self.memory.range())?);
        Some(())
    }
}

/// Takes the numbers of one agent out of a lane.
pub(crate) fn gather(lanes: &[Lanes], lane: usize, to: &mut [f32]) {
    for (to, lanes) in to.iter_mut().zip(lanes) {
        *to = lanes.get(lane).copied().unwrap_or_default();
    }
}

/// Puts the numbers of one agent into a lane.
pub(crate) fn spread(from: &[f32], lane: usize, lanes: &mut [Lanes]) {
    for (from, lanes) in from.iter().zip(lanes) {
        if let Some(to) = lanes.get_mut(lane) {
            *to = *from;
        }
    }
}
