//! What every environment promises, and SMAC's interface in particular.

use proptest::prelude::*;

use super::super::scenario::MAPS;
use super::super::scripted::{Focus, Random, ScriptedPolicy};
use super::super::{ATTACK, Combat, CombatConfig, NO_OP, RuleSet, Rules, STOP};
use super::{battle, step};
use crate::env::registry::EnvKind;
use crate::env::{End, Env, Frame, check_env};
use crate::error::EnvError;
use crate::seed::stream;

fn game(map: &str, rules: RuleSet) -> Combat {
    Combat::from_config(CombatConfig { map: map.into(), rules, ..CombatConfig::default() }).expect("builds")
}

#[test]
fn sizes_are_those_of_smac() {
    // Agents, enemies, actions, observation, state, limit, points of a win without regeneration.
    for (map, agents, enemies, actions, obs, state, limit, points) in [
        ("2s_vs_1sc", 2, 1, 7, 17, 27, 300, 510.0),
        ("3s5z", 8, 8, 14, 128, 216, 150, 1510.0),
        ("3s_vs_5z", 3, 5, 11, 48, 68, 250, 1000.0),
        ("5m_vs_6m", 5, 6, 12, 55, 98, 70, 530.0),
        ("3s5z_vs_3s6z", 8, 9, 15, 136, 230, 170, 1670.0),
        ("MMM2", 10, 12, 18, 176, 322, 180, 1205.0),
        ("3m", 3, 3, 9, 30, 48, 60, 365.0),
        ("8m", 8, 8, 14, 80, 168, 120, 640.0),
        ("2s3z", 5, 5, 11, 80, 120, 120, 1020.0),
        ("MMM", 10, 10, 16, 160, 290, 150, 1015.0),
    ] {
        for rules in [RuleSet::Smac, RuleSet::Smaclite] {
            let game = game(map, rules);
            let spec = game.spec();
            assert_eq!(
                (spec.n_agents, game.n_enemies, spec.n_actions()),
                (agents, enemies, actions),
                "{map}"
            );
            assert_eq!((spec.obs_dim, spec.state_dim, spec.episode_limit), (obs, state, limit), "{map}");
            assert!((game.max_reward - points).abs() < 1e-9, "{map}: {}", game.max_reward);
        }
    }
}

#[test]
fn allies_are_numbered_by_type_then_from_west_to_east() {
    let game = game("3s5z", RuleSet::Smac);
    let place = |k: usize| game.world.kinds[k].start;
    for k in (0..2).chain(3..7) {
        let (a, b) = (place(k), place(k + 1));
        assert!(a.x < b.x || (a.x <= b.x && a.y < b.y), "{k}: {a:?} {b:?}");
    }
    assert_eq!(game.bits[..8], [0, 0, 0, 1, 1, 1, 1, 1].map(Some));
    assert_eq!(game.bits[8..], [1, 1, 1, 0, 0, 0, 0, 0].map(Some));
}

#[test]
fn every_map_keeps_the_contract() {
    for (map, _) in MAPS {
        for rules in [RuleSet::Smac, RuleSet::Smaclite] {
            let report = check_env(&mut game(map, rules), 3, 4).expect("passes");
            assert!(report.saves && report.hints.is_empty(), "{map}: {:?}", report.hints);
        }
    }
}

#[test]
fn switches_of_smac_change_the_sizes_as_there() {
    let config = CombatConfig {
        map: "3m".into(),
        obs_last_action: true,
        obs_timestep_number: true,
        state_last_action: false,
        state_timestep_number: true,
        ..CombatConfig::default()
    };
    let mut game = Combat::from_config(config).expect("builds");
    // Two team mates with 9 actions each, and the time; the state without 3 times 9.
    assert_eq!((game.spec().obs_dim, game.spec().state_dim), (30 + 18 + 1, 48 - 27 + 1));
    let mut frame = Frame::default();
    game.reset(0, &mut frame).expect("starts");
    game.step(&[STOP; 3], &mut frame).expect("steps");
    let [_, ally, _] = game.obs_widths();
    let first_mate = &frame.obs[4 + 3 * 5..][..ally];
    assert_eq!(first_mate[5..], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert!((frame.obs[48] - 1.0 / 60.0).abs() < 1e-6 && (frame.state[21] - 1.0 / 60.0).abs() < 1e-6);
    check_env(&mut game, 1, 2).expect("passes");
    // The dead see the clock.
    let dim = game.spec().obs_dim;
    game.reset(0, &mut frame).expect("starts");
    game.world.units[0].hp = 0.0;
    game.step(&[STOP; 3], &mut frame).expect("steps");
    assert!(!frame.alive[0] && (frame.obs[dim - 1] - 1.0 / 60.0).abs() < 1e-6);
    assert!(frame.obs[..dim - 1].iter().all(|x| x.abs() < 1e-9));
}

#[test]
fn a_dead_agent_has_one_action_and_sees_nothing() {
    let mut game =
        battle("[['marine', 2]]", "[[7, 10], [7, 11]]", "[['hulk', 1]]", "[[11, 10]]", Rules::smac());
    game.world.units[0].hp = 0.0;
    step(&mut game, &[NO_OP + 1, STOP]);
    let mut frame = Frame::default();
    game.observe(&mut frame);
    assert_eq!(frame.alive, [false, true]);
    let (dead, alive) = frame.available.split_at(game.n_actions);
    assert_eq!(dead.iter().position(|&open| open), Some(NO_OP));
    assert_eq!(dead.iter().filter(|&&open| open).count(), 1);
    assert!(!alive[NO_OP] && alive[STOP]);
    assert!(frame.obs[..game.spec().obs_dim].iter().all(|x| x.abs() < 1e-9));
    let error = game.step(&[STOP, STOP], &mut frame).expect_err("refused");
    assert!(matches!(error, EnvError::Unavailable { agent: 0, action: STOP }));
}

#[test]
fn attacks_are_open_within_six_cells_and_moves_where_there_is_ground() {
    let mut game =
        battle("[['marine', 1]]", "[[0.5, 10]]", "[['hulk', 2]]", "[[6.5, 10], [6.6, 10]]", Rules::smac());
    let mut mask = vec![false; game.n_actions];
    game.mask(0, &mut mask);
    // West of 0.5 is -0.5, which SMAC cuts off to 0.
    assert_eq!(mask, [false, true, true, true, true, true, true, false]);
    game.world.rules.cells_round_down = true;
    mask.fill(false);
    game.mask(0, &mut mask);
    assert!(!mask[5]);
}

#[test]
fn a_medivac_heals_team_mates_on_the_ground_only() {
    let mut game = game("MMM2", RuleSet::Smac);
    game.reset(0, &mut Frame::default()).expect("starts");
    let mut mask = vec![false; game.n_actions];
    game.mask(9, &mut mask);
    assert!(mask[ATTACK..ATTACK + 9].iter().all(|&open| open), "{mask:?}");
    assert!(mask[ATTACK + 9..].iter().all(|&open| !open), "{mask:?}");
}

#[test]
fn sight_ends_at_nine_cells_but_not_for_the_teacher() {
    let mut game =
        battle("[['marine', 1]]", "[[7, 10]]", "[['marine', 2]]", "[[15.9, 10], [16.0, 10]]", Rules::smac());
    let mut frame = Frame::default();
    game.observe(&mut frame);
    let seen = |values: &[f32], k: usize| values[4 + 5 * k + 1] > 0.0;
    assert!(seen(&frame.obs, 0) && !seen(&frame.obs, 1));
    assert!(seen(&frame.teacher, 0) && seen(&frame.teacher, 1));
    assert!((frame.teacher[4 + 5 + 1] - 1.0).abs() < 1e-6);
    game.world.units[2].in_play = false;
    game.observe(&mut frame);
    assert!(!seen(&frame.teacher, 1));
}

#[test]
fn the_limit_is_an_end_unless_told_otherwise() {
    for (limit_is_end, want) in [(true, End::Terminated), (false, End::Truncated)] {
        let config = CombatConfig {
            map: "2s_vs_1sc".into(),
            episode_limit: 2,
            limit_is_end,
            ..CombatConfig::default()
        };
        let mut game = Combat::from_config(config).expect("builds");
        let mut frame = Frame::default();
        game.reset(0, &mut frame).expect("starts");
        assert_eq!(game.step(&[STOP; 2], &mut frame).expect("steps").end, None);
        let last = game.step(&[STOP; 2], &mut frame).expect("steps");
        assert_eq!((last.end, last.won), (Some(want), Some(false)));
        assert!(matches!(game.step(&[STOP; 2], &mut frame), Err(EnvError::NotRunning)));
    }
}

#[test]
fn impossible_values_are_refused_by_key() {
    let says = |config: CombatConfig| Combat::from_config(config).expect_err("refused").to_string();
    let with = |rule: &str| CombatConfig { rule: rule.parse().expect("TOML"), ..CombatConfig::default() };
    let usual = CombatConfig::default;
    for (config, want) in [
        (CombatConfig { map: "4m".into(), ..usual() }, "[env] map: unknown map \"4m\"; known: 3m, "),
        (CombatConfig { episode_limit: 1_000_001, ..usual() }, "[env] episode_limit: is 1000001; give 1 to"),
        (CombatConfig { reward_win: f64::NAN, ..usual() }, "[env] reward_win: is NaN; give 0 to 1000000"),
        (with("revive = true"), "[env] rule.revive: unknown rule; known: "),
        (with("revival = 1"), "[env] rule.revival: invalid type"),
        (with("weapon_delay = [1.0, 0.0]"), "[env] rule.weapon_delay: is [1, 0]; give two times"),
        (with("least_damage = -1.0"), "[env] rule.least_damage: is -1; give 0 to 1000000"),
    ] {
        let message = says(config);
        assert!(message.starts_with(want), "{message}");
    }
    assert!(Combat::from_config(with("revival = true")).expect("builds").rules().revival);
}

#[test]
fn an_episode_goes_on_exactly_in_another_instance() {
    // In the second, a shot is under way.
    for (map, agents, steps) in [("MMM2", 10, 15), ("2s_vs_1sc", 2, 2)] {
        goes_on(map, agents, steps);
    }
}

fn goes_on(map: &str, agents: usize, steps: usize) {
    let [mut game, mut other] = [0; 2].map(|_| game(map, RuleSet::Smac));
    assert_eq!(game.save(), None);
    let mut frame = game.spec().frame();
    let (mut rng, mut actions) = (stream(1, "test"), vec![0; agents]);
    game.reset(4, &mut frame).expect("starts");
    for _ in 0..steps {
        Focus.choose(&game, &mut rng, &mut actions);
        game.step(&actions, &mut frame).expect("steps");
    }
    assert_eq!(map == "2s_vs_1sc", game.world.units.iter().any(|unit| unit.shot.is_some()));
    let mut same = Frame::default();
    other.load(&game.save().expect("saves"), &mut same).expect("loads");
    assert_eq!(same, frame);
    loop {
        Focus.choose(&game, &mut rng, &mut actions);
        let step = game.step(&actions, &mut frame).expect("steps");
        assert_eq!(other.step(&actions, &mut same).expect("steps"), step);
        assert_eq!(same, frame);
        assert_eq!(other.render(), game.render());
        if step.end.is_some() {
            break;
        }
    }
    assert_eq!(other.save(), game.save());
}

#[test]
fn a_saved_episode_of_another_map_is_refused() {
    let mut one = game("3m", RuleSet::Smac);
    one.reset(0, &mut Frame::default()).expect("starts");
    let refused = game("8m", RuleSet::Smac).load(&one.save().expect("saves"), &mut Frame::default());
    let message = refused.expect_err("refused").to_string();
    assert_eq!(message, "cannot restore the environment: saved with agents = 3, this environment has 8");
}

proptest! {
    /// Whatever is changed in a saved episode: an error that changes nothing, or a playable game.
    #[test]
    fn hostile_bytes_never_panic(
        changes in prop::collection::vec((0_usize..2000, any::<u8>()), 1..6),
        cut in 0_usize..2000,
    ) {
        let mut game = game("MMM2", RuleSet::Smac);
        let mut frame = Frame::default();
        game.reset(1, &mut frame).expect("starts");
        let before = game.save().expect("saves");
        let mut saved = before.clone();
        for (at, value) in changes {
            let at = at % saved.len();
            saved[at] = value;
        }
        if cut < saved.len() / 4 {
            saved.truncate(cut);
        }
        match game.load(&saved, &mut frame) {
            Ok(()) => {
                let mut rng = stream(0, "test");
                let mut actions = [0; 10];
                for _ in 0..3 {
                    Random.choose(&game, &mut rng, &mut actions);
                    match game.step(&actions, &mut frame) {
                        Ok(step) => prop_assert!(step.reward.is_finite() && frame.obs.iter().all(|x| x.is_finite())),
                        Err(EnvError::NotRunning) => break,
                        Err(other) => prop_assert!(false, "{}", other),
                    }
                }
            }
            Err(EnvError::Restore { .. }) => prop_assert_eq!(game.save(), Some(before)),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
