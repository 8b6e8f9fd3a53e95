//! Writes files so that a reader sees the old content or the new one, never a part.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::ExportError;
use crate::verify::{Report, refuse};

/// A file to be written: its name in the output directory and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Name without a folder.
    pub file_name: &'static str,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Writes every file into `dir`, which is created where missing, unless an engine disagreed.
/// Returns the paths.
///
/// # Errors
/// [`ExportError::Mismatch`] before anything is touched, or [`ExportError::Io`].
pub fn publish(dir: &Path, outputs: &[Output], reports: &[Report]) -> Result<Vec<PathBuf>, ExportError> {
    refuse(reports)?;
    fs::create_dir_all(dir).map_err(ExportError::io(dir))?;
    let paths = outputs.iter().map(|output| {
        let path = dir.join(output.file_name);
        replace(&path, &output.bytes).map_err(ExportError::io(&path))?;
        Ok(path)
    });
    let paths = paths.collect::<Result<_, ExportError>>()?;
    File::open(dir).and_then(|d| d.sync_all()).map_err(ExportError::io(dir))?;
    Ok(paths)
}

/// Writes beside the file, flushes to the disk, then takes its place.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = File::create(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one to report; a left-over is harmless.
        let _ = fs::remove_file(&beside);
    }
    written
}
