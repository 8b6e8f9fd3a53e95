//! `leaky_relu`: negative values are multiplied by 0.01, in place.

use super::{Kernel, MAX_INPUTS, Parts};
use crate::error::LayerFault;

/// What a negative value is multiplied by.
const SLOPE: f32 = 0.01;

/// Has no tensors.
#[derive(Clone, Debug)]
pub(crate) struct LeakyRelu {
    width: usize,
}

impl<'m> Kernel<'m> for LeakyRelu {
    const NAME: &'static str = "leaky_relu";
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
            if *value < 0.0 {
                *value *= SLOPE;
            }
        }
    }
}
