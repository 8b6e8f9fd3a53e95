//! Frames: what lies between two zero bytes, checked by its length and a CRC.
//!
//! ```text
//! 00  stuffed( kind u8 │ sequence u16 │ length u16 │ payload [length] │ CRC-32 u32 )  00
//! ```
//!
//! Numbers are little endian; the CRC is over all before it. Stuffing (COBS: Cheshire and Baker, Consistent Overhead
//! Byte Stuffing, 1999) takes the zeros out, so a zero on the line always separates. As a frame also begins with one,
//! a whole frame is understood whatever came before it: garbage, or a frame that was cut short.

use core::fmt;

use ddn_runtime::{Crc32, crc32};

use crate::{MAX_ACTIONS, MAX_OBS};

/// Bytes of the longest payload: an observation and its mask.
pub const MAX_PAYLOAD: usize = 4 * MAX_OBS + MAX_ACTIONS.div_ceil(8);
/// Bytes of kind, sequence and length.
const HEAD: usize = 5;
/// Bytes of the CRC.
const TAIL: usize = 4;
/// Bytes of the longest frame, not stuffed.
const BODY: usize = HEAD + MAX_PAYLOAD + TAIL;
/// Bytes of the longest run without a zero that one code can stand for.
const RUN: usize = 254;

/// A frame that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the payload is; see [`crate::message`].
    pub kind: u8,
    /// Number of the request, the same in its reply.
    pub sequence: u16,
    /// At most [`MAX_PAYLOAD`] bytes.
    pub payload: &'a [u8],
}

/// Why bytes between two zeros are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The stuffing promises more bytes than there are.
    Cut,
    /// More bytes than a frame may have.
    Long,
    /// The length does not say how many bytes there are.
    Length,
    /// The CRC is another one.
    Crc,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "a frame is cut short",
            Self::Long => "a frame is too long",
            Self::Length => "a frame has another length than it says",
            Self::Crc => "a frame has a wrong CRC",
        })
    }
}

impl core::error::Error for FrameError {}

impl Frame<'_> {
    /// Hands the bytes for the line to `put`, one by one.
    ///
    /// # Errors
    /// [`FrameError::Long`] if the payload is longer than [`MAX_PAYLOAD`]; nothing is sent then.
    pub fn send(&self, mut put: impl FnMut(u8)) -> Result<(), FrameError> {
        let length = u16::try_from(self.payload.len()).map_err(|_| FrameError::Long)?;
        if self.payload.len() > MAX_PAYLOAD {
            return Err(FrameError::Long);
        }
        let ([s0, s1], [l0, l1]) = (self.sequence.to_le_bytes(), length.to_le_bytes());
        let head = [self.kind, s0, s1, l0, l1];
        let crc = Crc32::new().feed(&head).feed(self.payload).value().to_le_bytes();
        put(0);
        stuff(head.iter().chain(self.payload).chain(&crc).copied(), &mut put);
        put(0);
        Ok(())
    }
}

/// Writes runs without zeros, each after a code that is one more than its length.
fn stuff(mut body: impl Iterator<Item = u8> + Clone, mut put: impl FnMut(u8)) {
    loop {
        let run = body.clone().take(RUN).take_while(|&byte| byte != 0).count();
        put(u8::try_from(run + 1).unwrap_or(u8::MAX));
        body.by_ref().take(run).for_each(&mut put);
        // The longest run says nothing of what follows; any other is followed by a zero, or the end.
        let more = if run == RUN { body.clone().next() } else { body.next() };
        if more.is_none() {
            return;
        }
    }
}

/// Finds frames in a stream of bytes.
#[derive(Clone, Debug)]
pub struct Receiver {
    body: [u8; BODY],
    len: usize,
    /// Bytes that the last code still promises.
    left: u8,
    /// Whether a zero goes before the next code's run.
    zero: bool,
    /// Whether anything came since the last zero byte.
    any: bool,
    long: bool,
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl Receiver {
    /// A receiver that has seen nothing.
    pub const fn new() -> Self {
        Self { body: [0; BODY], len: 0, left: 0, zero: false, any: false, long: false }
    }

    /// Takes one byte; answers once for all bytes between two zeros.
    ///
    /// # Errors
    /// If those bytes are no frame. The receiver goes on with what comes next.
    pub fn push(&mut self, byte: u8) -> Option<Result<Frame<'_>, FrameError>> {
        if byte == 0 {
            return self.end();
        }
        self.any = true;
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            self.add(byte);
        } else {
            if self.zero {
                self.add(0);
            }
            self.left = byte.saturating_sub(1);
            self.zero = byte != u8::MAX;
        }
        None
    }

    fn add(&mut self, byte: u8) {
        match self.body.get_mut(self.len) {
            Some(slot) => {
                *slot = byte;
                self.len += 1;
            }
            None => self.long = true,
        }
    }

    fn end(&mut self) -> Option<Result<Frame<'_>, FrameError>> {
        let (len, left, any, long) = (self.len, self.left, self.any, self.long);
        (self.len, self.left, self.zero, self.any, self.long) = (0, 0, false, false, false);
        if !any {
            return None;
        }
        Some(if long {
            Err(FrameError::Long)
        } else if left > 0 {
            Err(FrameError::Cut)
        } else {
            check(self.body.get(..len).unwrap_or_default())
        })
    }
}

/// The frame that `body` is.
fn check(body: &[u8]) -> Result<Frame<'_>, FrameError> {
    let (checked, crc) = body.split_last_chunk::<TAIL>().ok_or(FrameError::Length)?;
    let (&[kind, s0, s1, l0, l1], payload) = checked.split_first_chunk::<HEAD>().ok_or(FrameError::Length)?;
    if usize::from(u16::from_le_bytes([l0, l1])) != payload.len() {
        return Err(FrameError::Length);
    }
    if crc32(checked) != u32::from_le_bytes(*crc) {
        return Err(FrameError::Crc);
    }
    Ok(Frame { kind, sequence: u16::from_le_bytes([s0, s1]), payload })
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    fn stuffed(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        stuff(bytes.iter().copied(), |byte| out.push(byte));
        out
    }

    #[test]
    fn stuffing_is_that_of_the_paper() {
        for (plain, want) in [
            (&[][..], &[1][..]),
            (&[0], &[1, 1]),
            (&[0, 0], &[1, 1, 1]),
            (&[0x11, 0x22, 0, 0x33], &[3, 0x11, 0x22, 2, 0x33]),
            (&[0x11, 0, 0, 0], &[2, 0x11, 1, 1, 1]),
        ] {
            assert_eq!(stuffed(plain), want, "{plain:?}");
        }
        let run: Vec<u8> = (1..=254).collect();
        let with = |before: &[u8], run: &[u8], after: &[u8]| [before, run, after].concat();
        assert_eq!(stuffed(&run), with(&[255], &run, &[]));
        assert_eq!(stuffed(&with(&[0], &run, &[])), with(&[1, 255], &run, &[]));
        assert_eq!(stuffed(&with(&[], &run, &[255])), with(&[255], &run, &[2, 255]));
        assert_eq!(stuffed(&with(&[], &run, &[0])), with(&[255], &run, &[1, 1]));
        assert_eq!(stuffed(&with(&[], &run[1..], &[0])), with(&[254], &run[1..], &[1]));
    }

    #[test]
    fn a_frame_on_the_line_has_the_documented_bytes() {
        let mut line = Vec::new();
        Frame { kind: 3, sequence: 0x0102, payload: &[7, 0, 9] }
            .send(|byte| line.push(byte))
            .expect("it is short");
        let body = [3, 2, 1, 3, 0, 7, 0, 9];
        let crc = crc32(&body).to_le_bytes();
        assert!(crc.iter().all(|&byte| byte != 0), "the bytes below suppose that");
        let want = [&[0, 5, 3, 2, 1, 3, 2, 7, 6, 9][..], &crc, &[0]].concat();
        assert_eq!(line, want);
    }

    #[test]
    fn a_payload_that_is_too_long_is_not_sent() {
        let mut sent = 0;
        let frame = Frame { kind: 3, sequence: 0, payload: &[1; MAX_PAYLOAD + 1] };
        assert_eq!(frame.send(|_| sent += 1), Err(FrameError::Long));
        assert_eq!(sent, 0);
    }
}
