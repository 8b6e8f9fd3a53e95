//! Writes the numbers that [`Plan`](super::Plan) reads, in the same order.

use std::vec::Vec;

use crate::model::matrix::{Matrix, Row};

/// A plan in the making, and the file that it points into.
pub(crate) struct Writer<'m> {
    file: &'m [u8],
    numbers: Vec<u32>,
}

impl<'m> Writer<'m> {
    pub(crate) fn new(file: &'m [u8]) -> Self {
        Self { file, numbers: Vec::new() }
    }

    /// All numbers.
    pub(crate) fn end(self) -> Vec<u32> {
        self.numbers
    }

    pub(crate) fn word(&mut self, word: u32) {
        self.numbers.push(word);
    }

    /// A size; a policy file is far smaller than 4 GiB, or it would not have been opened.
    pub(crate) fn count(&mut self, count: usize) {
        self.word(u32::try_from(count).unwrap_or(u32::MAX));
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.word(flag.into());
    }

    pub(crate) fn float(&mut self, value: f32) {
        self.word(value.to_bits());
    }

    /// Numbers that lie in the file.
    pub(crate) fn slice<T>(&mut self, values: &[T]) {
        let begin = if values.is_empty() { 0 } else { values.as_ptr().addr() - self.file.as_ptr().addr() };
        self.count(begin);
        self.count(values.len());
    }

    pub(crate) fn matrix(&mut self, matrix: &Matrix<'_>) {
        self.slice(matrix.rows_from(0));
        self.count(matrix.rows());
        self.count(matrix.cols());
    }

    pub(crate) fn row(&mut self, row: Row<'_>) {
        self.slice(row.as_slice());
    }
}
