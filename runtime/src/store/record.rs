//! What is known of an image before it is read: the first 96 bytes of an update, and of a slot.

use crate::crc::crc32;

/// Begins every record: eight letters, and the version of the layout of slots.
const BEGIN: [u8; 12] = *b"ddn-slot\x01\0\0\0";

/// Length, sequence number, CRC and signature of an image.
///
/// | Offset | Length | Content, numbers little endian |
/// |---|---|---|
/// | 0 | 8 | `ddn-slot` |
/// | 8 | 4 | version of this layout: 1 |
/// | 12 | 4 | length of the image in bytes, not 0 |
/// | 16 | 4 | sequence number: each image that a device takes has a larger one than those before |
/// | 20 | 4 | CRC-32 of the image, as [`crc32`](crate::crc32) computes it |
/// | 24 | 4 | 0 |
/// | 28 | 64 | signature of bytes 0 to 27 and the image after them; zeros if there is none |
/// | 92 | 4 | CRC-32 of bytes 0 to 91 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record([u8; Record::LEN]);

impl Record {
    /// Bytes of a record.
    pub const LEN: usize = 96;

    /// The record of `image`, not signed.
    ///
    /// `None` if the image is empty or its length is no 32-bit number.
    pub fn new(image: &[u8], sequence: u32) -> Option<Self> {
        let length = u32::try_from(image.len()).ok().filter(|&length| length > 0)?;
        let mut bytes = [0; Self::LEN];
        let (begin, rest) = bytes.split_first_chunk_mut()?;
        *begin = BEGIN;
        let numbers = [length, sequence, crc32(image)].map(u32::to_le_bytes);
        for (to, from) in rest.iter_mut().zip(numbers.as_flattened()) {
            *to = *from;
        }
        Some(Self::sealed(bytes))
    }

    /// The same with a signature of [`Record::head`] and the image after it.
    #[must_use]
    pub fn signed(self, signature: [u8; 64]) -> Self {
        let mut bytes = self.0;
        for (to, from) in bytes.iter_mut().skip(28).zip(signature) {
            *to = from;
        }
        Self::sealed(bytes)
    }

    /// Reads a record.
    ///
    /// `None` if it is damaged, or of another version.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let record = Self(*bytes);
        let sound = record.0.starts_with(&BEGIN)
            && record.length() > 0
            && record.number(24) == 0
            && record.own_crc() == crc32(record.0.split_at(92).0);
        sound.then_some(record)
    }

    /// The bytes of a record.
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// What is signed before the image, so that neither length nor sequence number can be changed.
    pub fn head(&self) -> &[u8] {
        self.0.split_at(28).0
    }

    /// Length of the image in bytes.
    pub fn length(&self) -> u32 {
        self.number(12)
    }

    /// The place of the image in the order of updates.
    pub fn sequence(&self) -> u32 {
        self.number(16)
    }

    /// CRC-32 of the image.
    pub fn crc(&self) -> u32 {
        self.number(20)
    }

    /// The signature, zeros if there is none.
    pub fn signature(&self) -> &[u8; 64] {
        self.0.split_at(28).1.first_chunk().unwrap_or(&[0; 64])
    }

    /// The CRC that ends the record.
    pub(super) fn own_crc(&self) -> u32 {
        self.number(92)
    }

    fn number(&self, at: usize) -> u32 {
        self.0.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    /// Ends a record with its CRC.
    fn sealed(mut bytes: [u8; Self::LEN]) -> Self {
        let crc = crc32(bytes.split_at(92).0).to_le_bytes();
        for (to, from) in bytes.iter_mut().skip(92).zip(crc) {
            *to = from;
        }
        Self(bytes)
    }
}
