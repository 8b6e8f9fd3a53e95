//! What was recorded in SMAClite happens here as well, under its rules; and what this simulator did
//! once, it still does.
//!
//! A recording holds states, actions and the order of turns, so that nothing is left to chance. Asked
//! is what is seen in a recorded state, what it becomes by one step, and where units start.
//!
//! `DDN_ORACLE_DIR` names a folder of recordings (`*.npz`); the usual one lies beside a checkout. Some
//! of them are part of the repository, packed by `tests/oracles/combat/pack.py`, and always replayed.

mod episode;
mod npy;
mod ours;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use ddn_trainer::env::combat::{Combat, CombatConfig, RuleSet, UnitState};
use ddn_trainer::env::registry::EnvKind as _;
use ddn_trainer::env::{Env as _, Frame};
use safetensors::SafeTensors;

use episode::Episode;

/// Cells. Here there is no difference; whoever recorded elsewhere may have had other sums of 32 bits.
const PLACE: f64 = 1e-3;
/// Hit points, shields, energy, cooldowns, healing, rewards: sums of few terms.
const SCALAR: f64 = 1e-9;
/// Observations and states.
const SEEN: f64 = 1e-5;
/// Ticks of a step.
const TICKS: usize = 8;

/// What was replayed, and how far it was off.
#[derive(Debug, Default)]
struct Tally {
    episodes: usize,
    /// Of them, those that come out alike from the first state alone.
    whole: usize,
    steps: usize,
    seen: f64,
    place: f64,
    scalar: f64,
    reward: f64,
}

/// Shows a line whether or not the test passes.
fn say(line: &str) {
    // A closed terminal is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn tests() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Episode {
    fn game(&self) -> Combat {
        let config =
            CombatConfig { map: self.map.clone(), rules: RuleSet::Smaclite, ..CombatConfig::default() };
        let mut game = Combat::from_config(config).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        game.reset(0, &mut Frame::default()).expect("it starts");
        let (n, units) = (game.spec().n_agents, game.n_units());
        assert_eq!((self.agents(), self.units()), (n, units), "{}: agents, units", self.name);
        game
    }

    fn state(&self, step: usize) -> Vec<UnitState> {
        let [place, velocity, scalars, alive] =
            ["place", "velocity", "scalars", "alive"].map(|key| self.row(key, step));
        let [target, last_target] = ["target", "last_target"].map(|key| self.indices(key, step));
        // What is not said is seen: 64 bits are hardly ever as even as 32, but for those that stand.
        let single = |velocity: &[f64]| {
            let narrow = velocity.iter().all(|&value| f64::from(value as f32).to_bits() == value.to_bits());
            narrow && (step == 0 || velocity.iter().any(|&value| value != 0.0))
        };
        let unit = |k: usize| UnitState {
            in_play: alive[k] > 0.5,
            place: [place[2 * k], place[2 * k + 1]],
            velocity: [velocity[2 * k], velocity[2 * k + 1]],
            velocity_is_single: single(&velocity[2 * k..2 * k + 2]),
            scalars: scalars[6 * k..6 * k + 6].try_into().expect("six"),
            target: target[k],
            last_target: last_target[k],
        };
        (0..self.units()).map(unit).collect()
    }

    fn put(&self, game: &mut Combat, step: usize) {
        let last = match step {
            0 => vec![None; self.agents()],
            _ => self.actions(step - 1).into_iter().map(Some).collect(),
        };
        game.put(&self.state(step), &last)
            .unwrap_or_else(|error| panic!("{} step {step}: {error}", self.name));
    }

    /// Plays a step with the recorded actions and turns, and compares what it came to: places with the
    /// next state up to `most`, numbers up to [`SCALAR`], targets, deaths and the end exactly.
    fn play(&self, game: &mut Combat, step: usize, most: f64, tally: &mut Tally) -> Result<(), String> {
        let played = game
            .step_in_turns(&self.actions(step), &self.turns(step))
            .map_err(|error| format!("{} step {step}: {error}", self.name))?;
        let [reward, over, won] = ["reward", "terminated", "won"].map(|key| self.row(key, step)[0]);
        let off = (played.reward - reward).abs();
        let at = format!("{} step {step}: {played:?}", self.name);
        wanted(off <= SCALAR, || format!("{at}: the reward was {reward}"))?;
        wanted((played.over, played.won) == (over > 0.5, won > 0.5), || format!("{at}: over, won"))?;
        tally.reward = tally.reward.max(off);
        tally.steps += 1;
        self.compare(game, step + 1, most, tally)
    }

    /// Compares with the state before `step`, as [`play`](Self::play) does.
    fn compare(&self, game: &Combat, step: usize, most: f64, tally: &mut Tally) -> Result<(), String> {
        for (k, (got, want)) in game.unit_states().iter().zip(self.state(step)).enumerate() {
            let at = || format!("{} step {step} unit {k}:\n{got:?}\n{want:?}", self.name);
            wanted(got.in_play == want.in_play, at)?;
            if !got.in_play {
                continue;
            }
            let off = (got.place[0] - want.place[0]).hypot(got.place[1] - want.place[1]);
            let numbers = got.scalars.iter().zip(want.scalars).map(|(got, want)| (got - want).abs());
            let number = numbers.fold(0.0, f64::max);
            wanted(off <= most, || format!("{off} cells away, {}", at()))?;
            wanted(number <= SCALAR && got.target == want.target, at)?;
            tally.place = tally.place.max(off);
            tally.scalar = tally.scalar.max(number);
        }
        Ok(())
    }

    /// Plays from the first state to the end, told nothing but actions and turns; no place may differ.
    fn repeat(&self, tally: &mut Tally) -> Result<(), String> {
        let mut game = self.game();
        (0..self.steps()).try_for_each(|step| self.play(&mut game, step, 0.0, tally))
    }

    /// Who acted when, for each tick of a step.
    fn turns(&self, step: usize) -> Vec<Vec<usize>> {
        let ticks = step * TICKS..(step + 1) * TICKS;
        ticks.map(|tick| self.indices("order", tick).into_iter().flatten().collect()).collect()
    }

    /// Everything about a recording.
    fn check(&self, tally: &mut Tally) {
        let mut frame = Frame::default();
        let mut game = self.game();
        pass(self.compare(&game, 0, 0.0, tally));
        for k in 0..self.len("seen") {
            let step = self.row("seen", k)[0] as usize;
            self.put(&mut game, step);
            game.observe(&mut frame);
            let at = format!("{} step {step}", self.name);
            for (what, got) in [("obs", &frame.obs), ("state", &frame.state)] {
                let want = self.row(what, k);
                assert_eq!(got.len(), want.len(), "{at}: {what}");
                let off = got.iter().zip(want).map(|(&got, want)| (f64::from(got) - want).abs());
                let off = off.fold(0.0, f64::max);
                assert!(off <= SEEN, "{at}: {what} is off by {off}");
                tally.seen = tally.seen.max(off);
            }
            let available: Vec<bool> = self.row("available", k).iter().map(|&open| open > 0.5).collect();
            assert_eq!(frame.available, available, "{at}: available");
        }
        for step in 0..self.steps() {
            self.put(&mut game, step);
            pass(self.play(&mut game, step, PLACE, tally));
        }
        tally.episodes += 1;
        tally.whole += usize::from(self.repeat(&mut Tally::default()).is_ok());
    }
}

/// `true`, or else why not.
fn wanted(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

/// Fails where a recording is not met.
fn pass(compared: Result<(), String>) {
    compared.unwrap_or_else(|why| panic!("{why}"));
}

fn committed() -> Vec<Episode> {
    let path = tests().join("oracles/combat/recordings.safetensors");
    let bytes = std::fs::read(path).expect("the recordings are part of the repository");
    Episode::packed(&SafeTensors::deserialize(&bytes).expect("the recordings are whole"))
}

/// The folder of recordings, and whether somebody named it.
fn folder() -> (PathBuf, bool) {
    match std::env::var_os("DDN_ORACLE_DIR") {
        Some(named) => (named.into(), true),
        None => (tests().join("../../shared/oracles/smaclite"), false),
    }
}

#[test]
fn recordings_of_the_folder() {
    let (folder, named) = folder();
    if !named && !folder.is_dir() {
        say("combat_oracle: LEFT OUT: no recordings beside this checkout and DDN_ORACLE_DIR is not set");
        return;
    }
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("readable").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "npz"));
    files.sort();
    assert!(!files.is_empty(), "{} holds no recording (*.npz)", folder.display());
    let mut tally = Tally::default();
    for file in &files {
        Episode::npz(file).check(&mut tally);
    }
    say(&format!(
        "combat_oracle: {} episodes, {} of them equal to the last bit from start to end, {} steps; largest \
         differences: observation or state {:e}, place {:e}, hp to healing {:e}, reward {:e}",
        tally.episodes, tally.whole, tally.steps, tally.seen, tally.place, tally.scalar, tally.reward
    ));
}

#[test]
fn recordings_of_the_repository() {
    let mut tally = Tally::default();
    committed().iter().for_each(|episode| episode.check(&mut tally));
    assert!(tally.episodes >= 12 && tally.steps > 400, "{tally:?}");
    assert_eq!((tally.whole, tally.place.to_bits()), (tally.episodes, 0), "{tally:?}");
}

#[test]
fn whole_recordings_repeat_to_the_last_bit() {
    let mut tally = Tally::default();
    committed().iter().for_each(|episode| pass(episode.repeat(&mut tally)));
    assert!(tally.steps > 100, "{tally:?}");
}
