//! Drawings as pixels: PNG of charts, GIF of episodes. Behind the feature `pictures`, which brings a renderer.

#[cfg(feature = "pictures")]
mod paint;

#[cfg(feature = "pictures")]
pub use paint::{gif, png};

/// As with the feature.
///
/// # Errors
/// Says that it is missing.
#[cfg(not(feature = "pictures"))]
pub fn png(_: &[String]) -> anyhow::Result<Vec<Vec<u8>>> {
    Err(missing("--png", "--svg"))
}

/// As with the feature.
///
/// # Errors
/// Says that it is missing.
#[cfg(not(feature = "pictures"))]
pub fn gif(_: &crate::film::Film) -> anyhow::Result<Vec<u8>> {
    Err(missing("--gif", "--html"))
}

#[cfg(not(feature = "pictures"))]
fn missing(option: &str, instead: &str) -> anyhow::Error {
    let reason =
        format!("needs a program built with `--features ddn-trainer/pictures`; {instead} works in this one");
    crate::error::ConfigError::value(option, reason).into()
}
