//! Points and directions in the plane of the map.

use std::ops::{Add, Mul, Neg, Sub};

/// A point, a direction or a velocity: cells, or cells per second. x grows east, y north.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Vector {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// In short.
pub(super) const fn vector(x: f64, y: f64) -> Vector {
    Vector { x, y }
}

impl Vector {
    pub(super) fn dot(self, other: Self) -> f64 {
        self.x * other.x + self.y * other.y
    }

    /// Positive where `other` lies to the left of `self`.
    pub(super) fn det(self, other: Self) -> f64 {
        self.x * other.y - self.y * other.x
    }

    pub(super) fn square(self) -> f64 {
        self.dot(self)
    }

    pub(super) fn length(self) -> f64 {
        self.square().sqrt()
    }

    /// Of length 1 in the same direction; zero for zero.
    pub(super) fn unit(self) -> Self {
        let length = self.length();
        if length > 0.0 { self * (1.0 / length) } else { self }
    }

    /// Turned left by a right angle.
    pub(super) fn left(self) -> Self {
        vector(-self.y, self.x)
    }

    pub(super) fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// To what 32 bits hold: places are kept so, as observations show them.
    pub(super) fn rounded(self) -> Self {
        vector(f64::from(self.x as f32), f64::from(self.y as f32))
    }
}

impl Add for Vector {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        vector(self.x + other.x, self.y + other.y)
    }
}

impl Sub for Vector {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        vector(self.x - other.x, self.y - other.y)
    }
}

impl Neg for Vector {
    type Output = Self;

    fn neg(self) -> Self {
        vector(-self.x, -self.y)
    }
}

impl Mul<f64> for Vector {
    type Output = Self;

    fn mul(self, by: f64) -> Self {
        vector(self.x * by, self.y * by)
    }
}
