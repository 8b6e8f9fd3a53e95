//! The battle as a [`Scene`].

use super::plane::Vector;
use super::unit::MOST_ENERGY;
use super::world::Kind;
use super::{Combat, Phase};
use crate::env::scene::{Bar, Field, Figure, Scene, Target, Unit};

/// The shortest name of `kind` that no other of `kinds` has: its initial, and where another begins
/// alike, the first letter after it that tells them apart.
fn short_name(kind: &str, kinds: &[&str]) -> String {
    let at = |name: &str, k: usize| name.chars().nth(k);
    let alike: Vec<&str> =
        kinds.iter().copied().filter(|other| *other != kind && at(other, 0) == at(kind, 0)).collect();
    let initial = at(kind, 0).into_iter();
    if alike.is_empty() {
        return initial.collect();
    }
    let tells = |(k, letter): &(usize, char)| alike.iter().all(|other| at(other, *k) != Some(*letter));
    initial.chain(kind.chars().enumerate().skip(1).find(tells).map(|(_, letter)| letter)).collect()
}

fn figure(kind: &Kind, label: String, agent: Option<usize>) -> Figure {
    let unit = &kind.unit;
    let bar = |name: &str, most: f64| (most > 0.0).then(|| Bar { name: name.into(), most: most as f32 });
    let bars = [
        bar("hp", unit.hp),
        bar("shield", unit.shield),
        bar("energy", if unit.heals { MOST_ENERGY } else { 0.0 }),
    ];
    Figure {
        label,
        kind: kind.name.clone(),
        side: usize::from(kind.is_enemy),
        agent,
        radius: unit.radius as f32,
        bars: bars.into_iter().flatten().collect(),
    }
}

impl Combat {
    /// Units as the scenario numbers them; their labels end with the number by which actions call them.
    pub(super) fn pictured(&self) -> Option<Scene> {
        if self.phase == Phase::NotStarted {
            return None;
        }
        let world = &self.world;
        let kinds: Vec<&str> = world.kinds.iter().map(|kind| kind.name.as_str()).collect();
        let first = |is_enemy: bool| if is_enemy { self.enemy(0) } else { self.agent(0) };
        let unit = |me: usize| {
            let (kind, unit) = (&world.kinds[me], &world.units[me]);
            let number = me - first(kind.is_enemy);
            let label = format!("{}{number}", short_name(&kind.name, &kinds));
            let figure = figure(kind, label, (!kind.is_enemy).then_some(number));
            let value = |bar: &Bar| match bar.name.as_str() {
                "hp" => unit.hp as f32,
                "shield" => unit.shield as f32,
                _ => unit.energy as f32,
            };
            let target = unit.target.filter(|_| unit.in_play);
            Unit {
                place: [unit.place.x as f32, unit.place.y as f32],
                in_play: unit.in_play,
                bars: figure.bars.iter().map(value).collect(),
                target: target.map(|unit| Target { unit, helps: kind.unit.heals }),
                figure,
            }
        };
        Some(Scene {
            title: self.config.map.clone(),
            field: self.ground(),
            sides: vec!["agents".into(), "enemies".into()],
            units: (0..world.units.len()).map(unit).collect(),
        })
    }

    fn ground(&self) -> Field {
        let terrain = &self.world.terrain;
        let (width, height) = (terrain.width as f64, terrain.height as f64);
        // The walls of a closed border lie outside of the map.
        let inside = terrain
            .blocks
            .iter()
            .filter(|block| (0.0..width).contains(&block.low.x) && (0.0..height).contains(&block.low.y));
        let rectangle =
            |low: Vector, size: Vector| [low.x, low.y, size.x, size.y].map(|length| length as f32);
        Field {
            size: [width as f32, height as f32],
            blocked: inside.map(|block| rectangle(block.low, block.high - block.low)).collect(),
            closed: self.world.rules.closed_borders,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::CombatConfig;
    use super::super::rules::Rules;
    use super::super::scenario::{MAPS, Scenario};
    use super::*;
    use crate::env::Env;

    fn game(map: &str, rules: Rules) -> Combat {
        let scenario = Scenario::find(map, &rules).expect("reads");
        let config = CombatConfig { map: map.into(), ..CombatConfig::default() };
        let mut game = Combat::new(config, &scenario, rules);
        assert_eq!(game.scene(), None, "nothing runs yet");
        let mut frame = game.spec().frame();
        game.reset(1, &mut frame).expect("starts");
        game
    }

    #[test]
    fn kinds_that_begin_alike_get_different_short_names() {
        let kinds = ["marauder", "marine", "medivac", "zealot", "stalker", "spine_crawler"];
        let short: Vec<String> = kinds.iter().map(|kind| short_name(kind, &kinds)).collect();
        assert_eq!(short, ["ma", "mn", "me", "z", "st", "sp"]);
        assert_eq!(short_name("m", &["m", "marine"]), "m");
        assert_eq!(short_name("", &[""]), "");
    }

    #[test]
    fn labels_on_every_map_tell_the_units_of_a_side_apart_and_carry_their_numbers() {
        for (map, _) in MAPS {
            for rules in [Rules::smac(), Rules::smaclite()] {
                let game = game(map, rules);
                let scene = game.scene().expect("it runs");
                for side in 0..scene.sides.len() {
                    let of_side = scene.units.iter().filter(|unit| unit.figure.side == side);
                    for (number, unit) in of_side.enumerate() {
                        assert!(unit.figure.label.ends_with(&number.to_string()), "{map}: {unit:?}");
                        assert_eq!(unit.figure.agent, (side == 0).then_some(number), "{map}");
                    }
                }
            }
        }
    }

    #[test]
    fn healing_is_told_from_attacks_and_the_fallen_have_no_target() {
        let mut game = game("MMM", Rules::smac());
        let medivac = game.agent(9);
        game.world.units[0].hp = 20.0;
        game.world.units[medivac].target = Some(0);
        game.world.units[1].target = Some(game.enemy(3));
        game.world.units[2].target = Some(game.enemy(3));
        game.world.units[2].in_play = false;
        let scene = game.scene().expect("it runs");
        assert_eq!(scene.units[medivac].target, Some(Target { unit: 0, helps: true }));
        assert_eq!(scene.units[1].target, Some(Target { unit: game.enemy(3), helps: false }));
        assert_eq!((scene.units[2].target, scene.units[2].in_play), (None, false));
        let names = |unit: &Unit| unit.figure.bars.iter().map(|bar| bar.name.clone()).collect::<Vec<_>>();
        assert_eq!(
            (names(&scene.units[0]), names(&scene.units[medivac])),
            (vec!["hp".into()], vec!["hp".into(), "energy".into()])
        );
        assert!(
            (scene.units[0].bars[0] - 20.0).abs() < 1e-6
                && (scene.units[medivac].bars[1] - 50.0).abs() < 1e-6
        );
    }

    #[test]
    fn the_ground_is_drawn_without_the_walls_around_it() {
        for (map, _) in MAPS {
            let game = game(map, Rules::smac());
            let field = game.scene().expect("it runs").field;
            assert!(field.closed);
            for y in 0..game.world.terrain.height {
                for x in 0..game.world.terrain.width {
                    let (cx, cy) = (x as f32 + 0.5, y as f32 + 0.5);
                    let hit = |r: &[f32; 4]| r[0] < cx && cx < r[0] + r[2] && r[1] < cy && cy < r[1] + r[3];
                    let blocked = field.blocked.iter().any(hit);
                    assert_eq!(blocked, !game.world.terrain.is_open(x as i64, y as i64), "{map}: {x}, {y}");
                }
            }
        }
    }
}
