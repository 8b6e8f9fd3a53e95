//! A battle put into a given state, and steps with given turns: for whoever has recorded battles, here
//! or in another simulator, and wants to know whether they go on in the same way.

use super::plane::{Kept, vector};
use super::{Combat, Phase, TICKS};
use crate::env::saved::refuse;
use crate::error::EnvError;

/// A unit between two steps. Units are numbered as the scenario numbers them, both sides together.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitState {
    /// Whether it fights on.
    pub in_play: bool,
    /// x, y, cells.
    pub place: [f64; 2],
    /// Cells per second.
    pub velocity: [f64; 2],
    /// Whether the velocity is of 32 bits, which counts under [`numpy_rounding`](super::Rules::numpy_rounding).
    pub velocity_is_single: bool,
    /// Hit points, shield, energy, cooldown of the weapon, delay of the shield (both seconds), healing
    /// in store.
    pub scalars: [f64; 6],
    /// Unit that it attacks or heals.
    pub target: Option<usize>,
    /// The same one tick earlier.
    pub last_target: Option<usize>,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Played {
    /// Shared by the team, not yet rounded to 32 bits.
    pub reward: f64,
    /// Whether a side is beaten, or the clock has run out.
    pub over: bool,
    /// Whether the enemies are.
    pub won: bool,
}

impl Combat {
    /// How many units fight on both sides.
    #[must_use]
    pub fn n_units(&self) -> usize {
        self.world.units.len()
    }

    /// All units.
    #[must_use]
    pub fn unit_states(&self) -> Vec<UnitState> {
        let state = |unit: &super::world::Unit| UnitState {
            in_play: unit.in_play,
            place: [unit.place.x, unit.place.y],
            velocity: [unit.velocity.value.x, unit.velocity.value.y],
            velocity_is_single: unit.velocity.is_single,
            scalars: [unit.hp, unit.shield, unit.energy, unit.cooldown, unit.shield_delay, unit.pool],
            target: unit.target,
            last_target: unit.last_target,
        };
        self.world.units.iter().map(state).collect()
    }

    /// Puts the battle into a state, at the beginning of its time, with no shot under way. `last_actions` `[N]`.
    ///
    /// # Errors
    /// [`EnvError::Restore`] if there are not as many units, agents or actions.
    pub fn put(&mut self, units: &[UnitState], last_actions: &[Option<usize>]) -> Result<(), EnvError> {
        let all = self.n_units();
        let exists = |target: Option<usize>| target.is_none_or(|other| other < all);
        let targets = units.iter().all(|unit| exists(unit.target) && exists(unit.last_target));
        let actions = last_actions.iter().flatten().all(|&action| action < self.n_actions);
        if units.len() != all || last_actions.len() != self.n_agents || !targets || !actions {
            let (units, actions, agents) = (units.len(), last_actions.len(), self.n_agents);
            return Err(refuse(format!(
                "{units} units and {actions} last actions do not fit {all} units and {agents} agents"
            )));
        }
        for (unit, state) in self.world.units.iter_mut().zip(units) {
            unit.in_play = state.in_play;
            unit.place = vector(state.place[0], state.place[1]);
            let value = vector(state.velocity[0], state.velocity[1]);
            unit.velocity = Kept { value, is_single: state.velocity_is_single };
            [unit.hp, unit.shield, unit.energy, unit.cooldown, unit.shield_delay, unit.pool] = state.scalars;
            (unit.target, unit.last_target, unit.shot) = (state.target, state.last_target, None);
        }
        self.last_actions.copy_from_slice(last_actions);
        (self.phase, self.t, self.won) = (Phase::Running, 0, false);
        Ok(())
    }

    /// Plays a step in which units act in the given order, which is one list of them per tick.
    ///
    /// # Errors
    /// As [`step`](crate::env::Env::step); [`EnvError::Restore`] if a turn names a unit that is not there.
    pub fn step_in_turns(&mut self, actions: &[usize], turns: &[Vec<usize>]) -> Result<Played, EnvError> {
        let all = self.n_units();
        if turns.len() != TICKS || turns.iter().flatten().any(|&unit| unit >= all) {
            return Err(refuse(format!("a step has {TICKS} ticks with turns of {all} units")));
        }
        self.begin(actions)?;
        for turns in turns {
            self.world.tick(turns, &mut self.rng);
        }
        let (reward, step) = self.conclude();
        Ok(Played { reward, over: step.end.is_some(), won: self.won })
    }
}
