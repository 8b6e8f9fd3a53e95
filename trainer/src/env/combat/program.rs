//! The velocity nearest to a wish that keeps to all of a set of half-planes.
//!
//! The incremental linear program of van den Berg, Guy, Lin and Manocha, "Reciprocal n-body
//! collision avoidance" (ISRR 2009): constraints are taken up one by one; one that is broken moves
//! the solution onto its line. Where nothing satisfies all of them, the worst violation among the
//! soft ones is made as small as the hard ones allow.

use super::number::Number;
use super::plane::Vector;

/// Directions whose determinant is below this are parallel.
const PARALLEL: f64 = 1e-5;

/// Velocities to the left of the line are allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line<T = f64> {
    pub(super) point: Vector<T>,
    /// Of length 1.
    pub(super) direction: Vector<T>,
}

impl<T: Number> Line<T> {
    /// How far `velocity` is on the wrong side; negative on the right one.
    fn violation(&self, velocity: Vector<T>) -> T {
        self.direction.det(self.point - velocity)
    }
}

/// What to come near to.
#[derive(Clone, Copy)]
enum Goal<T> {
    Point(Vector<T>),
    Direction(Vector<T>),
}

/// The best velocity of at most `speed`; the first `hard` of the lines go before the others.
/// `scratch` is overwritten.
pub(super) fn solve<T: Number>(
    lines: &[Line<T>],
    hard: usize,
    speed: T,
    wish: Vector<T>,
    scratch: &mut Vec<Line<T>>,
) -> Vector<T> {
    let start = if wish.square() > speed * speed { wish.unit() * speed } else { wish };
    match within(lines, speed, Goal::Point(wish), start) {
        Ok(velocity) => velocity,
        Err((failed, velocity)) => least_bad(lines, hard, failed, speed, velocity, scratch),
    }
}

/// Satisfies all lines, or says which one could not be satisfied, and what was found until then.
fn within<T: Number>(
    lines: &[Line<T>],
    speed: T,
    goal: Goal<T>,
    start: Vector<T>,
) -> Result<Vector<T>, (usize, Vector<T>)> {
    let mut velocity = start;
    for (k, line) in lines.iter().enumerate() {
        if line.violation(velocity) > T::fixed(0.0) {
            velocity = along(lines, k, speed, goal).ok_or((k, velocity))?;
        }
    }
    Ok(velocity)
}

/// The best point of line `k` within the circle of `speed` and the lines before it.
fn along<T: Number>(lines: &[Line<T>], k: usize, speed: T, goal: Goal<T>) -> Option<Vector<T>> {
    let zero = T::fixed(0.0);
    let Line { point, direction } = lines[k];
    let middle = point.dot(direction);
    let reach = middle * middle + speed * speed - point.square();
    if reach < zero {
        return None;
    }
    let reach = reach.sqrt();
    let (mut low, mut high) = (-middle - reach, -middle + reach);
    for other in &lines[..k] {
        let turn = direction.det(other.direction);
        let side = other.direction.det(point - other.point);
        if parallel(turn) {
            if side < zero {
                return None;
            }
            continue;
        }
        let at = side / turn;
        if turn >= zero {
            high = if at < high { at } else { high };
        } else {
            low = if at > low { at } else { low };
        }
        if low > high {
            return None;
        }
    }
    let at = match goal {
        Goal::Direction(wish) if wish.dot(direction) > zero => high,
        Goal::Direction(_) => low,
        Goal::Point(wish) => {
            let at = direction.dot(wish - point);
            if at > high {
                high
            } else if at >= low {
                at
            } else {
                low
            }
        }
    };
    Some(point + direction * at)
}

/// Whether two directions are, by their determinant.
fn parallel<T: Number>(turn: T) -> bool {
    turn <= T::fixed(PARALLEL) && turn >= T::fixed(-PARALLEL)
}

/// From line `failed` on: as little violation as possible.
fn least_bad<T: Number>(
    lines: &[Line<T>],
    hard: usize,
    failed: usize,
    speed: T,
    start: Vector<T>,
    scratch: &mut Vec<Line<T>>,
) -> Vector<T> {
    let (mut velocity, mut worst) = (start, T::fixed(0.0));
    for (k, line) in lines.iter().enumerate().skip(failed) {
        if line.violation(velocity) <= worst {
            continue;
        }
        scratch.clear();
        scratch.extend_from_slice(&lines[..hard]);
        for other in lines[..k].iter().skip(hard) {
            let turn = line.direction.det(other.direction);
            let point = if !parallel(turn) {
                line.point + line.direction * (other.direction.det(line.point - other.point) / turn)
            } else if line.direction.dot(other.direction) > T::fixed(0.0) {
                continue;
            } else {
                (line.point + other.point) * T::fixed(0.5)
            };
            scratch.push(Line { point, direction: (other.direction - line.direction).unit() });
        }
        let wish = line.direction.left();
        // In theory the start is allowed already; where rounding says otherwise, it stays.
        if let Ok(better) = within(scratch, speed, Goal::Direction(wish), wish * speed) {
            velocity = better;
        }
        worst = line.violation(velocity);
    }
    velocity
}

#[cfg(test)]
mod tests {
    use super::super::plane::vector;
    use super::*;

    fn near(got: Vector, x: f64, y: f64) -> bool {
        (got - vector(x, y)).length() < 1e-9
    }

    /// Left of a line upward through x: velocities with a lower x.
    fn west_of(x: f64) -> Line {
        Line { point: vector(x, 0.0), direction: vector(0.0, 1.0) }
    }

    fn east_of(x: f64) -> Line {
        Line { point: vector(x, 0.0), direction: vector(0.0, -1.0) }
    }

    #[test]
    fn a_free_wish_is_granted_up_to_the_speed() {
        let mut scratch = Vec::new();
        assert!(near(solve(&[], 0, 2.0, vector(1.0, 1.0), &mut scratch), 1.0, 1.0));
        assert!(near(solve(&[], 0, 2.0, vector(3.0, 0.0), &mut scratch), 2.0, 0.0));
    }

    #[test]
    fn lines_cut_the_wish() {
        let mut scratch = Vec::new();
        let lines = [west_of(0.5), Line { point: vector(0.0, 0.25), direction: vector(-1.0, 0.0) }];
        assert!(near(solve(&lines[..1], 0, 2.0, vector(1.0, 1.0), &mut scratch), 0.5, 1.0));
        assert!(near(solve(&lines, 0, 2.0, vector(1.0, 1.0), &mut scratch), 0.5, 0.25));
    }

    #[test]
    fn of_contradicting_lines_the_soft_ones_share_and_the_hard_ones_hold() {
        let mut scratch = Vec::new();
        let lines = [west_of(-0.5), east_of(0.5)];
        assert!(solve(&lines, 0, 2.0, vector(0.0, 0.0), &mut scratch).x.abs() < 1e-9);
        assert!((solve(&lines, 1, 2.0, vector(0.0, 0.0), &mut scratch).x + 0.5).abs() < 1e-9);
    }
}
