//! What a frozen network computes on recorded steps: per slot the range that integers have to cover, per matrix
//! which inputs come together.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::gram::Gram;
use crate::error::ExportError;
use crate::frozen::{Frozen, Tensor};
use crate::graph::{Layer, LayerKind};
use crate::record::{Recording, input_rows};

/// The state of each recurrent layer of an agent, by name.
type Memory = BTreeMap<String, Vec<f32>>;

/// The largest magnitude of every slot, and the inputs of every matrix.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    largest: BTreeMap<usize, f32>,
    /// By tensor, and of a block by source column.
    grams: BTreeMap<String, BTreeMap<usize, Gram>>,
}

impl Trace {
    /// Runs `frozen` on every agent's steps.
    ///
    /// # Errors
    /// If a recording contradicts the agent description, or a tensor is missing.
    pub(super) fn of(frozen: &Frozen, recordings: &[Recording]) -> Result<Self, ExportError> {
        let mut trace = Self::default();
        let (n, width) = (frozen.spec.n_agents, frozen.spec.input_dim());
        for (episode, recording) in recordings.iter().enumerate() {
            recording.check(&frozen.spec, episode)?;
            let mut memory = vec![BTreeMap::new(); n];
            for step in 0..recording.n_steps {
                let rows = input_rows(&frozen.spec, &recording.step(&frozen.spec, step));
                for (x, memory) in rows.chunks_exact(width).zip(&mut memory) {
                    trace.step(frozen, x, memory)?;
                }
            }
        }
        Ok(trace)
    }

    /// The largest magnitude seen in a slot, also before a layer rewrote it in place.
    #[must_use]
    pub(super) fn largest(&self, slot: usize) -> f32 {
        self.largest.get(&slot).copied().unwrap_or(0.0)
    }

    /// The inputs of `width` numbers that met a matrix, of a block that of source column `k`.
    #[must_use]
    pub(super) fn gram(&self, tensor: &str, k: usize, width: usize) -> Cow<'_, Gram> {
        let seen = self.grams.get(tensor).and_then(|columns| columns.get(&k));
        seen.map_or_else(|| Cow::Owned(Gram::new(width)), Cow::Borrowed)
    }

    /// What the matrices of a layer are about to see.
    ///
    /// # Errors
    /// If a tensor is missing.
    fn meet(
        &mut self,
        frozen: &Frozen,
        layer: &Layer,
        inputs: &[&[f32]],
        memory: &mut Memory,
    ) -> Result<(), ExportError> {
        let mut add = |part: &str, x: &[f32], columns: &[(usize, f32)]| {
            let grams = self.grams.entry(layer.tensor(part)).or_default();
            for (k, factor) in columns {
                grams.entry(*k).or_insert_with(|| Gram::new(x.len())).add(x, *factor);
            }
        };
        let whole = [(0, 1.0)];
        match layer.kind {
            LayerKind::Linear => add("weight", inputs[0], &whole),
            LayerKind::Gru => {
                add("weight_ih", inputs[0], &whole);
                add("weight_hh", state(frozen, layer, memory)?, &whole);
            }
            LayerKind::Block => {
                let seen = inputs[1].iter().copied().enumerate().filter(|(_, x)| *x != 0.0);
                add("weight", inputs[0], &seen.collect::<Vec<_>>());
            }
            LayerKind::Relu | LayerKind::LeakyRelu | LayerKind::Concat => (),
        }
        Ok(())
    }

    /// One agent's step.
    fn step(&mut self, frozen: &Frozen, x: &[f32], memory: &mut Memory) -> Result<(), ExportError> {
        let mut slots = BTreeMap::from([(0, x.to_vec())]);
        self.note(0, x);
        for layer in &frozen.layers {
            let inputs: Vec<&[f32]> = layer.inputs.iter().map(|slot| slots[slot].as_slice()).collect();
            self.meet(frozen, layer, &inputs, memory)?;
            let output = run(frozen, layer, &inputs, memory)?;
            self.note(layer.output, &output);
            slots.insert(layer.output, output);
        }
        Ok(())
    }

    fn note(&mut self, slot: usize, values: &[f32]) {
        let largest = self.largest.entry(slot).or_default();
        *largest = values.iter().fold(*largest, |largest, value| largest.max(value.abs()));
    }
}

/// The state of a recurrent layer, with which an episode begins as zeros.
fn state<'m>(
    frozen: &Frozen,
    layer: &Layer,
    memory: &'m mut Memory,
) -> Result<&'m mut Vec<f32>, ExportError> {
    let hidden = frozen.tensor(&layer.tensor("bias_hh"))?.data.len() / 3;
    Ok(memory.entry(layer.name.clone()).or_insert_with(|| vec![0.0; hidden]))
}

/// One layer of a network that passed [`Frozen::check`].
fn run(
    frozen: &Frozen,
    layer: &Layer,
    inputs: &[&[f32]],
    memory: &mut Memory,
) -> Result<Vec<f32>, ExportError> {
    let tensor = |part: &str| frozen.tensor(&layer.tensor(part));
    let x = inputs[0];
    Ok(match layer.kind {
        LayerKind::Linear => affine(tensor("weight")?, tensor("bias")?, x),
        LayerKind::Relu => x.iter().map(|x| x.max(0.0)).collect(),
        LayerKind::LeakyRelu => x.iter().map(|&x| if x < 0.0 { 0.01 * x } else { x }).collect(),
        LayerKind::Concat => inputs.concat(),
        LayerKind::Block => {
            let (h, x, mut output) = (inputs[0], inputs[1], inputs[2].to_vec());
            let (weight, width) = (&tensor("weight")?.data, output.len());
            for (x, slab) in x.iter().zip(weight.chunks_exact((h.len() + 1) * width)) {
                if *x == 0.0 {
                    continue;
                }
                for (h, row) in h.iter().chain(&[1.0]).zip(slab.chunks_exact(width)) {
                    output.iter_mut().zip(row).for_each(|(output, weight)| *output += x * h * weight);
                }
            }
            output
        }
        LayerKind::Gru => {
            let input = affine(tensor("weight_ih")?, tensor("bias_ih")?, x);
            let hidden = input.len() / 3;
            let h = state(frozen, layer, memory)?;
            let state = affine(tensor("weight_hh")?, tensor("bias_hh")?, h);
            let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
            for (j, h) in h.iter_mut().enumerate() {
                let r = sigmoid(input[j] + state[j]);
                let z = sigmoid(input[hidden + j] + state[hidden + j]);
                let n = (input[2 * hidden + j] + r * state[2 * hidden + j]).tanh();
                *h = (1.0 - z) * n + z * *h;
            }
            h.clone()
        }
    })
}

fn affine(weight: &Tensor, bias: &Tensor, x: &[f32]) -> Vec<f32> {
    let rows = weight.data.chunks_exact(x.len()).zip(&bias.data);
    rows.map(|(row, bias)| bias + row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>()).collect()
}
