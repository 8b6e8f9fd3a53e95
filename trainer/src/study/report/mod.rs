//! A study or a few runs as one page: `ddn-train report`.
//!
//! ```text
//! run directories ─► Collection ─► groups: task, algorithm, setting ─► sections ─► one HTML file
//!                                     │                                            (no network, no other file)
//!                                     └─► CSV, SVG, marl-eval's JSON
//! ```
//!
//! Every number is computed from `metrics.jsonl` and `summary.json` of the runs; intervals are
//! bootstrapped from a fixed seed, so that the same runs give the same bytes.

pub mod collection;
mod differences;
pub mod export;
mod figures;
mod films;
mod html;
mod page;
mod plot;
mod tables;

pub use page::{Extras, page};
