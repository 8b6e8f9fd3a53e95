//! The half-planes of velocities that keep a unit from blocked ground.
//!
//! The obstacle lines of RVO2 (van den Berg et al., see `avoid.rs`), for rectangles that do not know
//! of each other.

use super::avoid::{HORIZON, legs};
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
struct Walker {
    place: Vector,
    velocity: Vector,
    radius: f64,
    /// Whether lines are displaced wrongly.
    slips: bool,
}

impl World {
    pub(super) fn keep_from_walls(&self, me: usize, lines: &mut Vec<Line>) {
        let (unit, kind) = (&self.units[me], &self.kinds[me]);
        let walker = Walker {
            place: unit.place,
            velocity: unit.velocity,
            radius: kind.separation,
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

impl Walker {
    /// The line of one side that faces the walker; `None` where it asks for nothing new.
    fn line(&self, block: &Block, side: usize, lines: &[Line]) -> Option<Line> {
        let corners = block.corners();
        let (right_corner, left_corner) = ((side + 1) % 4, side);
        let to_left = corners[left_corner] - self.place;
        let to_right = corners[right_corner] - self.place;
        let covered = |line: &Line| {
            let beyond = |way: Vector| {
                (way * (1.0 / HORIZON) - line.point).det(line.direction) - self.radius / HORIZON >= -SLACK
            };
            beyond(to_left) && beyond(to_right)
        };
        if lines.iter().any(covered) {
            return None;
        }
        let (near_left, near_right) = (to_left.square(), to_right.square());
        let square = self.radius * self.radius;
        let along = to_right - to_left;
        let at = -to_left.dot(along) / along.square();
        let off = (-to_left - along * at).square();
        let stand_off = |way: Vector| Some(Line { point: Vector::default(), direction: way.left().unit() });
        if at < 0.0 && near_left <= square {
            return stand_off(to_left);
        }
        if at > 1.0 && near_right <= square {
            // Unless the next side takes care of this corner.
            return if to_right.det(SIDES[right_corner]) >= 0.0 { stand_off(to_right) } else { None };
        }
        if (0.0..1.0).contains(&at) && off <= square {
            return Some(Line { point: Vector::default(), direction: -SIDES[side] });
        }
        // Seen at a slant, one corner stands for the whole side.
        let (first, second) = if at < 0.0 && off <= square {
            (left_corner, left_corner)
        } else if at > 1.0 && off <= square {
            (right_corner, right_corner)
        } else {
            (left_corner, right_corner)
        };
        self.project(corners, first, second)
    }

    /// Onto the nearest part of the velocities that lead into what lies between two corners.
    fn project(&self, corners: [Vector; 4], first: usize, second: usize) -> Option<Line> {
        let way = |corner: usize| corners[corner] - self.place;
        let leg = |corner: usize| (way(corner).square() - self.radius * self.radius).max(0.0).sqrt();
        let mut left = legs(way(first), leg(first), self.radius).0;
        let mut right = legs(way(second), leg(second), self.radius).1;
        // A leg cannot point into the next side: that side takes over.
        let before = -SIDES[(first + 3) % 4];
        let after = SIDES[second];
        let left_is_other = left.det(before) >= 0.0;
        let right_is_other = right.det(after) <= 0.0;
        if left_is_other {
            left = before;
        }
        if right_is_other {
            right = after;
        }

        let (low, high) = (way(first) * (1.0 / HORIZON), way(second) * (1.0 / HORIZON));
        let (from_low, from_high) = (self.velocity - low, self.velocity - high);
        let cut = high - low;
        let single = first == second;
        let t = if single { 0.5 } else { from_low.dot(cut) / cut.square() };
        let (t_left, t_right) = (from_low.dot(left), from_high.dot(right));
        let round = |corner: Vector, off: Vector| {
            let normal = off.unit();
            Line { point: corner + normal * (self.radius / HORIZON), direction: -normal.left() }
        };
        if (t < 0.0 && t_left < 0.0) || (single && t_left < 0.0 && t_right < 0.0) {
            return Some(round(low, from_low));
        }
        if t > 1.0 && t_right < 0.0 {
            return Some(round(high, from_high));
        }
        let unless = |no: bool, off: Vector| if no { f64::INFINITY } else { off.square() };
        let to_cut = unless(!(0.0..=1.0).contains(&t) || single, from_low - cut * t);
        let to_left = unless(t_left < 0.0, from_low - left * t_left);
        let to_right = unless(t_right < 0.0, from_high - right * t_right);
        if to_cut <= to_left && to_cut <= to_right {
            Some(self.displaced(low, -SIDES[first]))
        } else if to_left <= to_right {
            (!left_is_other).then(|| self.displaced(low, left))
        } else {
            (!right_is_other).then(|| self.displaced(high, -right))
        }
    }

    /// Moved away from the wall by the walker's radius.
    fn displaced(&self, corner: Vector, direction: Vector) -> Line {
        let normal = if self.slips { vector(-direction.y, -direction.y) } else { direction.left() };
        Line { point: corner + normal * (self.radius / HORIZON), direction }
    }
}
