//! Policies written by hand: landmarks that say what a learned team is worth.
//!
//! They look at the game itself rather than at observations, but decide on nothing that a
//! predator could not see in a window of 5x5: a predator beside a prey sees all cells around it.

use rand_chacha::ChaCha8Rng;

use super::{Action, Body, PREDATOR, PredatorPrey};
use crate::env::{End, Env};
use crate::error::EnvError;
use crate::seed::{Draw, number, stream};

/// Chooses an available action for every predator.
pub trait ScriptedPolicy: Sync {
    /// What a command line calls it.
    fn name(&self) -> &'static str;

    /// One line for lists.
    fn about(&self) -> &'static str;

    /// Fills `actions`, one per predator, for the running episode of `game`.
    fn choose(&self, game: &PredatorPrey, rng: &mut ChaCha8Rng, actions: &mut [usize]);
}

/// Every scripted policy, weakest idea first.
pub const SCRIPTED: &[&dyn ScriptedPolicy] = &[&Random, &NeverCatch, &CatchWhenTwo, &Chase];

/// Uniform over the available actions.
#[derive(Clone, Copy, Debug)]
pub struct Random;

/// Uniform over the available actions but catching: returns exactly 0.
#[derive(Clone, Copy, Debug)]
pub struct NeverCatch;

/// Catches where another predator is beside the same prey, else [`NeverCatch`].
#[derive(Clone, Copy, Debug)]
pub struct CatchWhenTwo;

/// [`CatchWhenTwo`], but waits beside a prey and walks towards the nearest one in sight.
#[derive(Clone, Copy, Debug)]
pub struct Chase;

impl ScriptedPolicy for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn about(&self) -> &'static str {
        "uniform over the available actions"
    }

    fn choose(&self, game: &PredatorPrey, rng: &mut ChaCha8Rng, actions: &mut [usize]) {
        for (i, action) in actions.iter_mut().enumerate() {
            *action = uniform(game, i, Action::CATCH, rng);
        }
    }
}

impl ScriptedPolicy for NeverCatch {
    fn name(&self) -> &'static str {
        "never-catch"
    }

    fn about(&self) -> &'static str {
        "uniform over the available actions except catching"
    }

    fn choose(&self, game: &PredatorPrey, rng: &mut ChaCha8Rng, actions: &mut [usize]) {
        for (i, action) in actions.iter_mut().enumerate() {
            *action = uniform(game, i, Action::STAY, rng);
        }
    }
}

impl ScriptedPolicy for CatchWhenTwo {
    fn name(&self) -> &'static str {
        "catch-when-two"
    }

    fn about(&self) -> &'static str {
        "catches where two predators are beside the same prey, else wanders"
    }

    fn choose(&self, game: &PredatorPrey, rng: &mut ChaCha8Rng, actions: &mut [usize]) {
        for (i, action) in actions.iter_mut().enumerate() {
            *action = if has_partner(game, i) { Action::CATCH } else { uniform(game, i, Action::STAY, rng) };
        }
    }
}

impl ScriptedPolicy for Chase {
    fn name(&self) -> &'static str {
        "chase"
    }

    fn about(&self) -> &'static str {
        "catches in pairs, waits beside a prey, walks towards the nearest in sight"
    }

    fn choose(&self, game: &PredatorPrey, rng: &mut ChaCha8Rng, actions: &mut [usize]) {
        for (i, action) in actions.iter_mut().enumerate() {
            *action = if has_partner(game, i) {
                Action::CATCH
            } else if game.may(i, Action::CATCH) {
                Action::STAY
            } else {
                pursuit(game, i, rng).unwrap_or_else(|| uniform(game, i, Action::STAY, rng))
            };
        }
    }
}

/// Uniform over the available actions up to and including `last`; "stay" is always among them.
fn uniform(game: &PredatorPrey, i: usize, last: usize, rng: &mut ChaCha8Rng) -> usize {
    let mut choices = [0; Action::CATCH + 1];
    let mut n = 0;
    for action in (0..=last).filter(|&action| game.may(i, action)) {
        choices[n] = action;
        n += 1;
    }
    choices[rng.below(n)]
}

/// Whether a prey beside predator `i` has another predator beside it as well.
fn has_partner(game: &PredatorPrey, i: usize) -> bool {
    let me = game.predators[i];
    me.on_grid
        && game.prey.iter().any(|prey| {
            let beside = |cell: &&u8| **cell == PREDATOR;
            prey.on_grid && prey.steps_to(me) == 1 && game.around(*prey).iter().filter(beside).count() >= 2
        })
}

/// A random one of the moves that lead closer to the nearest prey in the window, if there is one.
fn pursuit(game: &PredatorPrey, i: usize, rng: &mut ChaCha8Rng) -> Option<usize> {
    let me = game.predators[i];
    let sight = game.config.sight;
    let seen = |prey: &&Body| {
        prey.on_grid && prey.row.abs_diff(me.row) <= sight && prey.col.abs_diff(me.col) <= sight
    };
    let nearest = game.prey.iter().filter(seen).min_by_key(|prey| prey.steps_to(me))?;
    if !me.on_grid {
        return None;
    }
    let mut closer = [0; 4];
    let mut n = 0;
    for direction in 0..Action::STAY {
        let open = game.may(i, direction);
        if open && me.towards(direction).steps_to(*nearest) < me.steps_to(*nearest) {
            closer[n] = direction;
            n += 1;
        }
    }
    (n > 0).then(|| closer[rng.below(n)])
}

/// What one episode came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Played {
    /// Sum of the rewards.
    pub total: f32,
    /// Steps.
    pub length: usize,
    /// Prey caught.
    pub captures: usize,
    /// Times that a prey had exactly one catcher.
    pub miscaptures: usize,
    /// How it stopped.
    pub end: End,
}

/// Plays `episodes` episodes, a function of `seed` alone.
///
/// # Errors
/// If the game refuses what the policy chose, which would be a fault of the policy.
pub fn play(
    game: &mut PredatorPrey,
    policy: &dyn ScriptedPolicy,
    seed: u64,
    episodes: usize,
) -> Result<Vec<Played>, EnvError> {
    let mut frame = game.spec().frame();
    let mut actions = vec![0; game.spec().n_agents];
    let mut played = Vec::with_capacity(episodes);
    for episode in 0..episodes {
        let mut rng = stream(seed, &format!("scripted/{episode}"));
        game.reset(number(seed, &format!("env/{episode}")), &mut frame)?;
        let (mut total, mut length) = (0.0, 0);
        let end = loop {
            policy.choose(game, &mut rng, &mut actions);
            let step = game.step(&actions, &mut frame)?;
            total += step.reward;
            length += 1;
            if let Some(end) = step.end {
                break end;
            }
        };
        let (captures, miscaptures) = (game.captures, game.miscaptures);
        played.push(Played { total, length, captures, miscaptures, end });
    }
    Ok(played)
}
