//! Checkpoints as files: whole or absent, whatever happens while they are written.
//!
//! ```text
//! run/
//!   run.lock                 held while a process writes this run
//!   best                     the name of the best checkpoint
//!   ckpt_0000001200/         the files of one checkpoint
//!     …  MANIFEST.json       format, update, length and SHA-256 of each file; written last
//!   .tmp-…  .old-ckpt_…      what a killed process left; removed, or put back, at the next start
//! ```
//!
//! A checkpoint is written beside its place, synced file by file, renamed into place, synced again
//! and read back; only then are older ones removed. No clock enters its bytes.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::CheckpointError;

/// Version of the layout described above.
pub const FORMAT: u32 = 2;

/// Name of the manifest inside a checkpoint.
pub const MANIFEST: &str = "MANIFEST.json";

/// The files of one checkpoint, by name.
pub type Files = Vec<(String, Vec<u8>)>;

const BEST: &str = "best";
const LOCK: &str = "run.lock";
const PREFIX: &str = "ckpt_";
const TEMPORARY: &str = ".tmp-";
const REPLACED: &str = ".old-";

type Result<T> = std::result::Result<T, CheckpointError>;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    update: u64,
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    bytes: u64,
    sha256: String,
}

impl Manifest {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("strings and numbers always serialise");
        bytes.push(b'\n');
        bytes
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check_name(name: &str) -> Result<()> {
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

/// The directory name of the checkpoint at `update`.
#[must_use]
pub fn name(update: u64) -> String {
    format!("{PREFIX}{update:010}")
}

/// The update that a directory name stands for; `None` for anything that [`name`] does not write.
fn update_of(file_name: &str) -> Option<u64> {
    let update = file_name.strip_prefix(PREFIX)?.parse().ok()?;
    (name(update) == file_name).then_some(update)
}

/// Whether a [`Store`] gives its temporary files such a name: `.tmp-`, process, purpose.
fn is_temporary(file_name: &str) -> bool {
    let rest = file_name.strip_prefix(TEMPORARY).and_then(|rest| rest.split_once('-'));
    rest.is_some_and(|(process, purpose)| process.parse::<u32>().is_ok() && !purpose.is_empty())
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Io { doing, path, source }
}

/// File names in `dir`, sorted.
fn names(dir: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(failed("list", dir))?;
    Ok(entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// Checkpoints in `dir`, oldest first, unchecked.
fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found: Vec<_> =
        names(dir)?.iter().filter_map(|name| Some((update_of(name)?, dir.join(name)))).collect();
    found.sort();
    Ok(found)
}

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
fn verify(path: &Path) -> Result<()> {
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

/// Every change to the disk goes through here, so that tests can cut the power at each of them.
#[derive(Debug, Default)]
struct Disk {
    /// Changes that still succeed; `None` for all.
    left: Cell<Option<usize>>,
}

impl Disk {
    fn tick(&self) -> io::Result<()> {
        match self.left.get() {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the disk is full")),
            Some(left) => {
                self.left.set(Some(left - 1));
                Ok(())
            }
        }
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        self.tick().and_then(|()| fs::create_dir(path)).map_err(failed("create", path))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let write = || {
            self.tick()?;
            let mut file = File::create_new(path)?;
            // Two halves, so that a cut can leave a torn file.
            let (head, tail) = bytes.split_at(bytes.len() / 2);
            file.write_all(head)?;
            self.tick()?;
            file.write_all(tail)?;
            self.tick()?;
            file.sync_all()
        };
        write().map_err(failed("write", path))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let sync = || File::open(path)?.sync_all();
        self.tick().and_then(|()| sync()).map_err(failed("sync", path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.tick().and_then(|()| fs::rename(from, to)).map_err(failed("rename", from))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let remove = || {
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
        };
        self.tick().and_then(|()| remove()).map_err(failed("remove", path))
    }
}

/// The one writer of a run directory, from [`Store::open`] until it is dropped.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    keep: usize,
    disk: Disk,
    /// Released when this is dropped, or the process killed.
    _lock: Lock,
}

/// A locked file.
///
/// Closing it would not be enough: a program that another thread is about to start holds a copy of
/// every open file for a moment, and with it the lock.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Where this fails, closing the file is all that can be done.
        let _ = self.0.unlock();
    }
}

impl Store {
    /// Makes `dir` where it is missing, takes its lock, and removes what a killed process left.
    ///
    /// The last `keep` checkpoints are kept (at least one), and the best. Open the store before
    /// anything else in the directory is changed.
    ///
    /// # Errors
    /// If another process holds the lock, or the directory cannot be written.
    pub fn open(dir: &Path, keep: usize) -> Result<Self> {
        fs::create_dir_all(dir).map_err(failed("create", dir))?;
        let path = dir.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(failed("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CheckpointError::Locked { path }),
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
        }
        let store = Self { dir: dir.to_owned(), keep: keep.max(1), disk: Disk::default(), _lock: Lock(lock) };
        store.sweep()?;
        Ok(store)
    }

    /// The run directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes one file of the run directory whole, beside the checkpoints.
    ///
    /// # Errors
    /// If the disk refuses; the file is as it was then.
    pub fn write_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let temporary = self.dir.join(format!("{TEMPORARY}{}-{name}", std::process::id()));
        let path = self.dir.join(name);
        if temporary.exists() {
            self.disk.remove(&temporary)?;
        }
        self.disk.write(&temporary, bytes)?;
        fs::rename(&temporary, &path).map_err(failed("write", &path))?;
        self.disk.sync_dir(&self.dir)
    }

    /// Removes one file of the run directory, if it is there.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn remove_file(&self, name: &str) -> Result<()> {
        let path = self.dir.join(name);
        if path.exists() { self.disk.remove(&path) } else { Ok(()) }
    }

    /// [`newest`] of this directory.
    ///
    /// # Errors
    /// As there.
    pub fn newest(&self) -> Result<Option<PathBuf>> {
        newest(&self.dir)
    }

    /// Saves `files`, of which only one is in memory at a time, as the checkpoint of `update`, marks that of update `best`, then removes those
    /// that are no longer kept. Returns its path.
    ///
    /// A mark stays where it is for `None`, and where there is no checkpoint of update `best`.
    /// Saving the same bytes again changes nothing, but for what a killed process left undone.
    ///
    /// # Errors
    /// If the disk fails at any point, a name is unfit, or a valid checkpoint of a later update is
    /// there. The checkpoints that were valid before are then still there and valid.
    pub fn save(
        &self,
        update: u64,
        files: impl Iterator<Item = Result<(String, Vec<u8>)>>,
        best: Option<u64>,
    ) -> Result<PathBuf> {
        let damaged = self.damaged_after(update)?;
        let path = self.dir.join(name(update));
        let temporary = self.temporary("save")?;
        let manifest = self.write(&temporary, update, files).inspect_err(|_| {
            // Gives a full disk its room back; the error that matters is the first.
            let _ = fs::remove_dir_all(&temporary);
        })?;
        if self.holds(&path, &manifest) {
            self.disk.remove(&temporary)?;
        } else {
            self.put(&temporary, &path)?;
            verify(&path)?;
        }
        if let Some(best) = best {
            self.mark_best(best)?;
        }
        for path in damaged {
            self.discard(&path)?;
        }
        self.prune()?;
        Ok(path)
    }

    /// Marks the checkpoint of `update` as the best one, if it is there and not marked yet; it is
    /// kept until another is marked.
    ///
    /// # Errors
    /// If the disk fails; the earlier mark then stands.
    pub fn mark_best(&self, update: u64) -> Result<()> {
        let path = self.dir.join(name(update));
        if !path.is_dir() || best(&self.dir).is_ok_and(|marked| marked == Some(path)) {
            return Ok(());
        }
        let temporary = self.temporary(BEST)?;
        self.disk.write(&temporary, format!("{}\n", name(update)).as_bytes())?;
        self.disk.rename(&temporary, &self.dir.join(BEST))?;
        self.disk.sync_dir(&self.dir)
    }

    /// A free place beside the checkpoints; what an attempt that failed left there goes.
    fn temporary(&self, purpose: &str) -> Result<PathBuf> {
        let path = self.dir.join(format!("{TEMPORARY}{}-{purpose}", std::process::id()));
        if path.exists() {
            self.disk.remove(&path)?;
        }
        Ok(path)
    }

    fn holds(&self, path: &Path, manifest: &Manifest) -> bool {
        fs::read(path.join(MANIFEST)).is_ok_and(|bytes| bytes == manifest.to_bytes()) && verify(path).is_ok()
    }

    fn write(
        &self,
        dir: &Path,
        update: u64,
        files: impl Iterator<Item = Result<(String, Vec<u8>)>>,
    ) -> Result<Manifest> {
        self.disk.create_dir(dir)?;
        let mut entries = BTreeMap::new();
        for file in files {
            let (name, bytes) = file?;
            check_name(&name)?;
            if entries.contains_key(&name) {
                return Err(CheckpointError::Name { name, reason: "it is given twice" });
            }
            self.disk.write(&dir.join(&name), &bytes)?;
            entries.insert(name, Entry { bytes: bytes.len() as u64, sha256: sha256(&bytes) });
        }
        let manifest = Manifest { format: FORMAT, update, files: entries };
        self.disk.write(&dir.join(MANIFEST), &manifest.to_bytes())?;
        self.disk.sync_dir(dir)?;
        Ok(manifest)
    }

    /// Renames `from` to `path`; what was there steps aside first and comes back if that fails.
    fn put(&self, from: &Path, path: &Path) -> Result<()> {
        let aside =
            path.with_file_name(format!("{REPLACED}{}", path.file_name().unwrap_or_default().display()));
        if path.exists() {
            self.disk.rename(path, &aside)?;
        }
        if let Err(error) = self.disk.rename(from, path) {
            if aside.exists() {
                self.disk.rename(&aside, path)?;
            }
            return Err(error);
        }
        self.disk.sync_dir(&self.dir)?;
        if aside.exists() { self.discard(&aside) } else { Ok(()) }
    }

    /// Later checkpoints, all of them damaged: the run resumed before them.
    fn damaged_after(&self, update: u64) -> Result<Vec<PathBuf>> {
        let later = list(&self.dir)?.into_iter().filter(|(other, _)| *other > update);
        let check = |(_, path): (u64, PathBuf)| match verify(&path) {
            Ok(()) => Err(CheckpointError::Newer { path, update }),
            Err(CheckpointError::Damaged { .. }) => Ok(path),
            Err(error) => Err(error),
        };
        later.map(check).collect()
    }

    fn prune(&self) -> Result<()> {
        let best = match best(&self.dir) {
            Err(CheckpointError::Damaged { reason, .. }) => {
                tracing::warn!("the mark of the best checkpoint is void: {reason}");
                None
            }
            other => other?,
        };
        let all = list(&self.dir)?;
        let surplus = all.len().saturating_sub(self.keep);
        for (_, path) in all.into_iter().take(surplus) {
            if best.as_ref() != Some(&path) {
                self.discard(&path)?;
            }
        }
        Ok(())
    }

    /// Removes a directory so that no half of it ever looks like a checkpoint.
    fn discard(&self, path: &Path) -> Result<()> {
        let temporary = self.temporary("discard")?;
        self.disk.rename(path, &temporary)?;
        self.disk.remove(&temporary)
    }

    /// Removes, or puts back, what a killed process left; names of any other kind are not touched.
    fn sweep(&self) -> Result<()> {
        for name in names(&self.dir)? {
            let path = self.dir.join(&name);
            let replaced = name.strip_prefix(REPLACED).filter(|original| update_of(original).is_some());
            if is_temporary(&name) {
                self.disk.remove(&path)?;
            } else if let Some(original) = replaced.map(|name| self.dir.join(name)) {
                if verify(&original).is_ok() {
                    self.disk.remove(&path)?;
                    continue;
                }
                if original.exists() {
                    self.discard(&original)?;
                }
                self.disk.rename(&path, &original)?;
                self.disk.sync_dir(&self.dir)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
