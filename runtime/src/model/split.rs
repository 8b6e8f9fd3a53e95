//! Cutting text at an ASCII byte. It is known to be UTF-8, and cutting it there leaves it so.

use core::hint::black_box;

/// What comes before the first `at`, and what comes after it.
#[inline(never)]
pub(crate) fn cut(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let mut position = 0;
    while *text.get(position)? != at {
        black_box(()); // one copy of the loop, not four
        position += 1;
    }
    let (before, after) = text.split_at_checked(position)?;
    Some((before, after.get(1..)?))
}

/// The pieces between the bytes `at`; one, perhaps empty, if there is none.
pub(crate) fn split(text: &[u8], at: u8) -> impl Iterator<Item = &[u8]> + Clone {
    let mut rest = Some(text);
    core::iter::from_fn(move || {
        let text = rest?;
        let (piece, after) = cut(text, at).map_or((text, None), |(piece, after)| (piece, Some(after)));
        rest = after;
        Some(piece)
    })
}
