//! What each agent sees, what a teacher of it may see, the global state, and which actions there are.
//!
//! ```text
//! obs      moves N,S,E,W (4) │ each enemy: may attack, distance, x, y, hp, [shield], type bits
//!          │ each team mate: seen, distance, x, y, hp, [shield], type bits │ own hp, [shield], type bits
//! teacher  the same without a limit of sight
//! state    each ally: hp, cooldown or energy, x, y, [shield], type bits
//!          │ each enemy: hp, x, y, [shield], type bits │ last joint action, one-hot
//! ```
//!
//! Layout and scaling are SMAC's (`starcraft2.py`): distances over the sight, places from the middle of
//! the map over its size, hp and shields over their most. A row of what is dead, or out of sight, is 0,
//! and so is all that a dead agent sees. Shields are there for a side that has any.

use super::unit::MOST_ENERGY;
use super::world::TICK;
use super::{ATTACK, Combat, MOVES, NO_OP, STOP};
use crate::env::Frame;
use crate::env::matrix_game::fill;

/// How far every unit sees, cells between centres. SMAC.
pub(super) const SIGHT: f64 = 9.0;
/// How far attacks may be chosen, cells between centres, whatever the weapon. SMAC.
pub(super) const SHOOTING_RANGE: f64 = 6.0;
/// How far ahead a move must be free, cells: half of what it orders. SMAC.
const LOOK_AHEAD: f64 = 1.0;

impl Combat {
    /// Floats that describe an enemy in an observation, a team mate, and the agent itself.
    pub(super) fn obs_widths(&self) -> [usize; 3] {
        let (ally, enemy) = (usize::from(self.ally_shields), usize::from(self.enemy_shields));
        let last = if self.config.obs_last_action { self.n_actions } else { 0 };
        [5 + enemy + self.type_bits, 5 + ally + self.type_bits + last, 1 + ally + self.type_bits]
    }

    /// Floats that describe an ally in the state, and an enemy.
    pub(super) fn state_widths(&self) -> [usize; 2] {
        let (ally, enemy) = (usize::from(self.ally_shields), usize::from(self.enemy_shields));
        [4 + ally + self.type_bits, 3 + enemy + self.type_bits]
    }

    /// Writes every buffer of `frame`, whatever it held.
    pub fn observe(&self, frame: &mut Frame) {
        fill(&mut frame.obs, self.n_agents * self.spec.obs_dim, 0.0);
        fill(&mut frame.teacher, self.n_agents * self.spec.teacher_dim, 0.0);
        fill(&mut frame.state, self.spec.state_dim, 0.0);
        fill(&mut frame.available, self.n_agents * self.n_actions, false);
        fill(&mut frame.alive, self.n_agents, false);
        for agent in 0..self.n_agents {
            let available = &mut frame.available[agent * self.n_actions..][..self.n_actions];
            self.mask(agent, available);
            frame.alive[agent] = self.alive(agent);
            if frame.alive[agent] {
                let dim = self.spec.obs_dim;
                self.look(agent, available, SIGHT, &mut frame.obs[agent * dim..][..dim]);
                self.look(agent, available, f64::INFINITY, &mut frame.teacher[agent * dim..][..dim]);
            }
            if self.config.obs_timestep_number {
                // The clock goes on for the dead as well.
                let last = (agent + 1) * self.spec.obs_dim - 1;
                let over = self.t as f32 / self.spec.episode_limit as f32;
                (frame.obs[last], frame.teacher[last]) = (over, over);
            }
        }
        self.survey(&mut frame.state);
    }

    /// Which actions `agent` may choose now.
    pub(super) fn mask(&self, agent: usize, available: &mut [bool]) {
        if !self.alive(agent) {
            available[NO_OP] = true;
            return;
        }
        available[STOP] = true;
        let me = self.agent(agent);
        let unit = &self.world.units[me];
        for (open, (_, x, y)) in available[STOP + 1..ATTACK].iter_mut().zip(MOVES) {
            let (x, y) = (unit.place.x + x * LOOK_AHEAD, unit.place.y + y * LOOK_AHEAD);
            let (x, y) = if self.world.rules.cells_round_down { (x.floor(), y.floor()) } else { (x, y) };
            *open = self.world.terrain.is_open(x as i64, y as i64);
        }
        for (k, open) in available[ATTACK..].iter_mut().enumerate() {
            *open = self
                .attackable(me, k)
                .is_some_and(|other| other != me && self.world.distance(me, other) <= SHOOTING_RANGE);
        }
    }

    /// The unit that attack action `k` of `me` means, if it is alive: an enemy, or for a healer a team
    /// mate on the ground.
    pub(super) fn attackable(&self, me: usize, k: usize) -> Option<usize> {
        let heals = self.world.kinds[me].unit.heals;
        let (count, other) =
            if heals { (self.n_agents, self.agent(k)) } else { (self.n_enemies, self.enemy(k)) };
        let fits = k < count && self.world.units[other].in_play;
        (fits && !(heals && self.world.kinds[other].unit.heals)).then_some(other)
    }

    fn look(&self, agent: usize, available: &[bool], sight: f64, out: &mut [f32]) {
        let mut out = Cursor { out, at: 0 };
        let me = self.agent(agent);
        for open in &available[STOP + 1..ATTACK] {
            out.push(f32::from(u8::from(*open)));
        }
        let [enemy_width, ally_width, _] = self.obs_widths();
        for k in 0..self.n_enemies {
            let first = f32::from(u8::from(available[ATTACK + k]));
            self.look_at(me, self.enemy(k), first, sight, self.enemy_shields, &mut out.part(enemy_width));
        }
        for k in (0..self.n_agents).filter(|&k| k != agent) {
            let mut part = out.part(ally_width);
            let seen = self.look_at(me, self.agent(k), 1.0, sight, self.ally_shields, &mut part);
            if seen && self.config.obs_last_action {
                part.one_hot(self.last_action(k), self.n_actions);
            }
        }
        self.condition(me, self.ally_shields, &mut out);
    }

    /// Writes nothing, and says so, where `other` is dead or out of sight.
    fn look_at(
        &self,
        me: usize,
        other: usize,
        first: f32,
        sight: f64,
        shields: bool,
        out: &mut Cursor<'_>,
    ) -> bool {
        let (here, there) = (&self.world.units[me], &self.world.units[other]);
        let way = there.place - here.place;
        let distance = way.length();
        let seen = there.in_play && distance < sight;
        if seen {
            out.push(first);
            out.push((distance / SIGHT) as f32);
            out.push((way.x / SIGHT) as f32);
            out.push((way.y / SIGHT) as f32);
            self.condition(other, shields, out);
        }
        seen
    }

    /// hp, shield where the side has any, type.
    fn condition(&self, unit: usize, shields: bool, out: &mut Cursor<'_>) {
        self.hp(unit, out);
        self.shield_and_type(unit, shields, out);
    }

    fn hp(&self, unit: usize, out: &mut Cursor<'_>) {
        out.push((self.world.units[unit].hp / self.world.kinds[unit].unit.hp) as f32);
    }

    fn shield_and_type(&self, unit: usize, shields: bool, out: &mut Cursor<'_>) {
        if shields {
            let most = self.world.kinds[unit].unit.shield;
            out.push(if most > 0.0 { (self.world.units[unit].shield / most) as f32 } else { 0.0 });
        }
        out.one_hot(self.bits[unit], self.type_bits);
    }

    fn survey(&self, state: &mut [f32]) {
        let mut out = Cursor { out: state, at: 0 };
        let [ally_width, enemy_width] = self.state_widths();
        for k in 0..self.n_agents {
            let (unit, mut part) = (self.agent(k), out.part(ally_width));
            if self.world.units[unit].in_play {
                self.hp(unit, &mut part);
                part.push(self.readiness(unit));
                self.place(unit, &mut part);
                self.shield_and_type(unit, self.ally_shields, &mut part);
            }
        }
        for k in 0..self.n_enemies {
            let (unit, mut part) = (self.enemy(k), out.part(enemy_width));
            if self.world.units[unit].in_play {
                self.hp(unit, &mut part);
                self.place(unit, &mut part);
                self.shield_and_type(unit, self.enemy_shields, &mut part);
            }
        }
        if self.config.state_last_action {
            for k in 0..self.n_agents {
                out.one_hot(self.last_action(k), self.n_actions);
            }
        }
        if self.config.state_timestep_number {
            out.push(self.t as f32 / self.spec.episode_limit as f32);
        }
    }

    /// A healer's energy, another's cooldown, as the rules scale it.
    fn readiness(&self, unit: usize) -> f32 {
        let (kind, unit) = (&self.world.kinds[unit].unit, &self.world.units[unit]);
        let share = if kind.heals {
            unit.energy / MOST_ENERGY
        } else if self.world.rules.loops_in_state && kind.max_cooldown > 0.0 {
            unit.cooldown / TICK / kind.max_cooldown
        } else if kind.cooldown > 0.0 {
            unit.cooldown / kind.cooldown
        } else {
            0.0
        };
        share as f32
    }

    /// From the middle of the map, over its size.
    fn place(&self, unit: usize, out: &mut Cursor<'_>) {
        let place = self.world.units[unit].place;
        let (width, height) = (self.world.terrain.width as f64, self.world.terrain.height as f64);
        out.push(((place.x - width / 2.0) / width) as f32);
        out.push(((place.y - height / 2.0) / height) as f32);
    }
}

/// Writes one value after the other; what is not written stays 0.
struct Cursor<'a> {
    out: &'a mut [f32],
    at: usize,
}

impl Cursor<'_> {
    fn push(&mut self, value: f32) {
        self.out[self.at] = value;
        self.at += 1;
    }

    /// Room of `width` values of its own.
    fn part(&mut self, width: usize) -> Cursor<'_> {
        let start = self.at;
        self.at += width;
        Cursor { out: &mut self.out[start..self.at], at: 0 }
    }

    fn one_hot(&mut self, hot: Option<usize>, width: usize) {
        if let Some(hot) = hot {
            self.out[self.at + hot] = 1.0;
        }
        self.at += width;
    }
}
