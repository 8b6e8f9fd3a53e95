//! Episodes as pages: what is in them is what happened.

use std::fs;
use std::path::Path;
use std::process::Command;

use ddn_trainer::env::combat::{Combat, CombatConfig, UnitState};
use ddn_trainer::env::{self, Env, EnvKind};
use ddn_trainer::film::{Credits, Film};
use ddn_trainer::rollout::{Plan, Played, Player, play};
use ddn_trainer::seed::number;
use serde_json::Value;

const OPENS: &str = r#"<script type="application/json" id="film">"#;

/// The film of a page, as a browser would cut it out.
pub(crate) fn film_of(page: &str) -> Value {
    let (_, rest) = page.split_once(OPENS).expect("a film");
    let (film, _) = rest.split_once("</script").expect("its end");
    serde_json::from_str(film).expect("JSON")
}

pub(crate) fn items<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key} in {value}"))
}

fn single(value: &Value) -> f32 {
    value.as_f64().expect("a number") as f32
}

/// The program, started where the experiments are.
pub(crate) fn ddn_train(arguments: &[&str]) -> (Option<i32>, String, String) {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddn-train"));
    let output = command.current_dir(configs).args(arguments).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// One episode of random play, and its film.
fn filmed(env: Box<dyn Env>, source: &str) -> (Box<dyn Env>, Played, Film) {
    let mut envs = [env];
    let plan = Plan { seed: 5, purpose: "film", first: 0, count: 1, epsilon: 0.0, record: false };
    let played = play(Player::Random, &mut envs, &plan).expect("plays").remove(0);
    let [mut env] = envs;
    let credits = Credits { source: source.into(), player: "random".into(), seed: 5 };
    let film = Film::of(&mut *env, number(5, "film/0"), &played.episode.actions, credits).expect("replays");
    (env, played, film)
}

#[test]
fn every_environment_can_be_looked_at() {
    for entry in env::REGISTRY.iter().filter(|entry| !entry.outside) {
        let env = env::build(&entry.example().expect("defaults")).expect("builds");
        let (mut env, played, film) = filmed(env, entry.name);
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("episode.html");
        fs::write(&path, "an older file").expect("writes");
        film.write(&path).expect("writes");
        assert_eq!(fs::read_dir(&dir).expect("reads").count(), 1, "{}: something is left over", entry.name);
        let shown = film;
        let film = film_of(&fs::read_to_string(&path).expect("reads"));
        let moments = items(&film, "moments");
        assert_eq!(moments.len(), played.episode.len() + 1, "{}", entry.name);
        assert_eq!(film["env"], entry.name);
        assert_eq!(film["won"].as_bool(), played.won);
        assert_eq!(film["end"] == "terminated", played.episode.terminated, "{}", entry.name);

        // The episode once more, beside the film.
        let spec = env.spec().clone();
        let mut frame = spec.frame();
        env.reset(number(5, "film/0"), &mut frame).expect("starts");
        let mut total = 0.0;
        let actions = played.episode.actions.chunks_exact(spec.n_agents);
        for (k, moment) in moments.iter().enumerate() {
            if k > 0 {
                let actions: Vec<usize> =
                    actions.clone().nth(k - 1).expect("a step").iter().map(|&action| action.into()).collect();
                let reward = env.step(&actions, &mut frame).expect("steps").reward;
                total += reward;
                assert_eq!(moment["step"]["actions"], Value::from(actions));
                assert_eq!(single(&moment["step"]["reward"]).to_bits(), reward.to_bits());
            } else {
                assert_eq!(moment["step"], Value::Null);
            }
            assert_eq!(single(&moment["total"]).to_bits(), f32::to_bits(total));
            match env.scene() {
                None => assert_eq!(moment["text"], env.render()),
                Some(scene) => assert_eq!(items(moment, "units").len(), scene.units.len()),
            }
        }
        // And as single pictures, all of one size.
        assert_eq!(shown.moments(), moments.len());
        let size = |svg: &str| svg.split_once(" font-family").map(|(head, _)| head.to_owned());
        let first = shown.still(0, 300.0).expect("a picture");
        for (k, moment) in moments.iter().enumerate() {
            let svg = shown.still(k, 300.0).expect("a picture");
            assert_eq!(size(&svg), size(&first));
            assert!(svg.contains(&format!("step {k} · return {:.2}<", single(&moment["total"]))), "{svg}");
            let lines = moment["text"].as_str().map_or(0, |text| text.lines().count());
            let units = moment["units"].as_array().map_or(&[][..], Vec::as_slice);
            let standing = units.iter().filter(|unit| unit["in_play"] == true).count();
            assert_eq!(svg.matches("</text>").count(), 1 + lines + standing, "{}: {svg}", entry.name);
            assert_eq!(svg.matches("opacity=\"0.4\"").count(), units.len() - standing);
        }
        assert_eq!(shown.still(moments.len(), 300.0), None);
    }
}

/// Asserts that a unit of a film, whose bars have these names, is one of the battle.
fn check_unit(unit: &Value, bars: &[String], state: &UnitState) {
    let same = |value: &Value, number: f64| assert_eq!(single(value).to_bits(), (number as f32).to_bits());
    assert_eq!(unit["in_play"], state.in_play);
    same(&unit["place"][0], state.place[0]);
    same(&unit["place"][1], state.place[1]);
    let [hp, shield, energy, ..] = state.scalars;
    for (value, name) in items(unit, "bars").iter().zip(bars) {
        same(
            value,
            [("hp", hp), ("shield", shield), ("energy", energy)]
                .iter()
                .find(|it| it.0 == name)
                .expect("known")
                .1,
        );
    }
    let target = state.target.filter(|_| state.in_play);
    assert_eq!(unit["target"]["unit"].as_u64(), target.map(|target| target as u64));
}

#[test]
fn a_battle_is_shown_as_it_was_fought() {
    for (map, seed) in [("3s5z", 3), ("MMM2", 4)] {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("battle.html");
        let (config, seed_said) = (format!("combat_{map}.toml"), seed.to_string());
        let page = path.to_str().expect("UTF-8");
        let (code, out, err) =
            ddn_train(&["play", &config, "--policy", "focus", "--seed", &seed_said, "--html", page]);
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains(&format!("\nwritten: {page}\n")), "{out}");
        let film = film_of(&fs::read_to_string(&path).expect("reads"));
        let figures = items(&film["stage"], "figures");
        let bars =
            |figure| items(figure, "bars").iter().map(|bar| bar["name"].as_str().expect("a name").to_owned());
        let bars: Vec<Vec<String>> = figures.iter().map(|figure| bars(figure).collect()).collect();
        let healers = bars.iter().filter(|bars| bars.last().is_some_and(|last| last == "energy")).count();
        assert_eq!(healers, if map == "MMM2" { 2 } else { 0 });

        let mut game =
            Combat::from_config(CombatConfig { map: map.into(), ..CombatConfig::default() }).expect("builds");
        let mut frame = game.spec().frame();
        game.reset(number(seed, "play/0"), &mut frame).expect("starts");
        let moments = items(&film, "moments");
        for moment in moments {
            if let Some(actions) = moment["step"]["actions"].as_array() {
                let actions: Vec<usize> =
                    actions.iter().map(|action| action.as_u64().expect("an index") as usize).collect();
                game.step(&actions, &mut frame).expect("steps");
            }
            let (units, states) = (items(moment, "units"), game.unit_states());
            assert_eq!((units.len(), figures.len()), (states.len(), states.len()));
            for ((unit, bars), state) in units.iter().zip(&bars).zip(&states) {
                check_unit(unit, bars, state);
            }
        }
        let total = single(&moments[moments.len() - 1]["total"]);
        assert!(out.starts_with(&format!("focus: return {total} in {} steps\n", moments.len() - 1)), "{out}");
    }
}

#[test]
fn no_name_breaks_out_of_the_page() {
    let evil = "</script><!--<script>/*film*/\u{2028}&amp;\"'";
    let dir = tempfile::tempdir().expect("a folder");
    let map = dir.path().join("map.toml");
    let quoted = Value::from(evil);
    let text = format!(
        "episode_limit = 3\nblocked = []\n\
         [allies]\nunits = [[{quoted}, 1]]\nat = [9.0, 16.0]\n\
         [enemies]\nunits = [['zealot', 1]]\nat = [23.0, 16.0]\n\
         [unit.{quoted}]\nhp = 9.0\nrange = 1.0\nspeed = 1.0\nradius = 0.5\n"
    );
    fs::write(&map, text).expect("writes");
    let config = CombatConfig { map: map.to_str().expect("UTF-8").into(), ..CombatConfig::default() };
    let (_, _, film) = filmed(Box::new(Combat::from_config(config).expect("builds")), evil);
    let page = film.to_html().expect("encodes");
    let film = film_of(&page);
    assert_eq!(film["credits"]["source"], evil);
    assert_eq!(film["stage"]["figures"][0]["kind"], evil);
    let (_, plain) = harmless();
    for sign in ["<script", "</script", "<!--", "<"] {
        assert_eq!(page.matches(sign).count(), plain.matches(sign).count(), "{sign}");
    }
}

/// A page without a name of anyone's choice.
fn harmless() -> (Value, String) {
    let game = Combat::from_config(CombatConfig::default()).expect("builds");
    let page = filmed(Box::new(game), "harmless").2.to_html().expect("encodes");
    (film_of(&page), page)
}

#[test]
fn a_page_stands_alone() {
    let (_, page) = harmless();
    for sign in ["http://", "https://", "src=", "@import", "url(", "fetch("] {
        let found = page.matches(sign).count();
        // The one address is the name of SVG's elements, which nothing is loaded from.
        assert_eq!(found, usize::from(sign == "http://"), "{sign}");
    }
    for mark in ["/*style*/", "/*script*/", "/*film*/"] {
        assert!(!page.contains(mark), "{mark} is still there");
    }
}

#[test]
fn a_page_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("nowhere/battle.html");
    let page = path.to_str().expect("UTF-8");
    let (code, _, err) = ddn_train(&["play", "predator_prey.toml", "--policy", "chase", "--html", page]);
    assert_eq!(code, Some(5), "{err}");
    assert!(
        err.contains(&format!("cannot write {page}; give --html a file in a folder that exists")),
        "{err}"
    );
    let folder = dir.path().to_str().expect("UTF-8");
    let (code, _, _) = ddn_train(&["play", "predator_prey.toml", "--policy", "chase", "--html", folder]);
    assert_eq!(code, Some(5));
    // What is no file is left alone, and a link stays one.
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("it runs").success());
    let pipe = pipe.to_str().expect("UTF-8");
    let (code, _, err) = ddn_train(&["play", "predator_prey.toml", "--policy", "chase", "--html", pipe]);
    assert!(code == Some(5) && err.contains("it is not a regular file"), "{err}");
    let (file, link) = (dir.path().join("old.html"), dir.path().join("link.html"));
    fs::write(&file, "old").expect("written");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    let (code, _, err) = ddn_train(&[
        "play",
        "predator_prey.toml",
        "--policy",
        "chase",
        "--html",
        link.to_str().expect("UTF-8"),
    ]);
    assert_eq!(code, Some(0), "{err}");
    assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
    assert!(fs::read_to_string(&file).expect("readable").starts_with("<!"));
    let both = ["play", "predator_prey.toml", "--policy", "chase", "--html", page, "--pace", "5"];
    assert_eq!(ddn_train(&both).0, Some(2));
}
