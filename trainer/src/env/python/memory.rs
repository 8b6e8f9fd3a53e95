//! Memory that trainer and worker share: a file that lives in memory.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{FallocateFlags, fallocate};

use super::config::Transport;
use crate::env::registry::bad;
use crate::error::EnvError;

/// Where files in memory live, where the system has it.
const MEMORY: &str = "/dev/shm";

/// The name of a file; it goes with this value, the file stays with those who hold it open.
pub(super) struct Name(PathBuf);

impl Name {
    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// A file of `bytes` for this transport; `None` where frames travel through the pipe.
///
/// # Errors
/// [`EnvError::Config`] where shared memory was asked for and there is none.
pub(super) fn shared(transport: Transport, bytes: usize) -> Result<Option<(File, Name)>, EnvError> {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let here = Path::new(MEMORY);
    if transport == Transport::Pipe || (transport == Transport::Auto && !here.is_dir()) {
        return Ok(None);
    }
    let name = format!("ddn-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    match (make(here.join(name), bytes), transport) {
        (Ok(memory), _) => Ok(Some(memory)),
        (Err(error), Transport::Shared) => {
            Err(bad("transport", format!("no file can be made in {MEMORY} ({error}); set it to \"pipe\"")))
        }
        (Err(error), _) => {
            tracing::warn!(%error, "no file can be made in {MEMORY}; frames travel through the pipe");
            Ok(None)
        }
    }
}

fn make(path: PathBuf, bytes: usize) -> std::io::Result<(File, Name)> {
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    let name = Name(path);
    // Taken at once: a worker that finds no room later dies of it.
    fallocate(&file, FallocateFlags::empty(), 0, bytes.max(1) as u64)?;
    Ok((file, name))
}
