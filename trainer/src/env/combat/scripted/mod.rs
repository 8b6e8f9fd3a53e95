//! Policies written by hand: landmarks that say what a learned team is worth.
//!
//! They look at the battle itself rather than at observations. Ties go to the lowest index.

mod soldier;

use rand_chacha::ChaCha8Rng;

use self::soldier::{Real, Soldier};
use super::{Combat, STOP};
use crate::env::{End, Env};
use crate::error::EnvError;
use crate::seed::{Draw, number, stream};

/// Chooses an available action for every agent.
pub trait ScriptedPolicy: Sync {
    /// What a command line calls it.
    fn name(&self) -> &'static str;

    /// One line for lists.
    fn about(&self) -> &'static str;

    /// Fills `actions`, one per agent, for the running episode of `game`.
    fn choose(&self, game: &Combat, rng: &mut ChaCha8Rng, actions: &mut [usize]);
}

/// Every scripted policy, weakest idea first.
pub const SCRIPTED: &[&dyn ScriptedPolicy] = &[&Random, &Hold, &Nearest, &Focus, &Kite];

/// Uniform over the available actions.
#[derive(Clone, Copy, Debug)]
pub struct Random;

/// Stands, and attacks, of the enemies that the unit's weapon reaches, or for melee of those within six
/// cells, the one that most of the team reach.
#[derive(Clone, Copy, Debug)]
pub struct Hold;

/// Shoots the nearest enemy that may be attacked, else walks towards the nearest of all.
#[derive(Clone, Copy, Debug)]
pub struct Nearest;

/// As [`Nearest`], but shoots the weakest.
#[derive(Clone, Copy, Debug)]
pub struct Focus;

/// As [`Focus`], but walks away from an enemy that is near while the weapon is not ready.
#[derive(Clone, Copy, Debug)]
pub struct Kite;

impl ScriptedPolicy for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn about(&self) -> &'static str {
        "uniform over the available actions"
    }

    fn choose(&self, game: &Combat, rng: &mut ChaCha8Rng, actions: &mut [usize]) {
        let mut mask = vec![false; game.n_actions];
        for (agent, action) in actions.iter_mut().enumerate() {
            mask.fill(false);
            game.mask(agent, &mut mask);
            let nth = rng.below(mask.iter().filter(|&&open| open).count());
            *action = (0..mask.len()).filter(|&k| mask[k]).nth(nth).unwrap_or(STOP);
        }
    }
}

/// What a policy of the other kind decides for one agent that is alive.
fn each(game: &Combat, actions: &mut [usize], decide: impl Fn(&Soldier<'_>) -> usize) {
    for (agent, action) in actions.iter_mut().enumerate() {
        *action = if game.alive(agent) { decide(&Soldier::new(game, agent)) } else { super::NO_OP };
    }
}

impl ScriptedPolicy for Hold {
    fn name(&self) -> &'static str {
        "hold"
    }

    fn about(&self) -> &'static str {
        "stands, and attacks what most of the team reach; melee goes up to six cells"
    }

    fn choose(&self, game: &Combat, _: &mut ChaCha8Rng, actions: &mut [usize]) {
        each(game, actions, |me| {
            let target = if me.heals() {
                me.best(|unit| me.hurt_share(unit))
            } else {
                let strength = |unit| me.strength(unit);
                me.best(|unit| {
                    me.is_drawn_by(unit)
                        .then(|| (std::cmp::Reverse(me.team_in_reach(unit)), Real(strength(unit))))
                })
            };
            target.unwrap_or(STOP)
        });
    }
}

impl ScriptedPolicy for Nearest {
    fn name(&self) -> &'static str {
        "nearest"
    }

    fn about(&self) -> &'static str {
        "shoots the nearest enemy, else walks towards it"
    }

    fn choose(&self, game: &Combat, _: &mut ChaCha8Rng, actions: &mut [usize]) {
        each(game, actions, |me| {
            me.heal().or_else(|| me.shoot(|unit| me.distance(unit))).unwrap_or_else(|| me.approach())
        });
    }
}

impl ScriptedPolicy for Focus {
    fn name(&self) -> &'static str {
        "focus"
    }

    fn about(&self) -> &'static str {
        "shoots the weakest enemy in range, else walks towards the nearest"
    }

    fn choose(&self, game: &Combat, _: &mut ChaCha8Rng, actions: &mut [usize]) {
        each(game, actions, |me| me.focus());
    }
}

impl ScriptedPolicy for Kite {
    fn name(&self) -> &'static str {
        "kite"
    }

    fn about(&self) -> &'static str {
        "as focus, but steps back while the weapon is not ready"
    }

    fn choose(&self, game: &Combat, _: &mut ChaCha8Rng, actions: &mut [usize]) {
        each(game, actions, |me| me.step_back().unwrap_or_else(|| me.focus()));
    }
}

/// What one episode came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Played {
    /// Sum of the rewards.
    pub total: f32,
    /// Steps.
    pub length: usize,
    /// Whether the battle was won.
    pub won: bool,
    /// Agents and enemies that fell.
    pub fallen: (usize, usize),
    /// How it stopped.
    pub end: End,
}

/// Plays `episodes` episodes, a function of `seed` alone.
///
/// # Errors
/// If the game refuses what the policy chose, which would be a fault of the policy.
pub fn play(
    game: &mut Combat,
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
        let (end, won) = loop {
            policy.choose(game, &mut rng, &mut actions);
            let step = game.step(&actions, &mut frame)?;
            total += step.reward;
            length += 1;
            if let Some(end) = step.end {
                break (end, step.won == Some(true));
            }
        };
        played.push(Played { total, length, won, fallen: game.fallen(), end });
    }
    Ok(played)
}
