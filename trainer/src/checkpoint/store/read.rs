//! Checkpoints as they are found: whole, damaged, or of another release.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Result;
use super::disk::failed;
use super::manifest::{FORMAT, MANIFEST, Manifest, sha256};
use super::name::{REPLACED, check_name, names, update_of};
use crate::error::CheckpointError;

/// The files of one checkpoint, by name.
pub type Files = Vec<(String, Vec<u8>)>;

/// Name of the mark of the best checkpoint.
pub(super) const BEST: &str = "best";

/// Reads the checkpoint at `path`, in the order of its file names.
///
/// # Errors
/// If a file is missing, or any byte differs from what was saved.
pub fn open(path: &Path) -> Result<Files> {
    let mut files = Vec::new();
    for_each(path, |name, bytes| {
        files.push((name.to_owned(), bytes));
        Ok(())
    })?;
    Ok(files)
}

/// Hands `each` the files of the checkpoint at `path`, one at a time, in the order of their names.
///
/// # Errors
/// As [`open`], or the first error of `each`.
pub fn for_each(path: &Path, mut each: impl FnMut(&str, Vec<u8>) -> Result<()>) -> Result<()> {
    let damaged = |reason: String| CheckpointError::Damaged { path: path.to_owned(), reason };
    let read = |name: &str, limit: Option<u64>| -> Result<Vec<u8>> {
        let file_path = path.join(name);
        let missing = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => damaged(format!("{name} is missing")),
            _ => failed("read", &file_path)(error),
        };
        let mut bytes = Vec::new();
        // One byte past the limit is enough to know that the file is too long.
        let limit = limit.map_or(u64::MAX, |bytes| bytes.saturating_add(1));
        let file = File::open(&file_path).map_err(missing)?;
        file.take(limit).read_to_end(&mut bytes).map_err(failed("read", &file_path))?;
        Ok(bytes)
    };

    let bytes = read(MANIFEST, None)?;
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| damaged(format!("{MANIFEST}: {error}")))?;
    if let Some(found) = value.get("format").and_then(serde_json::Value::as_u64)
        && found > u64::from(FORMAT)
    {
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        return Err(CheckpointError::Format { path: path.to_owned(), found, known: FORMAT });
    }
    let manifest: Manifest =
        serde_json::from_value(value).map_err(|error| damaged(format!("{MANIFEST}: {error}")))?;
    if manifest.to_bytes() != bytes || manifest.format != FORMAT {
        return Err(damaged(format!("{MANIFEST} was edited")));
    }
    let place = path.file_name().and_then(|name| name.to_str()).and_then(update_of);
    if place.is_some_and(|update| update != manifest.update) {
        return Err(damaged(format!("{MANIFEST} is that of update {}", manifest.update)));
    }

    for (name, entry) in &manifest.files {
        check_name(name).map_err(|error| damaged(error.to_string()))?;
        let bytes = read(name, Some(entry.bytes))?;
        if bytes.len() as u64 != entry.bytes {
            let longer = if bytes.len() as u64 > entry.bytes { " or more" } else { "" };
            let have = bytes.len();
            return Err(damaged(format!("{name} has {have}{longer} bytes, not {}", entry.bytes)));
        }
        if sha256(&bytes) != entry.sha256 {
            return Err(damaged(format!("the SHA-256 of {name} is not the recorded one")));
        }
        each(name, bytes)?;
    }
    Ok(())
}

/// Whether the checkpoint at `path` is whole.
pub(super) fn verify(path: &Path) -> Result<()> {
    for_each(path, |_, _| Ok(()))
}

/// The newest valid checkpoint in `dir`; `None` where there is no checkpoint at all.
///
/// A damaged one is passed over with a warning. One that a killed process put aside, to replace it,
/// counts until the next process tidies up.
///
/// # Errors
/// If there are checkpoints but none is valid, one was written by a later release, or the file
/// system fails.
pub fn newest(dir: &Path) -> Result<Option<PathBuf>> {
    if !dir.exists() {
        return Ok(None);
    }
    // In its place comes after aside, where both are there.
    let place = |name: &String| Some((update_of(name.strip_prefix(REPLACED).unwrap_or(name))?, name.clone()));
    let mut all: Vec<_> = names(dir)?.iter().filter_map(place).collect();
    all.sort_by_key(|(update, name)| (*update, !name.starts_with(REPLACED)));
    let (tried, mut first) = (all.len(), None);
    while let Some((_, name)) = all.pop() {
        let path = dir.join(name);
        match verify(&path) {
            Ok(()) => return Ok(Some(path)),
            Err(CheckpointError::Damaged { path, reason }) => {
                tracing::warn!("{} is damaged ({reason}): trying the one before it", path.display());
                first.get_or_insert(reason);
            }
            Err(error) => return Err(error),
        }
    }
    match first {
        None => Ok(None),
        Some(newest) => Err(CheckpointError::NoneValid { dir: dir.to_owned(), tried, newest }),
    }
}

/// The checkpoint that was marked best, unchecked; `None` where none was.
///
/// # Errors
/// If the mark is there but names no checkpoint.
pub fn best(dir: &Path) -> Result<Option<PathBuf>> {
    let mark = dir.join(BEST);
    let text = match fs::read_to_string(&mark) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", &mark)(error)),
    };
    match text.trim_end() {
        name if update_of(name).is_some() && dir.join(name).is_dir() => Ok(Some(dir.join(name))),
        name => {
            Err(CheckpointError::Damaged { path: mark, reason: format!("there is no checkpoint {name:?}") })
        }
    }
}
