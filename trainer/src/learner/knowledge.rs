//! z: what of the state matters to one agent, as a teacher makes it and as a student guesses it.
//!
//! ```text
//! teacher  x, s ─► block ─► ELU ─► head ─► mean of z      (─► head ─► variance)
//! student  x ─► linear ─► ReLU ─► head ─► guess of z
//! ```

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder, ops::leaky_relu};
use serde::{Deserialize, Serialize};

use crate::error::ConfigError;
use crate::nn::Sparse;
use crate::nn::kernel::{Activation, BlockWeights, Source, ToWire, block, elu, linear, sparse_linear};
use crate::nn::params::linear_params;

/// Slope of a head's leaky ReLU below zero.
const SLOPE: f64 = 0.01;
/// The least variance of z.
const LEAST_VARIANCE: f64 = 0.01;

/// Sizes and scale. All widths are 64 in the public code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KnowledgeConfig {
    /// M, width of the hypernetwork's hidden layer.
    pub hyper: usize,
    /// Z, numbers in z; also the width of everything between the input and z.
    pub width: usize,
    /// Scale of the generated product; 1 in the public code. See `docs/algorithms.md`, PTDE.
    pub scale: f64,
}

impl Default for KnowledgeConfig {
    fn default() -> Self {
        Self { hyper: 64, width: 64, scale: 0.01 }
    }
}

impl KnowledgeConfig {
    /// Refuses what cannot work; `section` names the table.
    ///
    /// # Errors
    /// Names the key and what it may be.
    pub fn check(&self, section: &str) -> std::result::Result<(), ConfigError> {
        super::check_width(&format!("{section}.hyper"), self.hyper)?;
        super::check_width(&format!("{section}.width"), self.width)?;
        super::check_number(&format!("{section}.scale"), self.scale, -1e3..=1e3)
    }
}

/// Linear, leaky ReLU, linear, all of one width.
#[derive(Clone, Debug)]
struct Head([(Tensor, Tensor); 2]);

impl Head {
    fn new(vb: &VarBuilder<'_>, names: [&str; 2], width: usize) -> Result<Self> {
        let layer = |name| linear_params(&vb.pp(name), width, width);
        Ok(Self([layer(names[0])?, layer(names[1])?]))
    }

    fn forward(&self, x: &impl ToWire) -> Result<Tensor> {
        let [(w1, b1), (w2, b2)] = &self.0;
        let between = linear(x, w1, b1, Activation::None)?;
        Ok(linear(&leaky_relu(&between, SLOPE)?, w2, b2, Activation::None)?.into())
    }
}

/// The teacher's z, from the state seen through weights made from the agent's input.
#[derive(Clone, Debug)]
pub struct Knowledge {
    hyper: (Tensor, Tensor),
    shift: (Tensor, Tensor),
    weight: Tensor,
    mean: Head,
    variance: Option<Head>,
    scale: f64,
}

impl Knowledge {
    /// For agent inputs of width `input` and states of width `state`; with `varies`, z has a
    /// variance.
    ///
    /// # Errors
    /// If parameters exist with another shape.
    pub fn new(
        vb: &VarBuilder<'_>,
        config: &KnowledgeConfig,
        (input, state): (usize, usize),
        varies: bool,
    ) -> Result<Self> {
        let KnowledgeConfig { hyper, width, scale } = *config;
        let bound = 1.0 / (hyper as f64).sqrt();
        let init = Init::Uniform { lo: -bound, up: bound };
        let head = |name: &str| Head::new(&vb.pp(name), ["0", "1"], width);
        Ok(Self {
            hyper: linear_params(&vb.pp("hyper"), input, hyper)?,
            shift: linear_params(&vb.pp("shift"), input, width)?,
            weight: vb.pp("block").get_with_hints((state, hyper + 1, width), "weight", init)?,
            mean: head("mean")?,
            variance: varies.then(|| head("variance")).transpose()?,
            scale,
        })
    }

    fn embedding(&self, x: &Sparse, state: &Sparse, share: usize) -> Result<Tensor> {
        let source = Source { rows: state.clone(), share, scale: self.scale };
        let weights = BlockWeights {
            hyper: (&self.hyper.0, &self.hyper.1),
            shift: (&self.shift.0, &self.shift.1),
            product: &self.weight,
        };
        let fused = Tensor::from(block(x, &source, weights)?);
        elu(&fused)
    }

    /// The mean of z `[R, Z]` for inputs `x` `[R, I]`; `state` has one row per `share` rows of `x`.
    ///
    /// # Errors
    /// If the rows disagree.
    pub fn mean(&self, x: &Sparse, state: &Sparse, share: usize) -> Result<Tensor> {
        self.mean.forward(&self.embedding(x, state, share)?)
    }

    /// `mean + √variance · normal` where z has a variance, the mean elsewhere; `normal` `[R, Z]`.
    ///
    /// # Errors
    /// If the rows disagree.
    pub fn draw(&self, x: &Sparse, state: &Sparse, share: usize, normal: &Tensor) -> Result<Tensor> {
        let embedding = self.embedding(x, state, share)?;
        let mean = self.mean.forward(&embedding)?;
        match &self.variance {
            None => Ok(mean),
            Some(head) => {
                let variance = head.forward(&embedding)?.exp()?.maximum(LEAST_VARIANCE)?;
                mean + (variance.sqrt()? * normal)?
            }
        }
    }
}

/// The student's guess of the mean of z. It has no memory.
#[derive(Clone, Debug)]
pub struct Guess {
    see: (Tensor, Tensor),
    head: Head,
}

impl Guess {
    /// For agent inputs of width `input`.
    ///
    /// # Errors
    /// If parameters exist with another shape.
    pub fn new(vb: &VarBuilder<'_>, input: usize, width: usize) -> Result<Self> {
        let see = linear_params(&vb.pp("see"), input, width)?;
        Ok(Self { see, head: Head::new(vb, ["z1", "z2"], width)? })
    }

    /// `x` `[R, I]`; gives `[R, Z]`.
    ///
    /// # Errors
    /// If the width is another.
    pub fn forward(&self, x: &Sparse) -> Result<Tensor> {
        self.head.forward(&sparse_linear(x, &self.see.0, &self.see.1, Activation::Relu)?)
    }
}
