//! The part of JSON that a safetensors header may use: a cursor over bytes, without recursion and without a buffer.

use core::fmt;

use crate::error::ModelError;

/// A JSON string as it stands in the header: checked, without its quotes, escapes still in place.
///
/// Comparison and `Display` see through escapes.
#[derive(Clone, Copy, Debug)]
pub struct Text<'m>(&'m str);

impl<'m> Text<'m> {
    /// A text that is empty.
    pub const EMPTY: Self = Self("");

    /// The string itself, or `None` if it is written with escapes.
    pub fn plain(self) -> Option<&'m str> {
        (!self.0.as_bytes().contains(&b'\\')).then_some(self.0)
    }

    /// The characters the string stands for.
    pub fn chars(self) -> impl Iterator<Item = char> + use<'m> {
        let mut rest = self.0.chars();
        core::iter::from_fn(move || match rest.next()? {
            '\\' => Some(match rest.next()? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let high = hex4(&mut rest)?;
                    let scalar = if (0xd800..0xdc00).contains(&high) {
                        rest.next()?; // the cursor has seen that a \uXXXX follows
                        rest.next()?;
                        let low = hex4(&mut rest)?;
                        0x1_0000 + ((high & 0x3ff) << 10 | low & 0x3ff)
                    } else {
                        high
                    };
                    char::from_u32(scalar)?
                }
                quoted => quoted,
            }),
            plain => Some(plain),
        })
    }

    /// Whether the string stands for `other`.
    pub fn is(self, other: &str) -> bool {
        self.0 == other || self.chars().eq(other.chars())
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.chars().eq(other.chars())
    }
}

impl Eq for Text<'_> {}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        self.chars().try_for_each(|c| f.write_char(c))
    }
}

/// Four hexadecimal digits.
fn hex4(chars: &mut core::str::Chars<'_>) -> Option<u32> {
    let mut value = 0;
    for _ in 0..4 {
        value = value << 4 | chars.next()?.to_digit(16)?;
    }
    Some(value)
}

/// Reads a header from left to right. Each method takes one token and the white space before it.
pub(crate) struct Cursor<'m> {
    text: &'m str,
    at: usize,
}

impl<'m> Cursor<'m> {
    /// Starts at the first byte.
    pub(crate) fn new(text: &'m str) -> Self {
        Self { text, at: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The error that names this place.
    pub(crate) fn error(&self) -> ModelError {
        ModelError::Json { at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes `byte` if it comes next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes `byte`, which must come next.
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), ModelError> {
        if self.take(byte) { Ok(()) } else { Err(self.error()) }
    }

    /// After an item of a list: `true` if another follows, `false` if `close` ends it.
    pub(crate) fn more(&mut self, close: u8) -> Result<bool, ModelError> {
        if self.take(b',') {
            return Ok(true);
        }
        self.expect(close).map(|()| false)
    }

    /// Nothing but white space may be left.
    pub(crate) fn end(&mut self) -> Result<(), ModelError> {
        self.space();
        if self.peek().is_none() { Ok(()) } else { Err(self.error()) }
    }

    /// A natural number: no sign, no fraction, no exponent, no leading zero.
    pub(crate) fn number(&mut self) -> Result<usize, ModelError> {
        self.space();
        let first = self.at;
        let mut value = 0_usize;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value
                .checked_mul(10)
                .and_then(|v| v.checked_add(usize::from(digit - b'0')))
                .ok_or_else(|| self.error())?;
            self.at += 1;
        }
        let zero = self.text.as_bytes().get(first) == Some(&b'0');
        match (self.at - first, self.peek()) {
            (0, _) | (_, Some(b'.' | b'e' | b'E')) => Err(self.error()),
            (2.., _) if zero => Err(self.error()),
            _ => Ok(value),
        }
    }

    /// A string; every escape is checked here, so that [`Text`] need not.
    pub(crate) fn string(&mut self) -> Result<Text<'m>, ModelError> {
        self.expect(b'"')?;
        let first = self.at;
        loop {
            match self.next() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0x20..) => {}
                _ => return Err(self.error()),
            }
        }
        self.text.get(first..self.at - 1).map(Text).ok_or_else(|| self.error())
    }

    fn escape(&mut self) -> Result<(), ModelError> {
        match self.next() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => match self.hex()? {
                0xdc00..=0xdfff => Err(self.error()),
                0xd800..=0xdbff => match (self.next(), self.next(), self.hex()?) {
                    (Some(b'\\'), Some(b'u'), 0xdc00..=0xdfff) => Ok(()),
                    _ => Err(self.error()),
                },
                _ => Ok(()),
            },
            _ => Err(self.error()),
        }
    }

    fn hex(&mut self) -> Result<u32, ModelError> {
        let digits = self.text.get(self.at..).ok_or_else(|| self.error())?;
        let value = hex4(&mut digits.chars()).ok_or_else(|| self.error())?;
        self.at += 4; // hexadecimal digits are one byte each
        Ok(value)
    }
}
