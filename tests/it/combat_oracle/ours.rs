//! Battles that this simulator played once, on every map under both sets of rules: it plays them again.
//!
//! With `DDN_WRITE_ORACLES` set the test writes `tests/oracles/combat/ours.safetensors` anew: to do so
//! is to say that the rules of the game have changed.

use std::collections::BTreeMap;

use ddn_trainer::env::combat::{Combat, CombatConfig, RuleSet};
use ddn_trainer::env::registry::EnvKind as _;
use ddn_trainer::env::{Env as _, Frame};
use ddn_trainer::seed::{Draw as _, stream};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

use super::episode::tensor;
use super::tests;

/// The maps that ship.
const MAPS: &[&str] = &[
    "10m_vs_11m",
    "25m",
    "27m_vs_30m",
    "2m_vs_1z",
    "2s3z",
    "2s_vs_1sc",
    "3m",
    "3s5z",
    "3s5z_vs_3s6z",
    "3s_vs_3z",
    "3s_vs_4z",
    "3s_vs_5z",
    "5m_vs_6m",
    "8m",
    "8m_vs_9m",
    "MMM",
    "MMM2",
];

const RULES: [(&str, RuleSet); 2] = [("smac", RuleSet::Smac), ("smaclite", RuleSet::Smaclite)];

/// Every so many steps, and at the end, the units are compared.
const EVERY: usize = 4;

/// Numbers are kept in 32 bits.
const CLOSE: f32 = 1e-4;

/// What is kept of a battle; the numbers of a unit are its place, hit points, shield, energy and cooldown.
#[derive(Default)]
struct Battle {
    actions: Vec<u8>,
    rewards: Vec<f32>,
    units: Vec<f32>,
}

/// Plays a battle of `map`: with the actions given, or else with those of a script that errs at times.
fn play(map: &str, rules: RuleSet, given: Option<&[f64]>) -> Battle {
    let config = CombatConfig { map: map.into(), rules, ..CombatConfig::default() };
    let mut game = Combat::from_config(config).expect("it ships");
    let (n, mut frame) = (game.spec().n_agents, Frame::default());
    game.reset(7, &mut frame).expect("it starts");
    let mut rng = stream(1, map);
    let mut battle = Battle::default();
    let mut actions = vec![0; n];
    for t in 0.. {
        match given {
            Some(given) => {
                let row =
                    given.get(t * n..).and_then(|rest| rest.get(..n)).expect("it lasts as long as before");
                actions.iter_mut().zip(row).for_each(|(to, &action)| *to = action as usize);
            }
            None => {
                let policy = if rng.below(3) == 0 { "random" } else { "focus" };
                game.choose(policy, &mut rng, &mut actions).expect("it is known");
            }
        }
        battle.actions.extend(actions.iter().map(|&action| action as u8));
        let step = game.step(&actions, &mut frame).unwrap_or_else(|error| panic!("{map} step {t}: {error}"));
        battle.rewards.push(step.reward);
        if t % EVERY == 0 || step.end.is_some() {
            for unit in game.unit_states() {
                let [hp, shield, energy, cooldown, ..] = unit.scalars;
                let kept = [unit.place[0], unit.place[1], hp, shield, energy, cooldown];
                battle.units.extend(kept.map(|number| number as f32));
            }
        }
        if step.end.is_some() {
            break;
        }
    }
    battle
}

#[test]
fn battles_of_ours_are_played_as_before() {
    let path = tests().join("oracles/combat/ours.safetensors");
    if std::env::var_os("DDN_WRITE_ORACLES").is_some() {
        let mut bytes: BTreeMap<String, (Dtype, Vec<u8>)> = BTreeMap::new();
        for map in MAPS {
            for (name, rules) in RULES {
                let Battle { actions, rewards, units } = play(map, rules, None);
                let floats = |numbers: &[f32]| numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
                bytes.insert(format!("{map}/{name}/actions"), (Dtype::U8, actions));
                bytes.insert(format!("{map}/{name}/rewards"), (Dtype::F32, floats(&rewards)));
                bytes.insert(format!("{map}/{name}/units"), (Dtype::F32, floats(&units)));
            }
        }
        let views = bytes.iter().map(|(name, (kind, bytes))| {
            let size = if *kind == Dtype::U8 { 1 } else { 4 };
            (name, TensorView::new(*kind, vec![bytes.len() / size], bytes).expect("whole numbers"))
        });
        serialize_to_file(views, None, &path).expect("it can be written");
    }
    let bytes = std::fs::read(&path).expect("the battles are part of the repository");
    let file = SafeTensors::deserialize(&bytes).expect("the battles are whole");
    assert_eq!(file.len(), 3 * MAPS.len() * RULES.len());
    for map in MAPS {
        for (name, rules) in RULES {
            let kept = |key: &str| tensor(&file, &format!("{map}/{name}/{key}")).numbers;
            let again = play(map, rules, Some(&kept("actions")));
            for (key, got) in [("rewards", again.rewards), ("units", again.units)] {
                let want = kept(key);
                assert_eq!(got.len(), want.len(), "{map} {name}: {key}");
                for (index, (&got, want)) in got.iter().zip(want).enumerate() {
                    let (want, at) = (want as f32, format!("{map} {name}: {key}[{index}]"));
                    assert!(
                        (got - want).abs() <= CLOSE * want.abs().max(1.0),
                        "{at}: {got} instead of {want}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_map_that_ships_is_among_them() {
    let folder = tests().join("../trainer/src/env/combat/maps");
    let files = std::fs::read_dir(folder).expect("maps are part of the repository");
    let mut names: Vec<String> = files
        .map(|file| {
            file.expect("readable").path().file_stem().expect("a name").to_string_lossy().into_owned()
        })
        .collect();
    names.sort();
    assert_eq!(names, MAPS);
}
