//! `concat`: its inputs one after another.

use super::{Inputs, Kernel, Parts, Slot};
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::LayerFault;

/// Has no tensors. Two to four inputs, all numbers or all int16.
#[derive(Clone, Debug)]
pub(crate) struct Concat(Slot);

impl Concat {
    /// From the numbers that `plan` writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Self {
        Self(Slot::built(plan))
    }
}

impl<'m> Kernel<'m> for Concat {
    const NAME: &'static str = "concat";

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let (&first, rest) = parts.inputs.split_first().ok_or(LayerFault::Arity)?;
        if rest.is_empty() {
            return Err(LayerFault::Arity);
        }
        let joined = rest.iter().try_fold(first, |sum, slot| match (sum, slot) {
            (Slot::F32(sum), Slot::F32(width)) => sum.checked_add(*width).map(Slot::F32),
            (Slot::I16(sum), Slot::I16(width)) => sum.checked_add(*width).map(Slot::I16),
            _ => None,
        });
        joined.map(Self).ok_or(LayerFault::Width)
    }

    #[cfg(feature = "build")]
    fn plan(&self, plan: &mut Writer<'_>) {
        self.0.plan(plan);
    }

    fn output(&self) -> Slot {
        self.0
    }

    fn run(&self, inputs: Inputs<'_>, _: &mut [f32], _: &mut [f32], output: &mut [f32]) {
        for (output, word) in output.iter_mut().zip(inputs.iter().copied().flatten()) {
            *output = *word;
        }
    }
}
