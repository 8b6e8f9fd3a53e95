//! Pages of episodes in Chromium, without a window and without a network. `tests/run browser` installs it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::films::{ddn_train, film_of, items};

/// What the browser made of a page at an address, as text; scripts have run for `milliseconds` of its time.
fn dom(page: &Path, fragment: &str, milliseconds: u32) -> String {
    let profile = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("timeout");
    command.args(["60", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]);
    command.args(["--no-first-run", "--disable-background-networking", "--disable-component-update"]);
    command.args(["--disable-sync", "--window-size=1000,900", "--dump-dom"]);
    command.arg(format!("--virtual-time-budget={milliseconds}"));
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.arg(format!("file://{}{fragment}", page.display()));
    let output = command.output().expect("chromium starts: `tests/run browser` installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The text between the tags of the element with this id, which has no elements inside.
fn text<'d>(dom: &'d str, id: &str) -> &'d str {
    let (_, rest) = dom.split_once(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id} in {dom}"));
    let (_, rest) = rest.split_once('>').expect("the tag ends");
    rest.split_once('<').expect("the element ends").0
}

/// The value of an attribute of the element that is opened by `tag`, without its last sign.
fn attribute<'d>(dom: &'d str, tag: &str, name: &str) -> &'d str {
    let (_, rest) = dom.split_once(tag).unwrap_or_else(|| panic!("no {tag} in {dom}"));
    let (tag, _) = rest.split_once('>').expect("the tag ends");
    let (_, rest) = tag.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name} in {tag}"));
    rest.split_once('"').expect("the value ends").0
}

/// Asserts that a moment of the film is the one on display.
fn check_moment(dom: &str, film: &Value, step: usize) {
    let moment = &items(film, "moments")[step];
    assert_eq!(text(dom, "step"), step.to_string());
    assert_eq!(text(dom, "steps"), (items(film, "moments").len() - 1).to_string());
    let total = moment["total"].as_f64().expect("a number");
    let value: f64 = attribute(dom, "<data id=\"total\"", "value").parse().expect("a number");
    assert!((value - total).abs() < 1e-12, "{value} for {total}");
    let shown: f64 = text(dom, "total").parse().expect("a number");
    assert!((shown - total).abs() < 0.005 + 1e-9, "{shown} for {total}");
    let last = step + 1 == items(film, "moments").len();
    assert_eq!(text(dom, "outcome").is_empty(), !last);
    if film["stage"].is_null() {
        return;
    }
    let figures = items(&film["stage"], "figures");
    for (side, name) in items(&film["stage"], "sides").iter().enumerate() {
        let units = items(moment, "units").iter().zip(figures);
        let left = units.filter(|(unit, figure)| figure["side"] == side && unit["in_play"] == true).count();
        let tag = format!("data-side=\"{}\"", name.as_str().expect("a name"));
        assert_eq!(attribute(dom, &tag, "data-left"), left.to_string(), "{name} at step {step}");
    }
    let drawn = dom.matches("<g class=\"unit\"").count();
    let fallen = dom.matches("<g class=\"unit fallen\"").count();
    let in_play = items(moment, "units").iter().filter(|unit| unit["in_play"] == true).count();
    assert_eq!((drawn, drawn + fallen), (in_play, figures.len()));
}

/// A page of the program, and its film.
fn written(dir: &Path, config: &str, policy: &str) -> (std::path::PathBuf, Value) {
    let page = dir.join(format!("{policy}.html"));
    let said = ddn_train(&["play", config, "--policy", policy, "--html", page.to_str().expect("UTF-8")]);
    assert_eq!(said.0, Some(0), "{said:?}");
    let film = film_of(&fs::read_to_string(&page).expect("reads"));
    (page, film)
}

#[test]
fn an_address_names_a_step() {
    let dir = tempfile::tempdir().expect("a folder");
    let (page, film) = written(dir.path(), "combat_3s5z.toml", "focus");
    let last = items(&film, "moments").len() - 1;
    for (fragment, step) in
        [("", 0), ("#step=12", 12), (&format!("#step={last}"), last), ("#step=99999", last), ("#else", 0)]
    {
        check_moment(&dom(&page, fragment, 100), &film, step);
    }
    let (page, film) = written(dir.path(), "predator_prey.toml", "chase");
    let dom = dom(&page, "#step=5", 100);
    check_moment(&dom, &film, 5);
    let picture = film["moments"][5]["text"].as_str().expect("text");
    assert!(dom.contains(picture), "{picture} is not in {dom}");
}

#[test]
fn keys_buttons_and_time_lead_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let (page, film) = written(dir.path(), "combat_MMM2.toml", "focus");
    let original = fs::read_to_string(&page).expect("reads");
    let press = |key: &str| {
        format!(
            "document.body.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true }}));"
        )
    };
    let click = |id: &str| format!("document.getElementById('{id}').click();");
    let last = items(&film, "moments").len() - 1;
    for (acts, milliseconds, step) in [
        (vec![press("ArrowRight"), press("ArrowRight"), press("ArrowLeft")], 100, 8),
        (vec![press("Home"), press("ArrowLeft")], 100, 0),
        (vec![press("End"), press("ArrowRight")], 100, last),
        (vec![click("forward"), click("back"), click("back"), click("whole")], 100, 6),
        (vec![press(" "), press(" ")], 700, 7),
        (vec![click("play")], 60_000, last),
    ] {
        let script = format!(
            "<script type=\"module\">{}\
             document.body.dataset.width = document.documentElement.scrollWidth;</script></body>\n",
            acts.concat()
        );
        fs::write(&page, original.replace("</body>\n", &script)).expect("writes");
        let dom = dom(&page, "#step=7", milliseconds);
        check_moment(&dom, &film, step);
        let width: u32 = attribute(&dom, "<body", "data-width").parse().expect("a number");
        assert!(width <= 1000, "the page is {width} wide: {acts:?}");
    }
}
