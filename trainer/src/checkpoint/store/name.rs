//! Names in the directory of a run.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Result;
use super::disk::failed;
use super::manifest::MANIFEST;
use crate::error::CheckpointError;

const PREFIX: &str = "ckpt_";
pub(super) const TEMPORARY: &str = ".tmp-";
pub(super) const REPLACED: &str = ".old-";

/// The directory name of the checkpoint at `update`.
#[must_use]
pub fn name(update: u64) -> String {
    format!("{PREFIX}{update:010}")
}

/// The update that a directory name stands for; `None` for anything that [`name`] does not write.
pub(super) fn update_of(file_name: &str) -> Option<u64> {
    let update = file_name.strip_prefix(PREFIX)?.parse().ok()?;
    (name(update) == file_name).then_some(update)
}

/// Whether a [`Store`] gives its temporary files such a name: `.tmp-`, process, purpose.
pub(super) fn is_temporary(file_name: &str) -> bool {
    let rest = file_name.strip_prefix(TEMPORARY).and_then(|rest| rest.split_once('-'));
    rest.is_some_and(|(process, purpose)| process.parse::<u32>().is_ok() && !purpose.is_empty())
}

/// Refuses what a file of a checkpoint may not be called.
pub(super) fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let reason = if name == MANIFEST {
        "the manifest has that name"
    } else if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        "use ASCII letters, digits, '.', '_' and '-', and begin with no '.'"
    } else {
        return Ok(());
    };
    Err(CheckpointError::Name { name: name.to_owned(), reason })
}

/// File names in `dir`, sorted.
pub(super) fn names(dir: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(failed("list", dir))?;
    Ok(entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// Checkpoints in `dir`, oldest first, unchecked.
pub(super) fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found: Vec<_> =
        names(dir)?.iter().filter_map(|name| Some((update_of(name)?, dir.join(name)))).collect();
    found.sort();
    Ok(found)
}
