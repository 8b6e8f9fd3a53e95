//! What the registries of mixers and schemes share: names, and tables of the config.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ConfigError;

/// One line of a registry.
#[derive(Clone, Copy, Debug)]
pub struct Kind<B> {
    /// `kind = "…"` in the config.
    pub name: &'static str,
    /// One line for `ddn-train list`.
    pub about: &'static str,
    /// The table with every default written out.
    pub resolve: fn(&toml::Table) -> Result<toml::Table, ConfigError>,
    /// Makes the thing.
    pub build: B,
}

/// The entry that `table` names.
///
/// # Errors
/// If `kind` is missing or unknown; the message lists what there is.
pub fn find<'r, B>(
    registry: &'r [Kind<B>],
    section: &str,
    table: &toml::Table,
) -> Result<&'r Kind<B>, ConfigError> {
    let known = || registry.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
    let kind = table.get("kind").and_then(toml::Value::as_str).unwrap_or_default();
    registry.iter().find(|entry| entry.name == kind).ok_or_else(|| ConfigError::Kind {
        section: section.to_owned(),
        kind: kind.to_owned(),
        known: known(),
    })
}

/// The table without `kind`, as a typed config.
///
/// # Errors
/// If a key is unknown or of the wrong type.
pub fn typed<C: DeserializeOwned>(section: &str, table: &toml::Table) -> Result<C, ConfigError> {
    let mut rest = table.clone();
    rest.remove("kind");
    rest.try_into()
        .map_err(|source| ConfigError::Table { section: section.to_owned(), source: Box::new(source) })
}

/// The table with every default of `C` written out, `kind` kept.
///
/// # Errors
/// If a key is unknown or of the wrong type.
pub fn resolve<C: DeserializeOwned + Serialize>(
    section: &str,
    table: &toml::Table,
) -> Result<toml::Table, ConfigError> {
    let config: C = typed(section, table)?;
    let mut resolved = toml::Table::try_from(config).map_err(|source| ConfigError::Unwritable {
        section: section.to_owned(),
        source: Box::new(source),
    })?;
    if let Some(kind) = table.get("kind") {
        resolved.insert("kind".into(), kind.clone());
    }
    Ok(resolved)
}
