//! Tests of the whole game.

mod contract;
mod exchange;
mod hostile;
mod play;

use super::rules::Rules;
use super::scenario::Scenario;
use super::{Combat, CombatConfig, Phase, TICKS};

/// A battle of `allies` against `enemies`, as lists of TOML, who stand at the given places and do not
/// march; weapons take exactly their time.
fn battle(allies: &str, ally_places: &str, enemies: &str, enemy_places: &str, rules: Rules) -> Combat {
    let text = format!(
        "episode_limit = 50\nblocked = []\n\
         [allies]\nunits = {allies}\nplaces = {ally_places}\n\
         [enemies]\nunits = {enemies}\nplaces = {enemy_places}\n\
         [unit.hulk]\nhp = 100.0\narmor = 9.0\nrange = 0.1\nspeed = 0.0\nradius = 0.5\n"
    );
    let rules = Rules { weapon_delay: [0.0; 2], ..rules };
    let map = Scenario::read(&text, &rules).expect("the test writes a scenario");
    let mut game = Combat::new(CombatConfig::default(), &map, rules);
    game.phase = Phase::Running;
    game
}

/// Some ticks in which units act in the order of their numbers.
fn ticks(game: &mut Combat, count: usize) {
    for _ in 0..count {
        let turns: Vec<_> = (0..game.world.units.len()).filter(|&me| game.world.units[me].in_play).collect();
        game.world.tick(&turns, &mut game.rng);
    }
}

/// One step of those.
fn step(game: &mut Combat, actions: &[usize]) -> crate::env::Step {
    for (agent, &action) in actions.iter().enumerate() {
        assert!(game.may(agent, action), "{agent} may not {action}");
        game.command(agent, action);
    }
    game.note_strength();
    ticks(game, TICKS);
    game.conclude().1
}
