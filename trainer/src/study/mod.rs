//! Studies: many runs that belong together, as one file describes them.
//!
//! ```text
//! SPEC.toml ─► tasks × algorithms × settings × seeds ─► cells ─► jobs, each on threads of its own
//!                                                        │
//!              DIR/study.json                            └─► DIR/TASK/ALGORITHM[/SETTING]/seed_N/
//! ```
//!
//! A cell is an ordinary run directory: `resume`, `eval`, `play` and the exporter take it. What a
//! cell learns hangs on its config alone, never on the number of jobs, on which of them had it, or
//! on how often the study was stopped.

pub mod cells;
pub mod draw;
pub mod halving;
pub mod overview;
pub mod report;
pub mod slurm;
pub mod spec;
pub mod sweep;
