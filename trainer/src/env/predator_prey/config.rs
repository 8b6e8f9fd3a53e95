//! The keys of a `predator-prey` table.

use serde::{Deserialize, Serialize};

use super::observe::CHANNELS;
use crate::env::registry::bad;
use crate::error::EnvError;

/// Longest side of the grid; more is surely a slip, and a frame grows with the square of it.
const LONGEST_SIDE: usize = 64;

/// Sizes and rewards of the game. The defaults are the setting of the paper's experiments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PredatorPreyConfig {
    /// Rows of the grid.
    pub rows: usize,
    /// Columns of the grid.
    pub cols: usize,
    /// Agents.
    pub predators: usize,
    /// Animals to catch.
    pub prey: usize,
    /// How far a predator sees, cells in each direction: 2 is a 5x5 window.
    pub sight: usize,
    /// Added to the team's reward for each prey that is caught.
    pub capture_reward: f64,
    /// Added to the team's reward for each prey that exactly one predator tries to catch: a
    /// penalty is negative.
    pub miscapture_reward: f64,
    /// Probability that a prey rests instead of moving.
    pub prey_rest: f64,
    /// Steps after which an episode is cut.
    pub episode_limit: usize,
    /// What a teacher of a predator may see.
    pub teacher_view: TeacherView,
}

/// What a privileged teacher of one predator may see; a frozen one sees nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TeacherView {
    /// The predator's own window, wide enough to hold the whole grid: the meaning of a feature is
    /// that of the observation. 19x19x3 on the paper's grid.
    #[default]
    UnlimitedSight,
    /// The state, then a plane in which the predator's own cell is 1: 10x10x4 on the paper's grid.
    StateAndPosition,
}

impl Default for PredatorPreyConfig {
    fn default() -> Self {
        Self {
            rows: 10,
            cols: 10,
            predators: 8,
            prey: 8,
            sight: 2,
            capture_reward: 10.0,
            miscapture_reward: -2.0,
            prey_rest: 0.0,
            episode_limit: 200,
            teacher_view: TeacherView::default(),
        }
    }
}

impl PredatorPreyConfig {
    /// What no game can be played with.
    pub(super) fn check(&self) -> Result<(), EnvError> {
        for (key, side) in [("rows", self.rows), ("cols", self.cols)] {
            if !(1..=LONGEST_SIDE).contains(&side) {
                return Err(bad(key, format!("is {side}; give 1 to {LONGEST_SIDE}")));
            }
        }
        for (key, count) in [("predators", self.predators), ("prey", self.prey)] {
            if count == 0 {
                return Err(bad(key, "is 0; give at least 1"));
            }
        }
        let cells = self.rows * self.cols;
        let bodies = self.predators.saturating_add(self.prey);
        if bodies > cells {
            let (rows, cols) = (self.rows, self.cols);
            let reason = format!(
                "a grid of {rows}x{cols} has {cells} cells, {} predators and {} prey need {bodies}; \
                 enlarge rows or cols, or place fewer",
                self.predators, self.prey
            );
            return Err(bad("rows", reason));
        }
        if !(1..LONGEST_SIDE).contains(&self.sight) {
            let most = LONGEST_SIDE - 1;
            let reason = format!(
                "is {}; give 1 to {most}, where 2 is a 5x5 window (0 would hide every neighbour)",
                self.sight
            );
            return Err(bad("sight", reason));
        }
        if !(self.capture_reward.is_finite() && self.capture_reward > 0.0) {
            let reason = format!("is {}; give a positive number", self.capture_reward);
            return Err(bad("capture_reward", reason));
        }
        if !(self.miscapture_reward.is_finite() && self.miscapture_reward <= 0.0) {
            let reason = format!(
                "is {}; it is added to the reward, so a penalty of 2 is written -2",
                self.miscapture_reward
            );
            return Err(bad("miscapture_reward", reason));
        }
        if !(0.0..=1.0).contains(&self.prey_rest) {
            let reason = format!("is {}; a probability lies in 0 to 1", self.prey_rest);
            return Err(bad("prey_rest", reason));
        }
        if !(1..=1_000_000).contains(&self.episode_limit) {
            let reason = format!("is {}; give 1 to 1000000 steps", self.episode_limit);
            return Err(bad("episode_limit", reason));
        }
        Ok(())
    }

    /// Floats of a teacher's view.
    pub(super) fn teacher_dim(&self) -> usize {
        match self.teacher_view {
            TeacherView::UnlimitedSight => (2 * self.rows - 1) * (2 * self.cols - 1) * CHANNELS,
            TeacherView::StateAndPosition => self.rows * self.cols * (CHANNELS + 1),
        }
    }

    /// The highest return: a capture spends two predators.
    pub(super) fn best_return(&self) -> f32 {
        (self.predators / 2).min(self.prey) as f32 * self.capture_reward as f32
    }
}
