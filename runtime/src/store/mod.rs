//! Updates of the policy in the field: two slots of a NOR flash, one active, one to write.
//!
//! ```text
//!          begin, write …    finish           activate             switch
//! record ─────────────────> CRC, signature ──────────> known answers ──────> the control loop, between two steps
//! image    the other slot    record written            mark written
//! ```
//!
//! An update is a [`Record`] and an image, usually a model file. At no time, however power is lost, is an image active
//! that was not read back whole, was not signed where signatures are asked for, or did not pass its test: until one
//! mark is written the old image is active, afterwards the new one. The old one stays, for [`Store::rollback`] and for
//! the day the new one's CRC does not hold. An image that was rolled back does not come back, nor can an older one be
//! written again: sequence numbers only rise, and the last one is 4,294,967,295. That marks of a slot being erased read
//! as anything is reckoned with: before a slot that was rolled back is erased, its number is put down in the other one.
//! There is room for eight of them; they are erased with their own slot.
//!
//! Only writes that any NOR flash allows are made: whole words, each once after its sector was erased. A word that the
//! flash cannot read, as one with ECC may say after a write was cut off, counts as damaged; so does a slot that cannot
//! be read for a while.
//!
//! # Flash that is mapped into memory
//!
//! The policy runs where it lies. Firmware makes the slice, because only it knows the address of the flash:
//! `core::slice::from_raw_parts((FLASH + range.start) as *const u8, range.len())`, with `range` of [`Image::range`].
//! Its contract is kept for the images of [`Store::switch`] and, up to the next call of the store, of
//! [`Store::finish`] and [`Store::pending`]: nothing is written there. While a bank of flash is erased or written, many
//! processors cannot read it, code included; with one slot in each bank the loop keeps running.
//!
//! # Flash on a bus
//!
//! [`Store::load`] copies an image to RAM and checks the copy. The former image stays in use there until the copy is
//! complete, so a switch without a pause needs room for two; otherwise the loop halts while the next one is copied.
//!
//! # Example
//!
//! ```
//! use ddn_runtime::store::{Record, Store, Switch, Unsigned, known_answers};
//! use ddn_runtime::{Aligned, Memory, Model};
//! # use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
//! # struct Flash(Vec<u8>);
//! # impl ErrorType for Flash {
//! #     type Error = NorFlashErrorKind;
//! # }
//! # impl ReadNorFlash for Flash {
//! #     const READ_SIZE: usize = 1;
//! #     fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
//! #         bytes.copy_from_slice(&self.0[at as usize..][..bytes.len()]);
//! #         Ok(())
//! #     }
//! #     fn capacity(&self) -> usize {
//! #         self.0.len()
//! #     }
//! # }
//! # impl NorFlash for Flash {
//! #     const WRITE_SIZE: usize = 8;
//! #     const ERASE_SIZE: usize = 4096;
//! #     fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
//! #         self.0[from as usize..to as usize].fill(0xff);
//! #         Ok(())
//! #     }
//! #     fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
//! #         self.0[at as usize..][..bytes.len()].copy_from_slice(bytes);
//! #         Ok(())
//! #     }
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let file = include_bytes!("../../../examples/firmware/assets/policy.safetensors");
//! # let flash = Flash(vec![0xff; 1 << 20]);
//! // What a host sends: `Record::new(file, 1)` and `file`.
//! # let record = Record::new(file, 1).ok_or("an empty image")?;
//! # let record = *record.as_bytes();
//! let mut store = Store::<_, _, 256>::open(flash, [0..0x8_0000, 0x8_0000..0x10_0000], Unsigned, 0)?;
//! assert_eq!(store.active(), None); // the policy of the firmware acts
//!
//! store.begin(Record::from_bytes(&record).ok_or("no record")?)?;
//! for chunk in file.chunks(100) {
//!     store.write(chunk)?;
//! }
//! let image = store.finish()?;
//!
//! let mut ram = Aligned([0; 0x8_0000]);
//! let bytes = store.load(&image, &mut ram.0)?;
//! let (mut memory, mut scratch) = (Memory::<256>::new(), [0.0; 2048]);
//! store.activate(&image, bytes, |bytes| known_answers(bytes, &mut memory, &mut scratch))?;
//!
//! // The control loop, between two steps:
//! if let Switch::To(_) = store.switch() {
//!     let policy = Model::open(bytes)?.assume_verified(); // the store has verified it
//!     policy.reset(&mut memory); // of every agent; and their last action is `None`
//! }
//! # Ok(())
//! # }
//! ```

mod activation;
mod authority;
mod device;
#[cfg(feature = "ed25519")]
mod ed25519;
mod error;
mod geometry;
mod header;
mod image;
mod record;
mod update;

pub use activation::Switch;
pub use authority::{Authority, Unsigned};
#[cfg(feature = "ed25519")]
pub use ed25519::Ed25519;
pub use error::StoreError;
pub use image::Image;
pub use record::Record;

use core::ops::Range;

use embedded_storage::nor_flash::NorFlash;

use crate::Model;
use device::Device;
use geometry::{Slot, Span};
use update::Update;

/// Two slots of the flash `F`, whose images the authority `A` has to accept; reads and writes pass through buffers of
/// `B` bytes, one in the store and one on the stack: a multiple of 16 and of the words the flash reads and writes.
///
/// Slots are the same for every `B`.
pub struct Store<F, A, const B: usize> {
    device: Device<F, B>,
    a: Span,
    b: Span,
    authority: A,
    built_in: u32,
    current: Option<Image>,
    running: Option<Image>,
    update: Option<Update<B>>,
}

impl<F: NorFlash, A: Authority, const B: usize> Store<F, A, B> {
    /// Finds the active image. Nothing is written; a blank flash is a store without images.
    ///
    /// `slots`: two ranges of the flash that do not overlap, each of whole sectors, in bytes from its start. `built_in`:
    /// the sequence number of the policy in the firmware, 0 if it has none. Images that are not newer are neither taken
    /// nor active.
    ///
    /// # Errors
    /// If the slots are not as they should be.
    pub fn open(
        flash: F,
        slots: [Range<u32>; 2],
        authority: A,
        built_in: u32,
    ) -> Result<Self, StoreError<F::Error>> {
        let [a, b] = slots.map(|Range { start, end }| Span { start, end });
        let apart = a.end <= b.start || b.end <= a.start;
        if !(apart && a.is_slot_of::<F, B>(&flash) && b.is_slot_of::<F, B>(&flash)) {
            return Err(StoreError::Slots);
        }
        let device = Device { flash };
        let mut store =
            Self { device, a, b, authority, built_in, current: None, running: None, update: None };
        store.check();
        Ok(store)
    }

    /// The flash, for other users of it.
    pub fn flash(&mut self) -> &mut F {
        &mut self.device.flash
    }

    /// Gives the flash back.
    pub fn close(self) -> F {
        self.device.flash
    }

    const fn span(&self, slot: Slot) -> Span {
        match slot {
            Slot::A => self.a,
            Slot::B => self.b,
        }
    }
}

/// The usual test of an image: it opens and verifies, see [`Model::verify`].
///
/// `memory` and `scratch` as for [`Policy::act`](crate::Policy::act). An image without recorded answers fails.
pub fn known_answers(image: &[u8], memory: &mut [f32], scratch: &mut [f32]) -> bool {
    Model::open(image).is_ok_and(|model| model.verify(memory, scratch).is_ok())
}

fn flash_error<E>(error: E) -> StoreError<E> {
    StoreError::Flash(error)
}
