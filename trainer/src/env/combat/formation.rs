//! How the units of a side stand at the start.

use super::plane::{Vector, vector};
use super::rules::Figures;

/// Cells between neighbours of a formation.
const GAP: f64 = 0.05;

/// Rows of a near square, from below, around the origin; enemies stand in its point reflection.
///
/// SMAClite's way, which is a little off the middle; else the same with its rows in the middle. The
/// game puts units that are created at one point next to each other, in an order unknown to us.
pub(super) fn formation(radii: &[f64], figures: Figures) -> Vec<Vector> {
    let columns = (1..).find(|n| n * n >= radii.len()).unwrap_or(1);
    let rows: Vec<&[f64]> = radii.chunks(columns).collect();
    let tallest = |row: &[f64]| row.iter().copied().fold(0.0, f64::max);
    let width = |row: &[f64]| 2.0 * row.iter().sum::<f64>();
    let gaps = |count: usize| GAP * (count - 1) as f64;
    let height = rows.iter().map(|row| 2.0 * tallest(row)).sum::<f64>();
    let widest = rows.iter().map(|row| width(row)).fold(0.0, f64::max);
    let mut bottom = match figures {
        Figures::Smaclite => -(height + gaps(columns)) / 2.0,
        Figures::Smac => -(height + gaps(rows.len())) / 2.0,
    };
    let mut places = Vec::with_capacity(radii.len());
    for row in rows {
        let mut left = match figures {
            Figures::Smaclite => -widest / 2.0,
            Figures::Smac => -(width(row) + gaps(row.len())) / 2.0,
        };
        for radius in row {
            places.push(vector(left + radius, bottom + tallest(row)));
            left += 2.0 * radius + GAP;
        }
        bottom += 2.0 * tallest(row) + GAP;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_filled_from_below() {
        let near = |got: &[Vector], want: &[(f64, f64)]| {
            assert_eq!(got.len(), want.len());
            for (got, (x, y)) in got.iter().zip(want) {
                assert!((*got - vector(*x, *y)).length() < 1e-9, "{got:?}");
            }
        };
        let three = [0.5; 3];
        near(&formation(&three, Figures::Smac), &[(-0.525, -0.525), (0.525, -0.525), (0.0, 0.525)]);
        near(&formation(&three, Figures::Smaclite), &[(-0.5, -0.525), (0.55, -0.525), (-0.5, 0.525)]);
        near(&formation(&[0.75], Figures::Smac), &[(0.0, 0.0)]);
    }
}
