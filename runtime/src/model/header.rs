//! The part of JSON that a safetensors header may use: a cursor over bytes, without recursion and without a buffer.

use core::fmt;
use core::hint::black_box;

use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::ModelError;

/// A JSON string as it stands in the header: checked, without its quotes, escapes still in place.
///
/// Comparison and `Display` see through escapes.
#[derive(Clone, Copy, Debug)]
pub struct Text<'m> {
    raw: &'m [u8],
    escaped: bool,
}

impl<'m> Text<'m> {
    /// A text that is empty.
    pub const EMPTY: Self = Self { raw: &[], escaped: false };

    /// From the numbers that [`Text::plan`] writes.
    pub(crate) const fn built(plan: &mut Plan<'_>) -> Text<'static> {
        let raw = plan.slice();
        Text { raw, escaped: plan.flag() }
    }

    #[cfg(feature = "build")]
    pub(crate) fn plan(self, plan: &mut Writer<'_>) {
        plan.slice(self.raw);
        plan.flag(self.escaped);
    }

    /// The string itself, or `None` if it is written with escapes.
    pub fn plain(self) -> Option<&'m str> {
        core::str::from_utf8(self.bytes()?).ok()
    }

    /// The bytes of the string itself, or `None` if it is written with escapes.
    pub(crate) fn bytes(self) -> Option<&'m [u8]> {
        (!self.escaped).then_some(self.raw)
    }

    /// The characters the string stands for.
    pub fn chars(self) -> impl Iterator<Item = char> + use<'m> {
        let mut rest = core::str::from_utf8(self.raw).unwrap_or_default().chars(); // the cursor has checked it
        core::iter::from_fn(move || match rest.next()? {
            '\\' => Some(match rest.next()? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let high = hex(|| rest.next())?;
                    let scalar = if (0xd800..0xdc00).contains(&high) {
                        rest.next()?; // the cursor has seen that a \uXXXX follows
                        rest.next()?;
                        let low = hex(|| rest.next())?;
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
        if self.escaped { self.chars().eq(other.chars()) } else { self.raw == other.as_bytes() }
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
fn hex(mut next: impl FnMut() -> Option<char>) -> Option<u32> {
    let mut value = 0;
    for _ in 0..4 {
        black_box(()); // four copies of the loop would take more flash than escapes are worth
        value = value << 4 | next()?.to_digit(16)?;
    }
    Some(value)
}

/// Whether `a` and `b` are the same bytes.
#[inline(always)]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && begins(a, b).is_some()
}

/// What follows `prefix`, if `text` begins with it. A word at a time: `core` compares bytes.
#[inline(never)]
pub(crate) fn begins<'m>(mut text: &'m [u8], mut prefix: &[u8]) -> Option<&'m [u8]> {
    while let Some((word, rest)) = prefix.split_first_chunk::<4>() {
        black_box(());
        let (head, tail) = text.split_first_chunk::<4>()?;
        if head != word {
            return None;
        }
        (text, prefix) = (tail, rest);
    }
    for byte in prefix {
        black_box(());
        let (head, tail) = text.split_first()?;
        if head != byte {
            return None;
        }
        text = tail;
    }
    Some(text)
}

/// Marks the bytes of a word that end a run of plain ASCII in a string: quotes, backslashes, control characters, and what
/// is not ASCII. The lowest bit that is set belongs to the first of them.
fn stops(word: u32) -> u32 {
    const EACH: u32 = 0x0101_0101;
    let below = |word: u32, limit: u32| word.wrapping_sub(EACH * limit) & !word;
    let (quote, escape) = (word ^ (EACH * 0x22), word ^ (EACH * 0x5c));
    (below(quote, 1) | below(escape, 1) | below(word, 0x20) | word) & (EACH * 0x80)
}

/// Reads a header from left to right. Each method takes one token and the white space before it.
///
/// `None` means that the header is refused; [`Cursor::error`] then says why.
pub(crate) struct Cursor<'m> {
    rest: &'m [u8],
    len: usize,
    error: Option<ModelError>,
}

impl<'m> Cursor<'m> {
    /// Starts at the first byte.
    pub(crate) fn new(header: &'m [u8]) -> Self {
        Self { rest: header, len: header.len(), error: None }
    }

    /// Refuses the header for another reason than its syntax.
    pub(crate) fn refuse<T>(&mut self, error: ModelError) -> Option<T> {
        self.error = Some(error);
        None
    }

    /// Refuses the header because the key of what ends here was there before.
    #[inline(never)]
    pub(crate) fn refuse_duplicate<T>(&mut self) -> Option<T> {
        self.refuse(ModelError::Duplicate { at: self.at() })
    }

    /// Why the header was refused.
    pub(crate) fn error(&self) -> ModelError {
        self.error.unwrap_or(ModelError::Json { at: self.at() })
    }

    /// Bytes read so far.
    fn at(&self) -> usize {
        self.len.saturating_sub(self.rest.len())
    }

    /// The next byte as it comes; 0 at the end.
    #[inline]
    fn next(&mut self) -> u8 {
        let Some((&byte, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        byte
    }

    /// The next byte that is no white space; 0 at the end.
    #[inline(always)]
    fn token(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((&byte, rest)) if byte > b' ' => {
                self.rest = rest;
                byte
            }
            _ => self.token_after_space(),
        }
    }

    #[inline(never)]
    fn token_after_space(&mut self) -> u8 {
        loop {
            black_box(());
            let byte = self.next();
            if !is_space(byte) {
                return byte;
            }
        }
    }

    /// Takes `byte`, which must come next.
    #[inline(never)]
    pub(crate) fn expect(&mut self, byte: u8) -> Option<()> {
        (self.token() == byte).then_some(())
    }

    /// Takes `byte` if it comes next.
    #[inline(never)]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let before = self.rest;
        let found = self.token() == byte;
        if !found {
            self.rest = before;
        }
        found
    }

    /// After an item of a list: `true` if another follows, `false` if `close` ends it.
    #[inline(never)]
    pub(crate) fn more(&mut self, close: u8) -> Option<bool> {
        match self.token() {
            b',' => Some(true),
            byte => (byte == close).then_some(false),
        }
    }

    /// Nothing but white space may be left.
    pub(crate) fn end(&self) -> Option<()> {
        let space = |byte: &u8| {
            black_box(()); // one copy of the loop
            is_space(*byte)
        };
        self.rest.iter().all(space).then_some(())
    }

    /// A natural number: no sign, no fraction, no exponent, no leading zero, no more digits than fit.
    #[inline(never)]
    pub(crate) fn number(&mut self) -> Option<usize> {
        const LIMIT: usize = (usize::MAX - 9) / 10;
        let first = self.token();
        let mut value = digit(first)?;
        let mut rest = self.rest;
        loop {
            black_box(());
            let (&byte, after) = rest.split_first()?;
            let Some(digit) = digit(byte) else {
                self.rest = rest;
                return Some(value); // what may follow is for the caller to say: no point, no exponent
            };
            if value > LIMIT || first == b'0' {
                return None;
            }
            value = value * 10 + digit;
            rest = after;
        }
    }

    /// Takes `text` if it comes next, to the byte.
    #[inline(never)]
    pub(crate) fn skip(&mut self, text: &[u8]) -> bool {
        let rest = begins(self.rest, text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// A string that is written without escapes.
    pub(crate) fn word(&mut self) -> Option<&'m [u8]> {
        self.string()?.bytes()
    }

    /// A key of an object and the colon after it. Keys are written without escapes.
    #[inline(never)]
    pub(crate) fn key(&mut self) -> Option<&'m [u8]> {
        let key = self.word()?;
        (self.token() == b':').then_some(key)
    }

    /// A string; every escape is checked here, so that [`Text`] need not, and so is UTF-8.
    #[inline(never)]
    pub(crate) fn string(&mut self) -> Option<Text<'m>> {
        if self.token() != b'"' {
            return None;
        }
        let begin = self.rest;
        let (mut escaped, mut ascii) = (false, true);
        loop {
            let mut rest = self.rest;
            while let Some((word, after)) = rest.split_first_chunk::<4>() {
                black_box(());
                let plain = stops(u32::from_le_bytes(*word)).trailing_zeros() as usize / 8;
                if plain < 4 {
                    rest = rest.get(plain..)?;
                    break;
                }
                rest = after;
            }
            self.rest = rest;
            match self.next() {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                byte @ 0x20.. => ascii &= byte.is_ascii(),
                _ => return None,
            }
        }
        let raw = begin.get(..begin.len() - self.rest.len() - 1)?;
        if !ascii && !is_utf8(raw) {
            return self.refuse(ModelError::HeaderUtf8);
        }
        Some(Text { raw, escaped })
    }

    #[inline(never)]
    fn escape(&mut self) -> Option<()> {
        match self.next() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => match self.hex()? {
                0xdc00..=0xdfff => None,
                0xd800..=0xdbff => match (self.next(), self.next(), self.hex()?) {
                    (b'\\', b'u', 0xdc00..=0xdfff) => Some(()),
                    _ => None,
                },
                _ => Some(()),
            },
            _ => None,
        }
    }

    #[inline(never)]
    fn hex(&mut self) -> Option<u32> {
        hex(|| Some(char::from(self.next())))
    }
}

/// Whether `text` is UTF-8, in less flash than `core` needs for speed.
fn is_utf8(mut text: &[u8]) -> bool {
    while let Some((&first, mut rest)) = text.split_first() {
        let len = first.leading_ones();
        let mut value = u32::from(first & (0x7f_u8).checked_shr(len).unwrap_or_default());
        for _ in 1..len {
            black_box(());
            let Some((&byte @ 0x80..0xc0, after)) = rest.split_first() else { return false };
            value = value << 6 | u32::from(byte & 0x3f);
            rest = after;
        }
        let least = match len {
            0 => 0,
            2 => 0x80,
            3 => 0x800,
            4 => 0x1_0000,
            _ => return false,
        };
        if value < least || char::from_u32(value).is_none() {
            return false;
        }
        text = rest;
    }
    true
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The value of a decimal digit.
#[inline]
fn digit(byte: u8) -> Option<usize> {
    let value = byte.wrapping_sub(b'0');
    (value < 10).then_some(usize::from(value))
}

#[cfg(test)]
mod tests {
    use super::is_utf8;

    /// All pairs of bytes, followed by what is at the edges, against `core`.
    #[test]
    fn utf8_is_what_core_says() {
        let edges = [0, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff];
        let mut accepted = 0;
        for pair in 0..=u16::MAX {
            for third in edges {
                for fourth in edges {
                    let [first, second] = pair.to_be_bytes();
                    let text = [first, second, third, fourth];
                    for text in [&text[..], &text[..1], &text[..2], &text[..3]] {
                        let valid = core::str::from_utf8(text).is_ok();
                        accepted += usize::from(valid);
                        assert_eq!(is_utf8(text), valid, "{text:x?}");
                    }
                }
            }
        }
        assert!(accepted > 1_000_000);
        assert!(is_utf8("a\u{7ff}\u{ffff}\u{10ffff}z".as_bytes()));
    }
}
