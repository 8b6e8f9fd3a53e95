//! Schemes: which networks there are, how they are trained, who acts.
//!
//! A scheme is one file here and one line in [`REGISTRY`]; any scheme runs with any mixer.

mod ctds;
mod ddn;
mod igm_da;
mod normalised;
mod plain;
mod ptde;

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;

pub use ctds::{Ctds, CtdsConfig};
pub use ddn::{Behaviour, Ddn, DdnConfig};
pub use igm_da::{IgmDa, IgmDaConfig, Variant};
pub use normalised::Normalised;
pub use plain::{Plain, PlainConfig};
pub use ptde::{Noise, Ptde, PtdeConfig, PtdeDistillConfig};

use super::agent::Unroll;
use super::mixer::{LossTerms, Mixer, MixerShape};
use super::normaliser::Normaliser;
use super::td::TdConfig;
use super::view::View;
use crate::env::EnvSpec;
use crate::error::{ConfigError, During, LearnError};
use crate::nn::{Optimiser, Params};
use crate::registry::{Kind, find};
use crate::replay::{Batch, Rows, input_dim};
use crate::seed::Draw;

/// What one update came to: name to value.
pub type Metrics = BTreeMap<String, f64>;

/// What every scheme is built from.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// Sizes.
    pub spec: &'a EnvSpec,
    /// The `[mixer]` table.
    pub mixer: &'a toml::Table,
    /// The run's seed.
    pub seed: u64,
    /// f32 to train, f64 to check.
    pub dtype: DType,
    /// How targets are made.
    pub td: TdConfig,
    /// Largest gradient norm.
    pub clip: f64,
}

impl Setting<'_> {
    /// The mixer that the table names, with its parameters under `vb`.
    ///
    /// # Errors
    /// If the table is wrong.
    pub fn mixer(&self, hidden: usize, vb: &VarBuilder<'_>) -> Result<Box<dyn Mixer>, ConfigError> {
        let shape = MixerShape {
            agents: self.spec.n_agents,
            actions: self.spec.n_actions(),
            state: self.spec.state_dim,
            hidden,
            input: input_dim(self.spec),
        };
        (super::mixer::find(self.mixer)?.build)(self.mixer, shape, vb)
    }

    /// Refuses an environment that has no teacher view; `scheme` names who asks for it.
    ///
    /// # Errors
    /// If there is none.
    pub fn require_teacher(&self, scheme: &str) -> Result<(), ConfigError> {
        if self.spec.teacher_dim > 0 {
            return Ok(());
        }
        let reason = format!(
            "\"{scheme}\" needs a teacher view, and the environment \"{}\" offers none; choose a scheme \
             that does without (plain, ddn, ptde), or an environment that has one (`ddn-train check-env \
             NAME` tells)",
            self.spec.name
        );
        Err(ConfigError::value("scheme.kind", reason))
    }

    /// Refuses an environment that has no state; `scheme` names who asks for it.
    ///
    /// # Errors
    /// If there is none.
    pub fn require_state(&self, scheme: &str) -> Result<(), ConfigError> {
        if self.spec.state_dim > 0 {
            return Ok(());
        }
        let reason = format!(
            "\"{scheme}\" needs the global state, and the environment \"{}\" has none; choose a scheme that \
             does without (plain, ctds, igm-da), or an environment that has one",
            self.spec.name
        );
        Err(ConfigError::value("scheme.kind", reason))
    }
}

/// What a scheme does once the environment steps of training are made: it plays more episodes, and
/// learns from single steps of them. Their cost is counted and logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondPhase {
    /// Episodes to play, by the first network, with the least exploration.
    pub episodes: u64,
    /// Gradient steps on them.
    pub updates: u64,
    /// Agent steps per gradient step.
    pub rows: usize,
}

/// A way to train a team.
pub trait Scheme: Send {
    /// Names of the networks that can act; the decentralised one, which ships, last.
    fn networks(&self) -> &'static [&'static str];

    /// The network that explores in the next collection.
    fn behaviour(&self, rng: &mut dyn rand_core::Rng) -> &'static str;

    /// One gradient step on everything that learns.
    ///
    /// # Errors
    /// If candle fails or a gradient is not finite.
    fn update(&mut self, batch: &Batch, rng: &mut rand_chacha::ChaCha8Rng) -> Result<Metrics, LearnError>;

    /// Takes in what an update came to over the whole batch, however many parts it was learned in.
    ///
    /// # Errors
    /// If candle fails.
    fn settle(&mut self, metrics: &Metrics) -> Result<(), LearnError> {
        let _ = metrics;
        Ok(())
    }

    /// Utilities of `network` over a span, for acting and evaluation; `start` `[B, N, H]`.
    ///
    /// # Errors
    /// If the rows do not fit the span.
    fn unroll(&self, network: &str, view: &View<'_>, start: Option<&Tensor>) -> candle_core::Result<Unroll>;

    /// Whether episodes have to keep the teacher view.
    fn needs_teacher(&self) -> bool {
        false
    }

    /// What is to be done after the environment steps of training, if anything.
    fn second_phase(&self) -> Option<SecondPhase> {
        None
    }

    /// One gradient step of the second phase.
    ///
    /// # Errors
    /// As [`Scheme::update`].
    fn distil(&mut self, rows: &Rows) -> Result<Metrics, LearnError> {
        let _ = rows;
        Ok(Metrics::new())
    }

    /// The error that [`Scheme::distil`] makes smaller, summed over `rows`.
    ///
    /// # Errors
    /// If candle fails.
    fn distil_error(&self, rows: &Rows) -> Result<f64, LearnError> {
        let _ = rows;
        Ok(0.0)
    }

    /// What brings observations and states to a common scale, where the experiment asks for it.
    fn normaliser(&self) -> Option<&Normaliser> {
        None
    }

    /// The same, to show it episodes or to restore it.
    fn normaliser_mut(&mut self) -> Option<&mut Normaliser> {
        None
    }

    /// Copies the online networks into their slow copies.
    ///
    /// # Errors
    /// If candle cannot copy.
    fn sync_slow(&self) -> candle_core::Result<()>;

    /// All parameter sets by name, slow copies included.
    fn params(&self) -> Vec<(&'static str, &Params)>;

    /// All optimisers by name.
    fn optimisers(&self) -> Vec<(&'static str, &Optimiser)>;

    /// All optimisers by name, to restore them.
    fn optimisers_mut(&mut self) -> Vec<(&'static str, &mut Optimiser)>;
}

/// How a `[scheme]` table becomes a scheme.
pub trait SchemeKind: Scheme + Sized + 'static {
    /// Name in the config.
    const NAME: &'static str;
    /// One line for `ddn-train list`.
    const ABOUT: &'static str;
    /// What [`Scheme::networks`] gives.
    const NETWORKS: &'static [&'static str];
    /// The table without `kind`.
    type Config: serde::Serialize + serde::de::DeserializeOwned + Default;
    /// Builds all networks.
    ///
    /// # Errors
    /// If a value cannot work.
    fn new(config: Self::Config, setting: &Setting<'_>) -> Result<Self, ConfigError>;
}

type Build = fn(&toml::Table, &Setting<'_>) -> Result<Box<dyn Scheme>, ConfigError>;

/// What the registry knows of a scheme.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// What [`Scheme::networks`] gives.
    pub networks: &'static [&'static str],
    build: Build,
}

/// All schemes, in the order in which `ddn-train list` prints them.
pub const REGISTRY: &[Kind<Known>] =
    &[entry::<Plain>(), entry::<Ddn>(), entry::<Ctds>(), entry::<Ptde>(), entry::<IgmDa>()];

/// A registry line.
#[must_use]
pub const fn entry<S: SchemeKind>() -> Kind<Known> {
    Kind {
        name: S::NAME,
        about: S::ABOUT,
        resolve: |table| crate::registry::resolve::<S::Config>("scheme", table),
        build: Known {
            networks: S::NETWORKS,
            build: |table, setting| Ok(Box::new(S::new(crate::registry::typed("scheme", table)?, setting)?)),
        },
    }
}

/// The scheme that `table` names.
///
/// # Errors
/// If the table is wrong.
pub fn build(table: &toml::Table, setting: &Setting<'_>) -> Result<Box<dyn Scheme>, ConfigError> {
    (find(REGISTRY, "scheme", table)?.build.build)(table, setting)
}

/// The network of the scheme that `table` names which ships.
///
/// # Errors
/// If there is no such scheme.
pub fn ships(table: &toml::Table) -> Result<&'static str, ConfigError> {
    Ok(networks(table)?.last().copied().unwrap_or_default())
}

/// What [`Scheme::networks`] of the scheme that `table` names gives.
///
/// # Errors
/// If there is no such scheme.
pub fn networks(table: &toml::Table) -> Result<&'static [&'static str], ConfigError> {
    Ok(find(REGISTRY, "scheme", table)?.build.networks)
}

/// Adds weighted terms up, notes each by name, and moves the parameters.
fn minimise(
    terms: &LossTerms,
    prefix: &str,
    optimiser: &mut Optimiser,
    metrics: &mut Metrics,
) -> Result<(), LearnError> {
    let mut total: Option<Tensor> = None;
    for (name, weight, term) in terms {
        let value = crate::nn::params::scalar(term).during("reading a loss")?;
        metrics.insert(format!("loss_{name}"), value);
        let weighted = (term * *weight).during("weighing a loss")?;
        total = Some(match total {
            Some(total) => (total + weighted).during("adding losses")?,
            None => weighted,
        });
    }
    let Some(total) = total else { return Ok(()) };
    let norm = optimiser.step(&total).during("backward pass")?;
    metrics.insert(format!("grad_norm_{prefix}"), norm);
    Ok(())
}

/// A coin for a scheme that mixes behaviours.
fn coin(rng: &mut dyn rand_core::Rng) -> bool {
    rng.below(2) == 0
}
