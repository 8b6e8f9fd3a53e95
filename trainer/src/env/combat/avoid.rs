//! How units keep from running into each other and into walls.
//!
//! Optimal reciprocal collision avoidance: each neighbour forbids a half-plane of velocities that
//! would lead to a collision within [`HORIZON`] (van den Berg, Guy, Lin and Manocha, ISRR 2009). Air
//! and ground do not see each other. A unit that wants to stand is never pushed.

use super::number::Number;
use super::plane::{Vector, vector};
use super::program::{Line, solve};
use super::world::{TICK, World};

/// How far units look ahead, seconds. SMAClite.
pub(super) const HORIZON: f64 = 1.0;

/// Half-planes that are kept from tick to tick, for no other reason than their memory.
#[derive(Clone, Debug)]
pub(super) struct Lines<T> {
    all: Vec<Line<T>>,
    spare: Vec<Line<T>>,
}

impl<T> Lines<T> {
    pub(super) fn with_room_for(lines: usize) -> Self {
        Self { all: Vec::with_capacity(lines), spare: Vec::with_capacity(lines) }
    }
}

impl<T> Default for Lines<T> {
    fn default() -> Self {
        Self { all: Vec::new(), spare: Vec::new() }
    }
}

impl World {
    /// The velocities of this tick from those of the last one.
    pub(super) fn choose_velocities(&mut self) {
        if self.rules.numpy_rounding {
            let mut lines = std::mem::take(&mut self.mixed_lines);
            self.avoid(&mut lines);
            self.mixed_lines = lines;
        } else {
            let mut lines = std::mem::take(&mut self.lines);
            self.avoid(&mut lines);
            self.lines = lines;
        }
    }

    fn avoid<T: Number>(&mut self, lines: &mut Lines<T>) {
        for me in 0..self.units.len() {
            if !self.units[me].in_play {
                continue;
            }
            let wish = self.units[me].wish;
            self.velocities[me] = if wish.value.is_zero() {
                wish
            } else {
                lines.all.clear();
                if !self.kinds[me].unit.flies {
                    self.keep_from_walls(me, &mut lines.all);
                }
                let walls = lines.all.len();
                self.keep_from_units(me, &mut lines.all);
                let speed = T::fixed(self.kinds[me].unit.speed);
                solve(&lines.all, walls, speed, Vector::of(wish), &mut lines.spare).kept()
            };
        }
        for (unit, velocity) in self.units.iter_mut().zip(&self.velocities) {
            if unit.in_play {
                unit.velocity = *velocity;
            }
        }
    }

    fn keep_from_units<T: Number>(&self, me: usize, lines: &mut Vec<Line<T>>) {
        let (unit, kind) = (&self.units[me], &self.kinds[me]);
        let near = kind.separation + self.largest;
        let (place, velocity) = (Vector::<T>::narrow(unit.place), Vector::<T>::of(unit.velocity));
        for (other, beside) in self.units.iter().enumerate() {
            let beside_kind = &self.kinds[other];
            if other == me || !beside.in_play || beside_kind.unit.flies != kind.unit.flies {
                continue;
            }
            let square = (beside.place - unit.place).square();
            if square > near * near {
                continue;
            }
            let disc = Disc {
                way: Vector::narrow(beside.place) - place,
                square: T::distance_squared(square),
                radius: T::fixed(kind.separation + beside_kind.separation),
            };
            let change = disc.way_out(velocity - Vector::of(beside.velocity));
            // One that stands leaves all of it to me.
            let share = if beside.wish.value.is_zero() { 1.0 } else { 0.5 };
            let point = velocity + change.point * T::fixed(share);
            lines.push(Line { point, direction: change.direction });
        }
    }
}

/// Where another unit is, as a disc of both radii together.
#[derive(Clone, Copy)]
struct Disc<T> {
    way: Vector<T>,
    /// Of the way's length.
    square: T,
    radius: T,
}

impl<T: Number> Disc<T> {
    /// The least change of the velocity relative to the disc that avoids it.
    fn way_out(&self, velocity: Vector<T>) -> Line<T> {
        let Self { way, square, radius } = *self;
        let one_over = |time: f64| T::fixed(1.0 / time);
        if square <= radius * radius {
            return self.cap(velocity, one_over(TICK));
        }
        let off = velocity - way * one_over(HORIZON);
        let along = off.dot(way);
        if along < T::fixed(0.0) && along * along > radius * radius * off.square() {
            return self.cap(velocity, one_over(HORIZON));
        }
        let leg = (square - radius * radius).sqrt();
        let (left, right) = legs(way, square, leg, radius);
        let direction = if way.det(off) > T::fixed(0.0) { left } else { -right };
        Line { point: direction * velocity.dot(direction) - velocity, direction }
    }

    /// Out of what the disc covers after 1/rate.
    fn cap(&self, velocity: Vector<T>, rate: T) -> Line<T> {
        let off = velocity - self.way * rate;
        let normal = off.unit();
        Line { point: normal * (self.radius * rate - off.length()), direction: -normal.left() }
    }
}

/// The two tangents to a disc at `way`, away from the origin.
pub(super) fn legs<T: Number>(way: Vector<T>, square: T, leg: T, radius: T) -> (Vector<T>, Vector<T>) {
    let left = vector(way.x * leg - way.y * radius, way.x * radius + way.y * leg);
    let right = vector(way.x * leg + way.y * radius, way.y * leg - way.x * radius);
    let one = T::fixed(1.0);
    (left.rescaled(square, one), right.rescaled(square, one))
}
