//! One stored episode, packed.

use serde::{Deserialize, Serialize};

use super::PackedRows;
use crate::env::{EnvSpec, Frame};

/// An episode of T steps and T + 1 frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// `[T + 1, N·O]`
    pub obs: PackedRows,
    /// `[T + 1, S]`
    pub state: PackedRows,
    /// `[T + 1, N·A]`
    pub available: PackedRows,
    /// `[T + 1, N·V]`, where the scheme has a teacher that looks at it. Stored apart from the rest.
    #[serde(skip)]
    pub teacher: Option<PackedRows>,
    /// `[T, N]`
    pub actions: Vec<u16>,
    /// `[T]`
    pub rewards: Vec<f32>,
    /// Whether the last step cut the bootstrap: the task was over, not the clock.
    pub terminated: bool,
}

impl Episode {
    /// Before the first frame.
    #[must_use]
    pub fn new(spec: &EnvSpec) -> Self {
        Self {
            obs: PackedRows::new(spec.n_agents * spec.obs_dim),
            state: PackedRows::new(spec.state_dim),
            available: PackedRows::new(spec.n_agents * spec.n_actions()),
            teacher: None,
            actions: Vec::new(),
            rewards: Vec::new(),
            terminated: false,
        }
    }

    /// Keeps the teacher views of the frames that are added from now on.
    #[must_use]
    pub fn with_teacher(self, spec: &EnvSpec) -> Self {
        Self { teacher: Some(PackedRows::rare(spec.n_agents * spec.teacher_dim)), ..self }
    }

    /// Adds a frame; one more of them than steps.
    pub fn push_frame(&mut self, frame: &Frame) {
        self.obs.push(&frame.obs);
        self.state.push(&frame.state);
        let available: Vec<f32> = frame.available.iter().map(|&yes| f32::from(u8::from(yes))).collect();
        self.available.push(&available);
        if let Some(teacher) = &mut self.teacher {
            teacher.push(&frame.teacher);
        }
    }

    /// Adds what was done and what it earned.
    pub fn push_step(&mut self, actions: &[usize], reward: f32) {
        self.actions.extend(actions.iter().map(|&action| action as u16));
        self.rewards.push(reward);
    }

    /// T, the number of steps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rewards.len()
    }

    /// Whether nothing was done yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rewards.is_empty()
    }

    /// The undiscounted sum of the environment's rewards.
    #[must_use]
    pub fn total(&self) -> f32 {
        self.rewards.iter().sum()
    }

    /// Bytes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.obs.bytes()
            + self.state.bytes()
            + self.available.bytes()
            + self.teacher.as_ref().map_or(0, PackedRows::bytes)
            + 2 * self.actions.len()
            + 4 * self.rewards.len()
    }
}
