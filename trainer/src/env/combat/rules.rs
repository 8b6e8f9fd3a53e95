//! The rules that can be chosen: two sets, and each rule by itself.
//!
//! `smac` is the default: StarCraft II as far as it is known from outside. `smaclite` follows
//! SMAClite, faults included, so that what was recorded there can be replayed here.

use serde::{Deserialize, Serialize};

/// Whose unit figures, places and terrain to play with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Figures {
    /// Map files of SMAC and weapons of StarCraft II 4.10, in seconds of 16 game loops.
    Smac,
    /// SMAClite's tables: speeds and cooldowns 1.4 times as fast, everything else as above.
    Smaclite,
}

/// How a battle is fought. Times in seconds of 16 game loops, 8 of which are a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Whose unit figures, places and terrain.
    pub figures: Figures,
    /// Attackers on their own look for targets at least as far as their weapon reaches, edge to edge.
    /// Otherwise as far as their scan radius, from their centre to the target's edge.
    pub scan_covers_weapon: bool,
    /// Healers are shot first, and while the other team has one, targets are picked anew all the time.
    pub healers_first: bool,
    /// Least points that a hit takes from hp, however thick the armour. StarCraft II: 0.5.
    pub least_damage: f64,
    /// Added to each cooldown, drawn uniformly between the two, seconds. StarCraft II: -1/16 to 2/16.
    pub weapon_delay: [f64; 2],
    /// A unit that falls and is healed in the same loop lives on, paid for as a kill; corpses can be
    /// healed.
    pub revival: bool,
    /// An order to attack lapses when its target is dead or cannot be hit. Otherwise the agent walks
    /// up to it and shoots for the rest of the step.
    pub orders_lapse: bool,
    /// A unit that gets where it was sent stops there. Otherwise it runs past, and back.
    pub stop_at_goal: bool,
    /// Lines that keep units from walls are displaced along a wrong normal.
    pub wall_slip: bool,
    /// Ways and velocities are of 32 bits wherever numpy makes them so. Otherwise of 64 throughout, but
    /// for places.
    pub numpy_rounding: bool,
    /// The map ends at its border. Otherwise only the availability of moves ends there.
    pub closed_borders: bool,
    /// Which cell a move would lead to is found by rounding down. Otherwise towards zero, as SMAC does,
    /// which makes a move off the map available in its first row and column.
    pub cells_round_down: bool,
    /// On maps with medivacs, a side has lost once only its medivac is left.
    pub medivac_alone_loses: bool,
    /// The reward sees what changed in enemies' hp and shields over a step, regeneration included, as
    /// an absolute value. Otherwise it adds up what was shot away.
    pub reward_from_change: bool,
    /// The state has the cooldown in game loops by SMAC's constants. Otherwise as a share of the unit's
    /// own.
    pub loops_in_state: bool,
}

impl Rules {
    /// Corrected towards StarCraft II.
    #[must_use]
    pub const fn smac() -> Self {
        Self {
            figures: Figures::Smac,
            scan_covers_weapon: true,
            healers_first: false,
            least_damage: 0.5,
            weapon_delay: [-0.0625, 0.125],
            revival: false,
            orders_lapse: true,
            stop_at_goal: true,
            wall_slip: false,
            numpy_rounding: false,
            closed_borders: true,
            cells_round_down: false,
            medivac_alone_loses: true,
            reward_from_change: true,
            loops_in_state: true,
        }
    }

    /// As SMAClite plays.
    #[must_use]
    pub const fn smaclite() -> Self {
        Self {
            figures: Figures::Smaclite,
            scan_covers_weapon: false,
            healers_first: true,
            least_damage: 0.0,
            weapon_delay: [0.0, 0.0],
            revival: true,
            orders_lapse: false,
            stop_at_goal: false,
            wall_slip: true,
            numpy_rounding: true,
            closed_borders: false,
            cells_round_down: true,
            medivac_alone_loses: false,
            reward_from_change: false,
            loops_in_state: false,
        }
    }

    /// What no battle can be fought with; the key comes first.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        let [least, most] = self.weapon_delay;
        if !(-10.0..=10.0).contains(&least) || !(least..=10.0).contains(&most) {
            let reason = format!("is [{least}, {most}]; give two times of -10 to 10 s, the shorter first");
            return Some(("weapon_delay", reason));
        }
        let least = self.least_damage;
        (!(0.0..=1e6).contains(&least)).then(|| ("least_damage", format!("is {least}; give 0 to 1000000")))
    }
}
