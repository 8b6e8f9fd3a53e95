//! Two engines in the environment: how often they choose alike, and what each of them earns.
//!
//! ```text
//! environment ── first engine's actions ──> episodes; the second watches, with a recurrent state of its own
//! environment ── second engine's actions ─> episodes of the same seeds
//! ```

use ddn_trainer::env::Env;
use ddn_trainer::seed::number;
use serde::Serialize;

use crate::error::ExportError;
use crate::record::TeamStep;
use crate::verify::Engine;

/// How alike two engines are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Agent steps with at least two available actions, which are those compared.
    pub steps: usize,
    /// Of these, steps with the same action.
    pub equal: usize,
    /// Largest difference of any Q-value.
    pub largest_difference: f32,
    /// What the first engine earned.
    pub first: Earned,
    /// What the second engine earned, from the same seeds.
    pub second: Earned,
}

/// Returns of some episodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Earned {
    /// Episodes played.
    pub episodes: usize,
    /// Mean return.
    pub mean: f64,
    /// Half width of the 95 % interval of the mean (normal approximation).
    pub interval: f64,
    /// Share of episodes won, where the environment knows winning.
    pub won: Option<f64>,
}

impl Agreement {
    /// Share of compared steps with the same action, from 0 to 1; 1 if there are none.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn share(&self) -> f64 {
        if self.steps == 0 { 1.0 } else { self.equal as f64 / self.steps as f64 }
    }

    /// Stops if the share of equal actions is below `wanted`, from 0 to 1.
    ///
    /// # Errors
    /// [`ExportError::Disagreement`].
    pub fn refuse(&self, wanted: f64) -> Result<(), ExportError> {
        if self.share() >= wanted {
            return Ok(());
        }
        let (share, wanted) = (100.0 * self.share(), 100.0 * wanted);
        Err(ExportError::Disagreement { share, steps: self.steps, wanted })
    }
}

/// Plays episodes until `steps` agent steps have been compared and each engine has played `episodes`.
///
/// # Errors
/// If the environment or an engine fails.
pub fn agree(
    env: &mut dyn Env,
    [first, second]: [&mut dyn Engine; 2],
    (seed, episodes, steps): (u64, usize, usize),
) -> Result<Agreement, ExportError> {
    let mut agreement = Agreement {
        steps: 0,
        equal: 0,
        largest_difference: 0.0,
        first: Earned::default(),
        second: Earned::default(),
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    while ours.len() < episodes || agreement.steps < steps {
        let seed = number(seed, &format!("agree/{}", ours.len()));
        ours.push(episode(env, seed, first, Some((&mut *second, &mut agreement)))?);
        if theirs.len() < episodes {
            theirs.push(episode(env, seed, second, None)?);
        }
    }
    ours.truncate(episodes.max(1));
    agreement.first = earned(&ours);
    agreement.second = earned(&theirs);
    Ok(agreement)
}

/// Return and victory of one episode that `player` plays.
fn episode(
    env: &mut dyn Env,
    seed: u64,
    player: &mut dyn Engine,
    mut watcher: Option<(&mut dyn Engine, &mut Agreement)>,
) -> Result<(f64, Option<bool>), ExportError> {
    let failed = |e: ddn_trainer::error::EnvError| ExportError::Engine {
        engine: "environment",
        during: "playing",
        reason: e.to_string(),
    };
    let spec = env.spec().clone();
    let mut frame = spec.frame();
    env.reset(seed, &mut frame).map_err(failed)?;
    player.begin();
    if let Some((watcher, _)) = &mut watcher {
        watcher.begin();
    }
    let mut last_action = vec![None; spec.n_agents];
    let mut total = 0.0;
    loop {
        let seen = TeamStep { obs: &frame.obs, last_action: &last_action, available: &frame.available };
        let answer = player.step(&seen)?;
        if let Some((watcher, agreement)) = &mut watcher {
            let other = watcher.step(&seen)?;
            for (agent, available) in frame.available.chunks_exact(spec.n_actions()).enumerate() {
                if available.iter().filter(|free| **free).count() >= 2 {
                    agreement.steps += 1;
                    agreement.equal += usize::from(answer.action[agent] == other.action[agent]);
                }
            }
            for (a, b) in answer.q.iter().zip(&other.q) {
                agreement.largest_difference = agreement.largest_difference.max((a - b).abs());
            }
        }
        let step = env.step(&answer.action, &mut frame).map_err(failed)?;
        total += f64::from(step.reward);
        if step.end.is_some() {
            return Ok((total, step.won));
        }
        last_action = answer.action.into_iter().map(Some).collect();
    }
}

#[allow(clippy::cast_precision_loss)]
fn earned(played: &[(f64, Option<bool>)]) -> Earned {
    let count = played.len().max(1) as f64;
    let mean = played.iter().map(|(total, _)| total).sum::<f64>() / count;
    let square = played.iter().map(|(total, _)| (total - mean).powi(2)).sum::<f64>();
    let known: Vec<bool> = played.iter().filter_map(|(_, won)| *won).collect();
    let won = known.iter().filter(|won| **won).count() as f64 / known.len().max(1) as f64;
    Earned {
        episodes: played.len(),
        mean,
        interval: 1.96 * (square / (count - 1.0).max(1.0) / count).sqrt(),
        won: (!known.is_empty()).then_some(won),
    }
}
