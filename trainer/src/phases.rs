//! Where the time of an update goes: a subscriber to the spans of the learner's steps and kernels.
//!
//! Those spans have the target [`TIMED`]. Without a subscriber a span costs a comparison.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Target of the spans that are timed.
pub const TIMED: &str = "ddn::timed";

/// Opens a timed span until the end of the block; a kernel says how many multiply-adds it needs.
macro_rules! timed {
    ($name:literal) => {
        let _timed = tracing::trace_span!(target: $crate::phases::TIMED, $name).entered();
    };
    ($name:literal, $work:expr) => {
        let _timed =
            tracing::trace_span!(target: $crate::phases::TIMED, $name, work = $work as u64).entered();
    };
}
pub(crate) use timed;

/// Runs both, side by side unless spans are being timed, and gives both results.
///
/// Where one of them waits for a single thread, the other one keeps the rest busy.
pub(crate) fn both<A: Send, B: Send>(
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B + Send,
) -> (A, B) {
    if tracing::enabled!(target: TIMED, tracing::Level::TRACE) {
        (first(), second())
    } else {
        rayon::join(first, second)
    }
}

/// Wall time by span; spans of one name inside different ones are kept apart.
#[derive(Clone, Debug, Default)]
pub struct Phases(Arc<Mutex<Clock>>);

#[derive(Debug, Default)]
struct Clock {
    /// Parents come before their children.
    spans: Vec<Time>,
    /// Spans that are open, with their beginnings.
    open: Vec<(usize, Instant)>,
}

/// How long a span took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Time {
    /// Names from the outermost span to this one, with slashes between.
    pub path: String,
    /// How often it was entered.
    pub count: usize,
    /// In total, inner spans included.
    pub seconds: f64,
    /// Multiply-adds that cannot be done without, inner spans included.
    pub multiply_adds: f64,
}

impl Time {
    /// Its share of each of `times` runs.
    #[must_use]
    pub fn per(mut self, times: usize) -> Self {
        self.seconds /= times.max(1) as f64;
        self.multiply_adds /= times.max(1) as f64;
        self
    }
}

impl Phases {
    /// Times of all spans so far, each before those inside it.
    #[must_use]
    pub fn times(&self) -> Vec<Time> {
        let mut times = self.clock().spans.clone();
        // A slash sorts before letters, so that a span is followed by its children; first met, first shown.
        let order: Vec<String> = times.iter().map(|time| time.path.clone()).collect();
        let place = |path: &str| order.iter().position(|other| other == path);
        times.sort_by_cached_key(|time| {
            let ends = time.path.match_indices('/').map(|(end, _)| end).chain([time.path.len()]);
            ends.map(|end| place(&time.path[..end])).collect::<Vec<_>>()
        });
        times
    }

    fn clock(&self) -> std::sync::MutexGuard<'_, Clock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Phases {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TIMED
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut clock = self.clock();
        let name = span.metadata().name();
        let path = match clock.open.last() {
            Some(&(parent, _)) => format!("{}/{name}", clock.spans[parent].path),
            None => name.to_owned(),
        };
        let index = clock.spans.iter().position(|time| time.path == path).unwrap_or_else(|| {
            clock.spans.push(Time { path, count: 0, seconds: 0.0, multiply_adds: 0.0 });
            clock.spans.len() - 1
        });
        let mut work = Work(0);
        span.record(&mut work);
        let around: Vec<usize> = clock.open.iter().map(|&(index, _)| index).chain([index]).collect();
        around.into_iter().for_each(|index| clock.spans[index].multiply_adds += work.0 as f64);
        Id::from_u64(index as u64 + 1)
    }

    fn enter(&self, span: &Id) {
        let index = span.into_u64() as usize - 1;
        self.clock().open.push((index, Instant::now()));
    }

    fn exit(&self, _: &Id) {
        let mut clock = self.clock();
        if let Some((index, began)) = clock.open.pop() {
            clock.spans[index].count += 1;
            clock.spans[index].seconds += began.elapsed().as_secs_f64();
        }
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}
}

/// Reads the field `work` of a span.
struct Work(u64);

impl tracing::field::Visit for Work {
    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        if field.name() == "work" {
            self.0 = value;
        }
    }

    fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_kept_apart_by_what_they_are_in_and_listed_below_it() {
        let phases = Phases::default();
        tracing::subscriber::with_default(phases.clone(), || {
            for _ in 0..3 {
                {
                    timed!("forward");
                    timed!("product", 5_usize);
                }
                timed!("backward");
                timed!("product");
            }
            let _other = tracing::trace_span!("elsewhere").entered();
        });
        let times = phases.times();
        let seen: Vec<_> = times.iter().map(|time| (time.path.as_str(), time.count)).collect();
        assert_eq!(seen, [("forward", 3), ("forward/product", 3), ("backward", 3), ("backward/product", 3)]);
        assert!(times[0].seconds >= times[1].seconds);
        assert_eq!(times.iter().map(|time| time.multiply_adds).collect::<Vec<_>>(), [15.0, 15.0, 0.0, 0.0]);
    }
}
