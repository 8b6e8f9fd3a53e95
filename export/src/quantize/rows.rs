//! Rows of floats as rows of int8, each in a unit of its own.

use super::gram::Rule;

/// Largest magnitude of a weight; symmetric, so that there is no zero point.
const LARGEST: f64 = 127.0;
/// What widths are rounded up to.
pub(super) const PAD: usize = 8;

/// Where the numbers of a vector lie once it is padded: the index of each in the unpadded vector, `None` for padding.
pub(super) type Layout = Vec<Option<usize>>;

/// `n` numbers in order, then padding.
#[must_use]
pub(super) fn in_order(n: usize) -> Layout {
    (0..n.next_multiple_of(PAD)).map(|i| (i < n).then_some(i)).collect()
}

/// Int8 rows; a weight is its integer times the unit of its row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rows {
    /// `[rows, columns]`
    pub(super) values: Vec<i8>,
    /// `[rows]`
    pub(super) units: Vec<f64>,
    /// `[rows]`: what the biases gain to make up for the rounding; 0 where they were to stay.
    pub(super) shifts: Vec<f64>,
}

impl Rows {
    /// Rounds `weight(row, column)` by the `rule` for these columns. Padding is zero.
    pub(super) fn of(
        rows: &Layout,
        columns: &Layout,
        weight: impl Fn(usize, usize) -> f32,
        rule: impl FnOnce(&[usize]) -> Rule,
    ) -> Self {
        let mut made = Self::default();
        let places: Vec<usize> = (0..columns.len()).filter(|place| columns[*place].is_some()).collect();
        let inputs: Vec<usize> = columns.iter().flatten().copied().collect();
        let rule = rule(&inputs);
        for row in rows {
            let at = |column: &Option<usize>| match (row, column) {
                (Some(row), Some(column)) => f64::from(weight(*row, *column)),
                _ => 0.0,
            };
            let largest = columns.iter().map(|column| at(column).abs()).fold(0.0, f64::max);
            let unit = (largest / LARGEST).max(f64::MIN_POSITIVE);
            let weights: Vec<f64> = places.iter().map(|place| at(&columns[*place]) / unit).collect();
            let (values, shift) = rule.apply(&weights, to_i8);
            let first = made.values.len();
            made.values.resize(first + columns.len(), 0);
            for (place, value) in places.iter().zip(values) {
                made.values[first + place] = value;
            }
            made.units.push(unit);
            made.shifts.push(shift * unit);
        }
        made
    }

    /// The matrix by columns.
    #[must_use]
    pub(super) fn transposed(&self, columns: usize) -> Vec<i8> {
        let rows = self.units.len();
        (0..columns * rows).map(|i| self.values[i % rows * columns + i / rows]).collect()
    }
}

/// To nearest, ties away from zero, within the range.
#[allow(clippy::cast_possible_truncation)]
fn to_i8(value: f64) -> i8 {
    value.round().clamp(-LARGEST, LARGEST) as i8
}

/// To nearest; `None` beyond a magnitude of 2^`bits`.
#[must_use]
#[allow(clippy::cast_possible_truncation)]
pub(super) fn to_i32(value: f64, bits: i32) -> Option<i32> {
    (value.abs() <= f64::from(bits).exp2()).then_some(value.round() as i32)
}
