//! The greedy choice. Trainer, exporter and runtime follow the same tie rule.

use super::input::Mask;

/// The available action of the largest Q-value: the lowest index among equals, never one that is not a number.
///
/// `None` if no available value is a number.
pub(super) fn greedy(q: &[f32], available: Mask<'_>) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (index, &q) in q.iter().enumerate() {
        if available.allows(index) && !q.is_nan() && best.is_none_or(|(_, best)| q > best) {
            best = Some((index, q));
        }
    }
    best.map(|(index, _)| index)
}
