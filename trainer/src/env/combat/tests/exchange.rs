//! Exchanges of fire that were computed by hand.

use super::super::plane::vector;
use super::super::world::Order;
use super::super::{ATTACK, Combat, Figures, Rules, STOP};
use super::{battle, step, ticks};
use crate::env::End;

#[track_caller]
fn near(got: f64, want: f64) {
    assert!((got - want).abs() < 1e-9, "{got}, not {want}");
}

/// Ticks from the beginning of a shot until it hits: a spine crawler's winds up for 0.3332 s.
fn wind_up(shooter: &str, rules: &Rules) -> usize {
    if shooter == "spine_crawler" && rules.figures == Figures::Smac { 6 } else { 0 }
}

/// hp and shield of an enemy 4 cells away after one shot by a unit.
fn after_one_shot(shooter: &str, target: &str, rules: Rules) -> (f64, f64) {
    let [allies, enemies] = [shooter, target].map(|name| format!("[['{name}', 1]]"));
    let place = if shooter == "zealot" { "[[10, 10]]" } else { "[[7, 10]]" };
    let mut game = battle(&allies, place, &enemies, "[[11, 10]]", rules);
    game.world.units[0].order = Order::Attack(1);
    ticks(&mut game, 1 + wind_up(shooter, &rules));
    (game.world.units[1].hp, game.world.units[1].shield)
}

#[test]
fn a_hit_is_what_the_tables_say() {
    let smac = Rules::smac();
    for (shooter, target, hp, shield) in [
        // Damage less armour.
        ("marine", "marine", 39.0, 0.0),
        ("marine", "marauder", 120.0, 0.0),
        // Better against armoured targets: 10 + 10 - 1.
        ("marauder", "marauder", 106.0, 0.0),
        ("marauder", "marine", 35.0, 0.0),
        // Shields have no armour: 10 + 10, 13 + 5.
        ("marauder", "stalker", 80.0, 60.0),
        ("stalker", "stalker", 80.0, 62.0),
        ("stalker", "zealot", 100.0, 37.0),
        ("stalker", "spine_crawler", 284.0, 0.0),
        ("stalker", "medivac", 133.0, 0.0),
        // Two hits: twice 8, each less armour.
        ("zealot", "stalker", 80.0, 64.0),
        ("zealot", "marauder", 111.0, 0.0),
        ("spine_crawler", "stalker", 80.0, 50.0),
        // Armour leaves half a point.
        ("marine", "hulk", 99.5, 0.0),
    ] {
        let after = after_one_shot(shooter, target, smac);
        // A spine crawler has its turn after the shot, and grows back a little.
        let grown = if target == "spine_crawler" { 0.2734 / 16.0 } else { 0.0 };
        assert!((after.0 - hp - grown).abs() < 1e-9, "{shooter} at {target}: {after:?}");
        assert!((after.1 - shield).abs() < 1e-9, "{shooter} at {target}: {after:?}");
    }
    near(after_one_shot("marine", "hulk", Rules::smaclite()).0, 100.0);
    // It cannot hit what flies.
    near(after_one_shot("marauder", "medivac", smac).0, 150.0);
}

#[test]
fn a_shield_breaks_in_the_middle_of_a_hit() {
    let mut game = battle("[['zealot', 1]]", "[[10, 10]]", "[['zealot', 1]]", "[[11, 10]]", Rules::smac());
    game.world.units[1].shield = 5.0;
    game.world.units[0].order = Order::Attack(1);
    ticks(&mut game, 1);
    // 5 of the first 8 go to the shield, 3 - 1 to the hp; then 8 - 1.
    near(game.world.units[1].hp, 91.0);
    near(game.world.units[1].shield, 0.0);
    near(game.world.harvest.damage, 14.0);
}

#[test]
fn weapons_take_their_time() {
    for (shooter, rules, between) in [
        // 0.8608 s of 16 ticks, and SMAClite's 0.61 s.
        ("marine", Rules::smac(), 14),
        ("marine", Rules::smaclite(), 10),
        ("marauder", Rules::smac(), 24),
        ("marauder", Rules::smaclite(), 18),
        ("stalker", Rules::smac(), 30),
        ("stalker", Rules::smaclite(), 22),
        ("spine_crawler", Rules::smac(), 30),
        ("spine_crawler", Rules::smaclite(), 22),
    ] {
        let allies = format!("[['{shooter}', 1]]");
        let mut game = battle(&allies, "[[7, 10]]", "[['spine_crawler', 1]]", "[[11, 10]]", rules);
        game.world.units[0].order = Order::Attack(1);
        let mut shots = Vec::new();
        for tick in 0..40 {
            let before = game.world.harvest.damage;
            ticks(&mut game, 1);
            if game.world.harvest.damage > before {
                shots.push(tick);
            }
        }
        let first = wind_up(shooter, &rules);
        assert_eq!(shots[..2], [first, first + between], "{shooter}");
    }
}

#[test]
fn a_shot_is_broken_off_for_nothing_where_its_target_leaves() {
    // A spine crawler reaches 7 + 0.875 + 0.625 cells.
    let places = ["[[20, 10]]", "[[11.6, 10]]"];
    let crawler = "[['spine_crawler', 1]]";
    let mut game = battle("[['stalker', 1]]", places[1], crawler, places[0], Rules::smac());
    let shield = |game: &Combat| game.world.units[0].shield;
    ticks(&mut game, 6);
    near(shield(&game), 80.0);
    assert_eq!(game.world.units[1].shot.map(|(at, _)| at), Some(0));
    near(game.world.units[1].cooldown, 1.85 - 5.0 / 16.0);
    // It winds up anew for the whole time, but does not wait before.
    game.world.units[0].place.x = 11.4;
    ticks(&mut game, 1);
    assert_eq!((game.world.units[1].shot, game.world.units[1].target), (None, None));
    near(game.world.units[1].cooldown, 0.0);
    game.world.units[0].place.x = 11.6;
    ticks(&mut game, 6);
    near(shield(&game), 80.0);
    ticks(&mut game, 1);
    near(shield(&game), 50.0);
    // Once it has hit, leaving does not hasten the next one.
    game.world.units[0].place.x = 11.4;
    ticks(&mut game, 1);
    near(game.world.units[1].cooldown, 1.85 - 7.0 / 16.0);
}

#[test]
fn a_shot_under_way_does_not_go_over_to_another_target() {
    let stalkers = "[['stalker', 2]]";
    let mut game =
        battle(stalkers, "[[11.6, 10], [12, 16]]", "[['spine_crawler', 1]]", "[[20, 10]]", Rules::smac());
    ticks(&mut game, 6);
    game.world.units[1].place = vector(13.0, 12.0);
    game.world.units[0].place.x = 11.4;
    ticks(&mut game, 6);
    assert_eq!(game.world.units[2].target, Some(1));
    near(game.world.units[1].shield, 80.0);
    ticks(&mut game, 1);
    near(game.world.units[1].shield, 50.0);
    near(game.world.units[0].shield, 80.0);
}

#[test]
fn the_delay_of_weapons_is_drawn_between_its_bounds() {
    let mut game = battle("[['marine', 1]]", "[[7, 10]]", "[['hulk', 1]]", "[[11, 10]]", Rules::smac());
    game.world.rules.weapon_delay = [-0.0625, 0.125];
    game.world.units[0].order = Order::Attack(1);
    let mut cooldowns = Vec::new();
    while cooldowns.len() < 100 {
        let before = game.world.harvest.damage;
        game.world.units[1].hp = 100.0;
        ticks(&mut game, 1);
        if game.world.harvest.damage > before {
            cooldowns.push(game.world.units[0].cooldown - 0.8608);
        }
    }
    let (least, most) =
        (cooldowns.iter().copied().fold(1.0, f64::min), cooldowns.iter().copied().fold(-1.0, f64::max));
    assert!((-0.0625..-0.04).contains(&least) && (0.1..0.125).contains(&most), "{least} {most}");
}

#[test]
fn a_shield_recovers_ten_seconds_after_the_last_hit() {
    let mut game = battle("[['marine', 1]]", "[[7, 10]]", "[['stalker', 1]]", "[[11, 10]]", Rules::smac());
    game.world.units[0].order = Order::Attack(1);
    game.world.units[1].order = Order::Stop;
    ticks(&mut game, 1);
    game.world.units[0].order = Order::Stop;
    near(game.world.units[1].shield, 74.0);
    // Its own turn comes after the shot: 160 ticks from there.
    ticks(&mut game, 158);
    near(game.world.units[1].shield, 74.0);
    ticks(&mut game, 8);
    near(game.world.units[1].shield, 75.0);
    ticks(&mut game, 200);
    near(game.world.units[1].shield, 80.0);
}

#[test]
fn a_medivac_heals_nine_points_a_second_for_a_third_of_the_energy() {
    let mut game = battle(
        "[['medivac', 1], ['marine', 1]]",
        "[[7, 10], [9, 10]]",
        "[['hulk', 1]]",
        "[[30, 30]]",
        Rules::smac(),
    );
    game.world.units[1].hp = 9.0;
    game.world.units[0].order = Order::Attack(1);
    ticks(&mut game, 16);
    near(game.world.units[1].hp, 18.0);
    // Three points of energy pay for nine, plus what was taken in advance; 0.5625 came back.
    near(game.world.units[0].energy, 50.0 + 0.5625 - 3.0);
    near(game.world.units[0].pool, 0.0);
    ticks(&mut game, 160);
    near(game.world.units[1].hp, 45.0);
}

#[test]
fn a_tired_medivac_does_not_turn_to_a_patient() {
    let mut game = battle(
        "[['medivac', 1], ['marine', 1]]",
        "[[7, 10], [9, 10]]",
        "[['hulk', 1]]",
        "[[30, 30]]",
        Rules::smac(),
    );
    game.world.units[1].hp = 9.0;
    game.world.units[0].energy = 4.0;
    game.world.units[0].order = Order::Attack(1);
    ticks(&mut game, 8);
    near(game.world.units[1].hp, 9.0);
}

#[test]
fn the_dead_are_healed_by_smaclite_only() {
    for (rules, lives) in [(Rules::smac(), false), (Rules::smaclite(), true)] {
        // The agent's shot comes first, then the enemies' medivac has its turn.
        let mut game = battle(
            "[['marine', 1]]",
            "[[7, 10]]",
            "[['medivac', 1], ['marine', 1]]",
            "[[12, 10], [11, 10]]",
            rules,
        );
        game.world.units[2].hp = 5.0;
        game.world.units[0].order = Order::Attack(2);
        for (me, target) in [(1, 2), (2, 0)] {
            (game.world.units[me].target, game.world.units[me].last_target) = (Some(target), Some(target));
        }
        ticks(&mut game, 1);
        assert_eq!(game.world.units[2].in_play, lives);
        assert_eq!(game.world.harvest.kills, 1);
    }
}

#[test]
fn an_order_lapses_with_its_target_unless_smaclite_plays() {
    for (rules, shoots) in [(Rules::smac(), false), (Rules::smaclite(), true)] {
        let mut game = battle("[['marine', 1]]", "[[7, 10]]", "[['marine', 1]]", "[[11, 10]]", rules);
        game.world.units[1].hp = 0.25;
        step(&mut game, &[ATTACK]);
        assert!(!game.world.units[1].in_play);
        game.world.units[0].cooldown = 0.0;
        ticks(&mut game, 1);
        assert_eq!(game.world.units[0].cooldown > 0.0, shoots);
    }
}

#[test]
fn medivacs_are_not_shot_first_but_by_smaclite() {
    for (rules, target) in [(Rules::smac(), 1), (Rules::smaclite(), 0)] {
        let mut game = battle(
            "[['medivac', 1], ['marine', 1]]",
            "[[7, 10], [8, 10]]",
            "[['marine', 1]]",
            "[[11, 10]]",
            rules,
        );
        ticks(&mut game, 1);
        assert_eq!(game.world.units[2].target, Some(target));
    }
}

#[test]
fn attackers_look_as_far_as_they_shoot_but_in_smaclite() {
    // A stalker reaches 6 + 2 · 0.625 cells; SMAClite's scan is 5 + 0.625.
    for (rules, distance, engages) in [
        (Rules::smac(), 7.2, true),
        (Rules::smac(), 7.3, false),
        (Rules::smaclite(), 5.6, true),
        (Rules::smaclite(), 5.7, false),
    ] {
        let place = format!("[[{}, 10]]", 20.0 - distance);
        let mut game = battle("[['stalker', 1]]", &place, "[['stalker', 1]]", "[[20, 10]]", rules);
        ticks(&mut game, 1);
        assert_eq!(game.world.units[1].target.is_some(), engages, "{distance}");
    }
}

#[test]
fn a_perfect_win_returns_twenty() {
    for rules in [Rules::smac(), Rules::smaclite()] {
        let mut game =
            battle("[['marine', 3]]", "[[7, 9], [7, 10], [7, 11]]", "[['marine', 1]]", "[[11, 10]]", rules);
        let mut total = 0.0;
        loop {
            let played = step(&mut game, &[ATTACK; 3]);
            total += f64::from(played.reward);
            if played.end.is_some() {
                assert_eq!((played.end, played.won), (Some(End::Terminated), Some(true)));
                break;
            }
        }
        assert!((total - 20.0).abs() < 1e-5, "{total}");
    }
}

#[test]
fn the_reward_of_a_step_is_what_was_shot_away() {
    // One shot of 6 at 45 hp: 6 of 10 + 200 + 45, scaled to 20.
    let mut game = battle("[['marine', 1]]", "[[7, 10]]", "[['marine', 1]]", "[[11, 10]]", Rules::smac());
    let played = step(&mut game, &[ATTACK]);
    near(f64::from(played.reward), f64::from(6.0_f32 * 20.0 / 255.0));
    assert_eq!(played.end, None);
    // Own losses count if they are told to: 6 for 6, at half the price.
    game.config.reward_only_positive = false;
    ticks(&mut game, 40);
    let hp = game.world.units[0].hp;
    let before = game.world.units[1].hp;
    let played = step(&mut game, &[STOP]);
    let (lost, gained) = (hp - game.world.units[0].hp, before - game.world.units[1].hp);
    assert!((f64::from(played.reward) - (gained - 0.5 * lost) * 20.0 / 255.0).abs() < 1e-6);
}

#[test]
fn regeneration_pays_in_smac_as_its_reward_is_an_absolute_value() {
    let mut game = battle("[['marine', 1]]", "[[7, 10]]", "[['zealot', 1]]", "[[30, 30]]", Rules::smac());
    game.world.units[1].shield = 10.0;
    let played = step(&mut game, &[STOP]);
    // 8 ticks at 2 points a second, of 10 + 200 + 150.
    near(f64::from(played.reward), f64::from(20.0_f32 / 360.0));
    game.world.rules.reward_from_change = false;
    assert!(step(&mut game, &[STOP]).reward.abs() < 1e-9);
}

#[test]
fn nobody_wins_where_both_fall_at_once() {
    let mut game = battle("[['marine', 1]]", "[[7, 10]]", "[['marine', 1]]", "[[11, 10]]", Rules::smac());
    for unit in &mut game.world.units {
        unit.hp = 0.0;
    }
    ticks(&mut game, 1);
    let played = game.conclude().1;
    assert_eq!((played.end, played.won), (Some(End::Terminated), Some(false)));
}

#[test]
fn a_medivac_alone_has_lost_on_its_maps() {
    for (alone_loses, want) in [(true, Some(true)), (false, None)] {
        let mut game = battle(
            "[['marine', 1]]",
            "[[7, 10]]",
            "[['medivac', 1], ['marine', 1]]",
            "[[20, 10], [11, 10]]",
            Rules::smac(),
        );
        game.medivac_alone_loses = alone_loses;
        game.world.units[2].hp = 1.0;
        assert_eq!(step(&mut game, &[ATTACK + 1]).won, want);
    }
}
