//! What a scripted policy looks at for one agent, and what it can do.

use super::super::observe::SHOOTING_RANGE;
use super::super::{ATTACK, Combat, STOP};

/// Cooldown above which a unit that kites walks instead of waiting, seconds.
const WAIT: f64 = 0.25;
/// How near it lets an enemy come, cells.
const TOO_NEAR: f64 = 4.0;
/// A weapon that reaches further than this is not one for melee, cells.
const MELEE: f64 = 1.0;

// The moves, counted from the first.
const NORTH: usize = 0;
const SOUTH: usize = 1;
const EAST: usize = 2;
const WEST: usize = 3;

/// A number that can be compared: no distance or strength is NaN.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Real(pub(super) f64);

impl Eq for Real {}

impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Real {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// One agent that is alive, and what it looks at.
pub(super) struct Soldier<'a> {
    game: &'a Combat,
    agent: usize,
    me: usize,
}

impl<'a> Soldier<'a> {
    pub(super) fn new(game: &'a Combat, agent: usize) -> Self {
        Self { game, agent, me: game.agent(agent) }
    }

    pub(super) fn heals(&self) -> bool {
        self.game.world.kinds[self.me].unit.heals
    }

    pub(super) fn distance(&self, unit: usize) -> f64 {
        self.game.world.distance(self.me, unit)
    }

    /// hp and shield.
    pub(super) fn strength(&self, unit: usize) -> f64 {
        let unit = &self.game.world.units[unit];
        unit.hp + unit.shield
    }

    /// The share of its hp that a hurt unit has.
    pub(super) fn hurt_share(&self, unit: usize) -> Option<Real> {
        let share = self.game.world.units[unit].hp / self.game.world.kinds[unit].unit.hp;
        (share < 1.0).then_some(Real(share))
    }

    fn can_hit(&self, unit: usize) -> bool {
        self.game.world.pair(self.me, unit).can_hit
    }

    /// Whether its weapon reaches `unit`, and it may be told to use it.
    fn in_reach(&self, unit: usize) -> bool {
        self.can_hit(unit) && self.may_be_ordered_at(unit) && self.game.world.reaches(self.me, unit)
    }

    /// Whether it is near enough to be the target of an action.
    fn may_be_ordered_at(&self, unit: usize) -> bool {
        self.distance(unit) <= SHOOTING_RANGE
    }

    /// Whether it leaves its post for `unit`: one that shoots does not, and a weapon for melee has to be
    /// carried to its target.
    pub(super) fn is_drawn_by(&self, unit: usize) -> bool {
        self.in_reach(unit) || (self.can_hit(unit) && !self.shoots())
    }

    fn shoots(&self) -> bool {
        !self.heals() && self.game.world.kinds[self.me].unit.range > MELEE
    }

    /// How many fighters of the team reach `unit` with their weapons.
    pub(super) fn team_in_reach(&self, unit: usize) -> usize {
        let team = (0..self.game.n_agents).filter(|&k| self.game.alive(k));
        team.filter(|&k| Soldier::new(self.game, k).in_reach(unit)).count()
    }

    /// The action on the unit with the least key, of those that may be chosen and have one.
    pub(super) fn best<K: Ord>(&self, key: impl Fn(usize) -> Option<K>) -> Option<usize> {
        let choices = (0..self.game.n_actions - ATTACK).filter_map(|k| {
            let unit = self.game.attackable(self.me, k)?;
            let near = unit != self.me && self.may_be_ordered_at(unit);
            Some((key(unit).filter(|_| near)?, k))
        });
        choices.min().map(|(_, k)| ATTACK + k)
    }

    /// Of a healer: the team mate in range with the least share of hp.
    pub(super) fn heal(&self) -> Option<usize> {
        if self.heals() { self.best(|unit| self.hurt_share(unit)) } else { None }
    }

    /// Of a fighter: the enemy in range that its weapon can hit with the least `key`.
    pub(super) fn shoot(&self, key: impl Fn(usize) -> f64) -> Option<usize> {
        if self.heals() { None } else { self.best(|unit| self.can_hit(unit).then(|| Real(key(unit)))) }
    }

    pub(super) fn focus(&self) -> usize {
        let shot = || self.shoot(|unit| self.strength(unit));
        self.heal().or_else(shot).unwrap_or_else(|| self.approach())
    }

    /// The nearest enemy; for a healer the nearest team mate that is none.
    fn nearest(&self) -> Option<usize> {
        let game = self.game;
        let (count, unit): (usize, &dyn Fn(usize) -> usize) = if self.heals() {
            (game.n_agents, &|k| game.agent(k))
        } else {
            (game.n_enemies, &|k| game.enemy(k))
        };
        let units = (0..count).map(unit).filter(|&unit| {
            game.world.units[unit].in_play && !(self.heals() && game.world.kinds[unit].unit.heals)
        });
        units.min_by_key(|&unit| Real(self.distance(unit)))
    }

    pub(super) fn approach(&self) -> usize {
        let Some(unit) = self.nearest() else { return STOP };
        let [first, second] = self.axes(unit);
        [first, second].into_iter().find(|&walk| self.may_walk(walk)).map_or(STOP, |walk| STOP + 1 + walk)
    }

    /// Away from an enemy that is too near, while there is time.
    pub(super) fn step_back(&self) -> Option<usize> {
        let game = self.game;
        if !self.shoots() || game.world.units[self.me].cooldown <= WAIT {
            return None;
        }
        let enemy = self.nearest().filter(|&enemy| self.distance(enemy) < TOO_NEAR)?;
        let [first, second] = self.axes(enemy);
        let ways = [opposite(first), opposite(second), second];
        ways.into_iter().find(|&walk| self.may_walk(walk)).map(|walk| STOP + 1 + walk)
    }

    /// The moves towards `unit`, along the axis of the larger difference first.
    fn axes(&self, unit: usize) -> [usize; 2] {
        let way = self.game.world.units[unit].place - self.game.world.units[self.me].place;
        let along_x = if way.x > 0.0 { EAST } else { WEST };
        let along_y = if way.y > 0.0 { NORTH } else { SOUTH };
        if way.x.abs() >= way.y.abs() { [along_x, along_y] } else { [along_y, along_x] }
    }

    fn may_walk(&self, walk: usize) -> bool {
        self.game.may(self.agent, STOP + 1 + walk)
    }
}

fn opposite(walk: usize) -> usize {
    walk ^ 1
}
