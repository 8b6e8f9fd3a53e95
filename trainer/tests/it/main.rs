//! The program `ddn-train`, as a user runs it.

mod changed_map;
mod killed;
mod policies;
