//! The battle as text.

use std::fmt::Write as _;

use super::Combat;

/// How an agent or an enemy is drawn: a digit or a letter; beyond those, a sign for all.
fn sign(k: usize, first: char, beyond: char) -> char {
    let most = if first == '0' { 10 } else { 26 };
    match u32::try_from(k).ok().filter(|&k| k < most).and_then(|k| char::from_u32(first as u32 + k)) {
        Some(sign) => sign,
        None => beyond,
    }
}

impl Combat {
    /// Agents by their index, enemies as letters, blocked cells as `#`; then hp and shields of all.
    pub(super) fn drawn(&self) -> String {
        let (agents, enemies) = self.fallen();
        let mut text = format!(
            "{}  step {}/{}  lost {agents}/{}  killed {enemies}/{}{}\n",
            self.config.map,
            self.t,
            self.spec.episode_limit,
            self.n_agents,
            self.n_enemies,
            if self.won { "  won" } else { "" }
        );
        let terrain = &self.world.terrain;
        let side = |count: usize, unit: &dyn Fn(usize) -> usize, first: char, beyond: char| {
            (0..count).map(|k| (unit(k), sign(k, first, beyond))).collect::<Vec<_>>()
        };
        let allies = side(self.n_agents, &|k| self.agent(k), '0', '@');
        let foes = side(self.n_enemies, &|k| self.enemy(k), 'a', '*');
        for y in (0..terrain.height).rev().filter(|&y| terrain.has_open_row(y)) {
            for x in 0..terrain.width {
                let here = |(unit, _): &&(usize, char)| {
                    let unit = &self.world.units[*unit];
                    unit.in_play && (unit.place.x as usize, unit.place.y as usize) == (x, y)
                };
                let ground = if terrain.is_open(x as i64, y as i64) { '.' } else { '#' };
                text.push(allies.iter().chain(&foes).find(here).map_or(ground, |(_, sign)| *sign));
            }
            text.push('\n');
        }
        for (unit, sign) in allies.iter().chain(&foes).filter(|(unit, _)| self.world.units[*unit].in_play) {
            let unit = &self.world.units[*unit];
            let _ = write!(text, "{sign} {:.0}", unit.hp.ceil());
            if unit.shield > 0.0 {
                let _ = write!(text, "+{:.0}", unit.shield.ceil());
            }
            text.push_str("  ");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }
}
