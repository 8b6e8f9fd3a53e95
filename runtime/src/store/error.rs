//! What can go wrong with an update.

use core::fmt;

/// Why the store did not do what it was asked for. The active policy is what it was before.
///
/// `E` is the error of the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError<E> {
    /// The slots are not whole sectors of the flash, overlap, or have no room for an image.
    Slots,
    /// The flash failed.
    Flash(E),
    /// The flash does not hold what was written to it.
    Worn,
    /// The control loop has not yet left the slot that would be overwritten: [`Store::switch`](super::Store::switch).
    Busy,
    /// No update is under way.
    NoUpdate,
    /// The image has another length: longer than the slot or the buffer, longer or shorter than its record says.
    Length {
        /// Bytes there is room for, or that the record announces.
        want: u32,
        /// Bytes of the image.
        got: u32,
    },
    /// The sequence number is not above those that were active before.
    Sequence {
        /// The largest of them.
        above: u32,
    },
    /// The CRC of the image is not the one of its record.
    Checksum,
    /// The signature is not one of the image and its record.
    Signature,
    /// There is no such image that waits for activation.
    NotPending,
    /// The test refused the image. It must be sent again to be tested again.
    Test,
    /// There is no active image to fall back from.
    NoneActive,
}

impl<E: fmt::Debug> fmt::Display for StoreError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slots => f.write_str("slots are not whole sectors, overlap, or are too small"),
            Self::Flash(error) => write!(f, "flash: {error:?}"),
            Self::Worn => f.write_str("flash does not hold what was written"),
            Self::Busy => f.write_str("the slot to write is still in use"),
            Self::NoUpdate => f.write_str("no update is under way"),
            Self::Length { want, got } => write!(f, "image: {want} bytes expected, {got} given"),
            Self::Sequence { above } => write!(f, "sequence number is not above {above}"),
            Self::Checksum => f.write_str("image: wrong CRC"),
            Self::Signature => f.write_str("image: wrong signature"),
            Self::NotPending => f.write_str("no such image waits for activation"),
            Self::Test => f.write_str("image: failed its test"),
            Self::NoneActive => f.write_str("no image is active"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for StoreError<E> {}
