//! `quantize`: numbers to int16, in units of one over `scale`, padded with zeros to a multiple of eight.

use super::dot_i8::padded;
use super::math::limited;
use super::{Inputs, Kernel, Parts, Slot, halves_mut};
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::LayerFault;

/// Tensor `range` `[2]`: what numbers are multiplied by, and the largest magnitude of a result, at most 32767.
#[derive(Clone, Debug)]
pub(crate) struct Quantize {
    scale: f32,
    limit: f32,
    width: usize,
}

impl Quantize {
    /// From the numbers that `plan` writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Self {
        Self { scale: plan.float(), limit: plan.float(), width: plan.count() }
    }
}

impl<'m> Kernel<'m> for Quantize {
    const NAME: &'static str = "quantize";

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [width] = parts.widths()?;
        let range = parts.numbers("range", 2)?;
        let &[scale, limit] = range else { return Err(LayerFault::Width) };
        let valid = scale.is_finite() && scale > 0.0 && limit > 0.0 && limit <= 32_767.0;
        if valid { Ok(Self { scale, limit, width: padded(width) }) } else { Err(LayerFault::Width) }
    }

    #[cfg(feature = "build")]
    fn plan(&self, plan: &mut Writer<'_>) {
        plan.float(self.scale);
        plan.float(self.limit);
        plan.count(self.width);
    }

    fn output(&self) -> Slot {
        Slot::I16(self.width)
    }

    #[inline(never)]
    fn run(&self, [x, ..]: Inputs<'_>, _: &mut [f32], _: &mut [f32], output: &mut [f32]) {
        let output = halves_mut(output);
        output.get_mut(x.len()..).unwrap_or_default().fill(0);
        for (output, &x) in output.iter_mut().zip(x) {
            let value = limited(x * self.scale, self.limit);
            // To nearest, ties away from zero.
            *output = (value + 0.5_f32.copysign(value)) as i16;
        }
    }
}
