//! Memory that trainer and worker share: a file in memory without a name, so that nothing of it outlives them.

use std::fs::File;

use super::config::Transport;
use crate::env::registry::bad;
use crate::error::EnvError;

/// A file of `bytes` for this transport; `None` where frames travel through the pipe.
///
/// # Errors
/// [`EnvError::Config`] where shared memory was asked for and there is none.
pub(super) fn shared(transport: Transport, bytes: usize) -> Result<Option<File>, EnvError> {
    if transport == Transport::Pipe {
        return Ok(None);
    }
    match (make(bytes), transport) {
        (Ok(memory), _) => Ok(Some(memory)),
        (Err(error), Transport::Shared) => {
            Err(bad("transport", format!("no memory can be shared ({error}); set it to \"pipe\"")))
        }
        (Err(error), _) => {
            tracing::warn!(%error, "no memory can be shared; frames travel through the pipe");
            Ok(None)
        }
    }
}

/// Where another process of the same user opens this file, for as long as this one holds it, and the number
/// by which it knows that it is this one: elsewhere the place may be of another process.
///
/// # Errors
/// If the system does not tell.
pub(super) fn place(memory: &File) -> std::io::Result<(String, u64)> {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;
    let path = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
    Ok((path, memory.metadata()?.ino()))
}

#[cfg(target_os = "linux")]
fn make(bytes: usize) -> std::io::Result<File> {
    use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, memfd_create};
    let file = File::from(memfd_create("ddn", MemfdFlags::CLOEXEC)?);
    // Taken at once: a worker that finds no room later dies of it.
    fallocate(&file, FallocateFlags::empty(), 0, bytes.max(1) as u64)?;
    Ok(file)
}

#[cfg(not(target_os = "linux"))]
fn make(_: usize) -> std::io::Result<File> {
    Err(std::io::ErrorKind::Unsupported.into())
}
