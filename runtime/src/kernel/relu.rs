//! `relu`: `max(x, 0)`, in place.

use super::{Kernel, MAX_INPUTS, Parts};
use crate::error::LayerFault;

/// Has no tensors.
#[derive(Clone, Debug)]
pub(crate) struct Relu {
    width: usize,
}

impl<'m> Kernel<'m> for Relu {
    const NAME: &'static str = "relu";
    const IN_PLACE: bool = true;

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        let [width] = parts.widths()?;
        Ok(Self { width })
    }

    fn output_dim(&self) -> usize {
        self.width
    }

    fn run(&self, _: [&[f32]; MAX_INPUTS], _: &mut [f32], output: &mut [f32]) {
        for value in output {
            // Written so that a value that is not a number stays one.
            if *value < 0.0 {
                *value = 0.0;
            }
        }
    }
}
