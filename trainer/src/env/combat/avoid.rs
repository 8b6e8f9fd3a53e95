//! How units keep from running into each other and into walls.
//!
//! Optimal reciprocal collision avoidance: each neighbour forbids a half-plane of velocities that
//! would lead to a collision within [`HORIZON`] (van den Berg, Guy, Lin and Manocha, ISRR 2009). Air
//! and ground do not see each other. A unit that wants to stand is never pushed.

use super::plane::{Vector, vector};
use super::program::{Line, solve};
use super::world::{TICK, World};

/// How far units look ahead, seconds. SMAClite.
pub(super) const HORIZON: f64 = 1.0;

impl World {
    /// The velocities of this tick from those of the last one.
    pub(super) fn choose_velocities(&mut self) {
        let mut lines = std::mem::take(&mut self.lines);
        let mut scratch = std::mem::take(&mut self.scratch);
        for me in 0..self.units.len() {
            if !self.units[me].in_play {
                continue;
            }
            self.velocities[me] = if self.units[me].wish.is_zero() {
                Vector::default()
            } else {
                lines.clear();
                if !self.kinds[me].unit.flies {
                    self.keep_from_walls(me, &mut lines);
                }
                let walls = lines.len();
                self.keep_from_units(me, &mut lines);
                solve(&lines, walls, self.kinds[me].unit.speed, self.units[me].wish, &mut scratch)
            };
        }
        (self.lines, self.scratch) = (lines, scratch);
        for (unit, velocity) in self.units.iter_mut().zip(&self.velocities) {
            if unit.in_play {
                unit.velocity = *velocity;
            }
        }
    }

    fn keep_from_units(&self, me: usize, lines: &mut Vec<Line>) {
        let (unit, kind) = (&self.units[me], &self.kinds[me]);
        let near = kind.separation + self.largest;
        for (other, beside) in self.units.iter().enumerate() {
            let beside_kind = &self.kinds[other];
            if other == me || !beside.in_play || beside_kind.unit.flies != kind.unit.flies {
                continue;
            }
            let way = beside.place - unit.place;
            if way.square() > near * near {
                continue;
            }
            let change =
                way_out(way, unit.velocity - beside.velocity, kind.separation + beside_kind.separation);
            // One that stands leaves all of it to me.
            let share = if beside.wish.is_zero() { 1.0 } else { 0.5 };
            lines.push(Line { point: unit.velocity + change.point * share, direction: change.direction });
        }
    }
}

/// The least change of the velocity relative to a disc at `way` of that `radius` that avoids it.
fn way_out(way: Vector, velocity: Vector, radius: f64) -> Line {
    let square = way.square();
    let cap = |rate: f64| {
        // Out of the disc that the neighbour covers after 1/rate.
        let off = velocity - way * rate;
        let normal = off.unit();
        Line { point: normal * (radius * rate - off.length()), direction: -normal.left() }
    };
    if square <= radius * radius {
        return cap(1.0 / TICK);
    }
    let off = velocity - way * (1.0 / HORIZON);
    let along = off.dot(way);
    if along < 0.0 && along * along > radius * radius * off.square() {
        return cap(1.0 / HORIZON);
    }
    let leg = (square - radius * radius).sqrt();
    let (left, right) = legs(way, leg, radius);
    let direction = if way.det(off) > 0.0 { left } else { -right };
    Line { point: direction * velocity.dot(direction) - velocity, direction }
}

/// The two tangents to a disc at `way`, away from the origin.
pub(super) fn legs(way: Vector, leg: f64, radius: f64) -> (Vector, Vector) {
    let by = 1.0 / way.square();
    let left = vector(way.x * leg - way.y * radius, way.x * radius + way.y * leg) * by;
    let right = vector(way.x * leg + way.y * radius, way.y * leg - way.x * radius) * by;
    (left, right)
}
