//! What each predator sees, what a teacher of it may see, and the global state.
//!
//! ```text
//! obs      [2r+1, 2r+1, 3]            window centred on the predator, r = sight
//! teacher  [2·rows-1, 2·cols-1, 3]    the same window, wide enough to hold the whole grid
//!       or [rows, cols, 3], [rows, cols]   the state, then the predator's own cell
//! state    [rows, cols, 3]            the grid as it lies
//! ```
//!
//! Channels are predator, prey, none; the third is always 0 and keeps the layout of the game that
//! this one follows. Only bodies on the grid are drawn: a frozen predator is invisible, and sees
//! nothing itself. A cell outside the grid looks like an empty one.

use super::{Action, Body, PredatorPrey, TeacherView};
use crate::env::Frame;

/// Floats per cell.
pub(super) const CHANNELS: usize = 3;
const PREDATOR_CHANNEL: usize = 0;
const PREY_CHANNEL: usize = 1;

impl PredatorPrey {
    /// Writes every buffer of `frame`, whatever it held.
    pub(super) fn observe(&self, frame: &mut Frame) {
        let spec = &self.spec;
        let (n_agents, n_actions) = (spec.n_agents, spec.n_actions());
        zero(&mut frame.obs, n_agents * spec.obs_dim);
        zero(&mut frame.state, spec.state_dim);
        zero(&mut frame.teacher, n_agents * spec.teacher_dim);
        frame.available.clear();
        frame.available.resize(n_agents * n_actions, false);
        frame.alive.clear();
        frame.alive.extend(self.predators.iter().map(|body| body.on_grid));

        for (body, channel) in self.bodies() {
            let cell = body.row * self.config.cols + body.col;
            frame.state[cell * CHANNELS + channel] = 1.0;
        }
        let windows = frame.obs.chunks_exact_mut(spec.obs_dim);
        let views = frame.teacher.chunks_exact_mut(spec.teacher_dim);
        for ((me, obs), teacher) in self.predators.iter().zip(windows).zip(views) {
            if me.on_grid {
                self.look_around(*me, obs, teacher);
            }
        }
        let masks = frame.available.chunks_exact_mut(n_actions);
        for (agent, available) in masks.enumerate() {
            for (action, available) in available.iter_mut().enumerate() {
                *available = self.may(agent, action);
            }
        }
    }

    fn look_around(&self, me: Body, obs: &mut [f32], teacher: &mut [f32]) {
        let (rows, cols) = (self.config.rows, self.config.cols);
        if self.config.teacher_view == TeacherView::StateAndPosition {
            teacher[rows * cols * CHANNELS + me.row * cols + me.col] = 1.0;
        }
        let sight = self.config.sight;
        let window = 2 * sight + 1;
        let (top, left) = (rows - 1, cols - 1);
        let wide = 2 * left + 1;
        for (body, channel) in self.bodies() {
            let cell = match self.config.teacher_view {
                TeacherView::UnlimitedSight => (body.row + top - me.row) * wide + body.col + left - me.col,
                TeacherView::StateAndPosition => body.row * cols + body.col,
            };
            teacher[cell * CHANNELS + channel] = 1.0;
            // A body above or left of the window wraps around to a huge number: outside as well.
            let row = (body.row + sight).wrapping_sub(me.row);
            let col = (body.col + sight).wrapping_sub(me.col);
            if row < window && col < window {
                obs[(row * window + col) * CHANNELS + channel] = 1.0;
            }
        }
    }

    fn bodies(&self) -> impl Iterator<Item = (Body, usize)> {
        let predators = self.predators.iter().map(|body| (*body, PREDATOR_CHANNEL));
        let prey = self.prey.iter().map(|body| (*body, PREY_CHANNEL));
        predators.chain(prey).filter(|(body, _)| body.on_grid)
    }

    /// Whether `agent` may choose `action` now. A move into an occupied cell is allowed (it fails);
    /// a move off the grid is not; catching wants a prey in one of the four cells around.
    pub(super) fn may(&self, agent: usize, action: usize) -> bool {
        let body = self.predators[agent];
        if !body.on_grid {
            return action == Action::STAY;
        }
        match action {
            Action::STAY => true,
            Action::CATCH => self.around(body).contains(&super::PREY),
            direction if direction < Action::STAY => self.around(body)[direction] != super::OUTSIDE,
            _ => false,
        }
    }
}

fn zero(buffer: &mut Vec<f32>, len: usize) {
    buffer.clear();
    buffer.resize(len, 0.0);
}
