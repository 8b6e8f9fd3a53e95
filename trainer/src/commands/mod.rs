//! What `ddn-train` does, one file per command.

pub mod bench;
pub mod evaluate;
pub mod list;
pub mod out;
pub mod report;
pub mod summary;
pub mod sweep;
pub mod train;

use anyhow::Context as _;

use crate::config::ExperimentConfig;

/// Sets the number of threads of the kernels, once per process.
///
/// # Errors
/// If the threads cannot be started.
pub fn set_threads(config: &ExperimentConfig) -> anyhow::Result<()> {
    // A second run in one process keeps the first one's threads: the bits do not depend on them.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(config.threads).build_global();
    if pool.is_err() && rayon::current_num_threads() == 0 {
        pool.context("starting the threads of the kernels")?;
    }
    Ok(())
}

/// Peak resident memory of this process in bytes, where the system tells.
#[must_use]
pub fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
