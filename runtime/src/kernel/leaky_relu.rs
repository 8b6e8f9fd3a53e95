//! `leaky_relu`: negative values are multiplied by 0.01, in place.

use super::{Inputs, Kernel, Parts, Slot, halves_mut};
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::LayerFault;

/// What a negative value is multiplied by.
const SLOPE: f32 = 0.01;
/// The same in units of 2^-16.
const SLOPE_I16: i32 = 655;

/// Has no tensors; takes numbers and int16.
#[derive(Clone, Debug)]
pub(crate) struct LeakyRelu(Slot);

impl LeakyRelu {
    /// From the numbers that `plan` writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Self {
        Self(Slot::built(plan))
    }
}

impl<'m> Kernel<'m> for LeakyRelu {
    const NAME: &'static str = "leaky_relu";
    const IN_PLACE: bool = true;

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        parts.only().map(Self)
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
                    if *value < 0.0 {
                        *value *= SLOPE;
                    }
                }
            }
            Slot::I16(_) => {
                for value in halves_mut(output) {
                    if *value < 0 {
                        *value = ((i32::from(*value) * SLOPE_I16 + 0x8000) >> 16) as i16;
                    }
                }
            }
        }
    }
}
