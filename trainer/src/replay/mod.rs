//! Replay: a ring of whole episodes, sampled uniformly.

mod batch;
mod episode;
mod packed;
mod rows;

use std::collections::VecDeque;
use std::sync::Arc;

pub use batch::{Batch, input_dim, push_input};
pub use episode::Episode;
pub use packed::PackedRows;
pub use rows::Rows;

use crate::learner::slow::Kept;
use crate::seed::Draw;

/// The newest episodes, first in first out.
#[derive(Clone, Debug, Default)]
pub struct ReplayBuffer {
    capacity: usize,
    episodes: VecDeque<Stored>,
}

/// An episode, and what slow networks made of it: it goes when the episode does, and is in no checkpoint.
#[derive(Clone, Debug)]
struct Stored {
    episode: Arc<Episode>,
    kept: Arc<Kept>,
}

/// An episode that was drawn.
#[derive(Clone, Copy, Debug)]
pub struct Sampled<'a> {
    /// What happened.
    pub episode: &'a Episode,
    /// What slow networks made of it.
    pub kept: &'a Arc<Kept>,
}

impl ReplayBuffer {
    /// Room for `capacity` episodes.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, episodes: VecDeque::new() }
    }

    /// Adds one, dropping the oldest when full.
    pub fn push(&mut self, episode: impl Into<Arc<Episode>>) {
        if self.episodes.len() == self.capacity {
            self.episodes.pop_front();
        }
        self.episodes.push_back(Stored { episode: episode.into(), kept: Arc::default() });
    }

    /// Episodes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.episodes.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.episodes.is_empty()
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Episode> {
        self.shared().map(|episode| &**episode)
    }

    /// Oldest first, to be kept by others as well.
    pub fn shared(&self) -> impl Iterator<Item = &Arc<Episode>> {
        self.episodes.iter().map(|stored| &stored.episode)
    }

    /// Bytes of the episodes in memory, without what slow networks made of them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.iter().map(Episode::bytes).sum()
    }

    /// Drops what slow networks made of the episodes.
    pub fn forget(&self) {
        self.episodes.iter().for_each(|stored| stored.kept.forget());
    }

    /// `count` different episodes, each set equally likely; `None` while fewer are held.
    pub fn sample(&self, count: usize, rng: &mut impl Draw) -> Option<Vec<Sampled<'_>>> {
        self.sample_of((0, 1), count, rng)
    }

    /// The same, of every `stride`-th episode, from the `first` oldest on.
    pub fn sample_of(
        &self,
        (first, stride): (usize, usize),
        count: usize,
        rng: &mut impl Draw,
    ) -> Option<Vec<Sampled<'_>>> {
        let held = self.len().saturating_sub(first).div_ceil(stride);
        if held < count {
            return None;
        }
        // Floyd's method: `count` draws whatever the size of the buffer.
        let mut chosen: Vec<usize> = Vec::with_capacity(count);
        for last in held - count..held {
            let index = rng.below(last + 1);
            chosen.push(if chosen.contains(&index) { last } else { index });
        }
        let stored = chosen.into_iter().map(|index| &self.episodes[first + index * stride]);
        Some(stored.map(|Stored { episode, kept }| Sampled { episode, kept }).collect())
    }
}
