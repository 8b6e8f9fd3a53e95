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

mod disk;
mod manifest;
mod name;
mod read;

pub use manifest::{FORMAT, MANIFEST};
pub use name::name;
pub use read::{Files, best, for_each, newest, open};

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use disk::{Disk, failed};
use manifest::{Entry, Manifest, sha256};
use name::{REPLACED, TEMPORARY, check_name, is_temporary, list, names, update_of};
use read::{BEST, verify};

use crate::error::CheckpointError;

const LOCK: &str = "run.lock";

type Result<T> = std::result::Result<T, CheckpointError>;

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

    /// Saves `files`, of which only one is in memory at a time, as the checkpoint of `update`, marks that of update
    /// `best`, then removes those that are no longer kept. Returns its path.
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
mod tests;
