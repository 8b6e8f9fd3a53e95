//! What a policy earns in an environment, whatever engine runs it.

use ddn_trainer::env::Env;
use ddn_trainer::eval::FINAL;
use ddn_trainer::seed::number;
use serde::Serialize;

use crate::error::ExportError;
use crate::record::TeamStep;
use crate::verify::{Answer, Engine};

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

/// Return of one episode, and whether it was won.
pub(crate) type Played = (f64, Option<bool>);

impl Earned {
    /// Sums up finished episodes.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn of(played: &[Played]) -> Self {
        let count = played.len().max(1) as f64;
        let mean = played.iter().map(|(total, _)| total).sum::<f64>() / count;
        let square = played.iter().map(|(total, _)| (total - mean).powi(2)).sum::<f64>();
        let known: Vec<bool> = played.iter().filter_map(|(_, won)| *won).collect();
        let won = known.iter().filter(|won| **won).count() as f64 / known.len().max(1) as f64;
        Self {
            episodes: played.len(),
            mean,
            interval: 1.96 * (square / (count - 1.0).max(1.0) / count).sqrt(),
            won: (!known.is_empty()).then_some(won),
        }
    }
}

/// Plays `episodes` episodes of the stream that the trainer's final tests are drawn from: with the seed of a run, the
/// very episodes that its `summary.json` speaks of.
///
/// # Errors
/// If the environment or the engine fails.
pub fn earn(
    env: &mut dyn Env,
    engine: &mut dyn Engine,
    (seed, episodes): (u64, usize),
) -> Result<Earned, ExportError> {
    let played = (0..episodes)
        .map(|index| episode(env, number(seed, &format!("{FINAL}/{index}")), engine, |_, _| Ok(())));
    Ok(Earned::of(&played.collect::<Result<Vec<_>, _>>()?))
}

/// One episode that `player` plays; `watch` hears of every step.
pub(crate) fn episode(
    env: &mut dyn Env,
    seed: u64,
    player: &mut dyn Engine,
    mut watch: impl FnMut(&TeamStep<'_>, &Answer) -> Result<(), ExportError>,
) -> Result<Played, ExportError> {
    let mut frame = env.spec().frame();
    env.reset(seed, &mut frame)?;
    player.begin();
    let mut last_action = vec![None; env.spec().n_agents];
    let mut total = 0.0;
    loop {
        let seen = TeamStep { obs: &frame.obs, last_action: &last_action, available: &frame.available };
        let answer = player.step(&seen)?;
        watch(&seen, &answer)?;
        let step = env.step(&answer.action, &mut frame)?;
        total += f64::from(step.reward);
        if step.end.is_some() {
            return Ok((total, step.won));
        }
        last_action = answer.action.into_iter().map(Some).collect();
    }
}
