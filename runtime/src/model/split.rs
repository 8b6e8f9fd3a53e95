//! Cutting text at an ASCII byte. `str::split` would do, but its searcher keeps a path to a panic.

use core::hint::black_box;

/// What comes before the first `at`, and what comes after it.
#[inline(never)]
pub(crate) fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let mut position = 0;
    while *text.as_bytes().get(position)? != at {
        black_box(()); // one copy of the loop, not four
        position += 1;
    }
    let (before, after) = text.split_at_checked(position)?;
    Some((before, after.get(1..)?))
}

/// The pieces between the bytes `at`; one, perhaps empty, if there is none.
pub(crate) fn split(text: &str, at: u8) -> impl Iterator<Item = &str> + Clone {
    let mut rest = Some(text);
    core::iter::from_fn(move || {
        let text = rest?;
        let (piece, after) = cut(text, at).map_or((text, None), |(piece, after)| (piece, Some(after)));
        rest = after;
        Some(piece)
    })
}
