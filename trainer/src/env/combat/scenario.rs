//! Who fights whom, and where: one TOML file per map.
//!
//! ```text
//! maps/NAME.toml, or a file of your own  ─► units, places, ground, orders
//! ```
//!
//! Sizes and episode limits are those of SMAC's `maps/smac_maps.py`; places, orders and blocked
//! ground those of SMAC's map files, where a file does not say otherwise.

use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::formation::formation;
use super::plane::{Vector, vector};
use super::rules::{Figures, Rules};
use super::terrain::{LONGEST_SIDE, Rectangle, Terrain};
use super::unit::{UnitType, Units, units};

/// Most units of a side.
pub(super) const MOST_UNITS: usize = 100;

/// The maps that come with the program, smallest first within a kind.
pub(super) const MAPS: &[(&str, &str)] = &[
    ("3m", include_str!("maps/3m.toml")),
    ("8m", include_str!("maps/8m.toml")),
    ("25m", include_str!("maps/25m.toml")),
    ("5m_vs_6m", include_str!("maps/5m_vs_6m.toml")),
    ("8m_vs_9m", include_str!("maps/8m_vs_9m.toml")),
    ("10m_vs_11m", include_str!("maps/10m_vs_11m.toml")),
    ("27m_vs_30m", include_str!("maps/27m_vs_30m.toml")),
    ("2m_vs_1z", include_str!("maps/2m_vs_1z.toml")),
    ("2s_vs_1sc", include_str!("maps/2s_vs_1sc.toml")),
    ("3s_vs_3z", include_str!("maps/3s_vs_3z.toml")),
    ("3s_vs_4z", include_str!("maps/3s_vs_4z.toml")),
    ("3s_vs_5z", include_str!("maps/3s_vs_5z.toml")),
    ("2s3z", include_str!("maps/2s3z.toml")),
    ("3s5z", include_str!("maps/3s5z.toml")),
    ("3s5z_vs_3s6z", include_str!("maps/3s5z_vs_3s6z.toml")),
    ("MMM", include_str!("maps/MMM.toml")),
    ("MMM2", include_str!("maps/MMM2.toml")),
];

/// What a map file may say.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Steps.
    episode_limit: usize,
    /// Width and height, cells.
    #[serde(default = "usual_size")]
    size: [usize; 2],
    /// The cells without passage, or else `open`: all others are.
    blocked: Option<Vec<Rectangle>>,
    open: Option<Vec<Rectangle>>,
    /// Where enemies attack on their way to; left out, they hold their ground.
    march_to: Option<[f64; 2]>,
    /// Whether the map is one of those on which a medivac alone has lost.
    #[serde(default)]
    medivac_alone_loses: bool,
    allies: Group,
    enemies: Group,
    /// Units beside those of the table, or in place of them.
    #[serde(default)]
    unit: Units,
    #[serde(default)]
    smaclite: Other,
}

/// One side.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    /// Types and how many of each, in the order of the ids.
    units: Vec<(String, usize)>,
    /// The types in the order of the one-hot; empty for none.
    #[serde(default)]
    types: Vec<String>,
    /// The middle of a formation, cells; or else `places`, one per unit.
    at: Option<[f64; 2]>,
    places: Option<Vec<[f64; 2]>>,
}

/// What SMAClite has otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Other {
    blocked: Option<Vec<Rectangle>>,
    ally_units: Option<Vec<(String, usize)>>,
    ally_places: Option<Vec<[f64; 2]>>,
    enemy_units: Option<Vec<(String, usize)>>,
    enemy_types: Option<Vec<String>>,
    enemy_places: Option<Vec<[f64; 2]>>,
    enemies_first: bool,
}

fn usual_size() -> [usize; 2] {
    [32, 32]
}

/// A unit at the start.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) name: String,
    pub(super) kind: UnitType,
    pub(super) place: Vector,
    /// Which of the type bits is set.
    pub(super) bit: Option<usize>,
}

/// A map under given rules.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scenario {
    pub(super) episode_limit: usize,
    pub(super) terrain: Terrain,
    pub(super) march_to: Option<Vector>,
    pub(super) medivac_alone_loses: bool,
    pub(super) allies: Vec<Placed>,
    pub(super) enemies: Vec<Placed>,
    /// B, bits of the type of a unit.
    pub(super) type_bits: usize,
    /// Whether enemies come first in the order of all units.
    pub(super) enemies_first: bool,
}

/// SHA-256 of a map file; `None` for the name of a map that comes along, and where nothing can be read.
pub(super) fn digest(map: &str) -> Option<String> {
    if MAPS.iter().any(|(name, _)| *name == map) {
        return None;
    }
    let bytes = std::fs::read(map).ok()?;
    Some(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Scenario {
    /// The map of that name, or the file at that path, under `rules`.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub(super) fn find(map: &str, rules: &Rules) -> Result<Self, String> {
        if let Some((_, text)) = MAPS.iter().find(|(name, _)| *name == map) {
            return Self::read(text, rules).map_err(|reason| format!("{map}: {reason}"));
        }
        let path = Path::new(map);
        if path.extension().is_none_or(|ending| ending != "toml") {
            let known: Vec<_> = MAPS.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "unknown map \"{map}\"; known: {}; or give the path of a .toml file",
                known.join(", ")
            ));
        }
        let text = std::fs::read_to_string(path).map_err(|error| format!("{map}: {error}"))?;
        Self::read(&text, rules).map_err(|reason| format!("{map}: {reason}"))
    }

    pub(super) fn read(text: &str, rules: &Rules) -> Result<Self, String> {
        let mut file: File = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        if rules.figures == Figures::Smaclite {
            file.prefer_smaclite();
        }
        if !(1..=1_000_000).contains(&file.episode_limit) {
            return Err(format!("episode_limit is {}; give 1 to 1000000 steps", file.episode_limit));
        }
        if file.size.iter().any(|side| !(1..=LONGEST_SIDE).contains(side)) {
            return Err(format!("size is {:?}; give two sides of 1 to {LONGEST_SIDE} cells", file.size));
        }
        let (usual, rectangles) = match (&file.blocked, &file.open) {
            (Some(blocked), None) => (false, blocked),
            (None, Some(open)) => (true, open),
            _ => return Err("give either blocked or open, a list of rectangles".into()),
        };
        let table = units(&file.unit, rules.figures)?;
        let place = |key: &str, [x, y]: [f64; 2]| file.inside(key, vector(x, y));
        Ok(Self {
            episode_limit: file.episode_limit,
            terrain: Terrain::new(file.size, usual, rectangles, rules.closed_borders)?,
            march_to: file.march_to.map(|at| place("march_to", at)).transpose()?,
            medivac_alone_loses: file.medivac_alone_loses && rules.medivac_alone_loses,
            allies: file.side("allies", &file.allies, &table, rules.figures)?,
            enemies: file.side("enemies", &file.enemies, &table, rules.figures)?,
            type_bits: file.allies.types.len().max(file.enemies.types.len()),
            enemies_first: rules.figures == Figures::Smaclite && file.smaclite.enemies_first,
        })
    }
}

impl File {
    fn prefer_smaclite(&mut self) {
        let other = self.smaclite.clone();
        if other.blocked.is_some() {
            (self.blocked, self.open) = (other.blocked, None);
        }
        self.allies.units = other.ally_units.unwrap_or(std::mem::take(&mut self.allies.units));
        self.enemies.units = other.enemy_units.unwrap_or(std::mem::take(&mut self.enemies.units));
        self.enemies.types = other.enemy_types.unwrap_or(std::mem::take(&mut self.enemies.types));
        self.allies.places = other.ally_places.or(self.allies.places.take());
        self.enemies.places = other.enemy_places.or(self.enemies.places.take());
    }

    fn inside(&self, key: &str, at: Vector) -> Result<Vector, String> {
        let [width, height] = self.size.map(|side| side as f64);
        if (0.0..=width).contains(&at.x) && (0.0..=height).contains(&at.y) {
            return Ok(at.rounded());
        }
        Err(format!("{key}: ({}, {}) is not on the map of {width}x{height} cells", at.x, at.y))
    }

    fn side(&self, key: &str, group: &Group, table: &Units, figures: Figures) -> Result<Vec<Placed>, String> {
        let find = |name: &String| {
            let known = || table.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            table.get(name).ok_or_else(|| format!("{key}.units: unknown unit \"{name}\"; known: {}", known()))
        };
        let count = group.units.iter().map(|(_, count)| *count).fold(0_usize, usize::saturating_add);
        if !(1..=MOST_UNITS).contains(&count) {
            return Err(format!("{key}.units: {count} units; give 1 to {MOST_UNITS}"));
        }
        let twice = group.types.iter().enumerate().find(|(k, name)| group.types[..*k].contains(name));
        if let Some((_, name)) = twice {
            return Err(format!("{key}.types: \"{name}\" is given twice"));
        }
        let mut side = Vec::with_capacity(count);
        for (name, count) in &group.units {
            let kind = find(name)?;
            let bit = group.types.iter().position(|known| known == name);
            if bit.is_none() && !group.types.is_empty() {
                return Err(format!("{key}.types: \"{name}\" is missing; give every type, or none"));
            }
            let placed = Placed { name: name.clone(), kind: kind.clone(), place: Vector::default(), bit };
            side.extend(std::iter::repeat_n(placed, *count));
        }
        match (group.at, &group.places) {
            (Some([x, y]), None) => {
                let radii: Vec<f64> = side.iter().map(|unit| unit.kind.radius).collect();
                let mirrored = key == "enemies";
                for (unit, offset) in side.iter_mut().zip(formation(&radii, figures)) {
                    let offset = if mirrored { -offset } else { offset };
                    unit.place = self.inside(&format!("{key}.at"), vector(x, y) + offset)?;
                }
                if !mirrored && figures == Figures::Smac {
                    // SMAC numbers its own by type, then from west to east, then from south to north.
                    let rank = |unit: &Placed| group.units.iter().position(|(name, _)| *name == unit.name);
                    side.sort_by(|a, b| {
                        let along_x = a.place.x.total_cmp(&b.place.x);
                        rank(a).cmp(&rank(b)).then(along_x).then(a.place.y.total_cmp(&b.place.y))
                    });
                }
            }
            (None, Some(places)) if places.len() == side.len() => {
                for (unit, [x, y]) in side.iter_mut().zip(places) {
                    unit.place = self.inside(&format!("{key}.places"), vector(*x, *y))?;
                }
            }
            (None, Some(places)) => {
                return Err(format!("{key}.places: {} for {} units", places.len(), side.len()));
            }
            _ => return Err(format!("{key}: give either at or places")),
        }
        Ok(side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_map_is_complete_under_both_rules() {
        for (name, _) in MAPS {
            let smac = Scenario::find(name, &Rules::smac()).expect("reads");
            let smaclite = Scenario::find(name, &Rules::smaclite()).expect("reads");
            assert_eq!(smac.allies.len(), smaclite.allies.len(), "{name}");
            assert_eq!(smac.enemies.len(), smaclite.enemies.len(), "{name}");
            for map in [&smac, &smaclite] {
                for unit in map.allies.iter().chain(&map.enemies) {
                    let open = map.terrain.is_open(unit.place.x as i64, unit.place.y as i64);
                    assert!(open || unit.kind.speed < 1e-9, "{name}: {unit:?}");
                }
            }
        }
    }

    #[test]
    fn faults_are_named_with_their_place() {
        let says = |text: &str| Scenario::read(text, &Rules::smac()).expect_err("refused");
        let file = |allies: &str, rest: &str| {
            format!(
                "episode_limit = 9\nblocked = []\n{rest}\n[allies]\n{allies}\n\
                 [enemies]\nunits = [['zealot', 1]]\nat = [23.0, 16.0]\n"
            )
        };
        let good = "units = [['marine', 2]]\nat = [9.0, 16.0]";
        assert!(Scenario::read(&file(good, ""), &Rules::smac()).is_ok());
        for (allies, rest, want) in [
            (
                "units = [['marin', 2]]\nat = [9.0, 16.0]",
                "",
                "allies.units: unknown unit \"marin\"; known: ma",
            ),
            ("units = [['marine', 0]]\nat = [9.0, 16.0]", "", "allies.units: 0 units; give 1 to 100"),
            (
                "units = [['marine', 2]]\nat = [39.0, 16.0]",
                "",
                "allies.at: (38.6, 16) is not on the map of 32x32",
            ),
            ("units = [['marine', 2]]\nplaces = [[1, 1]]", "", "allies.places: 1 for 2 units"),
            ("units = [['marine', 2]]", "", "allies: give either at or places"),
            (good, "open = []", "give either blocked or open"),
            (good, "size = [32, 0]", "size is [32, 0]; give two sides of 1 to 256 cells"),
            (
                good,
                "unit.marine = {hp = 0.0, range = 1, speed = 1, radius = 1}",
                "unit marine: hp is 0; give",
            ),
        ] {
            let message = says(&file(allies, rest));
            assert!(message.starts_with(want), "{message}");
        }
        let unknown = Scenario::find("4m", &Rules::smac()).expect_err("refused");
        assert!(unknown.starts_with("unknown map \"4m\"; known: 3m, 8m, "), "{unknown}");
        let missing = Scenario::find("none.toml", &Rules::smac()).expect_err("refused");
        assert!(missing.starts_with("none.toml: "), "{missing}");
    }
}
