//! What was recorded in SMAClite happens here as well, under its rules.
//!
//! The recordings hold states, actions and the order of turns, so that nothing is left to chance.
//! Three things are asked: what is seen in a recorded state, what it becomes by one step, and what the
//! first state of a recording becomes by all its steps.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use super::super::plane::vector;
use super::super::{Combat, CombatConfig, RuleSet, TICKS};
use crate::env::registry::EnvKind;
use crate::env::{Env, Frame, Step};

/// Places are kept in 32 bits; where units touch, SMAClite's 32-bit sums differ from ours.
const PLACE: f64 = 1e-3;
/// hp, shields, energy, cooldowns, healing: sums of few terms.
const OTHER: f64 = 1e-9;

struct Recording<'a> {
    name: &'a str,
    tensors: &'a SafeTensors<'a>,
    steps: usize,
}

impl<'a> Recording<'a> {
    fn new(name: &'a str, tensors: &'a SafeTensors<'a>) -> Self {
        let steps = tensors.tensor(&format!("{name}/reward")).expect("it is there").shape()[0];
        Self { name, tensors, steps }
    }

    /// Row `at` of the first axis, as numbers.
    fn row(&self, key: &str, at: usize) -> Vec<f64> {
        let view = self.tensors.tensor(&format!("{}/{key}", self.name)).expect("it is there");
        let size = view.data().len() / view.shape()[0];
        let bytes = &view.data()[at * size..][..size];
        let (fours, eights) = (bytes.as_chunks().0.iter().copied(), bytes.as_chunks().0.iter().copied());
        match view.dtype() {
            Dtype::U8 => bytes.iter().map(|&x| f64::from(x)).collect(),
            Dtype::I8 => bytes.iter().map(|&x| f64::from(x.cast_signed())).collect(),
            Dtype::F32 => fours.map(f32::from_le_bytes).map(f64::from).collect(),
            Dtype::F64 => eights.map(f64::from_le_bytes).collect(),
            other => panic!("{key}: {other:?}"),
        }
    }

    /// Indices, where -1 is none.
    fn indices(&self, key: &str, at: usize) -> Vec<Option<usize>> {
        self.row(key, at).iter().map(|&k| (k >= 0.0).then_some(k as usize)).collect()
    }

    fn actions(&self, step: usize) -> Vec<usize> {
        self.indices("actions", step).into_iter().flatten().collect()
    }

    fn game(&self) -> Combat {
        let map = self.name.rsplitn(3, '_').last().expect("a map").to_owned();
        let config = CombatConfig { map, rules: RuleSet::Smaclite, ..CombatConfig::default() };
        let mut game = Combat::from_config(config).expect("builds");
        game.reset(0, &mut Frame::default()).expect("starts");
        game
    }

    /// Puts the state before `step` into the game.
    fn load(&self, game: &mut Combat, step: usize) {
        let [place, velocity, scalars] = ["place", "velocity", "scalars"].map(|key| self.row(key, step));
        let [target, last] = ["target", "last_target"].map(|key| self.indices(key, step));
        let alive = self.row("alive", step);
        for (k, unit) in game.world.units.iter_mut().enumerate() {
            unit.in_play = alive[k] > 0.5;
            unit.place = vector(place[2 * k], place[2 * k + 1]);
            unit.velocity = vector(velocity[2 * k], velocity[2 * k + 1]);
            [unit.hp, unit.shield, unit.energy, unit.cooldown, unit.shield_delay, unit.pool] =
                scalars[6 * k..6 * k + 6].try_into().expect("six");
            (unit.target, unit.last_target) = (target[k], last[k]);
        }
        game.t = step;
        if step > 0 {
            game.last_actions = self.actions(step - 1).into_iter().map(Some).collect();
        }
    }

    /// Plays a step with the recorded actions and turns.
    fn play(&self, game: &mut Combat, step: usize) -> Step {
        for (agent, action) in self.actions(step).into_iter().enumerate() {
            assert!(game.may(agent, action), "{} step {step}: {agent} may not {action}", self.name);
            game.command(agent, action);
        }
        game.note_strength();
        for tick in step * TICKS..(step + 1) * TICKS {
            let turns: Vec<_> = self.indices("order", tick).into_iter().flatten().collect();
            game.world.tick(&turns, &mut game.rng);
        }
        game.conclude()
    }

    /// That places agree with the state before `step` up to `tolerance`, and all else exactly.
    #[track_caller]
    fn compare(&self, game: &Combat, step: usize, tolerance: f64) {
        let [place, scalars, alive] = ["place", "scalars", "alive"].map(|key| self.row(key, step));
        let target = self.indices("target", step);
        for (k, unit) in game.world.units.iter().enumerate() {
            let at = format!("{} step {step} unit {k}: {unit:?}", self.name);
            assert_eq!(unit.in_play, alive[k] > 0.5, "{at}");
            if unit.in_play {
                let off = (unit.place - vector(place[2 * k], place[2 * k + 1])).length();
                assert!(off <= tolerance, "{at} is {off} away");
                assert_eq!(unit.target, target[k], "{at}");
                let got = [unit.hp, unit.shield, unit.energy, unit.cooldown, unit.shield_delay, unit.pool];
                let want = &scalars[6 * k..][..6];
                assert!(
                    got.iter().zip(want).all(|(got, want)| (got - want).abs() <= OTHER),
                    "{at}: {want:?}"
                );
            }
        }
    }
}

/// Runs `check` on each recording whose name starts with one of `prefixes`.
fn recordings(prefixes: &[&str], check: impl Fn(&Recording<'_>)) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/combat/recordings.safetensors");
    let bytes = std::fs::read(path).expect("the recordings are part of the repository");
    let tensors = SafeTensors::deserialize(&bytes).expect("the recordings are whole");
    let mut names: Vec<_> = tensors.names().iter().filter_map(|name| name.strip_suffix("/reward")).collect();
    names.retain(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)));
    assert!(!names.is_empty());
    for name in names {
        check(&Recording::new(name, &tensors));
    }
}

fn largest_difference(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(got, want)| (f64::from(*got) - want).abs()).fold(0.0, f64::max)
}

#[test]
fn units_start_where_they_did() {
    recordings(&[""], |recording| recording.compare(&recording.game(), 0, 0.0));
}

#[test]
fn recorded_states_look_as_they_did() {
    recordings(&[""], |recording| {
        let mut frame = Frame::default();
        let mut game = recording.game();
        let seen =
            recording.tensors.tensor(&format!("{}/state", recording.name)).expect("it is there").shape()[0];
        for k in 0..seen {
            let at = recording.row("seen", k)[0] as usize;
            recording.load(&mut game, at);
            game.observe(&mut frame);
            let place = format!("{} step {at}", recording.name);
            assert!(largest_difference(&frame.obs, &recording.row("obs", k)) < 1e-7, "{place}");
            assert!(largest_difference(&frame.state, &recording.row("state", k)) < 1e-7, "{place}");
            let available: Vec<_> = recording.row("available", k).iter().map(|&open| open > 0.5).collect();
            assert_eq!(frame.available, available, "{place}");
        }
    });
}

#[test]
fn each_recorded_step_leads_to_the_next() {
    recordings(&[""], |recording| {
        let mut game = recording.game();
        for step in 0..recording.steps {
            recording.load(&mut game, step);
            let played = recording.play(&mut game, step);
            recording.compare(&game, step + 1, PLACE);
            let place = format!("{} step {step}: {played:?}", recording.name);
            let [reward, over, won] = ["reward", "terminated", "won"].map(|key| recording.row(key, step)[0]);
            assert!((f64::from(played.reward) - reward).abs() < 1e-6, "{place}: {reward}");
            assert_eq!(played.end.is_some(), over > 0.5, "{place}");
            assert_eq!(game.won, won > 0.5, "{place}");
        }
    });
}

#[test]
fn whole_recordings_repeat_where_no_rounding_is_magnified() {
    // Where zealots jostle, avoidance magnifies what differs in the last of 32 bits.
    recordings(&["2s_vs_1sc", "5m_vs_6m", "MMM2"], |recording| {
        let mut game = recording.game();
        for step in 0..recording.steps {
            recording.play(&mut game, step);
            recording.compare(&game, step + 1, 0.0);
        }
    });
}
