//! Imitation of a centralised expert (IGM-DA), by DAgger or by behaviour cloning.
//!
//! ```text
//! view, last action, id ─► expert ─► Q ─► mixer ─► Q_tot ◄─ TD
//!                             │ label: its greedy action
//! x, available ─────────────► learner ─► scores
//! ```
//!
//! Labels are made anew from the expert at every update, so the replay is DAgger's aggregate. The
//! learner's outputs are regressed onto one-hot labels: they are scores, not values.

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Metrics, Scheme, SchemeKind, Setting, minimise};
use crate::error::{ConfigError, During, LearnError};
use crate::learner::agent::{Agent, Input, Unroll};
use crate::learner::mixer::Mixer;
use crate::learner::slow::slow_values;
use crate::learner::td::{TdConfig, greedy_rows, td_losses_chosen};
use crate::learner::view::{View, privileged_dim};
use crate::nn::kernel::squared_distance;
use crate::nn::{Optimiser, OptimiserConfig, Params};
use crate::phases::{both, timed};
use crate::replay::{Batch, input_dim};

/// Sizes, optimiser and variant. The defaults are those of the public code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IgmDaConfig {
    /// Whose episodes are learned from.
    pub variant: Variant,
    /// H, of expert and learner.
    pub hidden: usize,
    /// Of expert, mixer and learner together, with one gradient norm.
    pub optimiser: OptimiserConfig,
}

impl Default for IgmDaConfig {
    fn default() -> Self {
        Self { variant: Variant::Dagger, hidden: 64, optimiser: OptimiserConfig::rmsprop() }
    }
}

/// Who acts while training, and picks the action that a target values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// DAgger: the learner does, so it is labelled where it goes itself.
    #[default]
    Dagger,
    /// Behaviour cloning: the expert does.
    Bc,
}

/// Expert and mixer with their slow copies, and the learner.
pub struct IgmDa {
    expert: Agent,
    mixer: Box<dyn Mixer>,
    slow_expert: Agent,
    slow_mixer: Box<dyn Mixer>,
    learner: Agent,
    /// `expert.*`, `mixer.*` and `learner.*`
    online: Params,
    /// `expert.*` and `mixer.*`
    slow: Params,
    optimiser: Optimiser,
    td: TdConfig,
    variant: Variant,
}

impl SchemeKind for IgmDa {
    const NAME: &'static str = "igm-da";
    const ABOUT: &'static str = "a learner imitates the greedy actions of an expert with unlimited sight";
    const NETWORKS: &'static [&'static str] = &["expert", "learner"];
    type Config = IgmDaConfig;

    fn new(config: IgmDaConfig, setting: &Setting<'_>) -> Result<Self, ConfigError> {
        setting.require_teacher(Self::NAME)?;
        super::super::check_width("scheme.hidden", config.hidden)?;
        config.optimiser.check("scheme.optimiser")?;
        let (spec, hidden) = (setting.spec, config.hidden);
        let actions = spec.n_actions();
        let failed = |source| ConfigError::build("scheme", source);
        let build = |params: &Params| -> Result<(Agent, Box<dyn Mixer>), ConfigError> {
            let vb = params.builder();
            let expert = Agent::new(&vb.pp("expert"), privileged_dim(spec), hidden, actions);
            Ok((expert.map_err(failed)?, setting.mixer(hidden, &vb.pp("mixer"))?))
        };
        let online = Params::new(setting.seed, setting.dtype);
        let (expert, mixer) = build(&online)?;
        // Before the learner exists: it has no slow copy.
        let slow = online.slow_copy().map_err(failed)?;
        let (slow_expert, slow_mixer) = build(&slow)?;
        let vb = online.builder();
        let learner = Agent::new(&vb.pp("learner"), input_dim(spec) + actions, hidden, actions);
        let learner = learner.map_err(failed)?;
        let optimiser = Optimiser::new(config.optimiser, setting.clip, &online, |_| true).map_err(failed)?;
        let (td, variant) = (setting.td, config.variant);
        Ok(Self { expert, mixer, slow_expert, slow_mixer, learner, online, slow, optimiser, td, variant })
    }
}

/// The greedy actions of `q` `[B, T, N, A]` among available ones, one-hot, `[B·T·N, A]`.
fn labels(q: &Tensor, batch: &Batch) -> candle_core::Result<Tensor> {
    let actions = batch.actions_each;
    let values = q.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    let (best, _) = greedy_rows(&values, &batch.available, actions);
    let mut hot = vec![0.0_f64; values.len()];
    for (row, best) in hot.chunks_exact_mut(actions).zip(best) {
        row[best as usize] = 1.0;
    }
    Tensor::from_vec(hot, (values.len() / actions, actions), &Device::Cpu)?.to_dtype(q.dtype())
}

impl Scheme for IgmDa {
    fn networks(&self) -> &'static [&'static str] {
        Self::NETWORKS
    }

    fn behaviour(&self, _: &mut dyn rand_core::Rng) -> &'static str {
        match self.variant {
            Variant::Dagger => "learner",
            Variant::Bc => "expert",
        }
    }

    /// One step on `L_TD + L_imit`, `L_imit` the mean over steps, agents and actions of
    /// `(score - label)²`.
    fn update(&mut self, batch: &Batch, _: &mut rand_chacha::ChaCha8Rng) -> Result<Metrics, LearnError> {
        let (view, span) = (batch.view(), batch.span());
        let seen = view.privileged().during("expert views")?;
        let own = view.with_available().during("learner inputs")?;
        let (seen, own) = (Input::Sparse(&seen), Input::Sparse(&own));
        let (expert, (slow, learner)) = both(
            || {
                timed!("expert forward");
                self.expert.unroll(&seen, span, None).during("expert")
            },
            || {
                timed!("slow expert and learner forward");
                let slow = slow_values(batch, &self.slow, &*self.slow_mixer, |part| {
                    if std::ptr::eq(part, batch) {
                        return self.slow_expert.unroll(&seen, span, None);
                    }
                    let seen = part.view().privileged()?;
                    self.slow_expert.unroll(&Input::Sparse(&seen), part.span(), None)
                })
                .during("slow expert");
                (slow, self.learner.unroll(&own, span, None).during("learner"))
            },
        );
        let (expert, slow, learner) = (expert?, slow?, learner?);
        let reward: Vec<f64> = batch.reward.iter().map(|&reward| f64::from(reward)).collect();
        let chooser = (self.variant == Variant::Dagger).then_some(&learner.q);
        let (online, slow) = ((&expert, &*self.mixer), (&slow, &*self.slow_mixer));
        let outcome = td_losses_chosen(batch, &reward, online, slow, self.td, chooser)
            .during("temporal differences")?;
        let mut metrics = Metrics::from([("target_mean".to_owned(), outcome.target_mean)]);
        let imitation = || {
            let share = 1.0 / (batch.agents * batch.actions_each) as f64;
            let weights: Vec<f64> =
                batch.agent_weights(false).into_iter().map(|weight| weight * share).collect();
            let scores = learner.q.reshape((span.rows(), batch.actions_each))?;
            squared_distance(&labels(&expert.q, batch)?, &scores, &weights)
        };
        timed!("update");
        let mut terms = outcome.losses;
        terms.push(("imitation", 1.0, imitation().during("imitation")?));
        minimise(&terms, "all", &mut self.optimiser, &mut metrics)?;
        Ok(metrics)
    }

    fn unroll(&self, network: &str, view: &View<'_>, start: Option<&Tensor>) -> candle_core::Result<Unroll> {
        match network {
            "learner" => self.learner.unroll(&Input::Sparse(&view.with_available()?), view.span, start),
            _ => self.expert.unroll(&Input::Sparse(&view.privileged()?), view.span, start),
        }
    }

    fn needs_teacher(&self) -> bool {
        true
    }

    fn sync_slow(&self) -> candle_core::Result<()> {
        self.slow.copy_from(&self.online)
    }

    fn params(&self) -> Vec<(&'static str, &Params)> {
        vec![("online", &self.online), ("slow", &self.slow)]
    }

    fn optimisers(&self) -> Vec<(&'static str, &Optimiser)> {
        vec![("all", &self.optimiser)]
    }

    fn optimisers_mut(&mut self) -> Vec<(&'static str, &mut Optimiser)> {
        vec![("all", &mut self.optimiser)]
    }
}
