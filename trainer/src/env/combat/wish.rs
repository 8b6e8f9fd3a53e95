//! Where each unit wants to go, and whether it engages its target.

use super::plane::Vector;
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
                Order::Stop => Vector::default(),
                Order::Walk(goal) => self.towards(me, goal, speed),
                Order::Attack(other) => self.attack(me, other, speed),
                Order::March => self.march(me),
            };
            self.units[me].wish = wish;
        }
    }

    fn march(&mut self, me: usize) -> Vector {
        let alone = self.kinds[me].unit.heals && self.units[me].target.is_none();
        let speed = if alone { self.pace_of_healer(me) } else { self.kinds[me].unit.speed };
        self.find_target(me);
        match (self.units[me].target, self.march_to) {
            (Some(target), _) => self.attack(me, target, speed),
            (None, Some(goal)) => self.towards(me, goal, speed),
            (None, None) => Vector::default(),
        }
    }

    /// Stands and engages where it reaches `other`; else walks up to it.
    fn attack(&mut self, me: usize, other: usize, speed: f64) -> Vector {
        let possible = self.kinds[me].unit.heals || self.pair(me, other).can_hit;
        if self.rules.orders_lapse && !(possible && self.units[other].in_play) {
            return Vector::default();
        }
        if possible && self.reaches(me, other) {
            self.units[me].engages = true;
            return Vector::default();
        }
        self.towards(me, self.units[other].place, speed)
    }

    /// At full speed; where the rules say so, no further than the goal.
    fn towards(&self, me: usize, goal: Vector, speed: f64) -> Vector {
        let way = goal - self.units[me].place;
        let distance = way.length();
        if self.rules.stop_at_goal && distance < speed * TICK {
            way * (1.0 / TICK)
        } else {
            way.unit() * speed
        }
    }
}
