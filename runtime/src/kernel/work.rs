//! Computations that are compiled once for each kind of processor.

#[cfg(target_arch = "x86_64")]
pub(crate) use super::x86::{Level, wide, widest};

/// What the processor can do: one thing.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Clone, Copy)]
pub(crate) struct Level;

/// Whether the processor computes with more than four floats at once.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn wide() -> bool {
    false
}

/// Does `work`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn widest<W: Work>(work: W) {
    work.run(Level);
}

/// A computation that may be compiled for several levels. `run` and what it calls must be `#[inline(always)]`.
pub(crate) trait Work {
    fn run(self, level: Level);
}
