//! One stored episode, packed.

use serde::{Deserialize, Serialize};

use crate::env::{EnvSpec, Frame};

/// Rows of equal width: one bit per number while all are 0 or 1, floats otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackedRows {
    width: usize,
    rows: usize,
    data: Packed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Packed {
    Bits(Vec<u8>),
    Floats(Vec<f32>),
}

impl PackedRows {
    /// Empty, for rows of `width`.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width, rows: 0, data: Packed::Bits(Vec::new()) }
    }

    /// Adds one row.
    pub fn push(&mut self, row: &[f32]) {
        debug_assert_eq!(row.len(), self.width);
        let is_bit = |value: &f32| value.to_bits() == 0 || value.to_bits() == 1.0_f32.to_bits();
        if let Packed::Bits(_) = self.data
            && !row.iter().all(is_bit)
        {
            let mut dense = vec![0.0; self.rows * self.width];
            for (index, row) in dense.chunks_exact_mut(self.width.max(1)).enumerate() {
                self.for_each(index, |column, value| row[column] = value);
            }
            self.data = Packed::Floats(dense);
        }
        self.rows += 1;
        match &mut self.data {
            Packed::Bits(bits) => bits.extend(row.chunks(8).map(|byte| {
                byte.iter().enumerate().fold(0, |bits, (i, &value)| bits | (u8::from(value != 0.0) << i))
            })),
            Packed::Floats(floats) => floats.extend_from_slice(row),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Calls `each` with column and value of the entries that are not zero, in column order.
    pub fn for_each(&self, row: usize, mut each: impl FnMut(usize, f32)) {
        match &self.data {
            Packed::Bits(bits) => {
                let stride = self.width.div_ceil(8);
                for (index, &byte) in bits[row * stride..][..stride].iter().enumerate() {
                    let mut left = byte;
                    while left != 0 {
                        each(index * 8 + left.trailing_zeros() as usize, 1.0);
                        left &= left - 1;
                    }
                }
            }
            Packed::Floats(floats) => {
                for (column, &value) in floats[row * self.width..][..self.width].iter().enumerate() {
                    if value != 0.0 {
                        each(column, value);
                    }
                }
            }
        }
    }

    /// Bytes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.data {
            Packed::Bits(bits) => bits.len(),
            Packed::Floats(floats) => floats.len() * size_of::<f32>(),
        }
    }
}

/// An episode of T steps and T + 1 frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// `[T + 1, N·O]`
    pub obs: PackedRows,
    /// `[T + 1, S]`
    pub state: PackedRows,
    /// `[T + 1, N·A]`
    pub available: PackedRows,
    /// `[T, N]`
    pub actions: Vec<u16>,
    /// `[T]`
    pub rewards: Vec<f32>,
    /// Whether the last step cut the bootstrap: the task was over, not the clock.
    pub terminated: bool,
}

impl Episode {
    /// Before the first frame.
    #[must_use]
    pub fn new(spec: &EnvSpec) -> Self {
        Self {
            obs: PackedRows::new(spec.n_agents * spec.obs_dim),
            state: PackedRows::new(spec.state_dim),
            available: PackedRows::new(spec.n_agents * spec.n_actions()),
            actions: Vec::new(),
            rewards: Vec::new(),
            terminated: false,
        }
    }

    /// Adds a frame; one more of them than steps.
    pub fn push_frame(&mut self, frame: &Frame) {
        self.obs.push(&frame.obs);
        self.state.push(&frame.state);
        let available: Vec<f32> = frame.available.iter().map(|&yes| f32::from(u8::from(yes))).collect();
        self.available.push(&available);
    }

    /// Adds what was done and what it earned.
    pub fn push_step(&mut self, actions: &[usize], reward: f32) {
        self.actions.extend(actions.iter().map(|&action| action as u16));
        self.rewards.push(reward);
    }

    /// T, the number of steps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rewards.len()
    }

    /// Whether nothing was done yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rewards.is_empty()
    }

    /// The undiscounted sum of the environment's rewards.
    #[must_use]
    pub fn total(&self) -> f32 {
        self.rewards.iter().sum()
    }

    /// Bytes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.obs.bytes()
            + self.state.bytes()
            + self.available.bytes()
            + 2 * self.actions.len()
            + 4 * self.rewards.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(rows: &PackedRows, index: usize, width: usize) -> Vec<f32> {
        let mut out = vec![0.0; width];
        rows.for_each(index, |column, value| out[column] = value);
        out
    }

    #[test]
    fn rows_come_back_as_they_went_in_also_after_the_first_fraction() {
        let given = [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.5, -2.0, 0.0], [1.0, 1.0, 1.0]];
        let mut rows = PackedRows::new(3);
        for row in &given {
            rows.push(row);
        }
        for (index, want) in given.iter().enumerate() {
            assert_eq!(row(&rows, index, 3), want);
        }
    }

    #[test]
    fn bits_take_an_eighth_of_a_byte() {
        let mut rows = PackedRows::new(600);
        for _ in 0..201 {
            rows.push(&[1.0; 600]);
        }
        assert_eq!(rows.bytes(), 201 * 75);
    }
}
