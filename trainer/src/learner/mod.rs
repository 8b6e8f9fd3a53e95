//! Learning: networks, temporal differences, distillation.

pub mod agent;
pub mod edm;
pub mod fusion;
pub mod ggn;
pub mod idm;
pub mod lpn;
pub mod mixer;
pub mod scheme;
pub mod td;

use crate::error::ConfigError;

/// Widths must be at least 1.
fn check_width(key: &str, width: usize) -> Result<(), ConfigError> {
    if width == 0 {
        return Err(ConfigError::value(key, "must be at least 1"));
    }
    Ok(())
}
