//! Standard output, which may be full, or without a reader.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};

use anyhow::Context as _;

/// Writes `text`. That nobody reads it any more is no fault: what counts lies in files.
///
/// # Errors
/// If it cannot be written for another reason.
pub fn put(text: Arguments<'_>) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_fmt(text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.context("writing to standard output"),
    }
}

/// A line for standard output, as of `println!`, with an error in the place of a panic.
macro_rules! say {
    () => { $crate::commands::out::put(format_args!("\n")) };
    ($($text:tt)*) => { $crate::commands::out::put(format_args!("{}\n", format_args!($($text)*))) };
}
pub(crate) use say;
