//! The Double Distillation Network: leader, follower, and curiosity about states.
//!
//! ```text
//! x, s ─► GGN ─► Q ─► mixer ─► Q_tot ◄─ TD on r + r_I          r_I ◄─ IDM ◄─ s
//!          │ L_B, L_F, L_Q (no gradient back)
//! x ─────► LPN ─► Q
//! ```

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::{Metrics, Scheme, SchemeKind, Setting, coin, minimise};
use crate::error::{ConfigError, During, LearnError};
use crate::learner::agent::{Span, Unroll};
use crate::learner::edm::{DistillConfig, distillation};
use crate::learner::fusion::FusionConfig;
use crate::learner::ggn::{Ggn, StateInput};
use crate::learner::idm::{Idm, IdmConfig};
use crate::learner::lpn::Lpn;
use crate::learner::mixer::Mixer;
use crate::learner::slow::{SlowValues, slow_values};
use crate::learner::td::{TdConfig, td_losses};
use crate::learner::view::View;
use crate::nn::{Optimiser, OptimiserConfig, Params};
use crate::phases::{both, timed};
use crate::replay::{Batch, input_dim};

/// Everything about DDN that the paper sets or leaves open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DdnConfig {
    /// Who explores.
    pub behaviour: Behaviour,
    /// How the leader takes in the state.
    pub state_input: StateInput,
    /// D, width of both blocks' outputs, which L_B compares.
    pub width: usize,
    /// Optimiser of the leader and the mixer.
    pub ggn_optimiser: OptimiserConfig,
    /// Optimiser of the follower.
    pub lpn_optimiser: OptimiserConfig,
    /// Sizes of the leader.
    pub ggn: FusionConfig,
    /// Sizes of the follower; its hypernetwork decides the flash that a robot needs.
    pub lpn: FusionConfig,
    /// External distillation.
    pub distill: DistillConfig,
    /// Internal distillation.
    pub idm: IdmConfig,
}

impl Default for DdnConfig {
    fn default() -> Self {
        Self {
            behaviour: Behaviour::Ggn,
            state_input: StateInput::Personalised,
            width: 64,
            ggn_optimiser: OptimiserConfig::rmsprop(),
            lpn_optimiser: OptimiserConfig::adam(),
            ggn: FusionConfig::default(),
            lpn: FusionConfig::default(),
            distill: DistillConfig::default(),
            idm: IdmConfig::default(),
        }
    }
}

/// The metric from which the unit of the intrinsic reward follows.
const ERROR_SQUARE: &str = "intrinsic_error_square";

/// The network that acts while exploring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Behaviour {
    /// The leader.
    #[default]
    Ggn,
    /// The follower: the states that it will meet are the ones it is taught on.
    Lpn,
    /// One of the two for each collection, a fair coin decides.
    Mix,
}

/// All networks of DDN.
pub struct Ddn {
    ggn: Ggn,
    mixer: Box<dyn Mixer>,
    slow_ggn: Ggn,
    slow_mixer: Box<dyn Mixer>,
    lpn: Lpn,
    idm: Idm,
    /// `ggn.*` and `mixer.*`
    leader: Params,
    slow: Params,
    /// `lpn.*`
    follower: Params,
    /// `idm.*`
    curiosity: Params,
    leader_optimiser: Optimiser,
    follower_optimiser: Optimiser,
    curiosity_optimiser: Optimiser,
    td: TdConfig,
    config: DdnConfig,
}

impl SchemeKind for Ddn {
    const NAME: &'static str = "ddn";
    const ABOUT: &'static str =
        "global guiding network distilled into local policy networks, with intrinsic reward";
    const NETWORKS: &'static [&'static str] = &["ggn", "lpn"];
    type Config = DdnConfig;

    fn new(config: DdnConfig, setting: &Setting<'_>) -> Result<Self, ConfigError> {
        config.check()?;
        let spec = setting.spec;
        let (x, state, actions) = (input_dim(spec), spec.state_dim, spec.n_actions());
        let failed = |source| ConfigError::build("scheme", source);
        let build = |params: &Params| -> Result<(Ggn, Box<dyn Mixer>), ConfigError> {
            let vb = params.builder();
            let sizes = (x, state, spec.n_agents, config.width);
            let ggn =
                Ggn::new(&vb.pp("ggn"), &config.ggn, config.state_input, sizes, actions).map_err(failed)?;
            Ok((ggn, setting.mixer(config.ggn.hidden, &vb.pp("mixer"))?))
        };
        let leader = Params::new(setting.seed, setting.dtype);
        let (ggn, mixer) = build(&leader)?;
        let slow = leader.slow_copy().map_err(failed)?;
        let (slow_ggn, slow_mixer) = build(&slow)?;
        let follower = Params::new(setting.seed, setting.dtype);
        let vb = follower.builder();
        let lpn = Lpn::new(&vb.pp("lpn"), &config.lpn, x, config.width, actions).map_err(failed)?;
        let curiosity = Params::new(setting.seed, setting.dtype);
        let idm = Idm::new(&curiosity.builder().pp("idm"), &config.idm, state).map_err(failed)?;
        let optimiser = |rule, params: &Params, takes: fn(&str) -> bool| {
            Optimiser::new(rule, setting.clip, params, takes).map_err(failed)
        };
        Ok(Self {
            leader_optimiser: optimiser(config.ggn_optimiser, &leader, |_| true)?,
            follower_optimiser: optimiser(config.lpn_optimiser, &follower, |_| true)?,
            curiosity_optimiser: optimiser(config.idm.optimiser, &curiosity, |name| {
                name.starts_with("idm.predictor.")
            })?,
            ggn,
            mixer,
            slow_ggn,
            slow_mixer,
            lpn,
            idm,
            leader,
            slow,
            follower,
            curiosity,
            td: setting.td,
            config,
        })
    }
}

impl DdnConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let (width, number) = (super::super::check_width, super::super::check_number);
        for (name, config) in [("ggn", &self.ggn), ("lpn", &self.lpn)] {
            width(&format!("scheme.{name}.hidden"), config.hidden)?;
            width(&format!("scheme.{name}.hyper"), config.hyper)?;
            number(&format!("scheme.{name}.scale"), config.scale, -1e3..=1e3)?;
        }
        width("scheme.width", self.width)?;
        width("scheme.idm.hidden", self.idm.hidden)?;
        width("scheme.idm.features", self.idm.features)?;
        number("scheme.idm.mu", self.idm.mu, 0.0..=1.0)?;
        number("scheme.idm.coefficient", self.idm.coefficient, 0.0..=1e6)?;
        for (name, weight) in
            [("block", self.distill.block), ("features", self.distill.features), ("q", self.distill.q)]
        {
            number(&format!("scheme.distill.{name}"), weight, 0.0..=1e6)?;
        }
        number("scheme.distill.temperature", self.distill.temperature, 1e-3..=1e3)?;
        self.ggn_optimiser.check("scheme.ggn_optimiser")?;
        self.lpn_optimiser.check("scheme.lpn_optimiser")?;
        self.idm.optimiser.check("scheme.idm.optimiser")?;
        if self.distill.features != 0.0 && self.ggn.hidden != self.lpn.hidden {
            return Err(ConfigError::value(
                "scheme.lpn.hidden",
                format!(
                    "is {}, but L_F compares it with scheme.ggn.hidden = {}: make them equal or set \
                     scheme.distill.features = 0",
                    self.lpn.hidden, self.ggn.hidden
                ),
            ));
        }
        Ok(())
    }
}

impl Ddn {
    /// One update with the draws of μ given: `[B, T]`.
    ///
    /// # Errors
    /// As [`Scheme::update`].
    ///
    /// Paper: arXiv 2502.03125, Algorithm 1, lines 17 to 27; `docs/paper.md`, reading 10.
    pub fn update_with(&mut self, batch: &Batch, draws: &[bool]) -> Result<Metrics, LearnError> {
        let span = batch.span();
        let (x, state) = (&batch.inputs, &batch.state);
        let mut metrics = Metrics::new();

        let mut reward: Vec<f64> = batch.reward.iter().map(|&reward| f64::from(reward)).collect();
        let curiosity = if self.config.idm.enabled {
            timed!("intrinsic reward");
            let curiosity = self.idm.curiosity_with(batch, draws).during("internal distillation")?;
            reward.iter_mut().zip(&curiosity.reward).for_each(|(reward, extra)| *reward += extra);
            let mean = curiosity.reward.iter().sum::<f64>() / batch.filled().max(1.0);
            metrics.insert("intrinsic_reward_mean".into(), mean);
            if self.config.idm.normalise {
                metrics.insert(ERROR_SQUARE.into(), curiosity.square);
            }
            Some(curiosity)
        } else {
            None
        };

        let (leader, (slow, follower)) = both(
            || {
                timed!("leader forward");
                self.ggn.unroll(x, state, span, None).during("global guiding network")
            },
            || {
                let slow = || {
                    timed!("slow leader forward");
                    slow_values(batch, &self.slow, &*self.slow_mixer, |batch| {
                        self.slow_ggn.unroll(&batch.inputs, &batch.state, batch.span(), None)
                    })
                    .during("slow global guiding network")
                };
                both(slow, || follower_forward(batch, &self.lpn, &self.config.distill))
            },
        );
        let (leader, slow, follower) = (leader?, slow?, follower?);
        // The leader's step and the follower's do not touch each other: the follower learns from the
        // leader as it was before, so that one unroll serves both.
        let (leader_metrics, follower_metrics) = {
            let online = (&leader, &*self.mixer);
            let slow = (&slow, &*self.slow_mixer);
            let (td, distill) = (self.td, &self.config.distill);
            let (leader_optimiser, follower_optimiser) =
                (&mut self.leader_optimiser, &mut self.follower_optimiser);
            let curiosity_optimiser = &mut self.curiosity_optimiser;
            let (leader, follower) = (&leader, &follower);
            both(
                || lead(batch, &reward, online, slow, td, leader_optimiser),
                move || {
                    let mut metrics = follow(batch, leader, follower, distill, follower_optimiser)?;
                    if let Some(curiosity) = curiosity {
                        timed!("intrinsic reward update");
                        let terms = vec![("idm", 1.0, curiosity.loss)];
                        minimise(&terms, "idm", curiosity_optimiser, &mut metrics)?;
                    }
                    Ok::<_, LearnError>(metrics)
                },
            )
        };
        metrics.extend(leader_metrics?);
        metrics.extend(follower_metrics?);
        Ok(metrics)
    }
}

/// One step of the leader and its mixer against temporal differences.
fn lead(
    batch: &Batch,
    reward: &[f64],
    online: (&Unroll, &dyn Mixer),
    slow: (&SlowValues, &dyn Mixer),
    td: TdConfig,
    optimiser: &mut Optimiser,
) -> Result<Metrics, LearnError> {
    let outcome = {
        timed!("temporal differences");
        td_losses(batch, reward, online, slow, td).during("temporal differences")?
    };
    let mut metrics = Metrics::from([("target_mean".to_owned(), outcome.target_mean)]);
    timed!("leader update");
    minimise(&outcome.losses, "ggn", optimiser, &mut metrics)?;
    Ok(metrics)
}

/// Of all frames, or of those in which an agent has a choice.
fn follower_forward(batch: &Batch, lpn: &Lpn, config: &DistillConfig) -> Result<Unroll, LearnError> {
    timed!("follower forward");
    let unroll = if config.count_idle_agents {
        lpn.unroll(&batch.inputs, batch.span(), None)
    } else {
        let lengths = batch.lengths_of_choice();
        let span = Span { lengths: Some(&lengths), ..batch.span() };
        lpn.unroll(&batch.inputs_until(&lengths), span, None)
    };
    unroll.during("local policy network")
}

/// One step of the follower towards the leader.
fn follow(
    batch: &Batch,
    leader: &Unroll,
    follower: &Unroll,
    config: &DistillConfig,
    optimiser: &mut Optimiser,
) -> Result<Metrics, LearnError> {
    let terms = {
        timed!("distillation");
        distillation(batch, leader, follower, config).during("external distillation")?
    };
    let mut metrics = Metrics::new();
    timed!("follower update");
    minimise(&terms, "lpn", optimiser, &mut metrics)?;
    Ok(metrics)
}

impl Scheme for Ddn {
    fn networks(&self) -> &'static [&'static str] {
        Self::NETWORKS
    }

    fn behaviour(&self, rng: &mut dyn rand_core::Rng) -> &'static str {
        match self.config.behaviour {
            Behaviour::Ggn => "ggn",
            Behaviour::Lpn => "lpn",
            Behaviour::Mix if coin(rng) => "ggn",
            Behaviour::Mix => "lpn",
        }
    }

    fn update(&mut self, batch: &Batch, rng: &mut rand_chacha::ChaCha8Rng) -> Result<Metrics, LearnError> {
        let draws = self.idm.draws(batch, rng);
        self.update_with(batch, &draws)
    }

    fn settle(&mut self, metrics: &Metrics) -> Result<(), LearnError> {
        metrics
            .get(ERROR_SQUARE)
            .map_or(Ok(()), |&square| self.idm.settle(square))
            .during("internal distillation")
    }

    fn unroll(&self, network: &str, view: &View<'_>, start: Option<&Tensor>) -> candle_core::Result<Unroll> {
        match network {
            "lpn" => self.lpn.unroll(view.inputs, view.span, start),
            _ => self.ggn.unroll(view.inputs, view.state, view.span, start),
        }
    }

    fn sync_slow(&self) -> candle_core::Result<()> {
        self.slow.copy_from(&self.leader)
    }

    fn params(&self) -> Vec<(&'static str, &Params)> {
        vec![
            ("leader", &self.leader),
            ("slow", &self.slow),
            ("follower", &self.follower),
            ("curiosity", &self.curiosity),
        ]
    }

    fn optimisers(&self) -> Vec<(&'static str, &Optimiser)> {
        vec![
            ("leader", &self.leader_optimiser),
            ("follower", &self.follower_optimiser),
            ("curiosity", &self.curiosity_optimiser),
        ]
    }

    fn optimisers_mut(&mut self) -> Vec<(&'static str, &mut Optimiser)> {
        vec![
            ("leader", &mut self.leader_optimiser),
            ("follower", &mut self.follower_optimiser),
            ("curiosity", &mut self.curiosity_optimiser),
        ]
    }
}
