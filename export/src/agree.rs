//! Two engines in the environment: how often they choose alike, and what each of them earns.
//!
//! ```text
//! environment ── first engine's actions ──> episodes; the second watches, with a recurrent state of its own
//! environment ── second engine's actions ─> episodes of the same seeds
//! ```

use ddn_trainer::env::Env;
use ddn_trainer::seed::number;
use serde::Serialize;

use crate::earn::{Earned, episode};
use crate::error::ExportError;
use crate::verify::{Answer, Engine};

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

    /// Counts what both said of one step of the team; `available` is `[N, A]`, A the number of actions.
    fn compare(&mut self, (available, n_actions): (&[bool], usize), one: &Answer, other: &Answer) {
        for (agent, available) in available.chunks_exact(n_actions).enumerate() {
            if available.iter().filter(|free| **free).count() >= 2 {
                self.steps += 1;
                self.equal += usize::from(one.action[agent] == other.action[agent]);
            }
        }
        for (a, b) in one.q.iter().zip(&other.q) {
            self.largest_difference = self.largest_difference.max((a - b).abs());
        }
    }
}

/// Plays episodes until `steps` agent steps have been compared and each engine has played `episodes`; no more than
/// these where no agent ever has a choice.
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
    let n_actions = env.spec().n_actions();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let episodes = episodes.max(1);
    while ours.len() < episodes || (agreement.steps > 0 && agreement.steps < steps) {
        let seed = number(seed, &format!("agree/{}", ours.len()));
        second.begin();
        let played = episode(env, seed, first, |seen, answer| {
            let other = second.step(seen)?;
            agreement.compare((seen.available, n_actions), answer, &other);
            Ok(())
        });
        ours.push(played?);
        if theirs.len() < episodes {
            theirs.push(episode(env, seed, second, |_, _| Ok(()))?);
        }
    }
    ours.truncate(episodes);
    agreement.first = Earned::of(&ours);
    agreement.second = Earned::of(&theirs);
    Ok(agreement)
}
