//! A mixer over ordinary local agents, as VDN and QMIX were published: no teacher.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::{Metrics, Scheme, SchemeKind, Setting, minimise};
use crate::error::{ConfigError, During, LearnError};
use crate::learner::agent::{Agent, Input, Unroll};
use crate::learner::mixer::Mixer;
use crate::learner::slow::slow_values;
use crate::learner::td::{TdConfig, td_losses};
use crate::learner::view::View;
use crate::nn::{Optimiser, OptimiserConfig, Params};
use crate::phases::{both, timed};
use crate::replay::{Batch, input_dim};

/// Sizes and optimiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlainConfig {
    /// H
    pub hidden: usize,
    /// Of agents and mixer together.
    pub optimiser: OptimiserConfig,
}

impl Default for PlainConfig {
    fn default() -> Self {
        Self { hidden: 64, optimiser: OptimiserConfig::rmsprop() }
    }
}

/// Agents and mixer with their slow copies.
pub struct Plain {
    agent: Agent,
    mixer: Box<dyn Mixer>,
    slow_agent: Agent,
    slow_mixer: Box<dyn Mixer>,
    online: Params,
    slow: Params,
    optimiser: Optimiser,
    td: TdConfig,
}

impl SchemeKind for Plain {
    const NAME: &'static str = "plain";
    const ABOUT: &'static str = "local recurrent agents behind a mixer, no teacher";
    const NETWORKS: &'static [&'static str] = &["agent"];
    type Config = PlainConfig;

    fn new(config: PlainConfig, setting: &Setting<'_>) -> Result<Self, ConfigError> {
        super::super::check_width("scheme.hidden", config.hidden)?;
        let spec = setting.spec;
        config.optimiser.check("scheme.optimiser")?;
        let build = |params: &Params| -> Result<(Agent, Box<dyn Mixer>), ConfigError> {
            let vb = params.builder();
            let agent = Agent::new(&vb.pp("agent"), input_dim(spec), config.hidden, spec.n_actions())
                .map_err(|source| ConfigError::build("scheme", source))?;
            Ok((agent, setting.mixer(config.hidden, &vb.pp("mixer"))?))
        };
        let online = Params::new(setting.seed, setting.dtype);
        let (agent, mixer) = build(&online)?;
        let slow = online.slow_copy().map_err(|source| ConfigError::build("scheme", source))?;
        let (slow_agent, slow_mixer) = build(&slow)?;
        let optimiser = Optimiser::new(config.optimiser, setting.clip, &online, |_| true)
            .map_err(|source| ConfigError::build("scheme.optimiser", source))?;
        Ok(Self { agent, mixer, slow_agent, slow_mixer, online, slow, optimiser, td: setting.td })
    }
}

impl Scheme for Plain {
    fn networks(&self) -> &'static [&'static str] {
        Self::NETWORKS
    }

    fn behaviour(&self, _: &mut dyn rand_core::Rng) -> &'static str {
        "agent"
    }

    fn update(&mut self, batch: &Batch, _: &mut rand_chacha::ChaCha8Rng) -> Result<Metrics, LearnError> {
        let span = batch.span();
        let input = Input::Sparse(&batch.inputs);
        let (online, slow) = both(
            || {
                timed!("agents forward");
                self.agent.unroll(&input, span, None).during("agents")
            },
            || {
                timed!("slow agents forward");
                slow_values(batch, &self.slow, &*self.slow_mixer, |batch| {
                    self.slow_agent.unroll(&Input::Sparse(&batch.inputs), batch.span(), None)
                })
                .during("slow agents")
            },
        );
        let (online, slow) = (online?, slow?);
        let outcome = {
            timed!("temporal differences");
            let reward: Vec<f64> = batch.reward.iter().map(|&reward| f64::from(reward)).collect();
            let (online, slow) = ((&online, &*self.mixer), (&slow, &*self.slow_mixer));
            td_losses(batch, &reward, online, slow, self.td).during("temporal differences")?
        };
        let mut metrics = Metrics::from([("target_mean".to_owned(), outcome.target_mean)]);
        timed!("agents update");
        minimise(&outcome.losses, "agent", &mut self.optimiser, &mut metrics)?;
        Ok(metrics)
    }

    fn unroll(&self, _: &str, view: &View<'_>, start: Option<&Tensor>) -> candle_core::Result<Unroll> {
        self.agent.unroll(&Input::Sparse(view.inputs), view.span, start)
    }

    fn sync_slow(&self) -> candle_core::Result<()> {
        self.slow.copy_from(&self.online)
    }

    fn params(&self) -> Vec<(&'static str, &Params)> {
        vec![("online", &self.online), ("slow", &self.slow)]
    }

    fn optimisers(&self) -> Vec<(&'static str, &Optimiser)> {
        vec![("agent", &self.optimiser)]
    }

    fn optimisers_mut(&mut self) -> Vec<(&'static str, &mut Optimiser)> {
        vec![("agent", &mut self.optimiser)]
    }
}
