//! What a slot says of itself.

use embedded_storage::nor_flash::NorFlash;

use super::device::{Device, Mark};
use super::geometry::{Geometry, Slot, Span};
use super::image::Image;
use crate::crc::Crc32;

/// The mark of an image that is not to be used any more. Any other mark in its place means the same.
pub(super) const REVOKED: [u8; 16] = [0; 16];

/// The mark of an image that passed its test; `record` is the CRC of its record.
pub(super) fn activated(record: u32) -> [u8; 16] {
    sealed(*b"ddn-live", record)
}

/// The mark that keeps a `sequence` of the other slot from coming back.
pub(super) fn past(sequence: u32) -> [u8; 16] {
    sealed(*b"ddn-past", sequence)
}

/// A word, a number, and the CRC of both.
fn sealed(word: [u8; 8], number: u32) -> [u8; 16] {
    let number = number.to_le_bytes();
    let crc = Crc32::new().feed(&word).feed(&number).value().to_le_bytes();
    let mut mark = [0; 16];
    for (to, from) in mark.iter_mut().zip(word.iter().chain(&number).chain(&crc)) {
        *to = *from;
    }
    mark
}

/// The number of a mark made by [`past`].
fn read_past(mark: &[u8; 16]) -> Option<u32> {
    let number = u32::from_le_bytes(*mark.split_at(8).1.first_chunk()?);
    (past(number) == *mark).then_some(number)
}

/// How far an image came. Where none is active, in the order in which slots are given up for another image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// There is no image, or not all of it, or its activation was cut off.
    Empty,
    /// Passed its test. Where slots are compared, it is damaged or older than the built-in policy.
    Activated,
    /// Failed its test.
    Failed,
    /// Whole and signed, and not tested.
    Written,
    /// Was active and was rolled back. Its sequence number is not forgotten if the other slot can be taken instead.
    Revoked,
}

/// The head of a slot, as far as it can be read.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) stage: Stage,
    /// There is one in every stage but `Empty`.
    pub(super) image: Option<Image>,
    /// The largest sequence number that the other slot lost, or 0.
    pub(super) past: u32,
    /// Where the next one can be written.
    pub(super) free: Option<u32>,
}

impl Header {
    #[inline(never)]
    pub(super) fn read<F: NorFlash, const B: usize>(
        device: &mut Device<F, B>,
        slot: Slot,
        span: Span,
    ) -> Self {
        let begin = Geometry::<F, B>::IMAGE;
        let image = device.record(span.start).and_then(|record| Image::new(slot, span, begin, &record));
        let activation = device.mark(span.start.saturating_add(Geometry::<F, B>::ACTIVATION));
        let revocation = device.mark(span.start.saturating_add(Geometry::<F, B>::REVOCATION));
        let kept = matches!(revocation, Mark::Blank);
        let stage = match (image, activation) {
            (Some(_), Mark::Blank) if kept => Stage::Written,
            (Some(_), Mark::Blank) => Stage::Failed,
            (Some(image), Mark::Holds(mark)) if mark == activated(image.record) => {
                if kept {
                    Stage::Activated
                } else {
                    Stage::Revoked
                }
            }
            _ => Stage::Empty,
        };
        let mut header = Self { stage, image, past: 0, free: None };
        for at in Geometry::<F, B>::pasts().map(|past| span.start.saturating_add(past)) {
            match device.mark(at) {
                Mark::Blank => header.free = header.free.or(Some(at)),
                Mark::Holds(mark) => header.past = header.past.max(read_past(&mark).unwrap_or(0)),
                Mark::Unreadable => {}
            }
        }
        header
    }

    /// The image, if it is in this stage.
    pub(super) fn image_in(&self, stage: Stage) -> Option<Image> {
        self.image.filter(|_| self.stage == stage)
    }

    /// The largest sequence number that this slot knows to have been active.
    pub(super) fn spent(&self) -> u32 {
        let own = self.image_in(Stage::Activated).or(self.image_in(Stage::Revoked));
        own.map_or(0, |image| image.sequence()).max(self.past)
    }
}
