//! What policies written by hand come to, here and in SMAClite.

use super::super::scripted::{self, Focus, Hold, Kite, Nearest, Played, Random, SCRIPTED, ScriptedPolicy};
use super::super::world::Order;
use super::super::{Combat, CombatConfig, RuleSet, STOP, TICKS};
use crate::env::Env;
use crate::env::registry::EnvKind;
use crate::seed::stream;

fn game(map: &str, rules: RuleSet) -> Combat {
    Combat::from_config(CombatConfig { map: map.into(), rules, ..CombatConfig::default() }).expect("builds")
}

fn played(map: &str, rules: RuleSet, policy: &dyn ScriptedPolicy, episodes: usize) -> Vec<Played> {
    scripted::play(&mut game(map, rules), policy, 1, episodes).expect("plays")
}

/// Mean and standard deviation.
fn spread(played: &[Played], of: impl Fn(&Played) -> f64) -> (f64, f64) {
    let n = played.len() as f64;
    let mean = played.iter().map(&of).sum::<f64>() / n;
    (mean, (played.iter().map(|episode| (of(episode) - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
}

#[test]
fn returns_and_lengths_are_those_of_smaclite() {
    let all: [(&str, &dyn ScriptedPolicy, f64, f64, f64); 26] = [
        // Map, policy, episodes of SMAClite, and its mean return and length.
        ("2s_vs_1sc", &Random, 100.0, 1.19, 62.8),
        ("2s_vs_1sc", &Nearest, 50.0, 10.04, 32.0),
        ("2s_vs_1sc", &Focus, 50.0, 10.04, 32.0),
        ("2s_vs_1sc", &Hold, 10.0, 0.0, 300.0),
        ("2s_vs_1sc", &Kite, 50.0, 10.04, 32.0),
        ("3s5z", &Random, 100.0, 4.07, 46.1),
        ("3s5z", &Nearest, 50.0, 9.20, 35.0),
        ("3s5z", &Focus, 50.0, 8.21, 36.0),
        ("3s5z", &Hold, 10.0, 10.34, 48.0),
        ("3s_vs_5z", &Random, 40.0, 3.23, 44.8),
        ("3s_vs_5z", &Nearest, 10.0, 4.94, 27.0),
        ("3s_vs_5z", &Focus, 10.0, 4.60, 26.0),
        ("3s_vs_5z", &Hold, 10.0, 4.46, 27.0),
        ("3s_vs_5z", &Kite, 10.0, 8.38, 55.0),
        ("5m_vs_6m", &Random, 40.0, 1.57, 25.8),
        ("5m_vs_6m", &Nearest, 10.0, 6.26, 15.0),
        ("5m_vs_6m", &Focus, 10.0, 5.65, 14.0),
        ("5m_vs_6m", &Hold, 10.0, 4.60, 20.0),
        ("3s5z_vs_3s6z", &Random, 40.0, 3.58, 42.4),
        ("3s5z_vs_3s6z", &Nearest, 10.0, 9.86, 36.5),
        ("3s5z_vs_3s6z", &Focus, 10.0, 6.32, 37.8),
        ("3s5z_vs_3s6z", &Hold, 10.0, 8.78, 45.2),
        ("MMM2", &Random, 40.0, 2.03, 47.3),
        ("MMM2", &Nearest, 10.0, 8.84, 37.3),
        ("MMM2", &Focus, 10.0, 9.41, 47.1),
        ("MMM2", &Hold, 10.0, 6.29, 39.0),
    ];
    for (map, policy, n, total, length) in all {
        let here = played(map, RuleSet::Smaclite, policy, 200);
        let place = format!("{map}/{}", policy.name());
        assert!(here.iter().all(|episode| !episode.won), "{place}");
        for (of, there) in [
            (spread(&here, |played| f64::from(played.total)), total),
            (spread(&here, |played| played.length as f64), length),
        ] {
            let (mean, deviation) = of;
            // Four standard errors of the difference, and the rounding of the figure there.
            let band = 4.0 * deviation * (1.0 / 200.0 + 1.0_f64 / n).sqrt() + 0.05;
            assert!((mean - there).abs() < band, "{place}: {mean} is not within {band} of {there}");
        }
    }
}

#[test]
fn hard_maps_are_not_won_without_thought_and_kiting_beats_melee() {
    for map in ["2s_vs_1sc", "3s_vs_5z", "5m_vs_6m", "3s5z_vs_3s6z", "MMM2"] {
        for policy in SCRIPTED {
            let won = played(map, RuleSet::Smac, *policy, 20).iter().filter(|played| played.won).count();
            assert_eq!(won, 0, "{map}/{}", policy.name());
        }
    }
    let kited = played("3s_vs_3z", RuleSet::Smac, &Kite, 20);
    assert!(kited.iter().all(|played| played.won));
    // Shields of zealots that recover between attacks would pay more.
    assert!(kited.iter().all(|played| played.total > 19.99));
    assert!(played("3s_vs_3z", RuleSet::Smac, &Focus, 20).iter().all(|played| !played.won));
}

/// Wins among `episodes` in which each agent attacks the closest enemy, however far, until it falls.
fn wins_of_the_closest(map: &str, episodes: u64) -> usize {
    let mut game = game(map, RuleSet::Smac);
    let mut wins = 0;
    for seed in 0..episodes {
        game.reset(seed, &mut crate::env::Frame::default()).expect("starts");
        let mut targets = vec![None; game.n_agents];
        loop {
            for (agent, target) in targets.iter_mut().enumerate() {
                let (world, me) = (&game.world, game.agent(agent));
                if target.is_none_or(|target: usize| !world.units[target].in_play) {
                    let enemies = (0..game.n_enemies).map(|k| game.enemy(k));
                    let foes = enemies.filter(|&foe| world.units[foe].in_play && world.pair(me, foe).can_hit);
                    *target = foes.min_by(|&a, &b| world.distance(me, a).total_cmp(&world.distance(me, b)));
                }
                game.world.units[me].order = target.map_or(Order::Stop, Order::Attack);
            }
            game.note_strength();
            for _ in 0..TICKS {
                game.shuffle_turns();
                game.world.tick(&game.turns, &mut game.rng);
            }
            if let Some(won) = game.conclude().1.won {
                wins += usize::from(won);
                break;
            }
        }
    }
    wins
}

#[test]
fn attacking_the_closest_wins_where_sides_are_equal_and_not_where_they_are_not() {
    // In the game: 42 % on 3s5z, and nothing on the first three of these.
    for map in ["2s_vs_1sc", "3s_vs_5z", "5m_vs_6m", "3s5z_vs_3s6z"] {
        assert_eq!(wins_of_the_closest(map, 30), 0, "{map}");
    }
    for map in ["3s5z", "2s3z", "8m"] {
        assert!(wins_of_the_closest(map, 30) > 15, "{map}");
    }
}

/// Wins among `episodes` on `2s_vs_1sc` in which the stalker under fire, once it has no more than `least`
/// hp and shield and less than the other, steps back right after a shot until it is no longer aimed at.
fn wins_in_turns(rules: RuleSet, least: f64, episodes: u64) -> usize {
    const SOUTH: usize = STOP + 2;
    let mut game = game("2s_vs_1sc", rules);
    let crawler = game.enemy(0);
    let mut wins = 0;
    for seed in 0..episodes {
        let (mut frame, mut away) = (game.spec().frame(), [false; 2]);
        game.reset(seed, &mut frame).expect("starts");
        let won = loop {
            let mut actions = [0; 2];
            Focus.choose(&game, &mut stream(seed, "none"), &mut actions);
            for agent in (0..2).filter(|&agent| game.alive(agent)) {
                let (units, me, mate) = (&game.world.units, game.agent(agent), game.agent(1 - agent));
                let strength = |unit: usize| units[unit].hp + units[unit].shield;
                let aimed_at = units[crawler].target == Some(me);
                let weak = strength(me) <= least && strength(me) < strength(mate);
                away[agent] =
                    aimed_at && units[mate].in_play && (away[agent] || weak && units[me].cooldown >= 1.0);
                if away[agent] {
                    actions[agent] = SOUTH;
                }
            }
            let step = game.step(&actions, &mut frame).expect("the way south is open");
            if let Some(won) = step.won {
                break won;
            }
        };
        wins += usize::from(won);
    }
    wins
}

#[test]
fn a_spine_crawler_is_beaten_by_taking_turns() {
    // Each stalker has to bear four or five of ten hits; one that is late falls at the sixth.
    let wins = wins_in_turns(RuleSet::Smac, 42.0, 100);
    assert!(wins >= 95, "{wins}");
    assert_eq!(wins_in_turns(RuleSet::Smac, 0.0, 20), 0);
}

#[test]
fn scripted_policies_have_names_of_their_own_and_repeat() {
    let names: Vec<_> = SCRIPTED.iter().map(|policy| policy.name()).collect();
    assert_eq!(names, ["random", "hold", "nearest", "focus", "kite"]);
    for policy in SCRIPTED {
        assert!(!policy.about().is_empty());
        let twice =
            [0; 2].map(|_| scripted::play(&mut game("MMM2", RuleSet::Smac), *policy, 9, 2).expect("plays"));
        assert_eq!(twice[0], twice[1], "{}", policy.name());
    }
}

#[test]
fn a_battle_can_be_looked_at() {
    let mut game = game("3m", RuleSet::Smac);
    game.reset(0, &mut crate::env::Frame::default()).expect("starts");
    let text = game.render();
    assert!(text.starts_with("3m  step 0/60  lost 0/3  killed 0/3\n"), "{text}");
    assert!(text.ends_with("\n0 45  1 45  2 45  a 45  b 45  c 45\n"), "{text}");
    // Sixteen open rows, each of 32 cells.
    assert_eq!(text.lines().filter(|line| line.len() == 32 && line.contains('.')).count(), 16);
}
