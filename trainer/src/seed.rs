//! Named random streams, all derived from the one seed of a run.
//!
//! A stream is a function of `(seed, purpose)` alone, so a new consumer never shifts the draws of
//! another, and a stream that is asked for again starts again from its beginning.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// The stream for `purpose`, for example `init/ggn.fc1.weight` or `env/3/120`.
#[must_use]
pub fn stream(seed: u64, purpose: &str) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(purpose.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// A seed for something that wants a number rather than a stream: an environment's episode.
#[must_use]
pub fn number(seed: u64, purpose: &str) -> u64 {
    stream(seed, purpose).next_u64()
}

/// The few ways in which this project draws.
pub trait Draw: Rng {
    /// Uniform in `0..n`; 0 where `n` is 0.
    fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.next_u32()) * n as u64) >> 32) as usize
    }

    /// Uniform in `[0, 1)`, with 24 bits.
    fn unit(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 / 16_777_216.0
    }

    /// Fisher-Yates: every order equally likely.
    fn shuffle<T>(&mut self, items: &mut [T])
    where
        Self: Sized,
    {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

impl<R: Rng + ?Sized> Draw for R {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_purpose_and_repeat_by_name() {
        let draw = |seed, purpose| stream(seed, purpose).next_u64();
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
    }

    #[test]
    fn below_is_uniform() {
        let mut rng = stream(7, "test");
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[rng.below(6)] += 1;
        }
        assert!(counts.iter().all(|&n| (9_600..10_400).contains(&n)), "{counts:?}");
    }
}
