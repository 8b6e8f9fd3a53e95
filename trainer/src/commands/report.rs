//! `ddn-train report`: studies and runs as one page, and as numbers for other programs.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::commands::out::say;
use crate::study::report::collection::Collection;
use crate::study::report::{Extras, export, page};
use crate::whole_file;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Runs and studies.
    pub paths: Vec<PathBuf>,
    /// The page.
    pub out: Option<PathBuf>,
    /// All values as one table.
    pub csv: Option<PathBuf>,
    /// A folder of charts.
    pub svg: Option<PathBuf>,
    /// The same as pictures.
    pub png: Option<PathBuf>,
    /// What `marl-eval` reads.
    pub marl_eval: Option<PathBuf>,
    /// Replays in the page.
    pub films: bool,
    /// Which episode they play.
    pub seed: u64,
}

/// Writes what is asked for; a page where nothing is.
///
/// # Errors
/// If a run cannot be read, runs do not belong together, or a file cannot be written.
pub fn report(request: &Request) -> anyhow::Result<()> {
    let collection = Collection::read(&request.paths)?;
    let others =
        [&request.csv, &request.svg, &request.png, &request.marl_eval].into_iter().any(Option::is_some);
    let out = request.out.clone().or_else(|| (!others).then(|| PathBuf::from("report.html")));
    if let Some(path) = &out {
        let extras = Extras { films: request.films, seed: request.seed };
        write(path, &page(&collection, extras)?)?;
    }
    if let Some(path) = &request.csv {
        write(path, &export::csv(&collection))?;
    }
    if let Some(path) = &request.marl_eval {
        write(path, &export::marl_eval(&collection)?)?;
    }
    if let Some(dir) = &request.svg {
        export::svg(&collection, dir)?;
        say!("written: {}", dir.display())?;
    }
    if let Some(dir) = &request.png {
        export::png(&collection, dir)?;
        say!("written: {}", dir.display())?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    whole_file::write(path, text.as_bytes()).with_context(|| {
        format!(
            "cannot write {}; give a file in a folder that exists and that you may write to",
            path.display()
        )
    })?;
    say!("written: {}", path.display())?;
    Ok(())
}
