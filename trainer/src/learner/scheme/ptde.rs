//! Personalised training with distilled execution (PTDE), in two phases.
//!
//! ```text
//! 1  x ─► agent ─┐
//!    x, s ─► z ──┴─► Q ─► mixer ─► Q_tot ◄─ TD
//! 2  x, s ─► z ───────────► ◄─ squared distance ─► guess ◄─ x      (agent and z are frozen)
//! ```
//!
//! The teacher's last layer is told z, made from the state for this agent. After training it plays
//! more episodes, and a student without memory learns z from the agent's own input. What ships is
//! the frozen agent with the student's guess in the place of z.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Metrics, Scheme, SchemeKind, SecondPhase, Setting, minimise};
use crate::error::{ConfigError, During, LearnError};
use crate::learner::agent::Unroll;
use crate::learner::informed::Informed;
use crate::learner::knowledge::{Guess, Knowledge, KnowledgeConfig};
use crate::learner::mixer::Mixer;
use crate::learner::td::{TdConfig, td_losses};
use crate::learner::view::View;
use crate::nn::kernel::squared_distance;
use crate::nn::{Optimiser, OptimiserConfig, Params, Sparse};
use crate::phases::{both, timed};
use crate::replay::{Batch, Rows, input_dim};
use crate::seed::Draw;

/// Sizes, optimisers and phases. The defaults are those of the public code, but for the scale of
/// the block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PtdeConfig {
    /// H
    pub hidden: usize,
    /// z
    pub knowledge: KnowledgeConfig,
    /// Draw z around its mean in updates. Whoever acts uses the mean.
    pub noise: bool,
    /// Of agent, z and mixer together, in the first phase.
    pub optimiser: OptimiserConfig,
    /// The second phase.
    pub distill: PtdeDistillConfig,
}

/// The second phase, in which the student learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PtdeDistillConfig {
    /// Episodes that the teacher plays for it, beyond `t_max`; the last fifth is held out.
    pub episodes: u64,
    /// Gradient steps.
    pub updates: u64,
    /// Agent steps in each.
    pub rows: usize,
    /// Of the student.
    pub optimiser: OptimiserConfig,
}

impl Default for PtdeConfig {
    fn default() -> Self {
        Self {
            hidden: 64,
            knowledge: KnowledgeConfig::default(),
            noise: true,
            optimiser: OptimiserConfig::adam().with_lr(1e-3),
            distill: PtdeDistillConfig::default(),
        }
    }
}

impl Default for PtdeDistillConfig {
    fn default() -> Self {
        let optimiser = OptimiserConfig::adam().with_lr(1e-4);
        Self { episodes: 800, updates: 500_001, rows: 2048, optimiser }
    }
}

/// Agent, z and mixer with their slow copies, and the student.
pub struct Ptde {
    agent: Informed,
    coach: Knowledge,
    mixer: Box<dyn Mixer>,
    slow_agent: Informed,
    slow_coach: Knowledge,
    slow_mixer: Box<dyn Mixer>,
    student: Guess,
    /// `agent.*`, `coach.*` and `mixer.*`
    online: Params,
    slow: Params,
    /// `student.*`
    follower: Params,
    teacher_optimiser: Optimiser,
    student_optimiser: Optimiser,
    td: TdConfig,
    dtype: DType,
    config: PtdeConfig,
}

/// Standard normal draws for one update, `[B·(T+1)·N, Z]` each.
pub struct Noise {
    /// For the online networks.
    pub online: Tensor,
    /// For the slow ones.
    pub slow: Tensor,
}

impl SchemeKind for Ptde {
    const NAME: &'static str = "ptde";
    const ABOUT: &'static str =
        "agents told of the state as it concerns them; afterwards they learn to guess it";
    const NETWORKS: &'static [&'static str] = &["teacher", "student"];
    type Config = PtdeConfig;

    fn new(config: PtdeConfig, setting: &Setting<'_>) -> Result<Self, ConfigError> {
        setting.require_state(Self::NAME)?;
        config.check()?;
        let spec = setting.spec;
        let (x, hidden, z) = (input_dim(spec), config.hidden, config.knowledge.width);
        let failed = |source| ConfigError::build("scheme", source);
        let build = |params: &Params| -> Result<(Informed, Knowledge, Box<dyn Mixer>), ConfigError> {
            let vb = params.builder();
            let agent = Informed::new(&vb.pp("agent"), (x, hidden, z), spec.n_actions());
            let coach = Knowledge::new(&vb.pp("coach"), &config.knowledge, (x, spec.state_dim), config.noise);
            Ok((agent.map_err(failed)?, coach.map_err(failed)?, setting.mixer(hidden, &vb.pp("mixer"))?))
        };
        let online = Params::new(setting.seed, setting.dtype);
        let (agent, coach, mixer) = build(&online)?;
        let slow = online.slow_copy().map_err(failed)?;
        let (slow_agent, slow_coach, slow_mixer) = build(&slow)?;
        let follower = Params::new(setting.seed, setting.dtype);
        let student = Guess::new(&follower.builder().pp("student"), x, z).map_err(failed)?;
        let optimiser = |rule, params| Optimiser::new(rule, setting.clip, params, |_| true).map_err(failed);
        Ok(Self {
            teacher_optimiser: optimiser(config.optimiser, &online)?,
            student_optimiser: optimiser(config.distill.optimiser, &follower)?,
            agent,
            coach,
            mixer,
            slow_agent,
            slow_coach,
            slow_mixer,
            student,
            online,
            slow,
            follower,
            td: setting.td,
            dtype: setting.dtype,
            config,
        })
    }
}

impl PtdeConfig {
    fn check(&self) -> Result<(), ConfigError> {
        super::super::check_width("scheme.hidden", self.hidden)?;
        self.knowledge.check("scheme.knowledge")?;
        self.optimiser.check("scheme.optimiser")?;
        self.distill.optimiser.check("scheme.distill.optimiser")?;
        let counts = [
            ("episodes", self.distill.episodes, 1_000_000),
            ("updates", self.distill.updates, 1_000_000_000),
            ("rows", self.distill.rows as u64, 1_000_000),
        ];
        for (key, value, most) in counts {
            if !(1..=most).contains(&value) {
                let reason = format!("is {value}; give 1 to {most}");
                return Err(ConfigError::value(&format!("scheme.distill.{key}"), reason));
            }
        }
        Ok(())
    }
}

impl Ptde {
    /// One update of the first phase with the draws of z given; `None` takes the means.
    ///
    /// # Errors
    /// As [`Scheme::update`].
    pub fn update_with(&mut self, batch: &Batch, noise: Option<&Noise>) -> Result<Metrics, LearnError> {
        let (span, x, state) = (batch.span(), &batch.inputs, &batch.state);
        let run = |agent: &Informed, coach: &Knowledge, normal: Option<&Tensor>| {
            let z = match normal {
                Some(normal) => coach.draw(x, state, span.agents, normal)?,
                None => coach.mean(x, state, span.agents)?,
            };
            agent.unroll(x, &z, span, None)
        };
        let (online, slow) = both(
            || {
                timed!("teacher forward");
                run(&self.agent, &self.coach, noise.map(|noise| &noise.online)).during("teacher")
            },
            || {
                timed!("slow teacher forward");
                run(&self.slow_agent, &self.slow_coach, noise.map(|noise| &noise.slow)).during("slow teacher")
            },
        );
        let (online, slow) = (online?, slow?.into());
        let reward: Vec<f64> = batch.reward.iter().map(|&reward| f64::from(reward)).collect();
        let (online, slow) = ((&online, &*self.mixer), (&slow, &*self.slow_mixer));
        let outcome = td_losses(batch, &reward, online, slow, self.td).during("temporal differences")?;
        let mut metrics = Metrics::from([("target_mean".to_owned(), outcome.target_mean)]);
        timed!("teacher update");
        minimise(&outcome.losses, "teacher", &mut self.teacher_optimiser, &mut metrics)?;
        Ok(metrics)
    }

    /// `Σ_r weight · |mean z - guess|²` over `rows`.
    fn distance(&self, rows: &Rows, weight: f64) -> candle_core::Result<Tensor> {
        let z = self.coach.mean(&rows.inputs, &rows.state, 1)?.detach();
        squared_distance(&z, &self.student.forward(&rows.inputs)?, &vec![weight; rows.len()])
    }
}

/// Standard normal draws `[rows, width]`, by Box and Muller: two for each two uniform ones.
fn normals(rows: usize, width: usize, dtype: DType, rng: &mut impl Draw) -> candle_core::Result<Tensor> {
    timed!("noise");
    let count = rows * width;
    let mut values: Vec<f32> = (0..count.next_multiple_of(2)).map(|_| rng.unit()).collect();
    values.par_chunks_mut(2).for_each(|pair| {
        let radius = (-2.0 * (1.0 - pair[0]).ln()).sqrt();
        let (sin, cos) = (std::f32::consts::TAU * pair[1]).sin_cos();
        pair.copy_from_slice(&[radius * cos, radius * sin]);
    });
    values.truncate(count);
    Tensor::from_vec(values, (rows, width), &Device::Cpu)?.to_dtype(dtype)
}

impl Scheme for Ptde {
    fn networks(&self) -> &'static [&'static str] {
        Self::NETWORKS
    }

    fn behaviour(&self, _: &mut dyn rand_core::Rng) -> &'static str {
        "teacher"
    }

    fn update(&mut self, batch: &Batch, rng: &mut rand_chacha::ChaCha8Rng) -> Result<Metrics, LearnError> {
        if !self.config.noise {
            return self.update_with(batch, None);
        }
        let mut draw = || normals(batch.inputs.rows(), self.config.knowledge.width, self.dtype, rng);
        let online = draw().during("drawing noise")?;
        let slow = draw().during("drawing noise")?;
        self.update_with(batch, Some(&Noise { online, slow }))
    }

    fn unroll(&self, network: &str, view: &View<'_>, start: Option<&Tensor>) -> candle_core::Result<Unroll> {
        let (x, state): (&Sparse, &Sparse) = (view.inputs, view.state);
        let z = match network {
            "student" => self.student.forward(x)?,
            _ => self.coach.mean(x, state, view.span.agents)?,
        };
        self.agent.unroll(x, &z, view.span, start)
    }

    fn second_phase(&self) -> Option<SecondPhase> {
        let PtdeDistillConfig { episodes, updates, rows, .. } = self.config.distill;
        Some(SecondPhase { episodes, updates, rows })
    }

    /// A step towards the mean of z: `L = mean over rows of |mean z - guess|²`.
    fn distil(&mut self, rows: &Rows) -> Result<Metrics, LearnError> {
        let mut metrics = Metrics::new();
        let loss = self.distance(rows, 1.0 / rows.len().max(1) as f64).during("distillation")?;
        let terms = vec![("distill_z", 1.0, loss)];
        minimise(&terms, "student", &mut self.student_optimiser, &mut metrics)?;
        Ok(metrics)
    }

    fn distil_error(&self, rows: &Rows) -> Result<f64, LearnError> {
        let error = self.distance(rows, 1.0).and_then(|error| crate::nn::params::scalar(&error));
        error.during("distillation")
    }

    fn sync_slow(&self) -> candle_core::Result<()> {
        self.slow.copy_from(&self.online)
    }

    fn params(&self) -> Vec<(&'static str, &Params)> {
        vec![("online", &self.online), ("slow", &self.slow), ("student", &self.follower)]
    }

    fn optimisers(&self) -> Vec<(&'static str, &Optimiser)> {
        vec![("teacher", &self.teacher_optimiser), ("student", &self.student_optimiser)]
    }

    fn optimisers_mut(&mut self) -> Vec<(&'static str, &mut Optimiser)> {
        vec![("teacher", &mut self.teacher_optimiser), ("student", &mut self.student_optimiser)]
    }
}
