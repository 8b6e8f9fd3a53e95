//! Centralised teacher with decentralised student (CTDS).
//!
//! ```text
//! view, last action, id ─► teacher ─► Q ─► mixer ─► Q_tot ◄─ TD
//!                             │ L_KD (no gradient back)
//! x ────────────────────────► student ─► Q
//! ```
//!
//! The teacher sees what the environment shows a teacher, acts, and alone meets the mixer. The
//! student has its shape and the ordinary agent input, and learns the teacher's utilities of all
//! actions, the unavailable ones too.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::{Metrics, Scheme, SchemeKind, Setting, minimise};
use crate::error::{ConfigError, During, LearnError};
use crate::learner::agent::{Agent, Input, Unroll};
use crate::learner::mixer::Mixer;
use crate::learner::slow::slow_values;
use crate::learner::td::{TdConfig, td_losses};
use crate::learner::view::{View, privileged_dim};
use crate::nn::kernel::squared_distance;
use crate::nn::{Optimiser, OptimiserConfig, Params};
use crate::phases::{both, timed};
use crate::replay::{Batch, input_dim};

/// Sizes and optimisers. The defaults are those of the public code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CtdsConfig {
    /// H, of teacher and student.
    pub hidden: usize,
    /// Of teacher and mixer together.
    pub teacher_optimiser: OptimiserConfig,
    /// Of the student.
    pub student_optimiser: OptimiserConfig,
}

impl Default for CtdsConfig {
    fn default() -> Self {
        Self {
            hidden: 64,
            teacher_optimiser: OptimiserConfig::rmsprop(),
            student_optimiser: OptimiserConfig::rmsprop(),
        }
    }
}

/// Teacher and mixer with their slow copies, and the student.
pub struct Ctds {
    teacher: Agent,
    mixer: Box<dyn Mixer>,
    slow_teacher: Agent,
    slow_mixer: Box<dyn Mixer>,
    student: Agent,
    /// `teacher.*` and `mixer.*`
    online: Params,
    slow: Params,
    /// `student.*`
    follower: Params,
    teacher_optimiser: Optimiser,
    student_optimiser: Optimiser,
    td: TdConfig,
}

impl SchemeKind for Ctds {
    const NAME: &'static str = "ctds";
    const ABOUT: &'static str = "a teacher with unlimited sight teaches a student its utilities";
    const NETWORKS: &'static [&'static str] = &["teacher", "student"];
    type Config = CtdsConfig;

    fn new(config: CtdsConfig, setting: &Setting<'_>) -> Result<Self, ConfigError> {
        setting.require_teacher(Self::NAME)?;
        super::super::check_width("scheme.hidden", config.hidden)?;
        config.teacher_optimiser.check("scheme.teacher_optimiser")?;
        config.student_optimiser.check("scheme.student_optimiser")?;
        let (spec, hidden) = (setting.spec, config.hidden);
        let failed = |source| ConfigError::build("scheme", source);
        let build = |params: &Params| -> Result<(Agent, Box<dyn Mixer>), ConfigError> {
            let vb = params.builder();
            let teacher = Agent::new(&vb.pp("teacher"), privileged_dim(spec), hidden, spec.n_actions());
            Ok((teacher.map_err(failed)?, setting.mixer(hidden, &vb.pp("mixer"))?))
        };
        let online = Params::new(setting.seed, setting.dtype);
        let (teacher, mixer) = build(&online)?;
        let slow = online.slow_copy().map_err(failed)?;
        let (slow_teacher, slow_mixer) = build(&slow)?;
        let follower = Params::new(setting.seed, setting.dtype);
        let student =
            Agent::new(&follower.builder().pp("student"), input_dim(spec), hidden, spec.n_actions());
        let student = student.map_err(failed)?;
        let optimiser = |rule, params| Optimiser::new(rule, setting.clip, params, |_| true).map_err(failed);
        Ok(Self {
            teacher_optimiser: optimiser(config.teacher_optimiser, &online)?,
            student_optimiser: optimiser(config.student_optimiser, &follower)?,
            teacher,
            mixer,
            slow_teacher,
            slow_mixer,
            student,
            online,
            slow,
            follower,
            td: setting.td,
        })
    }
}

impl Scheme for Ctds {
    fn networks(&self) -> &'static [&'static str] {
        Self::NETWORKS
    }

    fn behaviour(&self, _: &mut dyn rand_core::Rng) -> &'static str {
        "teacher"
    }

    /// The teacher's TD step, then the student's step towards the teacher as it was before:
    /// `L_KD = Σ_t mask Σ_i,a (Q_student - Q_teacher)² / Σ mask`.
    fn update(&mut self, batch: &Batch, _: &mut rand_chacha::ChaCha8Rng) -> Result<Metrics, LearnError> {
        let (view, span) = (batch.view(), batch.span());
        let seen = view.privileged().during("teacher views")?;
        let (seen, own) = (Input::Sparse(&seen), Input::Sparse(view.inputs));
        let (teacher, slow) = both(
            || {
                timed!("teacher forward");
                self.teacher.unroll(&seen, span, None).during("teacher")
            },
            || {
                timed!("slow teacher forward");
                slow_values(batch, &self.slow, &*self.slow_mixer, |part| {
                    if std::ptr::eq(part, batch) {
                        return self.slow_teacher.unroll(&seen, span, None);
                    }
                    let seen = part.view().privileged()?;
                    self.slow_teacher.unroll(&Input::Sparse(&seen), part.span(), None)
                })
                .during("slow teacher")
            },
        );
        let (teacher, slow) = (teacher?, slow?);
        let outcome = {
            timed!("temporal differences");
            let reward: Vec<f64> = batch.reward.iter().map(|&reward| f64::from(reward)).collect();
            let (online, slow) = ((&teacher, &*self.mixer), (&slow, &*self.slow_mixer));
            td_losses(batch, &reward, online, slow, self.td).during("temporal differences")?
        };
        let mut metrics = Metrics::from([("target_mean".to_owned(), outcome.target_mean)]);
        // The two steps do not touch each other: the student learns from the teacher as it was.
        let (student, student_optimiser) = (&self.student, &mut self.student_optimiser);
        let (teacher_step, student_step) = both(
            || {
                timed!("teacher update");
                minimise(&outcome.losses, "teacher", &mut self.teacher_optimiser, &mut metrics)
            },
            || {
                timed!("student update");
                let student = student.unroll(&own, span, None).during("student")?;
                let flat = |q: &Tensor| q.reshape((span.rows(), batch.actions_each));
                let weights = batch.agent_weights(false);
                let loss = || squared_distance(&flat(&teacher.q)?, &flat(&student.q)?, &weights);
                let terms = vec![("distill_q", 1.0, loss().during("distillation")?)];
                let mut metrics = Metrics::new();
                minimise(&terms, "student", student_optimiser, &mut metrics)?;
                Ok::<_, LearnError>(metrics)
            },
        );
        teacher_step?;
        metrics.extend(student_step?);
        Ok(metrics)
    }

    fn unroll(&self, network: &str, view: &View<'_>, start: Option<&Tensor>) -> candle_core::Result<Unroll> {
        match network {
            "student" => self.student.unroll(&Input::Sparse(view.inputs), view.span, start),
            _ => self.teacher.unroll(&Input::Sparse(&view.privileged()?), view.span, start),
        }
    }

    fn needs_teacher(&self) -> bool {
        true
    }

    fn sync_slow(&self) -> candle_core::Result<()> {
        self.slow.copy_from(&self.online)
    }

    fn params(&self) -> Vec<(&'static str, &Params)> {
        vec![("teacher", &self.online), ("slow", &self.slow), ("student", &self.follower)]
    }

    fn optimisers(&self) -> Vec<(&'static str, &Optimiser)> {
        vec![("teacher", &self.teacher_optimiser), ("student", &self.student_optimiser)]
    }

    fn optimisers_mut(&mut self) -> Vec<(&'static str, &mut Optimiser)> {
        vec![("teacher", &mut self.teacher_optimiser), ("student", &mut self.student_optimiser)]
    }
}
