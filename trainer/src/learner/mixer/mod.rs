//! Mixers factorise the team's value into the agents' utilities.
//!
//! A mixer is one file here and one line in [`REGISTRY`]; the learner never names one.

mod qmix;
mod vdn;

use std::ops::Range;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

pub use qmix::Qmix;
pub use vdn::Vdn;

use crate::error::ConfigError;
use crate::nn::Sparse;
use crate::registry::{Kind, typed};

/// What a mixer's sizes depend on.
#[derive(Clone, Copy, Debug)]
pub struct MixerShape {
    /// N
    pub agents: usize,
    /// A
    pub actions: usize,
    /// S
    pub state: usize,
    /// H, width of the agents' recurrent features.
    pub hidden: usize,
    /// I, width of an agent's input.
    pub input: usize,
}

/// What the team did over a span of steps, and everything a mixer may look at.
pub struct JointStep<'a> {
    /// Which frames of the episode these steps are.
    pub span: Range<usize>,
    /// Q_i(τ_i, u_i), `[B, T, N]`.
    pub q_taken: &'a Tensor,
    /// max over available actions, detached, `[B, T, N]`.
    pub q_max: &'a Tensor,
    /// u, `[B, T, N]` as `u32`.
    pub actions: &'a Tensor,
    /// Recurrent features of the agents, `[B, T, N, H]`.
    pub hidden: &'a Tensor,
    /// `[B·T, S]`
    pub state: &'a Sparse,
    /// `[B·(T+1)·N, I]` from frame 0, for mixers with recurrent agents of their own.
    pub agent_inputs: &'a Sparse,
}

/// One gradient step's worth of temporal-difference problem.
pub struct TdBatch<'a> {
    /// y, detached, `[B, T, K]`: K is 1 for a team value, N for independent learners.
    pub target: &'a Tensor,
    /// 1 where the step exists, `[B, T, 1]`.
    pub mask: &'a Tensor,
    /// What was done.
    pub taken: JointStep<'a>,
    /// The same frames with the online network's greedy actions; its `q_taken` keeps gradients.
    pub greedy: JointStep<'a>,
    /// This mixer's delayed copy.
    pub slow: &'a dyn Mixer,
}

/// Named scalars whose weighted sum is minimised, in order.
pub type LossTerms = Vec<(&'static str, f64, Tensor)>;

/// Factorises the team's value into the agents' utilities.
pub trait Mixer: Send {
    /// Q_tot(s, u), `[B, T, K]`.
    ///
    /// # Errors
    /// If the shapes disagree.
    fn q_tot(&self, step: &JointStep<'_>) -> Result<Tensor>;

    /// The value to bootstrap from at greedy actions, `[B, T, K]`. Called on the slow copy.
    ///
    /// # Errors
    /// If the shapes disagree.
    fn bootstrap(&self, greedy: &JointStep<'_>) -> Result<Tensor> {
        self.q_tot(greedy)
    }

    /// Loss terms over existing steps. Default: mean squared TD error.
    ///
    /// # Errors
    /// If the shapes disagree.
    fn losses(&self, td: &TdBatch<'_>) -> Result<LossTerms> {
        Ok(vec![("td", 1.0, masked_square(&self.q_tot(&td.taken)?, td)?)])
    }
}

/// `Σ mask · (value - y)² / Σ mask`, summed over K.
///
/// # Errors
/// If the shapes disagree.
pub fn masked_square(value: &Tensor, td: &TdBatch<'_>) -> Result<Tensor> {
    let error = (value - td.target)?;
    let total = error.sqr()?.broadcast_mul(td.mask)?.sum_all()?;
    total.broadcast_div(&td.mask.sum_all()?)
}

/// How a `[mixer]` table becomes a mixer.
pub trait MixerKind: Mixer + Sized + 'static {
    /// Name in the config.
    const NAME: &'static str;
    /// One line for `ddn-train list`.
    const ABOUT: &'static str;
    /// The table without `kind`.
    type Config: serde::Serialize + serde::de::DeserializeOwned + Default;
    /// Creates or finds the parameters under `vb`.
    ///
    /// # Errors
    /// If parameters exist with another shape.
    fn new(config: &Self::Config, shape: MixerShape, vb: &VarBuilder<'_>) -> Result<Self>;
}

type Build =
    fn(&toml::Table, MixerShape, &VarBuilder<'_>) -> std::result::Result<Box<dyn Mixer>, ConfigError>;

/// All mixers, in the order in which `ddn-train list` prints them.
pub const REGISTRY: &[Kind<Build>] = &[entry::<Vdn>(), entry::<Qmix>()];

/// A registry line.
#[must_use]
pub const fn entry<M: MixerKind>() -> Kind<Build> {
    Kind {
        name: M::NAME,
        about: M::ABOUT,
        resolve: |table| crate::registry::resolve::<M::Config>("mixer", table),
        build: |table, shape, vb| {
            let config: M::Config = typed("mixer", table)?;
            let mixer = M::new(&config, shape, vb).map_err(|source| ConfigError::build("mixer", source))?;
            Ok(Box::new(mixer))
        },
    }
}
