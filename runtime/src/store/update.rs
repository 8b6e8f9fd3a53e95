//! Writing an image into the slot that is not in use.

use embedded_storage::nor_flash::NorFlash;

use super::authority::Authority;
use super::error::StoreError;
use super::geometry::{Geometry, Slot, size};
use super::header::{self, Header, Stage};
use super::image::Image;
use super::record::Record;
use super::{Store, flash_error};

/// An image that is on its way into the flash.
pub(super) struct Update<const B: usize> {
    image: Image,
    record: Record,
    /// Where the first byte of `buffer` belongs.
    at: u32,
    buffer: [u8; B],
    filled: usize,
    /// Where the erased part of the slot ends.
    erased: u32,
    received: u32,
}

impl<F: NorFlash, A: Authority, const B: usize> Store<F, A, B> {
    /// Begins an update and ends one that was under way: the slot that is not in use loses its image.
    ///
    /// The first sectors are erased here, the others when [`Store::write`] comes to them. Reads the active image first,
    /// so that a slot is given up only if the other one holds.
    ///
    /// # Errors
    /// If the image does not fit, its sequence number is not above those that were active, the control loop still uses
    /// the slot ([`StoreError::Busy`]), or the flash fails.
    pub fn begin(&mut self, record: Record) -> Result<(), StoreError<F::Error>> {
        self.update = None;
        self.check();
        let headers = self.headers();
        let above = self.spent(&headers);
        if record.sequence() <= above {
            return Err(StoreError::Sequence { above });
        }
        let slot = self.free_slot(&headers).ok_or(StoreError::Busy)?;
        let span = self.span(slot);
        let begin = Geometry::<F, B>::IMAGE;
        let too_long = StoreError::Length { want: span.len().saturating_sub(begin), got: record.length() };
        let image = Image::new(slot, span, begin, &record).ok_or(too_long)?;
        let [a, b] = &headers;
        match slot {
            Slot::A => self.bury(a, b)?,
            Slot::B => self.bury(b, a)?,
        }
        let mut erased = span.start;
        // The record goes first, the marks that deny it last.
        while erased < image.part.start {
            self.device.erase(erased).map_err(flash_error)?;
            erased = erased.saturating_add(Geometry::<F, B>::SECTOR);
        }
        let (at, buffer) = (image.part.start, [0xff; B]);
        self.update = Some(Update { image, record, at, buffer, filled: 0, erased, received: 0 });
        Ok(())
    }

    /// Takes the next bytes of the image, as many as there are.
    ///
    /// # Errors
    /// If no update is under way, there are more bytes than the record says, or the flash fails. The update is then over.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError<F::Error>> {
        let mut update = self.update.take().ok_or(StoreError::NoUpdate)?;
        let want = update.record.length();
        let more = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let got = update.received.saturating_add(more);
        if got > want {
            return Err(StoreError::Length { want, got });
        }
        update.received = got;
        let mut bytes = bytes;
        while !bytes.is_empty() {
            // A buffer ends where it is full, or its sector.
            let sector = Geometry::<F, B>::SECTOR;
            let room = size(sector - update.at % sector).min(B);
            let free = update.buffer.get_mut(update.filled..room).unwrap_or_default();
            let (now, later) = bytes.split_at_checked(free.len()).unwrap_or((bytes, &[]));
            for (to, from) in free.iter_mut().zip(now) {
                *to = *from;
            }
            update.filled += now.len();
            if update.filled >= room {
                self.flush(&mut update)?;
            }
            bytes = later;
        }
        self.update = Some(update);
        Ok(())
    }

    /// Ends the update: reads the image back, checks length, CRC and signature, and only then writes its record.
    ///
    /// The image now waits for [`Store::activate`], through losses of power too: [`Store::pending`].
    ///
    /// # Errors
    /// If no update is under way, bytes are missing, CRC or signature are wrong, or the flash fails. The update is then
    /// over.
    pub fn finish(&mut self) -> Result<Image, StoreError<F::Error>> {
        let mut update = self.update.take().ok_or(StoreError::NoUpdate)?;
        let image = update.image;
        let (want, got) = (update.record.length(), update.received);
        if got != want {
            return Err(StoreError::Length { want, got });
        }
        self.flush(&mut update)?;
        self.verify_as(&image, &update.record)?;
        let start = self.span(image.slot).start;
        self.device.write(start, update.record.as_bytes()).map_err(flash_error)?;
        if self.stands(&image, Stage::Written) { Ok(image) } else { Err(StoreError::Worn) }
    }

    /// Writes the buffer out, into an erased sector.
    fn flush(&mut self, update: &mut Update<B>) -> Result<(), StoreError<F::Error>> {
        if update.filled == 0 {
            return Ok(());
        }
        if update.at >= update.erased {
            self.device.erase(update.erased).map_err(flash_error)?;
            update.erased = update.erased.saturating_add(Geometry::<F, B>::SECTOR);
        }
        let filled = update.buffer.get(..update.filled).unwrap_or_default();
        self.device.write(update.at, filled).map_err(flash_error)?;
        update.at = update.at.saturating_add(u32::try_from(update.filled).unwrap_or(u32::MAX));
        update.filled = 0;
        Ok(())
    }

    /// The slot to give up: neither the active one nor one the control loop reads, and the least useful of these.
    fn free_slot(&self, [a, b]: &[Header; 2]) -> Option<Slot> {
        let used = |slot| [self.current, self.running].iter().flatten().any(|image| image.slot == slot);
        match (used(Slot::A), used(Slot::B)) {
            (false, false) => Some(if a.stage <= b.stage { Slot::A } else { Slot::B }),
            (false, true) => Some(Slot::A),
            (true, false) => Some(Slot::B),
            (true, true) => None,
        }
    }

    /// Keeps a revoked image from coming back if power is lost while its marks are being erased.
    fn bury(&mut self, dead: &Header, keeper: &Header) -> Result<(), StoreError<F::Error>> {
        match (dead.image_in(Stage::Revoked), keeper.free) {
            (Some(image), Some(free)) if keeper.past < image.sequence() => {
                self.device.write(free, &header::past(image.sequence())).map_err(flash_error)
            }
            _ => Ok(()),
        }
    }
}
