//! From a written image to the policy that acts, and back.

use embedded_storage::nor_flash::NorFlash;

use super::authority::Authority;
use super::error::StoreError;
use super::geometry::{Geometry, Slot};
use super::header::{self, Header, Stage};
use super::image::Image;
use super::{Store, flash_error};

/// What the control loop does before its next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Switch {
    /// It goes on with the policy it has.
    Keep,
    /// It opens this image. Every agent begins an episode: its memory is reset and it has no last action.
    To(Image),
    /// It returns to the policy of the firmware, as at the start of an episode.
    BuiltIn,
}

impl<F: NorFlash, A: Authority, const B: usize> Store<F, A, B> {
    /// The image that is active: the newest that passed its test and whose CRC held when it was last read.
    ///
    /// `None`: the firmware's own policy acts.
    pub fn active(&self) -> Option<Image> {
        self.current
    }

    /// Reads the CRC of the active image again, and falls back to the other one if it does not hold.
    pub fn check(&mut self) -> Option<Image> {
        let [a, b] = self.headers();
        let (in_a, in_b) = (self.activated(&a, &b), self.activated(&b, &a));
        let sequence = |image: Option<Image>| image.map(|image| image.sequence());
        let newest_first = if sequence(in_a) > sequence(in_b) { [in_a, in_b] } else { [in_b, in_a] };
        self.current = newest_first.into_iter().flatten().find(|image| self.holds(image));
        self.current
    }

    /// An image that was written and not tested, if its CRC holds.
    pub fn pending(&mut self) -> Option<Image> {
        let written = self.headers().map(|header| header.image_in(Stage::Written));
        written.into_iter().flatten().find(|image| self.holds(image))
    }

    /// Tests an image and makes it the active one.
    ///
    /// `bytes` are the image where the policy will run: the mapped flash at [`Image::range`], or what [`Store::load`]
    /// returned. `test` says whether they answer as they should: [`known_answers`](super::known_answers). One write of a
    /// mark commits the image after that; the loop learns of it by [`Store::switch`].
    ///
    /// # Errors
    /// If the image does not wait for activation, `bytes` are another image, CRC or signature in the flash are wrong,
    /// the sequence number is not above those that were active, the test fails, or the flash does.
    pub fn activate(
        &mut self,
        image: &Image,
        bytes: &[u8],
        test: impl FnOnce(&[u8]) -> bool,
    ) -> Result<(), StoreError<F::Error>> {
        if !self.stands(image, Stage::Written) {
            return Err(StoreError::NotPending);
        }
        let headers = self.headers();
        let above = self.spent(&headers);
        if image.sequence() <= above {
            return Err(StoreError::Sequence { above });
        }
        self.verify(image)?;
        if !image.is(bytes) {
            return Err(StoreError::Checksum);
        }
        if !test(bytes) {
            self.revoke(image)?;
            return Err(StoreError::Test);
        }
        let at = self.span(image.slot).start.saturating_add(Geometry::<F, B>::ACTIVATION);
        self.device.write(at, &header::activated(image.record)).map_err(flash_error)?;
        if self.check() == Some(*image) { Ok(()) } else { Err(StoreError::Worn) }
    }

    /// Gives the active image up, for good, and returns the one that is active now: the one before it, if it is still
    /// there and holds. One write of a mark; nothing is erased.
    ///
    /// # Errors
    /// If no image is active, or the flash fails.
    pub fn rollback(&mut self) -> Result<Option<Image>, StoreError<F::Error>> {
        let image = self.current.ok_or(StoreError::NoneActive)?;
        self.revoke(&image)?;
        if self.check() == Some(image) { Err(StoreError::Worn) } else { Ok(self.current) }
    }

    /// What the control loop does before its next step; it calls this between two steps, and takes no time.
    ///
    /// A loop begins with the policy of the firmware. Once this has returned, the slot that was in use before may be
    /// overwritten; until then no update begins in it. Where the loop runs elsewhere than the store, hand the answer to
    /// it, and call this only while the loop holds no bytes of the former image.
    pub fn switch(&mut self) -> Switch {
        if self.running == self.current {
            return Switch::Keep;
        }
        self.running = self.current;
        self.current.map_or(Switch::BuiltIn, Switch::To)
    }

    /// The largest sequence number that was active, or is built in.
    pub(super) fn spent(&self, [a, b]: &[Header; 2]) -> u32 {
        self.built_in.max(a.spent()).max(b.spent())
    }

    /// What both slots say of themselves.
    pub(super) fn headers(&mut self) -> [Header; 2] {
        [Slot::A, Slot::B].map(|slot| {
            let span = self.span(slot);
            Header::read(&mut self.device, slot, span)
        })
    }

    /// Whether the flash says that `image` is in `stage`.
    pub(super) fn stands(&mut self, image: &Image, stage: Stage) -> bool {
        self.headers().iter().any(|header| header.image_in(stage) == Some(*image))
    }

    /// The image of a slot, if it passed its test and was not given up.
    fn activated(&self, own: &Header, other: &Header) -> Option<Image> {
        let lost = self.built_in.max(other.past);
        own.image_in(Stage::Activated).filter(|image| image.sequence() > lost)
    }

    fn revoke(&mut self, image: &Image) -> Result<(), StoreError<F::Error>> {
        let at = self.span(image.slot).start.saturating_add(Geometry::<F, B>::REVOCATION);
        self.device.write(at, &header::REVOKED).map_err(flash_error)
    }
}
