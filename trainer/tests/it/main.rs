//! The program `ddn-train`, as a user runs it.

mod changed_map;
mod films;
mod in_a_browser;
mod killed;
mod output;
mod policies;
mod reports;
mod resume;
mod sweeps;
