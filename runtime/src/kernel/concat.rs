//! `concat`: its inputs one after another.

use super::{Kernel, MAX_INPUTS, Parts};
use crate::error::LayerFault;

/// Has no tensors. Two to four inputs.
#[derive(Clone, Debug)]
pub(crate) struct Concat {
    width: usize,
}

impl<'m> Kernel<'m> for Concat {
    const NAME: &'static str = "concat";

    fn load(parts: &Parts<'_, 'm>) -> Result<Self, LayerFault> {
        if parts.inputs.len() < 2 {
            return Err(LayerFault::Arity);
        }
        let width = parts.inputs.iter().try_fold(0_usize, |sum, &width| sum.checked_add(width));
        width.map(|width| Self { width }).ok_or(LayerFault::Width)
    }

    fn output_dim(&self) -> usize {
        self.width
    }

    fn run(&self, inputs: [&[f32]; MAX_INPUTS], _: &mut [f32], output: &mut [f32]) {
        for (output, value) in output.iter_mut().zip(inputs.iter().copied().flatten()) {
            *output = *value;
        }
    }
}
