//! The page as a whole.

use std::fmt::Write as _;

use super::collection::Collection;
use super::figures::{self, Normalised};
use super::html::{Table, escaped};
use super::plot::Plot;
use super::{films, tables};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What a page shows besides curves and tables.
#[derive(Clone, Copy, Debug)]
pub struct Extras {
    /// Replays of the best teams.
    pub films: bool,
    /// Which episode they play.
    pub seed: u64,
}

/// The report as one HTML file, which stands alone.
///
/// # Errors
/// If statistics cannot be computed or a config cannot be encoded.
pub fn page(collection: &Collection, extras: Extras) -> anyhow::Result<String> {
    let mut body = Body::default();
    body.head(collection);
    body.section("Results", "Last greedy tests of every network, over seeds.");
    body.table(&tables::results(collection)?);
    body.text(
        "Intervals hold 95 % of 10 000 bootstraps over seeds; they say how much other seeds would change the value, \
         not how it varies between episodes. IQM is the mean of the middle half of the runs. With few seeds an \
         interval is too narrow.",
    );
    body.section(
        "Learning curves",
        "The interquartile mean over seeds; the band holds 95 % of 2000 bootstraps.",
    );
    for task in collection.tasks() {
        body.plots(&figures::task(collection, task)?);
    }
    let transfer = tables::transfer(collection)?;
    if !transfer.is_empty() {
        body.section("From teacher to student", "What ships, beside the network that taught it.");
        body.table(&transfer);
        body.plots(&figures::pairs(collection)?);
    }
    let scores = Normalised::of(collection)?;
    let profiles = figures::profiles(collection, &scores)?;
    if let Some(profiles) = profiles {
        body.section("Comparison", "Over all tasks, of what ships.");
        if !scores.left_out.is_empty() {
            let names = scores.left_out.join(", ");
            body.text(&format!(
                "Left out, for want of an equal number of finished runs on every task: {names}."
            ));
        }
        body.plots(&[profiles]);
        if let Some(table) = tables::improvements(&scores)? {
            body.table(&table);
        }
    }
    body.section(
        "What was learned from",
        "Losses, targets and intrinsic reward, as the learners logged them.",
    );
    body.plots(&figures::learning(collection)?);
    if extras.films {
        let films = films::films(collection, extras.seed);
        if !films.is_empty() {
            body.section("Replays", "One episode of the best run of the best algorithm on each task.");
            body.html.push_str(&films);
        }
    }
    let configs = tables::configs(collection);
    if !configs.is_empty() {
        body.section("Differences of the experiments", "All other keys are the same.");
        body.table(&configs);
    }
    body.section("Runs", "Where the numbers come from.");
    body.table(&tables::runs(collection)?);
    let title = escaped(&collection.title);
    let page = PAGE.replacen("/*style*/", STYLE, 1).replacen("/*script*/", SCRIPT, 1);
    // The body last: nothing is looked for in it.
    Ok(page.replacen("<!--title-->", &title, 1).replacen("<!--body-->", &body.html, 1))
}

#[derive(Default)]
struct Body {
    html: String,
    plots: usize,
}

impl Body {
    fn head(&mut self, collection: &Collection) {
        let _ = writeln!(self.html, "<header><h1>{}</h1>", escaped(&collection.title));
        if !collection.about.is_empty() {
            self.text(&collection.about);
        }
        let runs: usize = collection.groups.iter().map(|group| group.members.len()).sum();
        let finished: usize = collection.groups.iter().map(|group| group.finished().count()).sum();
        let mut text = format!("{runs} runs, {finished} finished");
        if !collection.missing.is_empty() {
            let _ = write!(text, ", {} not begun", collection.missing.len());
        }
        let _ = write!(text, ". Made by ddn-train {}.", env!("CARGO_PKG_VERSION"));
        self.text(&text);
        for broken in &collection.broken {
            self.text(&format!("Left out, for it cannot be read: {broken}; `ddn-train sweep` may mend it."));
        }
        self.html.push_str("</header>\n");
    }

    fn section(&mut self, title: &str, text: &str) {
        let _ = writeln!(self.html, "<h2>{}</h2>", escaped(title));
        self.text(text);
    }

    fn text(&mut self, text: &str) {
        let _ = writeln!(self.html, "<p>{}</p>", escaped(text));
    }

    fn table(&mut self, table: &Table) {
        self.html.push_str(&table.html());
    }

    fn plots(&mut self, plots: &[Plot]) {
        self.html.push_str("<div class=\"plots\">\n");
        for plot in plots {
            self.plots += 1;
            let id = format!("plot-{}", self.plots);
            self.html.push_str(&plot.html(&id));
        }
        self.html.push_str("</div>\n");
    }
}
