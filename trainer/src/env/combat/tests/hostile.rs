//! Made-up scenarios, units, rules and actions: each is refused with a reason, or fought in order.

use std::fmt::Write as _;

use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::super::scenario::Scenario;
use super::super::unit::MOST_ENERGY;
use super::super::{Combat, CombatConfig, Rules};
use crate::env::{Env, Frame};
use crate::error::EnvError;
use crate::seed::{Draw, stream};

/// How many of them.
const CASES: u64 = 100_000;

/// A number, mostly sensible, now and then at the edge of sense or beyond it.
fn number(rng: &mut ChaCha8Rng, most: f64) -> String {
    match rng.below(400) {
        0 => "0.0".into(),
        1 => "-1.0".into(),
        2 => "nan".into(),
        3 => "inf".into(),
        4 => "1e300".into(),
        5 => "1e-300".into(),
        6 => format!("{most}"),
        _ => format!("{:.3}", most * f64::from(rng.unit())),
    }
}

fn pick<'a>(rng: &mut ChaCha8Rng, of: &[&'a str]) -> &'a str {
    of[rng.below(of.len())]
}

/// A unit's table; without the fields that have a default, now and then.
fn unit(rng: &mut ChaCha8Rng) -> String {
    let mut table = String::new();
    for (key, most, always) in [
        ("hp", 60.0, true),
        ("range", 9.0, true),
        ("speed", 16.0, true),
        ("radius", 1.5, true),
        ("shield", 40.0, false),
        ("armor", 4.0, false),
        ("damage", 40.0, false),
        ("cooldown", 2.0, false),
        ("separation", 1.5, false),
        ("scan", 12.0, false),
        ("max_cooldown", 40.0, false),
        ("energy", 200.0, false),
        ("regeneration", 3.0, false),
    ] {
        if always || rng.below(2) == 0 {
            let _ = writeln!(table, "{key} = {}", number(rng, most));
        }
    }
    for (key, values) in [
        ("hits", ["'both'", "'air'", "'ground'"]),
        ("flies", ["true", "false", "false"]),
        ("heals", ["true", "false", "false"]),
        ("shots", ["1", "3", "100"]),
    ] {
        if rng.below(2) == 0 {
            let _ = writeln!(table, "{key} = {}", pick(rng, &values));
        }
    }
    table
}

fn side(rng: &mut ChaCha8Rng, size: [usize; 2]) -> String {
    let types =
        ["marine", "medivac", "zealot", "stalker", "spine_crawler", "odd", "even", "odd", "even", "nobody"];
    let (mut units, mut count) = (Vec::new(), 0);
    for _ in 0..=rng.below(2) {
        let known = if rng.below(50) == 0 { types.len() } else { types.len() - 1 };
        let (name, many) = (pick(rng, &types[..known]), 1 + rng.below(3));
        units.push(format!("['{name}', {many}]"));
        count += many;
    }
    let mut place = || {
        let [x, y] = size.map(|side| number(rng, side as f64));
        format!("[{x}, {y}]")
    };
    let places = match count {
        1 => format!("at = {}", place()),
        _ => format!("places = [{}]", (0..count).map(|_| place()).collect::<Vec<_>>().join(", ")),
    };
    format!("units = [{}]\n{places}\n", units.join(", "))
}

fn scenario(rng: &mut ChaCha8Rng) -> String {
    let size = [1 + rng.below(24), 1 + rng.below(24)];
    let mut text = format!("episode_limit = {}\nsize = {size:?}\n", rng.below(8));
    let rectangle = |rng: &mut ChaCha8Rng| {
        let (left, bottom) = (rng.below(size[0]), rng.below(size[1]));
        format!("[{left}, {bottom}, {}, {}]", rng.below(size[0] - left + 1), rng.below(size[1] - bottom + 1))
    };
    let rectangles: Vec<_> = (0..rng.below(4)).map(|_| rectangle(rng)).collect();
    let _ = writeln!(text, "{} = [{}]", pick(rng, &["blocked", "blocked", "open"]), rectangles.join(", "));
    if rng.below(2) == 0 {
        let [x, y] = size.map(|side| number(rng, side as f64));
        let _ = writeln!(text, "march_to = [{x}, {y}]");
    }
    let (allies, enemies) = (side(rng, size), side(rng, size));
    let (odd, even) = (unit(rng), unit(rng));
    let _ = write!(text, "[allies]\n{allies}[enemies]\n{enemies}[unit.odd]\n{odd}[unit.even]\n{even}");
    text
}

fn rules(rng: &mut ChaCha8Rng) -> Rules {
    let set = if rng.below(2) == 0 { Rules::smac() } else { Rules::smaclite() };
    let mut coin = |usual: bool| if rng.below(6) == 0 { !usual } else { usual };
    Rules {
        scan_covers_weapon: coin(set.scan_covers_weapon),
        healers_first: coin(set.healers_first),
        revival: coin(set.revival),
        orders_lapse: coin(set.orders_lapse),
        stop_at_goal: coin(set.stop_at_goal),
        wall_slip: coin(set.wall_slip),
        numpy_rounding: coin(set.numpy_rounding),
        closed_borders: coin(set.closed_borders),
        cells_round_down: coin(set.cells_round_down),
        medivac_alone_loses: coin(set.medivac_alone_loses),
        reward_from_change: coin(set.reward_from_change),
        loops_in_state: coin(set.loops_in_state),
        ..set
    }
}

/// What must hold after every step.
fn check(game: &Combat, frame: &Frame, reward: f32) -> Result<(), String> {
    let numbers = frame.obs.iter().chain(&frame.state).chain(&frame.teacher);
    if !reward.is_finite() || numbers.into_iter().any(|number| !number.is_finite()) {
        return Err("a number is not finite".into());
    }
    if frame.available.chunks(game.n_actions).any(|row| !row.contains(&true)) {
        return Err("an agent can do nothing".into());
    }
    let [width, height] = [game.world.terrain.width as f64, game.world.terrain.height as f64];
    for (unit, kind) in game.world.units.iter().zip(&game.world.kinds) {
        let within = |value: f64, most: f64| (0.0..=most).contains(&value);
        let points = within(unit.shield, kind.unit.shield) && within(unit.energy, MOST_ENERGY);
        let at = unit.place;
        let held = !game.world.rules.closed_borders || (within(at.x, width) && within(at.y, height));
        if unit.in_play
            && !(within(unit.hp, kind.unit.hp) && points && held && at.x.is_finite() && at.y.is_finite())
        {
            return Err(format!("{unit:?}"));
        }
    }
    Ok(())
}

/// Builds and plays a case; what it came to as one number, `None` if it was refused.
fn case(index: u64) -> Option<u64> {
    let mut rng = stream(index, "test/hostile");
    let (rules, text) = (rules(&mut rng), scenario(&mut rng));
    let fail = |reason: String| -> ! { panic!("case {index}: {reason}\n{rules:?}\n{text}") };
    let map = match Scenario::read(&text, &rules) {
        Ok(map) => map,
        Err(reason) if reason.is_empty() => fail("refused without a reason".into()),
        Err(_) => return None,
    };
    let mut game = Combat::new(CombatConfig::default(), &map, rules);
    let (mut frame, n) = (game.spec().frame(), game.spec().n_agents);
    game.reset(index, &mut frame).unwrap_or_else(|error| fail(error.to_string()));
    let mut sum = 0_u64;
    loop {
        let mut actions: Vec<usize> = (0..n).map(|_| rng.below(game.n_actions + 1)).collect();
        let mut played = game.step(&actions, &mut frame);
        if matches!(played, Err(EnvError::Unavailable { .. })) {
            game.choose("random", &mut rng, &mut actions).unwrap_or_else(|error| fail(error.to_string()));
            played = game.step(&actions, &mut frame);
        }
        let step = played.unwrap_or_else(|error| fail(error.to_string()));
        check(&game, &frame, step.reward).unwrap_or_else(|reason| fail(reason));
        sum = sum.rotate_left(7) ^ u64::from(step.reward.to_bits());
        if step.end.is_some() {
            break;
        }
    }
    let seen = frame.obs.iter().chain(&frame.state).map(|number| u64::from(number.to_bits()));
    Some(seen.fold(sum, |sum, bits| sum.rotate_left(7) ^ bits))
}

#[test]
fn made_up_battles_are_refused_or_fought_in_order() {
    let on = |threads: usize, cases: u64| -> Vec<Option<u64>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| (0..cases).into_par_iter().map(case).collect())
    };
    let all = on(2, CASES);
    let fought = all.iter().flatten().count();
    assert!(fought > CASES as usize / 2 && fought < CASES as usize, "{fought} of {CASES} were fought");
    assert_eq!(on(1, CASES / 50), all[..CASES as usize / 50], "threads make a difference");
}
