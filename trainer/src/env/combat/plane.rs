//! Points and directions in the plane of the map.

use std::ops::{Add, Mul, Neg, Sub};

use super::number::{Number, rounded};

/// A point, a direction or a velocity: cells, or cells per second. x grows east, y north.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Vector<T = f64> {
    pub(super) x: T,
    pub(super) y: T,
}

/// A velocity as it is kept from tick to tick, with its width, which counts under `numpy_rounding` only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kept {
    pub(super) value: Vector,
    /// Whether it is of 32 bits.
    pub(super) is_single: bool,
}

impl Kept {
    /// Of a unit that wants to stand: numpy's zeros are of 64 bits.
    pub(super) const STANDING: Self = Self { value: vector(0.0, 0.0), is_single: false };

    /// Before the first tick: SMAClite makes it of 32 bits, as places.
    pub(super) const AT_START: Self = Self { value: vector(0.0, 0.0), is_single: true };
}

/// In short.
pub(super) const fn vector<T: Copy>(x: T, y: T) -> Vector<T> {
    Vector { x, y }
}

impl<T: Number> Vector<T> {
    pub(super) fn dot(self, other: Self) -> T {
        self.x * other.x + self.y * other.y
    }

    /// Positive where `other` lies to the left of `self`.
    pub(super) fn det(self, other: Self) -> T {
        self.x * other.y - self.y * other.x
    }

    pub(super) fn square(self) -> T {
        self.dot(self)
    }

    pub(super) fn length(self) -> T {
        self.square().sqrt()
    }

    /// Of length 1 in the same direction; zero for zero.
    pub(super) fn unit(self) -> Self {
        self.with_length(T::fixed(1.0))
    }

    /// Of that length in the same direction; zero for zero.
    pub(super) fn with_length(self, length: T) -> Self {
        let now = self.length();
        if now > T::fixed(0.0) { self.rescaled(now, length) } else { self }
    }

    /// Times `length / now`, in the order in which the numbers are divided and multiplied.
    pub(super) fn rescaled(self, now: T, length: T) -> Self {
        let [x, y] = T::rescale([self.x, self.y], now, length);
        vector(x, y)
    }

    /// Turned left by a right angle.
    pub(super) fn left(self) -> Self {
        vector(-self.y, self.x)
    }

    /// Of places, which are kept in 32 bits.
    pub(super) fn narrow(place: Vector) -> Self {
        vector(T::narrow(place.x), T::narrow(place.y))
    }

    /// Of what is kept in 64 bits.
    pub(super) fn wide(place: Vector) -> Self {
        vector(T::wide(place.x), T::wide(place.y))
    }

    pub(super) fn of(kept: Kept) -> Self {
        if kept.is_single { Self::narrow(kept.value) } else { Self::wide(kept.value) }
    }

    pub(super) fn kept(self) -> Kept {
        Kept {
            value: vector(self.x.value(), self.y.value()),
            is_single: self.x.is_single() && self.y.is_single(),
        }
    }
}

impl Vector {
    pub(super) fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// To what 32 bits hold: places are kept so, as observations show them.
    pub(super) fn rounded(self) -> Self {
        vector(rounded(self.x), rounded(self.y))
    }
}

impl<T: Number> Add for Vector<T> {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        vector(self.x + other.x, self.y + other.y)
    }
}

impl<T: Number> Sub for Vector<T> {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        vector(self.x - other.x, self.y - other.y)
    }
}

impl<T: Number> Neg for Vector<T> {
    type Output = Self;

    fn neg(self) -> Self {
        vector(-self.x, -self.y)
    }
}

impl<T: Number> Mul<T> for Vector<T> {
    type Output = Self;

    fn mul(self, by: T) -> Self {
        vector(self.x * by, self.y * by)
    }
}
