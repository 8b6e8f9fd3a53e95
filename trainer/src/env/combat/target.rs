//! Whom each unit shoots at, or heals.

use super::world::{Kind, Order, World};

impl World {
    /// Forgets targets that are no longer to be kept. Later units see what earlier ones dropped.
    pub(super) fn clean_targets(&mut self) {
        for me in 0..self.units.len() {
            if !self.units[me].in_play {
                continue;
            }
            let before = self.units[me].target;
            let target = match self.units[me].order {
                Order::Attack(other) => Some(other).filter(|&other| self.lives(other)),
                Order::Stop | Order::Walk(_) => None,
                Order::March => before.filter(|&other| {
                    let fights_me = self.units[other].target == Some(me);
                    self.lives(other) && (fights_me || self.reaches(me, other))
                }),
            };
            let unit = &mut self.units[me];
            unit.last_target = before;
            unit.target = target;
        }
    }

    /// Whether it can be a target. Where the dead can be healed, hp decide alone.
    fn lives(&self, unit: usize) -> bool {
        self.units[unit].hp > 0.0 && (self.units[unit].in_play || self.rules.revival)
    }

    /// The target of an attacker on its own, found where it has none, or reconsidered.
    pub(super) fn find_target(&mut self, me: usize) {
        if self.units[me].target.is_none() {
            let found = if self.kinds[me].unit.heals { self.patient(me) } else { self.victim(me, false) };
            self.units[me].target = found;
        }
        let Some(target) = self.units[me].target else { return };
        if self.rules.healers_first && !self.kinds[me].unit.heals && self.foe_has_healer(me) {
            // All but those that stay on a healer look again.
            let stays = self.units[me].last_target == Some(target) && self.kinds[target].unit.heals;
            if !stays {
                self.units[me].target = self.victim(me, true).or(Some(target));
            }
        }
    }

    fn foe_has_healer(&self, me: usize) -> bool {
        let side = self.kinds[me].is_enemy;
        let healer = |(other, kind): (usize, &Kind)| {
            kind.is_enemy != side && kind.unit.heals && self.units[other].in_play
        };
        self.kinds.iter().enumerate().any(healer)
    }

    /// The nearest foe within notice, or of those that fight `me` from afar the first. Where the rules
    /// say so, healers go before. With `near`, those from afar only as far as others are looked at.
    fn victim(&self, me: usize, near: bool) -> Option<usize> {
        let side = self.kinds[me].is_enemy;
        let mut best = None;
        for other in 0..self.units.len() {
            let pair = self.pair(me, other);
            if self.kinds[other].is_enemy == side || !self.units[other].in_play || !pair.can_hit {
                continue;
            }
            let distance = self.distance(me, other);
            let fights_me = self.units[other].target == Some(me);
            let looked_at = distance <= self.kinds[me].unit.scan + self.largest;
            if !(distance < pair.notice || fights_me && (looked_at || !near)) {
                continue;
            }
            let far = !looked_at && distance >= pair.notice;
            let rank = self.rules.healers_first && !self.kinds[other].unit.heals;
            let key = (rank, if far { f64::MAX } else { distance });
            if best.is_none_or(|(_, least)| key < least) {
                best = Some((other, key));
            }
        }
        best.map(|(other, _)| other)
    }

    /// Of the team mates on the ground within notice that are hurt, or fight, the one with least hp.
    fn patient(&self, me: usize) -> Option<usize> {
        let mut best: Option<usize> = None;
        for other in 0..self.units.len() {
            if !self.in_care(me, other) || self.distance(me, other) >= self.pair(me, other).notice {
                continue;
            }
            let unit = &self.units[other];
            let wants = unit.hp < self.kinds[other].unit.hp || unit.target.is_some();
            if wants && best.is_none_or(|least| unit.hp < self.units[least].hp) {
                best = Some(other);
            }
        }
        best
    }

    /// A team mate that a healer may heal.
    fn in_care(&self, me: usize, other: usize) -> bool {
        let (mine, other_kind) = (&self.kinds[me], &self.kinds[other]);
        mine.is_enemy == other_kind.is_enemy && !other_kind.unit.flies && self.units[other].in_play
    }

    /// The pace at which a healer on its own goes along with those it looks after, cells per second.
    pub(super) fn pace_of_healer(&self, me: usize) -> f64 {
        let speed = self.kinds[me].unit.speed;
        let reach = self.kinds[me].unit.scan + self.largest;
        let near = |&other: &usize| self.in_care(me, other) && self.distance(me, other) <= reach;
        let speeds = (0..self.units.len()).filter(near).map(|other| self.kinds[other].unit.speed);
        speeds.fold(speed, f64::min)
    }
}
