//! Layer by layer to integers.

use std::collections::BTreeMap;

use super::rows::{Layout, Rows, in_order, to_i32};
use super::trace::Trace;
use super::unsupported;
use crate::archive::{Numbers, Typed};
use crate::error::ExportError;
use crate::frozen::{Frozen, Tensor};
use crate::graph::{Layer, LayerKind};

/// Fraction bits of a recurrent state.
const STATE: i32 = 15;
/// Fraction bits of the arguments of the gates.
const ARGUMENT: i32 = ddn_runtime::table::ARGUMENT as i32;
/// Most terms of a dense product.
const MAX_TERMS: usize = 256;
/// How far beyond the largest magnitude seen a slot reaches.
const MARGIN: f64 = 1.25;
/// The largest int16 of a slot.
const LARGEST: f64 = 32_767.0;

/// The graph and the tensors of a network whose blocks have no constant row; `lift` as in [`Gram::rule`].
///
/// # Errors
/// [`ExportError::Unsupported`] with the layer that cannot be expressed.
pub(super) fn network(frozen: &Frozen, trace: &Trace, lift: f64) -> Result<(String, Typed), ExportError> {
    let mut builder = Builder::new(frozen, trace, lift);
    let last = frozen.layers.len().saturating_sub(1);
    for (index, layer) in frozen.layers.iter().enumerate() {
        builder.layer(layer, index == last)?;
    }
    Ok((builder.graph.join(";"), builder.tensors))
}

/// A slot of integers.
#[derive(Clone, Debug)]
struct Slot {
    /// What the integer 1 stands for.
    unit: f64,
    layout: Layout,
}

struct Builder<'f> {
    frozen: &'f Frozen,
    trace: &'f Trace,
    lift: f64,
    /// The slot of the agent input in integers.
    input: usize,
    slots: BTreeMap<usize, Slot>,
    graph: Vec<String>,
    tensors: Typed,
}

impl<'f> Builder<'f> {
    fn new(frozen: &'f Frozen, trace: &'f Trace, lift: f64) -> Self {
        let input = frozen.layers.iter().map(|layer| layer.output).max().unwrap_or(0) + 1;
        let layout = in_order(frozen.spec.input_dim());
        // A product over the whole input stays below 2^30.
        let limit = (f64::from(30).exp2() / (127.0 * layout.len() as f64)).floor().min(LARGEST);
        let largest = f64::from(trace.largest(0)).max(1.0);
        let scale = (limit / largest).log2().floor().exp2();
        let range = vec![scale as f32, limit as f32];
        Self {
            frozen,
            trace,
            lift,
            input,
            slots: BTreeMap::from([(input, Slot { unit: 1.0 / scale, layout })]),
            graph: vec![format!("quantize:0>{input}:input")],
            tensors: BTreeMap::from([("input.range".to_owned(), (vec![2], Numbers::F32(range)))]),
        }
    }

    fn layer(&mut self, layer: &Layer, last: bool) -> Result<(), ExportError> {
        match layer.kind {
            LayerKind::Linear if last => self.values(layer),
            _ if last => Err(unsupported(format!("the last layer is `{layer}`, not a linear one"))),
            LayerKind::Linear => self.linear(layer),
            LayerKind::Relu | LayerKind::LeakyRelu => {
                let slot = self.slot(layer.inputs[0])?;
                self.slots.insert(layer.output, slot);
                self.push(layer.kind.name(), layer);
                Ok(())
            }
            LayerKind::Concat => self.concat(layer),
            LayerKind::Block => self.block(layer),
            LayerKind::Gru => self.gru(layer),
        }
    }

    fn linear(&mut self, layer: &Layer) -> Result<(), ExportError> {
        let (weight, bias) = self.affine(layer)?;
        let x = self.slot(layer.inputs[0])?;
        let from_input = self.number(layer.inputs[0]) == self.input;
        let sparse = from_input && self.frozen.sparse;
        if !sparse {
            self.dense(layer, x.layout.len())?;
        }
        let layout = in_order(bias.data.len());
        let rows = self.rows(layer, "weight", weight, &layout, &x.layout);
        let finest = rows.units.iter().fold(0.0, |largest: f64, unit| largest.max(unit * x.unit));
        let unit = self.unit(layer.output).max(2.0 * finest);
        let products: Vec<f64> = rows.units.iter().map(|unit| unit * x.unit).collect();
        let biases = layout.iter().zip(&rows.shifts).map(|(row, shift)| (value(bias, *row) + shift) / unit);
        let biases = integers(layer, "bias", biases, 29)?;
        let scales = products.iter().map(|product| product / unit * f64::from(32).exp2());
        let scales = integers(layer, "scale", scales, 31)?;
        let (r, c) = (layout.len(), x.layout.len());
        if sparse {
            let inputs = self.frozen.spec.input_dim();
            let mut values = rows.transposed(c);
            values.truncate(inputs * r);
            self.add(layer, "weight", &[inputs, r], Numbers::I8(values));
        } else {
            self.add(layer, "weight", &[r, c], Numbers::I8(rows.values));
        }
        self.add(layer, "bias", &[r], Numbers::I32(biases));
        self.add(layer, "scale", &[r], Numbers::I32(scales));
        self.slots.insert(layer.output, Slot { unit, layout });
        self.push(if sparse { "sparse_i8" } else { "linear_i8" }, layer);
        Ok(())
    }

    fn values(&mut self, layer: &Layer) -> Result<(), ExportError> {
        let (weight, bias) = self.affine(layer)?;
        let x = self.slot(layer.inputs[0])?;
        self.dense(layer, x.layout.len())?;
        let layout = in_order(bias.data.len());
        let rows = self.rows(layer, "weight", weight, &layout, &x.layout);
        let biases =
            bias.data.iter().zip(&rows.shifts).map(|(bias, shift)| (f64::from(*bias) + shift) as f32);
        let scales = rows.units.iter().take(bias.data.len()).map(|unit| (unit * x.unit) as f32).collect();
        self.add(layer, "weight", &[layout.len(), x.layout.len()], Numbers::I8(rows.values));
        self.add(layer, "bias", &[bias.data.len()], Numbers::F32(biases.collect()));
        self.add(layer, "scale", &[bias.data.len()], Numbers::F32(scales));
        self.push("values_i8", layer);
        Ok(())
    }

    fn block(&mut self, layer: &Layer) -> Result<(), ExportError> {
        let weight = self.frozen.tensor(&layer.tensor("weight"))?;
        let (h, x, b) =
            (self.slot(layer.inputs[0])?, self.slot(layer.inputs[1])?, self.slot(layer.inputs[2])?);
        self.dense(layer, h.layout.len())?;
        let (inputs, slices, width) = (weight.shape[0], weight.shape[1], weight.shape[2]);
        let mut values = Vec::new();
        let mut units = Vec::new();
        for k in 0..inputs {
            let at = |j: usize, m: usize| weight.data[(k * slices + m) * width + j];
            let gram = self.trace.gram(&layer.tensor("weight"), k, slices - 1);
            let rows = Rows::of(&b.layout, &h.layout, at, |columns| gram.rule(columns, false, self.lift));
            values.extend(rows.values);
            units.extend(rows.units);
        }
        // An accumulator counts in units of `count`: 2^32 times the finest gain.
        let largest = units.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let mut gain = LARGEST;
        let scale_of = |gain: f64| largest * h.unit * x.unit * f64::from(64).exp2() / gain / b.unit;
        if scale_of(gain) < f64::from(20).exp2() {
            gain = scale_of(1.0) / f64::from(20).exp2(); // leaves the accumulator room
        }
        let gains = units.iter().map(|unit| (gain * unit / largest).round() as i16).collect();
        let scale = integers(layer, "scale", [scale_of(gain)].into_iter(), 31)?;
        let (d, m) = (b.layout.len(), h.layout.len());
        self.add(layer, "weight", &[inputs, d, m], Numbers::I8(values));
        self.add(layer, "gain", &[inputs, d], Numbers::I16(gains));
        self.add(layer, "scale", &[1], Numbers::I32(scale));
        self.slots.insert(layer.output, b);
        self.push("block_i8", layer);
        Ok(())
    }

    fn gru(&mut self, layer: &Layer) -> Result<(), ExportError> {
        let tensor = |part: &str| self.frozen.tensor(&layer.tensor(part));
        let (weight_ih, weight_hh) = (tensor("weight_ih")?, tensor("weight_hh")?);
        let (bias_ih, bias_hh) = (tensor("bias_ih")?, tensor("bias_hh")?);
        let x = self.slot(layer.inputs[0])?;
        let hidden = bias_ih.data.len() / 3;
        let state = Slot { unit: f64::from(-STATE).exp2(), layout: in_order(hidden) };
        self.dense(layer, x.layout.len())?;
        self.dense(layer, state.layout.len())?;
        let gate = |gate: usize| state.layout.iter().map(move |unit| unit.map(|unit| gate * hidden + unit));
        let gates: Layout = (0..3).flat_map(gate).collect();
        let argument = f64::from(ARGUMENT).exp2();
        let mut shifts = Vec::new();
        for (part, scale, weight, v) in
            [("weight_ih", "scale_ih", weight_ih, &x), ("weight_hh", "scale_hh", weight_hh, &state)]
        {
            let rows = self.rows(layer, part, weight, &gates, &v.layout);
            let scales = rows.units.iter().map(|unit| unit * v.unit * argument * f64::from(32).exp2());
            let scales = integers(layer, scale, scales, 31)?;
            self.add(layer, part, &[gates.len(), v.layout.len()], Numbers::I8(rows.values));
            self.add(layer, scale, &[gates.len()], Numbers::I32(scales));
            shifts.push(rows.shifts);
        }
        let of = |bias: &Tensor, shifts: &[f64]| -> Vec<f64> {
            gates.iter().zip(shifts).map(|(row, shift)| value(bias, *row) + shift).collect()
        };
        let (of_input, of_state) = (of(bias_ih, &shifts[0]), of(bias_hh, &shifts[1]));
        let n = 2 * state.layout.len();
        let both = of_input[..n].iter().zip(&of_state[..n]).map(|(input, state)| input + state);
        let biases = both.chain(of_input[n..].iter().copied()).chain(of_state[n..].iter().copied());
        let biases = integers(layer, "bias", biases.map(|bias| bias * argument), 29)?;
        self.add(layer, "bias", &[4 * state.layout.len()], Numbers::I32(biases));
        self.slots.insert(layer.output, state);
        self.push("gru_i8", layer);
        Ok(())
    }

    /// The parts have been given one unit when they were made.
    fn concat(&mut self, layer: &Layer) -> Result<(), ExportError> {
        let mut joined = Slot { unit: self.slot(layer.inputs[0])?.unit, layout: Layout::new() };
        let mut before = 0;
        for input in &layer.inputs {
            let part = self.slot(*input)?;
            if joined.unit.to_bits() != part.unit.to_bits() {
                return Err(unsupported(format!("`{layer}` joins slots of different ranges")));
            }
            let width = part.layout.iter().flatten().count();
            joined.layout.extend(part.layout.iter().map(|index| index.map(|index| before + index)));
            before += width;
        }
        self.slots.insert(layer.output, joined);
        self.push(layer.kind.name(), layer);
        Ok(())
    }

    /// The unit of a slot that a linear layer fills: what it, and those it must agree with, reach.
    fn unit(&self, slot: usize) -> f64 {
        let mut members = vec![slot];
        for layer in &self.frozen.layers {
            let agree: Vec<usize> = match layer.kind {
                LayerKind::Concat => layer.inputs.clone(),
                LayerKind::Block => vec![layer.inputs[2], layer.output],
                LayerKind::Relu | LayerKind::LeakyRelu => vec![layer.inputs[0], layer.output],
                LayerKind::Linear | LayerKind::Gru => continue,
            };
            if agree.iter().any(|slot| members.contains(slot)) {
                members.extend(agree);
            }
        }
        let largest = members.iter().map(|slot| f64::from(self.trace.largest(*slot))).fold(1e-3, f64::max);
        MARGIN * largest / LARGEST
    }

    /// The rows of a matrix with a bias.
    fn rows(&self, layer: &Layer, part: &str, weight: &Tensor, rows: &Layout, columns: &Layout) -> Rows {
        let gram = self.trace.gram(&layer.tensor(part), 0, columns.iter().flatten().count());
        Rows::of(rows, columns, by_rows(weight), |columns| gram.rule(columns, true, self.lift))
    }

    fn affine(&self, layer: &Layer) -> Result<(&'f Tensor, &'f Tensor), ExportError> {
        Ok((self.frozen.tensor(&layer.tensor("weight"))?, self.frozen.tensor(&layer.tensor("bias"))?))
    }

    fn dense(&self, layer: &Layer, terms: usize) -> Result<(), ExportError> {
        if terms <= MAX_TERMS {
            return Ok(());
        }
        Err(unsupported(format!("`{layer}` sums {terms} products, at most {MAX_TERMS} fit")))
    }

    fn number(&self, slot: usize) -> usize {
        if slot == 0 { self.input } else { slot }
    }

    fn slot(&self, slot: usize) -> Result<Slot, ExportError> {
        let slot = self.number(slot);
        let missing = || unsupported(format!("slot {slot} holds no integers"));
        self.slots.get(&slot).cloned().ok_or_else(missing)
    }

    fn add(&mut self, layer: &Layer, part: &str, shape: &[usize], numbers: Numbers) {
        self.tensors.insert(layer.tensor(part), (shape.to_vec(), numbers));
    }

    fn push(&mut self, kind: &str, layer: &Layer) {
        let inputs: Vec<String> = layer.inputs.iter().map(|slot| self.number(*slot).to_string()).collect();
        let name = if layer.name.is_empty() { String::new() } else { format!(":{}", layer.name) };
        self.graph.push(format!("{kind}:{}>{}{name}", inputs.join(","), layer.output));
    }
}

/// A matrix by row and column.
fn by_rows(weight: &Tensor) -> impl Fn(usize, usize) -> f32 + '_ {
    let columns = weight.shape.last().copied().unwrap_or(0);
    move |row, column| weight.data[row * columns + column]
}

/// An element of a vector, 0 for padding.
fn value(vector: &Tensor, index: Option<usize>) -> f64 {
    index.map_or(0.0, |index| f64::from(vector.data[index]))
}

fn integers(
    layer: &Layer,
    part: &str,
    values: impl Iterator<Item = f64>,
    bits: i32,
) -> Result<Vec<i32>, ExportError> {
    let fits = |value: f64| {
        let reason = || unsupported(format!("`{layer}`, {part}: {value:e} does not fit 32 bits"));
        to_i32(value, bits).ok_or_else(reason)
    };
    values.map(fits).collect()
}
