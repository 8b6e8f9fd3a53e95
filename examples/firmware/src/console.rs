//! Lines of text for the host.

use heapless::Vec;

use crate::board::{Board, Here};

/// One line, built piece by piece. What does not fit is cut off.
#[derive(Default)]
pub struct Line(Vec<u8, 1024>);

impl Line {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds text.
    pub fn text(mut self, text: &str) -> Self {
        for byte in text.bytes() {
            self.push(byte);
        }
        self
    }

    /// Adds a decimal number.
    pub fn number(mut self, value: usize) -> Self {
        let mut rest = value;
        let mut digits = [b'0'; 20];
        let mut used = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            used += 1;
            if rest == 0 {
                break;
            }
        }
        for digit in digits.iter().skip(digits.len() - used) {
            self.push(*digit);
        }
        self
    }

    /// Adds the bits of a float as eight hexadecimal digits.
    pub fn bits(mut self, value: f32) -> Self {
        let bits = value.to_bits();
        for nibble in (0..8).rev().map(|i| (bits >> (4 * i) & 15) as u8) {
            self.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
        }
        self
    }

    /// Sends the line.
    pub fn print(mut self) {
        self.push(b'\n');
        Here::write(&self.0);
    }

    fn push(&mut self, byte: u8) {
        let _ = self.0.push(byte);
    }
}
