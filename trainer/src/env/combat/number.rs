//! Numbers that units avoid each other with: of 64 bits, or of 32 and 64 mixed as numpy 2 mixes them.
//!
//! SMAClite keeps places in 32 bits, and numpy computes in 32 bits as long as nothing of 64 comes in;
//! a number of Python's own takes the width of what it meets (NEP 50). Where units touch, avoidance
//! magnifies what is lost there until battles come out otherwise.

use std::cmp::Ordering;
use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// What collision avoidance needs of a number.
pub(super) trait Number:
    Copy
    + Debug
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// A figure of the rules or of a kind of unit, which takes on the width of what it meets.
    fn fixed(value: f64) -> Self;

    /// Of what is kept in 32 bits.
    fn narrow(value: f64) -> Self;

    /// Of what is kept in 64 bits.
    fn wide(value: f64) -> Self;

    fn value(self) -> f64;

    /// Whether it is of 32 bits.
    fn is_single(self) -> bool;

    fn sqrt(self) -> Self;

    /// The square of the distance between two places.
    fn distance_squared(square: f64) -> Self;

    /// The pair times `to / length`: of 64 bits with one division, mixed in the order of SMAClite's terms.
    fn rescale(pair: [Self; 2], length: Self, to: Self) -> [Self; 2];
}

impl Number for f64 {
    fn fixed(value: f64) -> Self {
        value
    }

    fn narrow(value: f64) -> Self {
        value
    }

    fn wide(value: f64) -> Self {
        value
    }

    fn value(self) -> f64 {
        self
    }

    fn is_single(self) -> bool {
        false
    }

    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    fn distance_squared(square: f64) -> Self {
        square
    }

    fn rescale([x, y]: [Self; 2], length: Self, to: Self) -> [Self; 2] {
        let by = 1.0 / length;
        [x * by * to, y * by * to]
    }
}

/// Of how many bits a number is; of two that meet, the later in this list wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    /// Python's own: 64 bits until it meets another.
    Any,
    Single,
    Double,
}

/// A number that carries its width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mixed {
    value: f64,
    width: Width,
}

/// To what 32 bits hold.
pub(super) fn rounded(value: f64) -> f64 {
    f64::from(value as f32)
}

impl Mixed {
    /// The width of both together, and what they are in it.
    fn meet(self, other: Self) -> (Width, f64, f64) {
        let width = self.width.max(other.width);
        match width {
            Width::Single => (width, rounded(self.value), rounded(other.value)),
            Width::Any | Width::Double => (width, self.value, other.value),
        }
    }

    /// Sums, products and quotients of 32 bits are those of 64, rounded: these have more than twice the digits.
    fn combine(self, other: Self, of: impl Fn(f64, f64) -> f64) -> Self {
        let (width, a, b) = self.meet(other);
        Self { value: of(a, b), width }.fitted()
    }

    fn fitted(self) -> Self {
        if self.is_single() { Self::narrow(self.value) } else { self }
    }
}

impl PartialEq for Mixed {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Mixed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let (_, a, b) = self.meet(*other);
        a.partial_cmp(&b)
    }
}

impl Add for Mixed {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.combine(other, |a, b| a + b)
    }
}

impl Sub for Mixed {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.combine(other, |a, b| a - b)
    }
}

impl Mul for Mixed {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        self.combine(other, |a, b| a * b)
    }
}

impl Div for Mixed {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        self.combine(other, |a, b| a / b)
    }
}

impl Neg for Mixed {
    type Output = Self;

    fn neg(self) -> Self {
        Self { value: -self.value, width: self.width }
    }
}

impl Number for Mixed {
    fn fixed(value: f64) -> Self {
        Self { value, width: Width::Any }
    }

    fn narrow(value: f64) -> Self {
        Self { value: rounded(value), width: Width::Single }
    }

    fn wide(value: f64) -> Self {
        Self { value, width: Width::Double }
    }

    fn value(self) -> f64 {
        self.value
    }

    fn is_single(self) -> bool {
        self.width == Width::Single
    }

    fn sqrt(self) -> Self {
        Self { value: self.value.sqrt(), width: self.width }.fitted()
    }

    /// SMAClite's k-d tree gives distances of 64 bits, and they are squared again.
    fn distance_squared(square: f64) -> Self {
        let distance = square.sqrt();
        Self::wide(distance * distance)
    }

    fn rescale([x, y]: [Self; 2], length: Self, to: Self) -> [Self; 2] {
        [x * to / length, y * to / length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To the last bit.
    fn is(number: Mixed, value: f64) -> bool {
        number.value.to_bits() == value.to_bits()
    }

    #[test]
    fn numbers_are_as_wide_as_numpy_makes_them() {
        let third = Mixed::narrow(1.0 / 3.0);
        assert!(is(third, f64::from(1.0_f32 / 3.0)));
        // numpy.float32(1/3) * 0.1 is of 32 bits, with 0.1 rounded to them first.
        let narrow = third * Mixed::fixed(0.1);
        assert!(narrow.is_single());
        assert!(is(narrow, f64::from((1.0_f32 / 3.0) * 0.1_f32)));
        // numpy.float32(1/3) * numpy.float64(0.1) is of 64.
        let wide = third * Mixed::wide(0.1);
        assert!(!wide.is_single());
        assert!(is(wide, third.value * 0.1));
        // And of two of Python's nothing is lost.
        assert!(is(Mixed::fixed(0.1) * Mixed::fixed(0.1), 0.1 * 0.1));
    }

    #[test]
    fn numbers_meet_in_one_width_before_they_are_compared() {
        let tenth = Mixed::narrow(0.1);
        assert!(tenth == Mixed::fixed(0.1));
        assert!(tenth > Mixed::wide(0.1));
    }

    #[test]
    fn roots_and_quotients_are_rounded_once() {
        for value in [2.0_f32, 3.0, 7.7, 1e-3, 0.3] {
            let number = Mixed::narrow(f64::from(value));
            assert!(is(number.sqrt(), f64::from(value.sqrt())));
            assert!(is(number / Mixed::narrow(3.0), f64::from(value / 3.0)));
        }
    }
}
