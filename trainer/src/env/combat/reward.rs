//! What a step was worth, and whether it was the last. SMAC's `reward_battle` and `step`.

use super::{Combat, Phase};
use crate::env::{End, Step};

impl Combat {
    /// Remembers hp and shields of all units, for the reward of the step that begins.
    pub(super) fn note_strength(&mut self) {
        for (before, unit) in self.before.iter_mut().zip(&self.world.units) {
            *before = if unit.in_play { unit.hp + unit.shield } else { 0.0 };
        }
        self.world.harvest = Default::default();
    }

    /// Reward and end of the step that has been played; the reward also before it is rounded.
    pub(super) fn conclude(&mut self) -> (f64, Step) {
        self.t += 1;
        let (win, defeat) = self.outcome();
        let at_limit = self.t >= self.spec.episode_limit;
        let end = match win || defeat {
            true => Some(End::Terminated),
            false if at_limit && self.config.limit_is_end => Some(End::Terminated),
            false => at_limit.then_some(End::Truncated),
        };
        // Both sides gone at once is nobody's win.
        self.won = win && !defeat;
        if end.is_some() {
            self.phase = Phase::Over;
        }
        let mut reward = if self.config.reward_sparse { 0.0 } else { self.spoils() };
        match (self.won, defeat && !win) {
            (true, _) => {
                reward = if self.config.reward_sparse { 1.0 } else { reward + self.config.reward_win }
            }
            (_, true) => {
                reward = if self.config.reward_sparse { -1.0 } else { reward + self.config.reward_defeat }
            }
            _ => {}
        }
        if self.config.reward_scale {
            reward *= self.config.reward_scale_rate / self.max_reward;
        }
        (reward, Step { reward: reward as f32, end, won: end.map(|_| self.won) })
    }

    /// Whether the enemies are beaten, and whether the agents are.
    fn outcome(&self) -> (bool, bool) {
        let counts = |is_enemy: bool| {
            let units = self.world.units.iter().zip(&self.world.kinds);
            units.filter(move |(unit, kind)| {
                let idle = self.medivac_alone_loses && kind.unit.heals;
                kind.is_enemy == is_enemy && unit.in_play && !idle
            })
        };
        (counts(true).next().is_none(), counts(false).next().is_none())
    }

    /// For what enemies lost, and unless only that counts, what agents lost.
    fn spoils(&self) -> f64 {
        let death = self.config.reward_death_value;
        if !self.world.rules.reward_from_change {
            let harvest = self.world.harvest;
            let gain = harvest.damage + death * harvest.kills as f64;
            return if self.config.reward_only_positive { gain } else { gain - self.losses(false) };
        }
        let gain = self.losses(true);
        if self.config.reward_only_positive { gain.abs() } else { gain - self.losses(false) }
    }

    /// hp and shields that a side lost in this step, regeneration taken off, and its deaths.
    fn losses(&self, of_enemies: bool) -> f64 {
        let mut sum = 0.0;
        for ((unit, kind), before) in self.world.units.iter().zip(&self.world.kinds).zip(&self.before) {
            if kind.is_enemy != of_enemies || *before <= 0.0 {
                continue;
            }
            sum += if unit.in_play {
                before - (unit.hp + unit.shield)
            } else {
                before + self.config.reward_death_value
            };
        }
        if of_enemies { sum } else { sum * self.config.reward_negative_scale }
    }
}
