//! `relu`: `max(x, 0)`, in place.

use core::marker::PhantomData;

use super::{Inputs, Kernel, Parts, Slot, halves_mut};
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::LayerFault;

/// Has no tensors; takes numbers and int16. Names the lifetime that layers with tensors have, because it is always there.
#[derive(Clone, Debug)]
pub(crate) struct Relu<'m>(Slot, PhantomData<&'m ()>);

impl Relu<'_> {
    /// From the numbers that `plan` writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Self {
        Self(Slot::built(plan), PhantomData)
    }
}

impl<'m> Kernel<'m> for Relu<'m> {
    const NAME: &'static str = "relu";
    const IN_PLACE: bool = true;

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        Ok(Self(parts.only()?, PhantomData))
    }

    #[cfg(feature = "build")]
    fn plan(&self, plan: &mut Writer<'_>) {
        self.0.plan(plan);
    }

    fn output(&self) -> Slot {
        self.0
    }

    fn run(&self, _: Inputs<'_>, _: &mut [f32], _: &mut [f32], output: &mut [f32]) {
        match self.0 {
            Slot::F32(_) => {
                for value in output {
                    // Written so that a value that is not a number stays one, and that there is nothing to branch for.
                    *value = if *value < 0.0 { 0.0 } else { *value };
                }
            }
            Slot::I16(_) => {
                for value in halves_mut(output) {
                    *value = (*value).max(0);
                }
            }
        }
    }
}
