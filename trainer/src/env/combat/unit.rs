//! The table of units: what each is able to do, and where the numbers come from.
//!
//! The numbers and their sources are in `units.toml`, next to this file.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::rules::Figures;

/// Energy that no healer exceeds. Map data of SMAC (Medivac).
pub(super) const MOST_ENERGY: f64 = 200.0;

const TABLE: &str = include_str!("units.toml");

/// What a weapon may be better against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Attribute {
    Light,
    Armored,
    Biological,
    Mechanical,
    Structure,
}

/// What a weapon reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Hits {
    Ground,
    Air,
    Both,
}

/// One type of unit; units of the fields as in `units.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitType {
    pub(super) hp: f64,
    #[serde(default)]
    pub(super) shield: f64,
    #[serde(default)]
    pub(super) armor: f64,
    #[serde(default)]
    pub(super) damage: f64,
    #[serde(default = "one")]
    pub(super) shots: u32,
    #[serde(default)]
    pub(super) bonus: BTreeMap<Attribute, f64>,
    #[serde(default)]
    pub(super) cooldown: f64,
    #[serde(default)]
    pub(super) wind_up: f64,
    pub(super) range: f64,
    pub(super) speed: f64,
    pub(super) radius: f64,
    separation: Option<f64>,
    #[serde(default = "usual_scan")]
    pub(super) scan: f64,
    #[serde(default)]
    pub(super) max_cooldown: f64,
    #[serde(default)]
    pub(super) energy: f64,
    #[serde(default)]
    pub(super) regeneration: f64,
    #[serde(default)]
    pub(super) attributes: Vec<Attribute>,
    #[serde(default = "ground")]
    pub(super) hits: Hits,
    #[serde(default)]
    pub(super) flies: bool,
    #[serde(default)]
    pub(super) heals: bool,
    #[serde(default)]
    smaclite: Other,
}

/// Figures that SMAClite has otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Other {
    cooldown: Option<f64>,
    wind_up: Option<f64>,
    speed: Option<f64>,
    radius: Option<f64>,
    separation: Option<f64>,
    scan: Option<f64>,
    regeneration: Option<f64>,
}

fn one() -> u32 {
    1
}

/// Cells; StarCraft II's usual least distance at which weapons look for targets.
fn usual_scan() -> f64 {
    5.0
}

fn ground() -> Hits {
    Hits::Ground
}

impl UnitType {
    /// What others keep from, cells.
    pub(super) fn separation(&self) -> f64 {
        self.separation.unwrap_or(self.radius)
    }

    /// Points of one hit on `other`, before armour.
    pub(super) fn damage_to(&self, other: &Self) -> f64 {
        let bonus = |attribute: &Attribute| self.bonus.get(attribute).copied().unwrap_or(0.0);
        self.damage + other.attributes.iter().map(bonus).sum::<f64>()
    }

    /// Whether it has a weapon that reaches `other`.
    pub(super) fn can_hit(&self, other: &Self) -> bool {
        let reached = match self.hits {
            Hits::Both => true,
            Hits::Air => other.flies,
            Hits::Ground => !other.flies,
        };
        !self.heals && reached
    }

    /// As the rules want its figures.
    fn with(mut self, figures: Figures) -> Self {
        if figures == Figures::Smaclite {
            let other = self.smaclite;
            self.cooldown = other.cooldown.unwrap_or(self.cooldown);
            self.wind_up = other.wind_up.unwrap_or(self.wind_up);
            self.speed = other.speed.unwrap_or(self.speed);
            self.radius = other.radius.unwrap_or(self.radius);
            self.separation = other.separation.or(self.separation);
            self.scan = other.scan.unwrap_or(self.scan);
            self.regeneration = other.regeneration.unwrap_or(self.regeneration);
        }
        self
    }

    /// What no unit can have; the name of the field comes first.
    fn fault(&self) -> Option<String> {
        let within = [
            ("hp", self.hp, 1e-3, 1e6),
            ("shield", self.shield, 0.0, 1e6),
            ("armor", self.armor, 0.0, 1e6),
            ("damage", self.damage, 0.0, 1e6),
            ("shots", f64::from(self.shots), 1.0, 100.0),
            ("cooldown", self.cooldown, 0.0, 1e3),
            ("wind_up", self.wind_up, 0.0, 1e3),
            ("range", self.range, 0.0, 100.0),
            ("speed", self.speed, 0.0, 16.0),
            ("radius", self.radius, 0.05, 4.0),
            ("separation", self.separation(), 0.05, 4.0),
            ("scan", self.scan, 0.0, 100.0),
            ("max_cooldown", self.max_cooldown, 0.0, 1e6),
            ("energy", self.energy, 0.0, MOST_ENERGY),
            ("regeneration", self.regeneration, 0.0, 1e6),
        ];
        let out = |&&(_, value, least, most): &&(_, f64, f64, f64)| !(least..=most).contains(&value);
        if let Some((key, value, least, most)) = within.iter().find(out) {
            return Some(format!("{key} is {value}; give {least} to {most}"));
        }
        // What others are divided by.
        let parts =
            [("shield", self.shield), ("cooldown", self.cooldown), ("max_cooldown", self.max_cooldown)];
        if let Some((key, value)) = parts.iter().find(|(_, value)| *value > 0.0 && *value < 1e-3) {
            return Some(format!("{key} is {value}; give 0, or 0.001 and more"));
        }
        let odd = self.bonus.values().find(|bonus| !(0.0..=1e6).contains(*bonus));
        odd.map(|bonus| format!("bonus is {bonus}; give 0 to 1000000"))
    }
}

/// Types by name.
pub(super) type Units = BTreeMap<String, UnitType>;

/// The table, with those of `own` added or put in place of those of the same name.
///
/// # Errors
/// What is wrong with which unit.
pub(super) fn units(own: &Units, figures: Figures) -> Result<Units, String> {
    let mut units: Units =
        toml::from_str(TABLE).map_err(|error| format!("units.toml: {}", error.message()))?;
    units.extend(own.clone());
    for (name, unit) in &mut units {
        *unit = unit.clone().with(figures);
        if let Some(fault) = unit.fault() {
            return Err(format!("unit {name}: {fault}"));
        }
    }
    Ok(units)
}
