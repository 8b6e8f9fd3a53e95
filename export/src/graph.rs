//! The layer graph of an agent network and its one-line spelling.
//!
//! ```text
//! linear:0>1:fc1;relu:1>1;gru:1>2:gru;linear:2>3:fc2
//! kind : inputs > output : name
//! ```
//!
//! Slot 0 holds the agent input; the output of the last layer holds the Q-values.

use std::fmt;
use std::str::FromStr;

use crate::error::ExportError;

/// What a layer computes. I, D, H, M stand for input, output, hidden and hyper width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// `y = W x + b`; weight `[D, I]`, bias `[D]`.
    Linear,
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, else `0.01 x`.
    LeakyRelu,
    /// Personalised layer on inputs h, x, b:
    /// `y_j = b_j + Σ_k x_k (W[k][M][j] + Σ_m h_m W[k][m][j])`; weight `[I, M + 1, D]`.
    Block,
    /// Gated recurrent unit, gates in the order r, z, n:
    /// `n = tanh(W_in x + b_in + r (W_hn h + b_hn))`, `h' = (1 - z) n + z h`;
    /// `weight_ih` `[3H, I]`, `weight_hh` `[3H, H]`, `bias_ih` and `bias_hh` `[3H]`.
    Gru,
    /// Its inputs, one after the other.
    Concat,
}

impl LayerKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Linear, Self::Relu, Self::LeakyRelu, Self::Block, Self::Gru, Self::Concat];

    /// Its name in a model file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Relu => "relu",
            Self::LeakyRelu => "leaky_relu",
            Self::Block => "block",
            Self::Gru => "gru",
            Self::Concat => "concat",
        }
    }

    /// What follows the layer's name in the names of its tensors.
    #[must_use]
    pub fn tensors(self) -> &'static [&'static str] {
        match self {
            Self::Linear => &["weight", "bias"],
            Self::Block => &["weight"],
            Self::Gru => &["weight_ih", "weight_hh", "bias_ih", "bias_hh"],
            Self::Relu | Self::LeakyRelu | Self::Concat => &[],
        }
    }
}

/// One layer: what it computes, where it reads and where it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// What it computes.
    pub kind: LayerKind,
    /// Slots it reads.
    pub inputs: Vec<usize>,
    /// Slot it writes.
    pub output: usize,
    /// Prefix of its tensors' names; empty for a layer without tensors.
    pub name: String,
}

impl Layer {
    /// A layer; `name` is empty for kinds without tensors.
    #[must_use]
    pub fn new(kind: LayerKind, inputs: &[usize], output: usize, name: &str) -> Self {
        Self { kind, inputs: inputs.to_vec(), output, name: name.into() }
    }

    /// The full name of one of its tensors.
    #[must_use]
    pub fn tensor(&self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inputs: Vec<String> = self.inputs.iter().map(usize::to_string).collect();
        write!(f, "{}:{}>{}", self.kind.name(), inputs.join(","), self.output)?;
        if self.name.is_empty() { Ok(()) } else { write!(f, ":{}", self.name) }
    }
}

impl FromStr for Layer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut fields = text.split(':');
        let kind = fields.next().unwrap_or_default();
        let kind = LayerKind::ALL
            .into_iter()
            .find(|k| k.name() == kind)
            .ok_or_else(|| format!("`{kind}` is no kind of layer"))?;
        let slots = fields.next().ok_or("no slots")?;
        let (inputs, output) = slots.split_once('>').ok_or("slots need a `>`")?;
        let slot = |s: &str| s.parse::<usize>().map_err(|_| format!("`{s}` is no slot"));
        let inputs = inputs.split(',').map(slot).collect::<Result<Vec<_>, _>>()?;
        let output = slot(output)?;
        let name = fields.next().unwrap_or_default().to_owned();
        if fields.next().is_some() {
            return Err("too many fields".into());
        }
        Ok(Self { kind, inputs, output, name })
    }
}

/// The layers in one line, separated by semicolons.
#[must_use]
pub fn to_text(layers: &[Layer]) -> String {
    layers.iter().map(Layer::to_string).collect::<Vec<_>>().join(";")
}

/// The inverse of [`to_text`].
///
/// # Errors
/// [`ExportError::Layer`] with the place of the first layer that cannot be read.
pub fn from_text(text: &str) -> Result<Vec<Layer>, ExportError> {
    text.split(';')
        .enumerate()
        .map(|(index, layer)| {
            layer.parse().map_err(|reason| ExportError::Layer { index, layer: layer.into(), reason })
        })
        .collect()
}

/// The network of a plain recurrent agent.
pub const PLAIN: &str = "linear:0>1:fc1;relu:1>1;gru:1>2:gru;linear:2>3:fc2";

/// The local policy network of DDN: a personalised block in front of the recurrent agent.
pub const LPN: &str = "linear:0>1:hyper;relu:1>1;linear:0>2:shift;block:1,0,2>3:block;\
                       linear:3>4:fc1;relu:4>4;gru:4>5:gru;linear:5>6:fc2";

/// The network of PTDE: a recurrent agent whose last layer reads a guess of the state as well.
pub const INFORMED: &str = "linear:0>1:fc1;relu:1>1;gru:1>2:gru;linear:2>3:fc;relu:3>3;\
                            linear:0>4:see;relu:4>4;linear:4>5:z1;leaky_relu:5>5;linear:5>6:z2;\
                            concat:3,6>7;linear:7>8:fc2";
