//! Learning: networks, temporal differences, distillation.

pub mod agent;
pub mod edm;
pub mod fusion;
pub mod ggn;
pub mod idm;
pub mod informed;
pub mod knowledge;
pub mod lpn;
pub mod mixer;
pub mod normaliser;
pub mod scheme;
pub mod slow;
pub mod td;
pub mod view;

use crate::error::ConfigError;

/// The widest layer that can be asked for: far more than agents need, little enough to be allocated.
const WIDEST: usize = 16_384;

/// Widths are from 1 to [`WIDEST`].
fn check_width(key: &str, width: usize) -> Result<(), ConfigError> {
    if !(1..=WIDEST).contains(&width) {
        return Err(ConfigError::value(key, format!("is {width}; give 1 to {WIDEST}")));
    }
    Ok(())
}

/// A finite number in `range`.
fn check_number(key: &str, value: f64, range: std::ops::RangeInclusive<f64>) -> Result<(), ConfigError> {
    if !range.contains(&value) {
        return Err(ConfigError::value(
            key,
            format!("is {value}; give {} to {}", range.start(), range.end()),
        ));
    }
    Ok(())
}
