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
/// All of them are on the disk, beside their places, before the first takes its place.
///
/// # Errors
/// [`ExportError::Mismatch`] before anything is touched, or [`ExportError::Io`].
pub fn publish(dir: &Path, outputs: &[Output], reports: &[Report]) -> Result<Vec<PathBuf>, ExportError> {
    refuse(reports)?;
    fs::create_dir_all(dir).map_err(ExportError::io(dir))?;
    let paths: Vec<_> = outputs.iter().map(|output| dir.join(output.file_name)).collect();
    let beside: Vec<_> = paths.iter().map(|path| beside(path)).collect();
    let written = write_all(outputs, &paths, &beside);
    if written.is_err() {
        // The first error is the one to report; a left-over is harmless.
        beside.iter().for_each(|path| drop(fs::remove_file(path)));
    }
    written?;
    File::open(dir).and_then(|d| d.sync_all()).map_err(ExportError::io(dir))?;
    Ok(paths)
}

fn write_all(outputs: &[Output], paths: &[PathBuf], beside: &[PathBuf]) -> Result<(), ExportError> {
    for (path, (beside, output)) in paths.iter().zip(beside.iter().zip(outputs)) {
        if path.is_dir() {
            let error = std::io::Error::from(std::io::ErrorKind::IsADirectory);
            return Err(ExportError::io(path)(error));
        }
        File::create(beside)
            .and_then(|mut file| file.write_all(&output.bytes).and_then(|()| file.sync_all()))
            .map_err(ExportError::io(path))?;
    }
    for (path, beside) in paths.iter().zip(beside) {
        fs::rename(beside, path).map_err(ExportError::io(path))?;
    }
    Ok(())
}

/// Where a file waits until it takes its place.
fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    PathBuf::from(beside)
}
