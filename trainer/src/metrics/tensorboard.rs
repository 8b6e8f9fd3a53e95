//! Event files as TensorBoard reads them, without TensorBoard.
//!
//! ```text
//! file   = record*
//! record = length u64 │ masked CRC-32C of length │ protobuf Event │ masked CRC-32C of Event
//! Event  = 1: wall_time f64 │ 2: step varint │ 3: file_version string, or 5: Summary
//! ```
//!
//! All integers are little-endian. A file that ends inside a record is read up to there, so a
//! killed process loses one row at most.

use std::collections::BTreeMap;

/// Name of the event file of a run: always the same, so that a resumed run appends.
pub const FILE_NAME: &str = "events.out.tfevents.0.ddn";

/// CRC-32C (Castagnoli), reflected, by table.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut crc = index as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
                bit += 1;
            }
            table[index] = crc;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)])
}

/// The checksum of the record format: rotated and shifted, so that records can nest.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(payload.len() + 16);
    record.extend(length);
    record.extend(masked(&length).to_le_bytes());
    record.extend(payload);
    record.extend(masked(payload).to_le_bytes());
    record
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field of bytes: a string or a message.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

/// An `Event` up to its content. The time is always written, so that lengths do not depend on it.
fn event(wall_time: f64) -> Vec<u8> {
    let mut out = vec![1 << 3 | 1];
    out.extend(wall_time.to_le_bytes());
    out
}

/// The record that an event file begins with; `wall_time` in seconds since 1970.
#[must_use]
pub fn header(wall_time: f64) -> Vec<u8> {
    let mut out = event(wall_time);
    field(&mut out, 3, b"brain.Event:2");
    frame(&out)
}

/// One record with all of `values` at `step`; `wall_time` in seconds since 1970.
#[must_use]
pub fn scalars(wall_time: f64, step: u64, values: &BTreeMap<String, f64>) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, scalar) in values {
        let mut value = Vec::new();
        field(&mut value, 1, tag.as_bytes());
        value.push(2 << 3 | 5);
        value.extend((*scalar as f32).to_le_bytes());
        field(&mut summary, 1, &value);
    }
    let mut out = event(wall_time);
    out.push(2 << 3);
    varint(&mut out, step);
    field(&mut out, 5, &summary);
    frame(&out)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The payloads of a file; panics where a checksum is wrong or the end is torn.
    pub(in crate::metrics) fn payloads(mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
            let (crc, rest) = rest.split_first_chunk::<4>().unwrap();
            assert_eq!(u32::from_le_bytes(*crc), masked(length));
            let (payload, rest) = rest.split_at(u64::from_le_bytes(*length) as usize);
            let (crc, rest) = rest.split_first_chunk::<4>().unwrap();
            assert_eq!(u32::from_le_bytes(*crc), masked(payload));
            found.push(payload);
            bytes = rest;
        }
        found
    }

    #[test]
    fn the_checksum_is_castagnolis() {
        // The check value of the CRC catalogue, and two vectors of RFC 3720, B.4.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn a_scalar_is_these_bytes() {
        let record = scalars(1.0, 300, &BTreeMap::from([("a".to_owned(), 0.5)]));
        let payload = [
            &[0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f][..], // 1: fixed64, 1.0
            &[0x10, 0xac, 0x02],                       // 2: varint, 300
            &[0x2a, 0x0a],                             // 5: Summary, 10 bytes
            &[0x0a, 0x08],                             // 1: Value, 8 bytes
            &[0x0a, 0x01, b'a'],                       // 1: tag
            &[0x15, 0, 0, 0, 0x3f],                    // 2: fixed32, 0.5
        ]
        .concat();
        assert_eq!(payloads(&record), [payload.as_slice()]);
        assert_eq!(record[..8], 24_u64.to_le_bytes());
        assert_eq!(record.len(), 8 + 4 + 24 + 4);
    }

    #[test]
    fn the_header_names_the_version() {
        let record = header(0.0);
        assert!(payloads(&record)[0].ends_with(b"\x1a\x0dbrain.Event:2"));
        assert_eq!(record.len(), header(1.7e9).len(), "the length depends on the time");
    }
}
