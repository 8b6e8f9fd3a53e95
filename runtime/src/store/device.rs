//! The flash in pieces of a buffer.

use embedded_storage::nor_flash::NorFlash;

use super::geometry::{Geometry, Span, size};
use super::record::Record;
use crate::crc::Crc32;

/// A flash that is read and written through buffers of `B` bytes.
pub(super) struct Device<F, const B: usize> {
    pub(super) flash: F,
}

/// What a unit of the flash says.
pub(super) enum Mark {
    /// It was erased and not written since.
    Blank,
    /// Its first 16 bytes.
    Holds([u8; 16]),
    /// The flash cannot read it, as a flash with ECC may say of a word whose write was cut off.
    Unreadable,
}

impl<F: NorFlash, const B: usize> Device<F, B> {
    /// Reads what fits into a buffer of `left`, takes it off, and returns it; `left` begins with a unit.
    #[inline(never)]
    pub(super) fn next<'b>(
        &mut self,
        left: &mut Span,
        buffer: &'b mut [u8; B],
    ) -> Result<&'b [u8], F::Error> {
        let n = left.len().min(Geometry::<F, B>::PIECE);
        let whole = size(n).next_multiple_of(F::READ_SIZE).min(B);
        let (piece, _) = buffer.split_at_mut(whole);
        self.flash.read(left.start, piece)?;
        left.start = left.start.saturating_add(n);
        Ok(piece.split_at(size(n).min(whole)).0)
    }

    /// The CRC of a part of the flash, which `each` is handed as well, piece by piece.
    pub(super) fn crc(&mut self, part: Span, mut each: impl FnMut(&[u8])) -> Result<u32, F::Error> {
        let (mut left, mut buffer, mut crc) = (part, [0; B], Crc32::new());
        while left.len() > 0 {
            let piece = self.next(&mut left, &mut buffer)?;
            crc = crc.feed(piece);
            each(piece);
        }
        Ok(crc.value())
    }

    /// Reads the unit at `at`.
    #[inline(never)]
    pub(super) fn mark(&mut self, at: u32) -> Mark {
        let (mut left, mut buffer) = (Span::at(at, Geometry::<F, B>::UNIT), [0; B]);
        match self.next(&mut left, &mut buffer) {
            Ok(unit) if unit.iter().all(|&byte| byte == 0xff) => Mark::Blank,
            Ok(unit) => unit.first_chunk().map_or(Mark::Unreadable, |mark| Mark::Holds(*mark)),
            Err(_) => Mark::Unreadable,
        }
    }

    /// Reads the record at `at`, if there is one.
    pub(super) fn record(&mut self, at: u32) -> Option<Record> {
        // In whole units, up to the mark after it.
        let (mut left, mut buffer) = (Span::at(at, Geometry::<F, B>::ACTIVATION), [0; B]);
        let mut bytes = [0; Record::LEN];
        let mut to = bytes.iter_mut();
        while left.len() > 0 {
            let piece = self.next(&mut left, &mut buffer).ok()?;
            to.by_ref().zip(piece).for_each(|(to, from)| *to = *from);
        }
        Record::from_bytes(&bytes)
    }

    /// Writes `bytes` from `at`, the start of a unit, and ones up to the end of the last unit.
    #[inline(never)]
    pub(super) fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), F::Error> {
        let mut at = at;
        for piece in bytes.chunks(B) {
            let mut buffer = [0xff; B];
            for (to, from) in buffer.iter_mut().zip(piece) {
                *to = *from;
            }
            let whole = piece.len().next_multiple_of(size(Geometry::<F, B>::UNIT)).min(B);
            self.flash.write(at, buffer.split_at(whole).0)?;
            at = at.saturating_add(Geometry::<F, B>::PIECE);
        }
        Ok(())
    }

    /// Erases the sector that begins at `at`.
    pub(super) fn erase(&mut self, at: u32) -> Result<(), F::Error> {
        self.flash.erase(at, at.saturating_add(Geometry::<F, B>::SECTOR))
    }
}
