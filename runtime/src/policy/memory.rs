//! What an agent remembers between steps.

use core::ops::{Deref, DerefMut};

/// An owned memory of `N` floats, for policies whose [`memory_len`](crate::Policy::memory_len) is at most `N`.
///
/// It is a slice in all but name; any `&mut [f32]` serves as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory<const N: usize>([f32; N]);

impl<const N: usize> Memory<N> {
    /// The memory at the first step of an episode.
    pub const fn new() -> Self {
        Self([0.0; N])
    }

    /// Forgets the episode.
    pub fn reset(&mut self) {
        self.0.fill(0.0);
    }
}

impl<const N: usize> Default for Memory<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Deref for Memory<N> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl<const N: usize> DerefMut for Memory<N> {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}
