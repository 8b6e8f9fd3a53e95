//! Where an image lies, and reading it.

use core::ops::Range;

use embedded_storage::nor_flash::NorFlash;

use super::authority::Authority;
use super::error::StoreError;
use super::geometry::{Slot, Span, size};
use super::record::Record;
use super::{Store, flash_error};
use crate::crc::crc32;

/// An image in the store. It says where the bytes are and holds none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    pub(super) slot: Slot,
    pub(super) part: Span,
    sequence: u32,
    crc: u32,
    /// The CRC of its record, which tells it from others of the same number.
    pub(super) record: u32,
}

impl Image {
    /// Its bytes in the flash, counted from the start of the flash. The first is at a multiple of 16.
    pub fn range(&self) -> Range<u32> {
        self.part.start..self.part.end
    }

    /// The place of the image in the order of updates.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Whether `bytes` are this image: length and CRC.
    pub fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() == size(self.part.len()) && crc32(bytes) == self.crc
    }

    /// The image that `record` announces, `begin` bytes after the begin of its slot, if there is room for it.
    pub(super) fn new(slot: Slot, span: Span, begin: u32, record: &Record) -> Option<Self> {
        let part = Span::at(span.start.saturating_add(begin), record.length());
        let (sequence, crc, record) = (record.sequence(), record.crc(), record.own_crc());
        (part.end <= span.end).then_some(Self { slot, part, sequence, crc, record })
    }
}

impl<F: NorFlash, A: Authority, const B: usize> Store<F, A, B> {
    /// Copies an image into `ram`, for a flash that is not mapped into memory; returns the part of `ram` it fills.
    ///
    /// To run a policy from there, `ram` begins at an address divisible by four: [`Aligned`](crate::Aligned).
    ///
    /// # Errors
    /// If `ram` is too short, the flash fails, or the copy's CRC is wrong.
    pub fn load<'r>(&mut self, image: &Image, ram: &'r mut [u8]) -> Result<&'r [u8], StoreError<F::Error>> {
        let length = image.part.len();
        let got = u32::try_from(ram.len()).unwrap_or(u32::MAX);
        let too_short = StoreError::Length { want: got, got: length };
        let (ram, _) = ram.split_at_mut_checked(size(length)).ok_or(too_short)?;
        let (mut left, mut buffer, mut to) = (image.part, [0; B], ram.iter_mut());
        while left.len() > 0 {
            let piece = self.device.next(&mut left, &mut buffer).map_err(flash_error)?;
            to.by_ref().zip(piece).for_each(|(to, from)| *to = *from);
        }
        if image.is(ram) { Ok(ram) } else { Err(StoreError::Checksum) }
    }

    /// Reads an image again: its CRC, and its signature if the authority asks for one.
    ///
    /// For those who do not trust what was written into the flash behind the store's back: [`Store::open`] looks at the
    /// CRC alone.
    ///
    /// # Errors
    /// If the image is not there any more, CRC or signature are wrong, or the flash fails.
    pub fn verify(&mut self, image: &Image) -> Result<(), StoreError<F::Error>> {
        let record = self.device.record(self.span(image.slot).start);
        let record = record.filter(|record| image.record == record.own_crc()).ok_or(StoreError::Checksum)?;
        self.verify_as(image, &record)
    }

    /// The same for an image whose record is not in the flash yet.
    pub(super) fn verify_as(&mut self, image: &Image, record: &Record) -> Result<(), StoreError<F::Error>> {
        let authority = &self.authority;
        let mut reading = authority.start(record.signature()).ok_or(StoreError::Signature)?;
        authority.add(&mut reading, record.head());
        let each = |piece: &[u8]| authority.add(&mut reading, piece);
        if self.device.crc(image.part, each).map_err(flash_error)? != image.crc {
            return Err(StoreError::Checksum);
        }
        if authority.accepts(reading) { Ok(()) } else { Err(StoreError::Signature) }
    }

    /// Whether the CRC of an image holds. A flash that cannot read it counts as no.
    #[inline(never)]
    pub(super) fn holds(&mut self, image: &Image) -> bool {
        self.device.crc(image.part, |_| ()).is_ok_and(|crc| crc == image.crc)
    }
}
