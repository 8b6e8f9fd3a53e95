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
            panic!("a policy file has become shorter since its plan was made");
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
