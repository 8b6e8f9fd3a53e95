//! Reads the numbers of a plan, where the compiler evaluates it: what does not fit is an error of the build.
//!
//! Unsafe, since safe code cannot see bytes as numbers before there is a program.
#![allow(unsafe_code)]

use bytemuck::AnyBitPattern;

use crate::flash::Aligned;
use crate::model::matrix::{Matrix, Row};

/// The numbers that are left, and the file that they point into.
pub(crate) struct Plan<'p> {
    file: &'static Aligned<[u8]>,
    numbers: &'p [u32],
}

impl<'p> Plan<'p> {
    pub(crate) const fn new(file: &'static Aligned<[u8]>, numbers: &'p [u32]) -> Self {
        Self { file, numbers }
    }

    /// The file itself: its length.
    pub(crate) const fn whole(&mut self) -> &'static [u8] {
        let Some((file, _)) = self.file.0.split_at_checked(self.count()) else {
            panic!("a plan was made for a longer policy file");
        };
        file
    }

    /// The next number.
    pub(crate) const fn word(&mut self) -> u32 {
        let Some((word, rest)) = self.numbers.split_first() else {
            panic!("the plan of a policy ends early: build it with the same version of ddn-runtime");
        };
        self.numbers = rest;
        *word
    }

    /// A size.
    pub(crate) const fn count(&mut self) -> usize {
        self.word() as usize
    }

    /// 0 or 1.
    pub(crate) const fn flag(&mut self) -> bool {
        self.word() == 1
    }

    /// The bits of a float.
    pub(crate) const fn float(&mut self) -> f32 {
        f32::from_bits(self.word())
    }

    /// Numbers in the file: where they begin, in bytes, and how many there are.
    pub(crate) const fn slice<T: AnyBitPattern>(&mut self) -> &'static [T] {
        let (begin, count) = (self.count(), self.count());
        let Some((_, rest)) = self.file.0.split_at_checked(begin) else {
            panic!("a plan points beyond its policy file");
        };
        let aligned = begin.is_multiple_of(align_of::<T>()) && align_of::<T>() <= align_of::<Aligned<u8>>();
        assert!(aligned && count <= rest.len() / size_of::<T>(), "a plan points beyond its policy file");
        // SAFETY: `rest` has room for so many, begins at a multiple of their alignment since the file does, and lives
        // as long as the program; any bits are a `T`.
        unsafe { core::slice::from_raw_parts(rest.as_ptr().cast::<T>(), count) }
    }

    /// A matrix: its numbers, its rows, its columns.
    pub(crate) const fn matrix(&mut self) -> Matrix<'static> {
        let values = self.slice();
        Matrix::new(values, self.count(), self.count())
    }

    /// A row of floats.
    pub(crate) const fn row(&mut self) -> Row<'static> {
        Row(self.slice())
    }

    /// Nothing may be left.
    pub(crate) const fn end(&self) {
        assert!(self.numbers.is_empty(), "a plan is too long: build it with the same version of ddn-runtime");
    }
}

#[cfg(test)]
mod tests {
    use std::panic;

    use super::Plan;
    use crate::flash::Aligned;

    static FILE: &Aligned<[u8]> = &Aligned([1, 0, 2, 0, 0, 0, 128, 63, 4, 0, 5]);

    fn taken<T: bytemuck::AnyBitPattern + PartialEq>(numbers: [u32; 2], want: &[T]) -> bool {
        Plan::new(FILE, &numbers).slice::<T>() == want
    }

    fn refused<T: bytemuck::AnyBitPattern>(numbers: [u32; 2]) -> bool {
        panic::catch_unwind(|| Plan::new(FILE, &numbers).slice::<T>().len()).is_err()
    }

    /// To the last byte and not beyond, and where numbers of their size may lie.
    #[test]
    fn numbers_lie_inside_the_file() {
        assert!(taken([0, 11], &FILE.0));
        assert!(taken::<u8>([11, 0], &[]));
        assert!(taken([8, 1], &[4_i16]) && taken([0, 5], &[1_i16, 2, 0, 16256, 4]));
        assert!(taken([4, 1], &[1.0_f32]) && taken([0, 2], &[131_073_i32, 1_065_353_216]));
        assert!(taken([10, 1], &[5_i8]));
        assert!(refused::<u8>([0, 12]) && refused::<u8>([11, 1]) && refused::<u8>([12, 0]));
        assert!(refused::<i16>([10, 1]) && refused::<i16>([0, 6]) && refused::<i16>([1, 1]));
        assert!(refused::<f32>([8, 1]) && refused::<f32>([2, 1]) && refused::<i32>([0, 3]));
        assert!(refused::<i32>([6, 1]) && refused::<f32>([0, u32::MAX]) && refused::<i16>([u32::MAX, 1]));
    }

    #[test]
    fn a_plan_has_no_number_too_few_or_too_many() {
        assert!(panic::catch_unwind(|| Plan::new(FILE, &[]).word()).is_err());
        assert!(panic::catch_unwind(|| Plan::new(FILE, &[1]).end()).is_err());
        Plan::new(FILE, &[]).end();
    }
}
