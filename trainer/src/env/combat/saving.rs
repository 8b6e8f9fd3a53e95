//! A running episode as bytes, and back.

use super::plane::{Kept, Vector, vector};
use super::rules::Rules;
use super::turn::SHIELD_DELAY;
use super::unit::MOST_ENERGY;
use super::world::{Kind, Order, Unit};
use super::{Combat, Phase};
use crate::env::saved::{Reader, Writer, refuse};
use crate::error::EnvError;

/// First bytes of a saved episode; the last one is the version.
const TAG: &[u8; 8] = b"DDNcomb\x02";
/// The same where velocities say how many bits they are of.
const TAG_WITH_WIDTHS: &[u8; 8] = b"DDNcomb\x03";

/// Further than this from the map's corner, cells, no unit gets.
const FURTHEST: f64 = 1e6;
/// Faster than this, cells per second, no unit is.
const FASTEST: f64 = 1e3;

impl Combat {
    pub(super) fn saved(&self) -> Option<Vec<u8>> {
        if self.phase == Phase::NotStarted {
            return None;
        }
        let mut out = Writer::new(self.tag());
        for (_, size) in self.sizes() {
            out.number(size);
        }
        out.flag(self.phase == Phase::Over);
        out.number(self.t);
        out.flag(self.won);
        for action in &self.last_actions {
            out.number(action.map_or(self.n_actions, |action| action));
        }
        let none = self.world.units.len();
        for unit in &self.world.units {
            out.flag(unit.in_play);
            let Kept { value: velocity, is_single } = unit.velocity;
            for value in [unit.place.x, unit.place.y, velocity.x, velocity.y] {
                out.float(value);
            }
            if self.world.rules.numpy_rounding {
                out.flag(is_single);
            }
            for value in [unit.hp, unit.shield, unit.energy, unit.cooldown, unit.shield_delay, unit.pool] {
                out.float(value);
            }
            out.number(unit.target.unwrap_or(none));
            out.number(unit.last_target.unwrap_or(none));
            let (at, left) = unit.shot.unwrap_or((none, 0.0));
            out.number(at);
            out.float(left);
        }
        out.stream(&self.rng);
        Some(out.finish())
    }

    /// Takes up `saved`, or changes nothing.
    pub(super) fn restore(&mut self, saved: &[u8]) -> Result<(), EnvError> {
        let mut fields = Reader::new(saved, self.tag())?;
        for (name, size) in self.sizes() {
            fields.same(name, size)?;
        }
        let over = fields.flag("whether the episode is over")?;
        let t = fields.number("the step", self.spec.episode_limit)?;
        let won = fields.flag("whether the battle is won")?;
        if (won || t == self.spec.episode_limit) && !over {
            return Err(refuse("the episode runs on after its end"));
        }
        let mut last_actions = Vec::with_capacity(self.n_agents);
        for _ in 0..self.n_agents {
            let action = fields.number("an action", self.n_actions)?;
            last_actions.push(Some(action).filter(|&action| action < self.n_actions));
        }
        let mut units = Vec::with_capacity(self.world.units.len());
        for kind in &self.world.kinds {
            units.push(read_unit(&mut fields, kind, self.world.kinds.len(), &self.world.rules)?);
        }
        let rng = fields.stream()?;
        fields.finish()?;
        self.phase = if over { Phase::Over } else { Phase::Running };
        (self.t, self.won, self.last_actions, self.rng) = (t, won, last_actions, rng);
        self.world.units = units;
        Ok(())
    }

    fn tag(&self) -> &'static [u8; 8] {
        if self.world.rules.numpy_rounding { TAG_WITH_WIDTHS } else { TAG }
    }

    /// What a saved episode must agree on with the environment that takes it up.
    fn sizes(&self) -> [(&'static str, usize); 5] {
        [
            ("agents", self.n_agents),
            ("enemies", self.n_enemies),
            ("actions", self.n_actions),
            ("episode_limit", self.spec.episode_limit),
            ("hp and shields of all enemies", self.max_reward as usize),
        ]
    }
}

/// Orders, wishes and what depends on them are made anew at each step.
fn read_unit(fields: &mut Reader<'_>, kind: &Kind, none: usize, rules: &Rules) -> Result<Unit, EnvError> {
    let in_play = fields.flag("whether a unit is in play")?;
    let mut pair = |what: &str, most: f64| -> Result<Vector, EnvError> {
        Ok(vector(fields.float(what, -most, most)?, fields.float(what, -most, most)?))
    };
    let (place, velocity) = (pair("a place", FURTHEST)?, pair("a velocity", FASTEST)?);
    let is_single = rules.numpy_rounding && fields.flag("whether a velocity is of 32 bits")?;
    let hp = fields.float("a unit's hp", 0.0, kind.unit.hp)?;
    if in_play && hp <= 0.0 {
        return Err(refuse("a unit without hp is in play"));
    }
    let target = |fields: &mut Reader<'_>| -> Result<Option<usize>, EnvError> {
        Ok(Some(fields.number("a target", none)?).filter(|&other| other < none))
    };
    let mut unit = Unit {
        in_play,
        place,
        velocity: Kept { value: velocity, is_single },
        hp,
        shield: fields.float("a shield", 0.0, kind.unit.shield)?,
        energy: fields.float("energy", 0.0, MOST_ENERGY)?,
        cooldown: fields.float("a cooldown", 0.0, kind.unit.cooldown + 10.0)?,
        shield_delay: fields.float("the delay of a shield", 0.0, SHIELD_DELAY)?,
        pool: fields.float("healing in store", 0.0, 1e3)?,
        order: if kind.is_enemy { Order::March } else { Order::Stop },
        target: target(fields)?,
        last_target: target(fields)?,
        shot: None,
        wish: Kept::STANDING,
        engages: false,
    };
    let at = target(fields)?;
    let left = fields.float("the rest of a shot", 0.0, kind.unit.wind_up)?;
    unit.shot = at.map(|at| (at, left));
    Ok(unit)
}
