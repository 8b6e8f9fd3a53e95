//! Changes to the disk.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::Result;
use crate::error::CheckpointError;

/// What a failure of the file system was about.
pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Io { doing, path, source }
}

/// Every change to the disk goes through here, so that tests can cut the power at each of them.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// Changes that still succeed; `None` for all.
    pub(super) left: Cell<Option<usize>>,
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

    pub(super) fn create_dir(&self, path: &Path) -> Result<()> {
        self.tick().and_then(|()| fs::create_dir(path)).map_err(failed("create", path))
    }

    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
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

    pub(super) fn sync_dir(&self, path: &Path) -> Result<()> {
        let sync = || File::open(path)?.sync_all();
        self.tick().and_then(|()| sync()).map_err(failed("sync", path))
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.tick().and_then(|()| fs::rename(from, to)).map_err(failed("rename", from))
    }

    pub(super) fn remove(&self, path: &Path) -> Result<()> {
        let remove = || {
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
        };
        self.tick().and_then(|()| remove()).map_err(failed("remove", path))
    }
}
