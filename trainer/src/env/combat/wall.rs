//! The half-planes of velocities that keep a unit from blocked ground.
//!
//! The obstacle lines of RVO2 (van den Berg et al., see `avoid.rs`), for rectangles that do not know
//! of each other.

use super::avoid::{HORIZON, legs};
use super::number::Number;
use super::plane::{Vector, vector};
use super::program::Line;
use super::terrain::Block;
use super::world::World;

/// Slack in the test whether a line says nothing new.
const SLACK: f64 = 1e-5;

/// Along the sides of a block, counter-clockwise from the lower left corner.
const SIDES: [Vector; 4] = [vector(1.0, 0.0), vector(0.0, 1.0), vector(-1.0, 0.0), vector(0.0, -1.0)];

/// The unit that looks at a wall.
#[derive(Clone, Copy)]
struct Walker<T> {
    place: Vector<T>,
    velocity: Vector<T>,
    radius: T,
    /// Whether lines are displaced wrongly.
    slips: bool,
}

impl World {
    pub(super) fn keep_from_walls<T: Number>(&self, me: usize, lines: &mut Vec<Line<T>>) {
        let (unit, kind) = (&self.units[me], &self.kinds[me]);
        let walker = Walker {
            place: Vector::narrow(unit.place),
            velocity: Vector::of(unit.velocity),
            radius: T::fixed(kind.separation),
            slips: self.rules.wall_slip,
        };
        let near = kind.separation + kind.unit.speed * HORIZON;
        for block in &self.terrain.blocks {
            if block.distance_squared(unit.place) > near * near {
                continue;
            }
            for (side, (way, corner)) in SIDES.into_iter().zip(block.corners()).enumerate() {
                let outside = way.det(unit.place - corner) < 0.0;
                if outside && let Some(line) = walker.line(block, side, lines) {
                    lines.push(line);
                }
            }
        }
    }
}

fn over_horizon<T: Number>() -> T {
    T::fixed(1.0 / HORIZON)
}

impl<T: Number> Walker<T> {
    /// The line of one side that faces the walker; `None` where it asks for nothing new.
    fn line(&self, block: &Block, side: usize, lines: &[Line<T>]) -> Option<Line<T>> {
        let corners = block.corners().map(Vector::wide);
        let [zero, one] = [0.0, 1.0].map(T::fixed);
        let (right_corner, left_corner) = ((side + 1) % 4, side);
        let to_left = corners[left_corner] - self.place;
        let to_right = corners[right_corner] - self.place;
        let covered = |line: &Line<T>| {
            let beyond = |way: Vector<T>| {
                (way * over_horizon() - line.point).det(line.direction) - self.radius * over_horizon()
                    >= T::fixed(-SLACK)
            };
            beyond(to_left) && beyond(to_right)
        };
        if lines.iter().any(covered) {
            return None;
        }
        let (near_left, near_right) = (to_left.square(), to_right.square());
        let square = self.radius * self.radius;
        let along = corners[right_corner] - corners[left_corner];
        let at = -to_left.dot(along) / along.square();
        let off = (-to_left - along * at).square();
        let origin = Vector::wide(Vector::default());
        let stand_off = |way: Vector<T>| Some(Line { point: origin, direction: way.left().unit() });
        if at < zero && near_left <= square {
            return stand_off(to_left);
        }
        if at > one && near_right <= square {
            // Unless the next side takes care of this corner.
            return if to_right.det(Vector::wide(SIDES[right_corner])) >= zero {
                stand_off(to_right)
            } else {
                None
            };
        }
        if (zero..one).contains(&at) && off <= square {
            return Some(Line { point: origin, direction: -Vector::wide(SIDES[side]) });
        }
        // Seen at a slant, one corner stands for the whole side.
        let (first, second) = if at < zero && off <= square {
            (left_corner, left_corner)
        } else if at > one && off <= square {
            (right_corner, right_corner)
        } else {
            (left_corner, right_corner)
        };
        self.project(corners, first, second)
    }

    /// Onto the nearest part of the velocities that lead into what lies between two corners.
    fn project(&self, corners: [Vector<T>; 4], first: usize, second: usize) -> Option<Line<T>> {
        let [zero, half, one] = [0.0, 0.5, 1.0].map(T::fixed);
        let way = |corner: usize| corners[corner] - self.place;
        let legs = |corner: usize| {
            let square = way(corner).square();
            let leg = square - self.radius * self.radius;
            let leg = if leg > zero { leg.sqrt() } else { zero };
            legs(way(corner), square, leg, self.radius)
        };
        let (mut left, mut right) = (legs(first).0, legs(second).1);
        // A leg cannot point into the next side: that side takes over.
        let before = -Vector::wide(SIDES[(first + 3) % 4]);
        let after = Vector::wide(SIDES[second]);
        let left_is_other = left.det(before) >= zero;
        let right_is_other = right.det(after) <= zero;
        if left_is_other {
            left = before;
        }
        if right_is_other {
            right = after;
        }

        let (low, high) = (way(first) * over_horizon(), way(second) * over_horizon());
        let (from_low, from_high) = (self.velocity - low, self.velocity - high);
        let cut = high - low;
        let single = first == second;
        let t = if single { half } else { from_low.dot(cut) / cut.square() };
        let (t_left, t_right) = (from_low.dot(left), from_high.dot(right));
        let round = |corner: Vector<T>, off: Vector<T>| {
            let normal = off.unit();
            Line { point: corner + normal * (self.radius * over_horizon()), direction: -normal.left() }
        };
        if (t < zero && t_left < zero) || (single && t_left < zero && t_right < zero) {
            return Some(round(low, from_low));
        }
        if t > one && t_right < zero {
            return Some(round(high, from_high));
        }
        let unless = |no: bool, nearest: Vector<T>| {
            if no { T::fixed(f64::INFINITY) } else { (self.velocity - nearest).square() }
        };
        let to_cut = unless(!(zero..=one).contains(&t) || single, low + cut * t);
        let to_left = unless(t_left < zero, low + left * t_left);
        let to_right = unless(t_right < zero, high + right * t_right);
        if to_cut <= to_left && to_cut <= to_right {
            Some(self.displaced(low, -Vector::wide(SIDES[first])))
        } else if to_left <= to_right {
            (!left_is_other).then(|| self.displaced(low, left))
        } else {
            (!right_is_other).then(|| self.displaced(high, -right))
        }
    }

    /// Moved away from the wall by the walker's radius.
    fn displaced(&self, corner: Vector<T>, direction: Vector<T>) -> Line<T> {
        let normal = if self.slips { vector(-direction.y, -direction.y) } else { direction.left() };
        Line { point: corner + normal * (self.radius * over_horizon()), direction }
    }
}
