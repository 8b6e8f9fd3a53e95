//! Where each unit wants to go, and whether it engages its target.

use super::number::{Mixed, Number};
use super::plane::{Kept, Vector};
use super::world::{Order, TICK, World};

impl World {
    /// For all units in play; targets that are found on the way are seen by later units.
    pub(super) fn make_wishes(&mut self) {
        for me in 0..self.units.len() {
            if !self.units[me].in_play {
                continue;
            }
            self.units[me].engages = false;
            let speed = self.kinds[me].unit.speed;
            let wish = match self.units[me].order {
                Order::Stop => Kept::STANDING,
                Order::Walk(goal) => self.towards(me, goal, Vector::wide, speed),
                Order::Attack(other) => self.attack(me, other, speed),
                Order::March => self.march(me),
            };
            self.units[me].wish = wish;
        }
    }

    fn march(&mut self, me: usize) -> Kept {
        let alone = self.kinds[me].unit.heals && self.units[me].target.is_none();
        let speed = if alone { self.pace_of_healer(me) } else { self.kinds[me].unit.speed };
        self.find_target(me);
        match (self.units[me].target, self.march_to) {
            (Some(target), _) => self.attack(me, target, speed),
            (None, Some(goal)) => self.towards(me, goal, Vector::wide, speed),
            (None, None) => Kept::STANDING,
        }
    }

    /// Stands and engages where it reaches `other`; else walks up to it.
    fn attack(&mut self, me: usize, other: usize, speed: f64) -> Kept {
        let possible = self.kinds[me].unit.heals || self.pair(me, other).can_hit;
        if self.rules.orders_lapse && !(possible && self.units[other].in_play) {
            return Kept::STANDING;
        }
        if possible && self.reaches(me, other) {
            self.units[me].engages = true;
            return Kept::STANDING;
        }
        self.towards(me, self.units[other].place, Vector::narrow, speed)
    }

    /// At full speed; where the rules say so, no further than the goal. `kept` says in what the goal is.
    fn towards(&self, me: usize, goal: Vector, kept: fn(Vector) -> Vector<Mixed>, speed: f64) -> Kept {
        let place = self.units[me].place;
        if self.rules.numpy_rounding {
            self.hurry(kept(goal) - Vector::narrow(place), speed).kept()
        } else {
            self.hurry(goal - place, speed).kept()
        }
    }

    fn hurry<T: Number>(&self, way: Vector<T>, speed: f64) -> Vector<T> {
        if self.rules.stop_at_goal && way.length() < T::fixed(speed * TICK) {
            way * T::fixed(1.0 / TICK)
        } else {
            way.with_length(T::fixed(speed))
        }
    }
}
