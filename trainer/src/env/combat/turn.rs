//! What a unit does when its turn comes: it walks, recovers, and shoots or heals.

use rand_chacha::ChaCha8Rng;

use super::unit::MOST_ENERGY;
use super::world::{Order, TICK, World};
use crate::seed::Draw;

/// Seconds after the last hit until a shield recovers. StarCraft II, map data of SMAC.
pub(super) const SHIELD_DELAY: f64 = 10.0;
/// Points per second. StarCraft II, map data of SMAC.
const SHIELD_RATE: f64 = 2.0;
/// A healer's energy per second. Map data of SMAC (Medivac).
const ENERGY_RATE: f64 = 0.5625;
/// Energy that it takes to turn to a new patient. SMAClite.
const ENERGY_TO_START: f64 = 5.0;
/// hp per second that a healer gives. SMAClite, StarCraft II (Medivac).
const HEALING_RATE: f64 = 9.0;
/// hp that a point of energy pays for. SMAClite, StarCraft II (Medivac).
const HEALING_PER_ENERGY: f64 = 3.0;

impl World {
    pub(super) fn take_turn(&mut self, me: usize, rng: &mut ChaCha8Rng) {
        if self.units[me].hp <= 0.0 {
            return;
        }
        self.walk(me);
        self.recover(me);
        if !self.kinds[me].unit.heals {
            self.shoot(me, rng);
        } else if self.units[me].engages && self.units[me].cooldown <= 0.0 {
            self.heal(me);
        }
    }

    fn walk(&mut self, me: usize) {
        let unit = &mut self.units[me];
        let mut place = unit.place + unit.velocity.value * TICK;
        if self.rules.closed_borders {
            let (width, height) = (self.terrain.width as f64, self.terrain.height as f64);
            place.x = place.x.clamp(0.0, width);
            place.y = place.y.clamp(0.0, height);
        }
        unit.place = place.rounded();
    }

    fn recover(&mut self, me: usize) {
        let (unit, kind) = (&mut self.units[me], &self.kinds[me].unit);
        unit.cooldown = (unit.cooldown - TICK).max(0.0);
        unit.shield_delay = (unit.shield_delay - TICK).max(0.0);
        if unit.shield_delay <= 0.0 {
            unit.shield = (unit.shield + SHIELD_RATE * TICK).min(kind.shield);
        }
        if kind.heals {
            unit.energy = (unit.energy + ENERGY_RATE * TICK).min(MOST_ENERGY);
        }
        unit.hp = (unit.hp + kind.regeneration * TICK).min(kind.hp);
    }

    /// Begins a shot where the weapon is ready, from when on the weapon's time runs; hits once it has wound
    /// up. A shot at what is no longer engaged is broken off, and costs nothing.
    fn shoot(&mut self, me: usize, rng: &mut ChaCha8Rng) {
        let target = if self.units[me].engages { self.aim(me) } else { None };
        if self.units[me].shot.take_if(|(other, _)| target != Some(*other)).is_some() {
            self.units[me].cooldown = 0.0;
        }
        let Some(target) = target else { return };
        let left = match self.units[me].shot.take() {
            Some((_, left)) => left - TICK,
            None if self.units[me].cooldown > 0.0 => return,
            None => {
                let [least, most] = self.rules.weapon_delay;
                let delay = if most > least { least + f64::from(rng.unit()) * (most - least) } else { least };
                self.units[me].cooldown = (self.kinds[me].unit.cooldown + delay).max(0.0);
                self.kinds[me].unit.wind_up
            }
        };
        if left > 0.0 {
            self.units[me].shot = Some((target, left));
            return;
        }
        for _ in 0..self.kinds[me].unit.shots {
            self.hit(target, self.pair(me, target).damage);
        }
    }

    /// Shields take the damage first, and are not armoured.
    fn hit(&mut self, target: usize, damage: f64) {
        let (unit, kind) = (&mut self.units[target], &self.kinds[target]);
        if unit.hp <= 0.0 {
            return;
        }
        if kind.unit.shield > 0.0 {
            unit.shield_delay = SHIELD_DELAY;
        }
        let absorbed = damage.min(unit.shield);
        unit.shield -= absorbed;
        let rest = damage - absorbed;
        let mut taken = 0.0;
        if rest > 0.0 {
            taken = (rest - kind.unit.armor).max(self.rules.least_damage).min(unit.hp);
            unit.hp -= taken;
        }
        if kind.is_enemy {
            self.harvest.damage += absorbed + taken;
            self.harvest.kills += usize::from(unit.hp <= 0.0);
        }
    }

    fn heal(&mut self, me: usize) {
        let Some(patient) = self.aim(me) else { return };
        let missing = self.kinds[patient].unit.hp - self.units[patient].hp;
        let dead = self.units[patient].hp <= 0.0 && !self.rules.revival;
        let unit = &mut self.units[me];
        let turned = unit.target != unit.last_target;
        if missing <= 0.0 || dead || (turned && unit.energy < ENERGY_TO_START) {
            unit.target = None;
            return;
        }
        let wanted = missing.min(HEALING_RATE * TICK);
        if unit.pool < wanted {
            let spent = unit.energy.min(1.0);
            unit.energy -= spent;
            unit.pool += HEALING_PER_ENERGY * spent;
        }
        let given = wanted.min(unit.pool);
        unit.pool -= given;
        self.units[patient].hp += given;
    }

    /// Whom it engages: the one it was told to, dead or alive, or the one it found.
    fn aim(&self, me: usize) -> Option<usize> {
        match self.units[me].order {
            Order::Attack(other) => Some(other),
            _ => self.units[me].target,
        }
    }
}
