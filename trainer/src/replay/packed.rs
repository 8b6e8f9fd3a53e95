//! Rows that are mostly zeros and ones, in few bytes.

use serde::{Deserialize, Serialize};

/// Rows of equal width: one bit per number, or one gap per 1, while all are 0 or 1; otherwise two bits
/// per number, and the numbers that are neither.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackedRows {
    width: usize,
    rows: usize,
    data: Packed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Packed {
    Bits(Vec<u8>),
    Mixed(Mixed),
    Gaps(Gaps),
}

/// Bits of the ones and bits of the other numbers that are not zero, a byte of each in turn; and these
/// numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Mixed {
    /// Where each row ends in `others`.
    ends: Vec<u32>,
    bits: Vec<[u8; 2]>,
    others: Vec<f32>,
}

impl Mixed {
    fn push(&mut self, row: &[f32]) {
        for numbers in row.chunks(8) {
            let mut bits = [0, 0];
            for (i, &number) in numbers.iter().enumerate().filter(|(_, number)| **number != 0.0) {
                let is_other = number.to_bits() != 1.0_f32.to_bits();
                bits[usize::from(is_other)] |= 1 << i;
                if is_other {
                    self.others.push(number);
                }
            }
            self.bits.push(bits);
        }
        self.ends.push(self.others.len() as u32);
    }

    fn for_each(&self, row: usize, stride: usize, mut each: impl FnMut(usize, f32)) {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        let mut others = self.others[start..].iter();
        for (index, &[ones, rest]) in self.bits[row * stride..][..stride].iter().enumerate() {
            let mut left = ones | rest;
            while left != 0 {
                let bit = left.trailing_zeros();
                let other = if rest >> bit & 1 == 1 { others.next() } else { None };
                each(index * 8 + bit as usize, other.copied().unwrap_or(1.0));
                left &= left - 1;
            }
        }
    }
}

/// Where the ones of each row are: how many columns lie before each, in 7 bits per byte.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Gaps {
    /// Where each row ends in `bytes`.
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

impl Gaps {
    fn push(&mut self, row: &[f32]) {
        let mut next = 0;
        for (column, _) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            let mut gap = column - next;
            while gap >= 128 {
                self.bytes.push(128 | (gap % 128) as u8);
                gap /= 128;
            }
            self.bytes.push(gap as u8);
            next = column + 1;
        }
        self.ends.push(self.bytes.len() as u32);
    }

    fn for_each(&self, row: usize, mut each: impl FnMut(usize)) {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        let (mut next, mut gap, mut shift) = (0, 0, 0);
        for &byte in &self.bytes[start..self.ends[row] as usize] {
            gap |= usize::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                each(next + gap);
                next += gap + 1;
                (gap, shift) = (0, 0);
            }
        }
    }
}

impl PackedRows {
    /// Empty, for rows of `width`.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width, rows: 0, data: Packed::Bits(Vec::new()) }
    }

    /// As [`PackedRows::new`], for rows in which ones are rare: wide windows, planes.
    #[must_use]
    pub fn rare(width: usize) -> Self {
        Self { width, rows: 0, data: Packed::Gaps(Gaps::default()) }
    }

    /// Adds one row.
    pub fn push(&mut self, row: &[f32]) {
        debug_assert_eq!(row.len(), self.width);
        let is_bit = |value: &f32| value.to_bits() == 0 || value.to_bits() == 1.0_f32.to_bits();
        if !matches!(self.data, Packed::Mixed(_)) && !row.iter().all(is_bit) {
            let mut mixed = Mixed::default();
            for index in 0..self.rows {
                let mut dense = vec![0.0; self.width];
                self.for_each(index, |column, value| dense[column] = value);
                mixed.push(&dense);
            }
            self.data = Packed::Mixed(mixed);
        }
        self.rows += 1;
        match &mut self.data {
            Packed::Bits(bits) => bits.extend(row.chunks(8).map(|byte| {
                byte.iter().enumerate().fold(0, |bits, (i, &value)| bits | (u8::from(value != 0.0) << i))
            })),
            Packed::Mixed(mixed) => mixed.push(row),
            Packed::Gaps(gaps) => gaps.push(row),
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
                for (index, bytes) in bits[row * stride..][..stride].chunks(8).enumerate() {
                    let mut word = [0; 8];
                    word[..bytes.len()].copy_from_slice(bytes);
                    let mut left = u64::from_le_bytes(word);
                    while left != 0 {
                        each(index * 64 + left.trailing_zeros() as usize, 1.0);
                        left &= left - 1;
                    }
                }
            }
            Packed::Gaps(gaps) => gaps.for_each(row, |column| each(column, 1.0)),
            Packed::Mixed(mixed) => mixed.for_each(row, self.width.div_ceil(8), each),
        }
    }

    /// How many numbers are not zero.
    #[must_use]
    pub fn entries(&self) -> usize {
        let ones = |byte: u8| byte.count_ones() as usize;
        match &self.data {
            Packed::Bits(bits) => bits.iter().map(|&byte| ones(byte)).sum(),
            Packed::Mixed(mixed) => mixed.bits.iter().map(|&[one, other]| ones(one | other)).sum(),
            Packed::Gaps(gaps) => gaps.bytes.iter().filter(|&&byte| byte < 128).count(),
        }
    }

    /// Numbers in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Bytes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.data {
            Packed::Bits(bits) => bits.len(),
            Packed::Mixed(mixed) => {
                mixed.bits.len() * 2 + (mixed.others.len() + mixed.ends.len()) * size_of::<f32>()
            }
            Packed::Gaps(gaps) => gaps.ends.len() * size_of::<u32>() + gaps.bytes.len(),
        }
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
        let mut given = vec![[0.0; 19]; 5];
        (given[1][2], given[1][18], given[3][0], given[4][17]) = (1.0, 1.0, -2.5, 1.0);
        given[2] = std::array::from_fn(|column| column as f32 / 4.0);
        for mut rows in [PackedRows::new(19), PackedRows::rare(19)] {
            for row in &given {
                rows.push(row);
            }
            assert_eq!(rows.entries(), 4 + 18);
            for (index, want) in given.iter().enumerate() {
                assert_eq!(row(&rows, index, 19), want);
            }
            // Three bytes of two bits a number, where the row ends, and 17 and 1 numbers.
            assert_eq!(rows.bytes(), 5 * (6 + 4) + 4 * (17 + 1));
        }
    }

    #[test]
    fn rare_ones_take_a_byte_or_two_each_wherever_they_are() {
        let width = 40_000;
        let given = [vec![], vec![0, 1, 127, 128, 256, 385], vec![39_999], (0..width).collect()];
        let mut rows = PackedRows::rare(width);
        for ones in &given {
            let mut row = vec![0.0; width];
            ones.iter().for_each(|&column| row[column] = 1.0);
            rows.push(&row);
        }
        for (index, ones) in given.iter().enumerate() {
            let mut found = Vec::new();
            rows.for_each(index, |column, _| found.push(column));
            assert_eq!(&found, ones);
        }
        assert_eq!(rows.entries(), 6 + 1 + width);
        assert_eq!(rows.bytes(), 4 * 4 + 7 + 3 + width);
    }

    #[test]
    fn bits_take_an_eighth_of_a_byte() {
        let mut rows = PackedRows::new(600);
        let given = |index: usize| (0..600).map(move |column| f32::from(u8::from(column % (index + 1) == 0)));
        for index in 0..201 {
            rows.push(&given(index).collect::<Vec<_>>());
        }
        assert_eq!(rows.bytes(), 201 * 75);
        assert_eq!(rows.entries(), (1..=201_usize).map(|gap| 600_usize.div_ceil(gap)).sum::<usize>());
        for index in 0..201 {
            assert_eq!(row(&rows, index, 600), given(index).collect::<Vec<_>>());
        }
    }
}
