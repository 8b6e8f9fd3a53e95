//! The program `ddn-train`, as a user runs it.

mod killed;
mod policies;
