//! Cutting text at an ASCII byte. `str::split` would do, but its searcher keeps a path to a panic.

/// What comes before the first `at`, and what comes after it.
pub(crate) fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let position = text.bytes().position(|byte| byte == at)?;
    Some((text.get(..position)?, text.get(position.checked_add(1)?..)?))
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
