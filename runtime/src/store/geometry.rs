//! Where things lie in a slot, and what of the flash's sizes the store relies on.
//!
//! ```text
//! record | activation | revocation | past, 8 times | image …
//! ```
//!
//! Each of them but the image fills whole units, so that none shares a write word with another.

use core::marker::PhantomData;

use embedded_storage::nor_flash::NorFlash;

use super::record::Record;

const _: () = assert!(usize::BITS >= 32, "an offset of 32 bits is an index");

/// An offset or a length of the flash as an index.
pub(super) const fn size(length: u32) -> usize {
    length as usize
}

/// A length that the compiler knows, as an offset of the flash.
const fn offset(length: usize) -> u32 {
    assert!(length > 0 && length <= 1 << 24, "sizes from 1 byte to 16 MiB are possible");
    length as u32
}

/// One of the two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    A,
    B,
}

/// How many revoked sequence numbers a slot can remember for the other one.
const PASTS: u32 = 8;

/// The sizes of the flash `F`, read in pieces of `B` bytes.
pub(super) struct Geometry<F, const B: usize>(PhantomData<F>);

impl<F: NorFlash, const B: usize> Geometry<F, B> {
    /// What is erased at once.
    pub(super) const SECTOR: u32 = offset(F::ERASE_SIZE);
    /// What is read and written at once.
    pub(super) const PIECE: u32 = offset(B);
    /// What a mark occupies: at least the 16 bytes it has to say, and whole words of the flash.
    pub(super) const UNIT: u32 = {
        let words = if F::WRITE_SIZE > F::READ_SIZE { F::WRITE_SIZE } else { F::READ_SIZE };
        let unit = if words > 16 { words } else { 16 };
        assert!(
            unit.is_multiple_of(F::WRITE_SIZE)
                && unit.is_multiple_of(F::READ_SIZE)
                && unit.is_multiple_of(16)
        );
        assert!(
            F::ERASE_SIZE.is_multiple_of(unit),
            "a sector is a multiple of 16 bytes and of the flash's words"
        );
        assert!(B.is_multiple_of(unit), "the buffer is a multiple of 16 bytes and of the flash's words");
        offset(unit)
    };
    pub(super) const ACTIVATION: u32 = offset(Record::LEN).next_multiple_of(Self::UNIT);
    pub(super) const REVOCATION: u32 = Self::ACTIVATION + Self::UNIT;
    const PAST: u32 = Self::REVOCATION + Self::UNIT;
    /// The first byte of the image; an address divisible by 16 if the slot begins at one.
    pub(super) const IMAGE: u32 = Self::PAST + PASTS * Self::UNIT;

    /// The places for revoked sequence numbers of the other slot.
    pub(super) fn pasts() -> impl Iterator<Item = u32> {
        (0..PASTS).map(|index| Self::PAST + index * Self::UNIT)
    }
}

/// A part of the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) const fn at(start: u32, length: u32) -> Self {
        Self { start, end: start.saturating_add(length) }
    }

    pub(super) const fn len(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Whether it is a slot: made of whole sectors of the flash, with room for one byte of an image.
    pub(super) fn is_slot_of<F: NorFlash, const B: usize>(self, flash: &F) -> bool {
        let sector = Geometry::<F, B>::SECTOR;
        self.start.is_multiple_of(sector)
            && self.end.is_multiple_of(sector)
            && self.len() > Geometry::<F, B>::IMAGE
            && size(self.end) <= flash.capacity()
    }
}
