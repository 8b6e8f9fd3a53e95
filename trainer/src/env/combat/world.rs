//! The units of a battle and what passes between them, without agents, actions or episodes.
//!
//! ```text
//! tick, 1/16 s:  targets ─► wishes ─► velocities ─► each in random order: walk, recover, shoot
//!                target.rs  wish.rs   avoid.rs      turn.rs
//! ```
//!
//! Units are numbered through both sides; all loops go by that number, except for the last stage.

use rand_chacha::ChaCha8Rng;

use super::avoid::Lines;
use super::number::Mixed;
use super::plane::{Kept, Vector};
use super::rules::Rules;
use super::scenario::{Placed, Scenario};
use super::terrain::Terrain;
use super::unit::UnitType;

/// Seconds of a tick, which is one game loop.
pub(super) const TICK: f64 = 1.0 / 16.0;

/// What a unit was told to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Order {
    Stop,
    Walk(Vector),
    /// Attack, or for a healer heal, that unit.
    Attack(usize),
    /// Attack whoever comes, on the way to the place that the scenario names.
    March,
}

/// What changes about a unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    /// Whether it takes part: it leaves at the end of the tick in which its hp reaches 0.
    pub(super) in_play: bool,
    pub(super) place: Vector,
    pub(super) velocity: Kept,
    pub(super) hp: f64,
    pub(super) shield: f64,
    pub(super) energy: f64,
    /// Seconds until it can shoot again.
    pub(super) cooldown: f64,
    /// The shot that winds up: at whom, and seconds until it counts.
    pub(super) shot: Option<(usize, f64)>,
    /// Seconds until its shield recovers.
    pub(super) shield_delay: f64,
    /// Points of healing that are paid for.
    pub(super) pool: f64,
    pub(super) order: Order,
    pub(super) target: Option<usize>,
    /// The target of the tick before.
    pub(super) last_target: Option<usize>,
    /// The velocity that it would like to have. Of this tick only.
    pub(super) wish: Kept,
    /// Whether it shoots or heals as soon as it can. Of this tick only.
    pub(super) engages: bool,
}

/// What does not change about a unit.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) name: String,
    pub(super) unit: UnitType,
    /// As `unit` has it, handier.
    pub(super) separation: f64,
    pub(super) is_enemy: bool,
    pub(super) start: Vector,
}

/// What one unit means to another; fixed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pair {
    pub(super) can_hit: bool,
    /// Points of one hit, before armour.
    pub(super) damage: f64,
    /// Cells between the centres within which a weapon, or healing, reaches.
    pub(super) reach: f32,
    /// Cells between the centres below which an attacker on its own takes notice.
    pub(super) notice: f64,
}

/// What one or more ticks came to, as SMAClite counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Harvest {
    /// hp and shields of enemies shot away.
    pub(super) damage: f64,
    /// Times that an enemy's hp reached 0.
    pub(super) kills: usize,
}

/// All units and their ground.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) terrain: Terrain,
    pub(super) march_to: Option<Vector>,
    /// `[M]`
    pub(super) kinds: Vec<Kind>,
    /// `[M, M]`, the acting unit first.
    pairs: Vec<Pair>,
    /// `[M, M]`, squares of the reach, as SMAClite rounds them.
    reach_squared: Vec<f32>,
    /// `[M]`
    pub(super) units: Vec<Unit>,
    /// Largest radius of all units, cells.
    pub(super) largest: f64,
    pub(super) harvest: Harvest,
    // Scratch of a tick.
    pub(super) lines: Lines<f64>,
    pub(super) mixed_lines: Lines<Mixed>,
    pub(super) velocities: Vec<Kept>,
}

impl World {
    /// The units of `scenario` at their places.
    pub(super) fn new(scenario: &Scenario, rules: Rules) -> Self {
        let kind = |placed: &Placed, is_enemy| Kind {
            name: placed.name.clone(),
            separation: placed.kind.separation(),
            unit: placed.kind.clone(),
            is_enemy,
            start: placed.place,
        };
        let allies = scenario.allies.iter().map(|placed| kind(placed, false));
        let enemies = scenario.enemies.iter().map(|placed| kind(placed, true));
        let kinds: Vec<Kind> = match scenario.enemies_first {
            true => enemies.chain(allies).collect(),
            false => allies.chain(enemies).collect(),
        };
        let reach = |me: &Kind, other: &Kind| me.unit.range + other.unit.radius + me.unit.radius;
        let square = |reach: f64| (reach * reach) as f32;
        let pair = |me: &Kind, other: &Kind| {
            let scan = match rules.scan_covers_weapon {
                true => me.unit.scan.max(me.unit.range) + me.unit.radius,
                false => me.unit.scan,
            };
            Pair {
                can_hit: me.unit.can_hit(&other.unit),
                damage: me.unit.damage_to(&other.unit),
                reach: match rules.numpy_rounding {
                    true => reach(me, other) as f32,
                    false => me.unit.range as f32 + me.unit.radius as f32 + other.unit.radius as f32,
                },
                notice: scan + other.unit.radius,
            }
        };
        let n = kinds.len();
        let mut world = Self {
            rules,
            terrain: scenario.terrain.clone(),
            march_to: scenario.march_to,
            pairs: kinds.iter().flat_map(|me| kinds.iter().map(move |other| pair(me, other))).collect(),
            reach_squared: kinds
                .iter()
                .flat_map(|me| kinds.iter().map(move |other| square(reach(me, other))))
                .collect(),
            units: Vec::with_capacity(n),
            largest: kinds.iter().map(|kind| kind.unit.radius).fold(0.0, f64::max),
            harvest: Harvest::default(),
            // A line per other unit, and at most two per block.
            lines: Lines::with_room_for(n + 2 * scenario.terrain.blocks.len()),
            mixed_lines: Lines::with_room_for(n + 2 * scenario.terrain.blocks.len()),
            velocities: vec![Kept::STANDING; n],
            kinds,
        };
        world.restart();
        world
    }

    /// All units as they are at the start of an episode.
    pub(super) fn restart(&mut self) {
        self.harvest = Harvest::default();
        self.units.clear();
        self.units.extend(self.kinds.iter().map(|kind| Unit {
            in_play: true,
            place: kind.start,
            velocity: Kept::AT_START,
            hp: kind.unit.hp,
            shield: kind.unit.shield,
            energy: kind.unit.energy,
            cooldown: 0.0,
            shot: None,
            shield_delay: 0.0,
            pool: 0.0,
            order: if kind.is_enemy { Order::March } else { Order::Stop },
            target: None,
            last_target: None,
            wish: Kept::STANDING,
            engages: false,
        }));
    }

    pub(super) fn pair(&self, me: usize, other: usize) -> Pair {
        self.pairs[me * self.kinds.len() + other]
    }

    /// Cells between the centres.
    pub(super) fn distance(&self, a: usize, b: usize) -> f64 {
        (self.units[a].place - self.units[b].place).length()
    }

    /// Whether the weapon of `me`, or its healing, reaches `other`.
    #[inline]
    pub(super) fn reaches(&self, me: usize, other: usize) -> bool {
        if self.rules.numpy_rounding {
            return self.reaches_in_numpy(me, other);
        }
        self.distance(me, other) as f32 <= self.pair(me, other).reach
    }

    /// In the order in which SMAClite decides: by either axis, by their sum, by squares.
    #[inline(never)]
    fn reaches_in_numpy(&self, me: usize, other: usize) -> bool {
        let index = me * self.kinds.len() + other;
        let (reach, squared) = (self.pairs[index].reach, self.reach_squared[index]);
        let way = self.units[me].place - self.units[other].place;
        let (x, y) = (way.x.abs() as f32, way.y.abs() as f32);
        x <= reach && y <= reach && (x + y <= reach || x * x + y * y <= squared)
    }

    /// One tick; `turns` is the order in which units act at its end.
    pub(super) fn tick(&mut self, turns: &[usize], rng: &mut ChaCha8Rng) {
        self.clean_targets();
        self.make_wishes();
        self.choose_velocities();
        for &me in turns {
            self.take_turn(me, rng);
        }
        for unit in &mut self.units {
            unit.in_play &= unit.hp > 0.0;
        }
    }
}
