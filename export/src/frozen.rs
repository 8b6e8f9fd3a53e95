//! A trained local policy network as plain data: graph, weights and contract.

use std::collections::BTreeMap;

use crate::error::ExportError;
use crate::graph::{self, Layer, LayerKind};
use crate::kat::KnownAnswers;
use crate::spec::AgentSpec;

/// A dense array of floats, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its extents; empty for a scalar.
    pub shape: Vec<usize>,
    /// The values; as many as the product of the extents.
    pub data: Vec<f32>,
}

impl Tensor {
    /// A tensor of the given shape.
    #[must_use]
    pub fn new(shape: &[usize], data: Vec<f32>) -> Self {
        Self { shape: shape.to_vec(), data }
    }
}

/// Everything that ships of a trained agent; every exporter is a pure function of this.
#[derive(Clone, Debug, PartialEq)]
pub struct Frozen {
    /// What the agent perceives and can do.
    pub spec: AgentSpec,
    /// SHA-256 of the resolved configuration of the training run, in hexadecimal.
    pub config_sha256: String,
    /// The layers, in the order in which they run.
    pub layers: Vec<Layer>,
    /// The weights by name.
    pub tensors: BTreeMap<String, Tensor>,
    /// Whether most of what the agents see is zero, so that the first layers had better look for zeros.
    pub sparse: bool,
    /// The least and the greatest value that each element of an observation had, `[2, O]`.
    pub obs_range: Option<Tensor>,
    /// A short recorded run with its answers, for a self-test on the device.
    pub known_answers: Option<KnownAnswers>,
}

impl Frozen {
    /// One tensor.
    ///
    /// # Errors
    /// [`ExportError::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<&Tensor, ExportError> {
        self.tensors.get(name).ok_or_else(|| ExportError::MissingTensor { name: name.into() })
    }

    /// Widths of the recurrent states, one per recurrent layer in order.
    ///
    /// # Errors
    /// [`ExportError::MissingTensor`].
    pub fn hidden_dims(&self) -> Result<Vec<usize>, ExportError> {
        self.layers
            .iter()
            .filter(|layer| layer.kind == LayerKind::Gru)
            .map(|layer| {
                let weight = self.tensor(&layer.tensor("weight_hh"))?;
                Ok(weight.shape.last().copied().unwrap_or(0))
            })
            .collect()
    }

    /// The metadata of a model file.
    #[must_use]
    pub fn metadata(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("ddn.format", "1".to_owned()),
            ("ddn.graph", graph::to_text(&self.layers)),
            ("ddn.inputs", self.spec.inputs_text()),
            ("ddn.agents", self.spec.n_agents.to_string()),
            ("ddn.actions", self.spec.actions.join(",")),
            ("ddn.obs", self.spec.obs_layout.clone()),
            ("ddn.environment", self.spec.environment.clone()),
            ("ddn.gates", "rzn".to_owned()),
            ("ddn.config", self.config_sha256.clone()),
            ("ddn.contract", self.spec.contract()),
        ])
    }

    /// Proves that the layers chain: each reads slots that were written, every tensor is there
    /// with the shape its layer needs and finite values, no tensor is left over, and the last
    /// layer gives one value per action.
    ///
    /// # Errors
    /// The first contradiction, with its place.
    pub fn check(&self) -> Result<(), ExportError> {
        self.spec.check()?;
        let mut widths = BTreeMap::from([(0_usize, self.spec.input_dim())]);
        let mut used = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let fail = |reason: String| ExportError::Layer { index, layer: layer.to_string(), reason };
            let mut inputs = Vec::new();
            for slot in &layer.inputs {
                let width = widths.get(slot);
                inputs.push(*width.ok_or_else(|| fail(format!("slot {slot} is empty")))?);
            }
            if layer.name.is_empty() != layer.kind.tensors().is_empty() {
                return Err(fail("a layer has a name if, and only if, it has tensors".into()));
            }
            let width = self.output_dim(layer, &inputs).map_err(|error| match error {
                Width::Layer(reason) => fail(reason),
                Width::Tensor(error) => error,
            })?;
            widths.insert(layer.output, width);
            used.extend(layer.kind.tensors().iter().map(|part| layer.tensor(part)));
        }
        let last = self
            .layers
            .last()
            .ok_or_else(|| ExportError::Spec { field: "graph", reason: "has no layers".into() })?;
        if widths[&last.output] != self.spec.n_actions() {
            return Err(ExportError::Layer {
                index: self.layers.len() - 1,
                layer: last.to_string(),
                reason: format!(
                    "gives {} values for {} actions",
                    widths[&last.output],
                    self.spec.n_actions()
                ),
            });
        }
        for (name, tensor) in &self.tensors {
            let reason = if !used.contains(name) {
                "no layer reads this tensor"
            } else if tensor.data.len() != tensor.shape.iter().product::<usize>() {
                "the number of values does not fit the shape"
            } else if !tensor.data.iter().all(|v| v.is_finite()) {
                "holds a value that is not finite"
            } else {
                continue;
            };
            return Err(ExportError::Corrupt { what: format!("tensor {name}"), reason: reason.into() });
        }
        Ok(())
    }

    /// The width of what a layer gives, its tensors checked.
    fn output_dim(&self, layer: &Layer, inputs: &[usize]) -> Result<usize, Width> {
        let arity = |n: usize| {
            let got = inputs.len();
            if got == n { Ok(()) } else { Err(Width::Layer(format!("takes {n} inputs, not {got}"))) }
        };
        match layer.kind {
            LayerKind::Linear => {
                arity(1)?;
                let out = self.extent(&layer.tensor("bias"), 0)?;
                self.expect(&layer.tensor("weight"), &[out, inputs[0]])?;
                self.expect(&layer.tensor("bias"), &[out])?;
                Ok(out)
            }
            LayerKind::Relu | LayerKind::LeakyRelu => arity(1).map(|()| inputs[0]),
            LayerKind::Block => {
                arity(3)?;
                self.expect(&layer.tensor("weight"), &[inputs[1], inputs[0] + 1, inputs[2]])?;
                Ok(inputs[2])
            }
            LayerKind::Gru => {
                arity(1)?;
                let hidden = self.extent(&layer.tensor("weight_hh"), 1)?;
                self.expect(&layer.tensor("weight_ih"), &[3 * hidden, inputs[0]])?;
                self.expect(&layer.tensor("weight_hh"), &[3 * hidden, hidden])?;
                self.expect(&layer.tensor("bias_ih"), &[3 * hidden])?;
                self.expect(&layer.tensor("bias_hh"), &[3 * hidden])?;
                Ok(hidden)
            }
            LayerKind::Concat if inputs.is_empty() => Err(Width::Layer("joins nothing".into())),
            LayerKind::Concat => Ok(inputs.iter().sum()),
        }
    }

    /// One extent of a tensor; 0 where it has fewer.
    fn extent(&self, name: &str, axis: usize) -> Result<usize, ExportError> {
        Ok(self.tensor(name)?.shape.get(axis).copied().unwrap_or(0))
    }

    /// Holds a tensor to a shape.
    fn expect(&self, name: &str, want: &[usize]) -> Result<(), ExportError> {
        let got = &self.tensor(name)?.shape;
        if got == want && !want.contains(&0) {
            return Ok(());
        }
        Err(ExportError::Shape { name: name.into(), want: want.to_vec(), got: got.clone() })
    }
}

/// Why the width of a layer is unknown: the layer itself, or one of its tensors.
enum Width {
    Layer(String),
    Tensor(ExportError),
}

impl From<ExportError> for Width {
    fn from(error: ExportError) -> Self {
        Self::Tensor(error)
    }
}
