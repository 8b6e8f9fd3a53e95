//! Mixers factorise the team's value into the agents' utilities.
//!
//! A mixer is one file here and one line in [`REGISTRY`]; the learner never names one. A program
//! with a mixer of its own calls [`register`] instead.

mod iql;
mod qatten;
mod qmix;
mod qplex;
mod qtran;
mod vdn;
mod wqmix;

use std::ops::Range;
use std::sync::{PoisonError, RwLock};

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

pub use iql::Iql;
pub use qatten::Qatten;
pub use qmix::Qmix;
pub use qplex::Qplex;
pub use qtran::Qtran;
pub use vdn::Vdn;
pub use wqmix::Wqmix;

use crate::error::ConfigError;
use crate::nn::Sparse;
use crate::registry::{self, Kind, typed};

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
#[derive(Clone)]
pub struct JointStep<'a> {
    /// Which frames of the episodes these steps are.
    pub span: Range<usize>,
    /// Frames of each episode that exist, `[B]`; `None` where all do.
    pub lengths: Option<&'a [usize]>,
    /// Q_i(τ_i, u_i), `[B, T, N]`.
    pub q_taken: &'a Tensor,
    /// max over available actions, detached, `[B, T, N]`.
    pub q_max: &'a Tensor,
    /// u, `[B, T, N]` as `u32`.
    pub actions: &'a Tensor,
    /// Recurrent features of the agents, `[B, T, N, H]`, for a mixer that [reads](Mixer::reads_hidden) them.
    pub hidden: Option<&'a Tensor>,
    /// `[B·T, S]`
    pub state: &'a Sparse,
    /// `[B·(T+1)·N, I]` from frame 0, for mixers with recurrent agents of their own.
    pub agent_inputs: &'a Sparse,
}

impl JointStep<'_> {
    /// x_i of these steps, `[B·T·N, I]`.
    #[must_use]
    pub fn own_inputs(&self) -> Sparse {
        let (episodes, agents) = (self.q_taken.dims()[0], self.q_taken.dims()[2]);
        let frames = self.agent_inputs.rows() / (episodes * agents);
        let span = self.span.start * agents..self.span.end * agents;
        let rows = |episode: usize| {
            let first = episode * frames * agents;
            first + span.start..first + span.end
        };
        self.agent_inputs.select((0..episodes).map(rows))
    }
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
pub trait Mixer: Send + Sync {
    /// Whether it looks at the agents' recurrent features. A mixer around another one says what that one says.
    fn reads_hidden(&self) -> bool {
        false
    }

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

/// `Σ mask · (value - y)² / Σ mask`, mean over K.
///
/// # Errors
/// If the shapes disagree.
pub fn masked_square(value: &Tensor, td: &TdBatch<'_>) -> Result<Tensor> {
    masked_mean(&(value - td.target)?.sqr()?, td.mask)
}

/// `Σ mask · value / Σ mask`, mean over K: `value` `[B, T, K]`, `mask` `[B, T, 1]`.
///
/// # Errors
/// If the shapes disagree.
pub fn masked_mean(value: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let total = value.broadcast_mul(mask)?.sum_all()?;
    total.broadcast_div(&(mask.sum_all()? * value.dim(2)? as f64)?)
}

/// How a `[mixer]` table becomes a mixer.
pub trait MixerKind: Mixer + Sized + 'static {
    /// Name in the config.
    const NAME: &'static str;
    /// One line for `ddn-train list`.
    const ABOUT: &'static str;
    /// The table without `kind`.
    type Config: serde::Serialize + serde::de::DeserializeOwned + Default;

    /// Refuses values that cannot work, before anything is made.
    ///
    /// # Errors
    /// Names the key and what would be right.
    fn check(_: &Self::Config) -> std::result::Result<(), ConfigError> {
        Ok(())
    }

    /// Creates or finds the parameters under `vb`.
    ///
    /// # Errors
    /// If parameters exist with another shape.
    fn new(config: &Self::Config, shape: MixerShape, vb: &VarBuilder<'_>) -> Result<Self>;
}

/// Makes a mixer from its table.
pub type Build =
    fn(&toml::Table, MixerShape, &VarBuilder<'_>) -> std::result::Result<Box<dyn Mixer>, ConfigError>;

/// The mixers of this crate, in the order in which `ddn-train list` prints them.
pub const REGISTRY: &[Kind<Build>] = &[
    entry::<Iql>(),
    entry::<Vdn>(),
    entry::<Qmix>(),
    entry::<Qtran>(),
    entry::<Qatten>(),
    entry::<Wqmix>(),
    entry::<Qplex>(),
];

/// Those that the running program has added.
static REGISTERED: RwLock<Vec<Kind<Build>>> = RwLock::new(Vec::new());

/// Lets `mixer.kind` name a mixer of the calling program, from now until the process ends.
///
/// Other programs cannot read its checkpoints unless they register it too. Call it before the first
/// config is read.
///
/// # Errors
/// If there is a mixer of that name.
pub fn register<M: MixerKind>() -> std::result::Result<(), ConfigError> {
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    if REGISTRY.iter().chain(&*registered).any(|kind| kind.name == M::NAME) {
        return Err(ConfigError::value("mixer.kind", format!("there is a mixer \"{}\" already", M::NAME)));
    }
    registered.push(entry::<M>());
    Ok(())
}

/// All mixers: [`REGISTRY`], then those that were added, in order.
#[must_use]
pub fn all() -> Vec<Kind<Build>> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    REGISTRY.iter().chain(&*registered).copied().collect()
}

/// The mixer that `table` names.
///
/// # Errors
/// If `kind` is missing or unknown; the message lists what there is.
pub fn find(table: &toml::Table) -> std::result::Result<Kind<Build>, ConfigError> {
    registry::find(&all(), "mixer", table).copied()
}

/// A registry line.
#[must_use]
pub const fn entry<M: MixerKind>() -> Kind<Build> {
    Kind {
        name: M::NAME,
        about: M::ABOUT,
        resolve: |table| {
            M::check(&typed("mixer", table)?)?;
            crate::registry::resolve::<M::Config>("mixer", table)
        },
        build: |table, shape, vb| {
            let config: M::Config = typed("mixer", table)?;
            M::check(&config)?;
            let mixer = M::new(&config, shape, vb).map_err(|source| ConfigError::build("mixer", source))?;
            Ok(Box::new(mixer))
        },
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::config::ExperimentConfig;

    /// Of no use but to be found.
    struct Scaled(f64);

    #[derive(Default, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct ScaledConfig {
        by: f64,
    }

    impl Mixer for Scaled {
        fn q_tot(&self, step: &JointStep<'_>) -> Result<Tensor> {
            step.q_taken.sum_keepdim(2)? * self.0
        }
    }

    impl MixerKind for Scaled {
        const NAME: &'static str = "scaled";
        const ABOUT: &'static str = "of the tests";
        type Config = ScaledConfig;

        fn new(config: &ScaledConfig, _: MixerShape, _: &VarBuilder<'_>) -> Result<Self> {
            Ok(Self(config.by))
        }
    }

    #[test]
    fn a_mixer_of_another_program_is_found_by_name_once_it_is_registered() {
        let load = |mixer: &str| {
            let text = format!(
                "t_max = 1\nenv = {{ kind = \"matrix-game\" }}\nscheme = {{ kind = \"ddn\" }}\nmixer = {mixer}\n"
            );
            ExperimentConfig::from_text(&text, "test", &[])
        };
        load("{ kind = \"scaled\" }").expect_err("it is not registered yet");
        register::<Scaled>().unwrap();
        let config = load("{ kind = \"scaled\", by = 0.5 }").unwrap();
        assert_eq!(config.algorithm(), "ddn+scaled");
        assert_eq!(config.mixer["by"].as_float(), Some(0.5));
        crate::train::build_scheme(&config).unwrap();
        let error = load("{ kind = \"scaled\", bye = 0.5 }").unwrap_err().to_string();
        assert!(error.contains("unknown field `bye`"), "{error}");
        let error = load("{ kind = \"saled\" }").unwrap_err().to_string();
        assert!(error.contains("there are: iql, vdn, qmix, ") && error.ends_with(", scaled"), "{error}");
        assert!(all().iter().any(|kind| (kind.name, kind.about) == ("scaled", "of the tests")));

        let error = register::<Scaled>().unwrap_err().to_string();
        assert_eq!(error, "mixer.kind: there is a mixer \"scaled\" already");
        register::<Vdn>().expect_err("this crate has one of that name");
        assert_eq!(all().len(), REGISTRY.len() + 1);
    }
}
