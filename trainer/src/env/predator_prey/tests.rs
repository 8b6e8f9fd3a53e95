use proptest::prelude::*;

use super::scripted::{CatchWhenTwo, Chase, NeverCatch, Played, Random, SCRIPTED, ScriptedPolicy};
use super::*;
use crate::seed::number;

const RIGHT: usize = 0;
const DOWN: usize = 1;
const LEFT: usize = 2;
const STAY: usize = Action::STAY;
const CATCH: usize = Action::CATCH;

/// A running game as a picture: digits are predators, `*` prey, `.` free.
fn picture(rows: &[&str], seed: u64) -> PredatorPrey {
    let mut predators = Vec::new();
    let mut prey = Vec::new();
    for (row, line) in rows.iter().enumerate() {
        for (col, sign) in line.chars().enumerate() {
            let body = Body { row, col, on_grid: true };
            match sign {
                '*' => prey.push(body),
                '.' => {}
                digit => predators.push((digit, body)),
            }
        }
    }
    predators.sort_by_key(|(digit, _)| *digit);
    let config = PredatorPreyConfig {
        rows: rows.len(),
        cols: rows[0].len(),
        predators: predators.len(),
        prey: prey.len(),
        ..PredatorPreyConfig::default()
    };
    let mut game = PredatorPrey::from_config(config).expect("the picture is a game");
    game.reset(seed, &mut Frame::default()).expect("resets");
    game.predators = predators.into_iter().map(|(_, body)| body).collect();
    game.prey = prey;
    game.fill_cells();
    game
}

/// Repeats per situation: enough to see both orders of an even chance for certain.
const REPEATS: u64 = 300;

/// (reward, frozen predators) of `actions` in `rows` and how often each came up.
fn outcomes(rows: &[&str], actions: &[usize]) -> Vec<((i32, usize), u64)> {
    let mut counts = std::collections::BTreeMap::new();
    for seed in 0..REPEATS {
        let mut game = picture(rows, seed);
        let step = game.step(actions, &mut Frame::default()).expect("steps");
        let frozen = actions.len() - on_grid(&game.predators);
        *counts.entry((step.reward as i32, frozen)).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

fn always(rows: &[&str], actions: &[usize]) -> (i32, usize) {
    let all = outcomes(rows, actions);
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].0
}

/// Within four standard deviations of `p` of the repeats.
fn about(count: u64, p: f64) -> bool {
    let n = REPEATS as f64;
    (count as f64 - p * n).abs() < 4.0 * (n * p * (1.0 - p)).sqrt()
}

#[test]
fn one_catcher_pays_and_the_prey_walks_on() {
    let rows = ["....", ".0*.", "....", "1..."];
    assert_eq!(always(&rows, &[CATCH, STAY]), (-2, 0));
    let mut game = picture(&rows, 0);
    game.step(&[CATCH, STAY], &mut Frame::default()).expect("steps");
    assert_ne!((game.prey[0].row, game.prey[0].col), (1, 2));
}

#[test]
fn one_catcher_between_two_prey_pays_twice() {
    assert_eq!(always(&[".....", ".*0*.", "....1"], &[CATCH, STAY]), (-4, 0));
}

#[test]
fn two_catchers_capture_and_are_frozen() {
    assert_eq!(always(&[".....", ".0*1.", "....2"], &[CATCH, CATCH, STAY]), (10, 2));
    assert_eq!(always(&["..0..", "..*1.", "2...."], &[CATCH, CATCH, STAY]), (10, 2));
}

#[test]
fn a_third_catcher_is_spent_as_well() {
    assert_eq!(always(&["..2..", ".0*1.", "3...."], &[CATCH, CATCH, CATCH, STAY]), (10, 3));
}

#[test]
fn an_idle_neighbour_of_a_capture_stays() {
    assert_eq!(always(&["..2..", ".0*1.", "....."], &[CATCH, CATCH, STAY]), (10, 2));
}

#[test]
fn the_order_of_the_prey_decides_whether_the_shared_catcher_pays_first() {
    // 0 is beside both prey, 1 beside the left one only.
    let all = outcomes(&[".......", ".1*0*..", "......2"], &[CATCH, CATCH, STAY]);
    let [((8, 2), first), ((10, 2), _)] = all[..] else { panic!("{all:?}") };
    assert!(about(first, 0.5), "{all:?}");
}

#[test]
fn of_two_prey_that_share_a_catcher_one_is_caught() {
    let rows = [".......", ".1*0*2.", "......3"];
    assert_eq!(always(&rows, &[CATCH, CATCH, CATCH, STAY]), (8, 2));
}

#[test]
fn diagonals_do_not_count() {
    // 0 is beside the prey, 1 diagonal to it. The mask would not let 1 catch, the rule is asked.
    let mut game = picture(&["..1.", "0*..", "...2"], 0);
    assert!(game.may(0, CATCH) && !game.may(1, CATCH));
    assert_eq!(game.move_prey(&[CATCH, CATCH, STAY]), (0, 1));
    // With a prey of its own, 1 may catch: both pay, and none is caught.
    assert_eq!(always(&["..1*.", "0*...", "....2"], &[CATCH, CATCH, STAY]), (-4, 0));
}

#[test]
fn a_prey_that_is_boxed_in_stays_and_is_not_caught_unasked() {
    let rows = ["..0..", ".1*2.", "..3.."];
    assert_eq!(always(&rows, &[STAY; 4]), (0, 0));
    let mut game = picture(&rows, 3);
    game.step(&[STAY; 4], &mut Frame::default()).expect("steps");
    assert_eq!((game.prey[0].row, game.prey[0].col), (1, 2));
}

#[test]
fn a_prey_moves_to_each_free_neighbour_alike() {
    for (rows, ways) in [
        (["....0", ".....", "..*..", ".....", "....."], 4),
        ([".....", ".....", ".0*..", ".....", "....."], 3),
    ] {
        let mut counts = std::collections::BTreeMap::new();
        for seed in 0..REPEATS {
            let mut game = picture(&rows, seed);
            game.step(&[STAY], &mut Frame::default()).expect("steps");
            *counts.entry((game.prey[0].row, game.prey[0].col)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), ways, "{counts:?}");
        assert!(counts.values().all(|&n| about(n, 1.0 / ways as f64)), "{counts:?}");
    }
}

#[test]
fn prey_rest_as_often_as_asked() {
    let mut rested = 0;
    for seed in 0..REPEATS {
        let mut game = picture(&["0....", ".....", "..*.."], seed);
        game.config.prey_rest = 0.25;
        game.step(&[STAY], &mut Frame::default()).expect("steps");
        rested += u64::from((game.prey[0].row, game.prey[0].col) == (2, 2));
    }
    assert!(about(rested, 0.25), "{rested}");
}

/// Where predators 0 and 1 stand after `actions`, and how often.
fn places(rows: &[&str], actions: &[usize]) -> Vec<([(usize, usize); 2], u64)> {
    let mut counts = std::collections::BTreeMap::new();
    for seed in 0..REPEATS {
        let mut game = picture(rows, seed);
        game.step(actions, &mut Frame::default()).expect("steps");
        let place = |i: usize| (game.predators[i].row, game.predators[i].col);
        *counts.entry([place(0), place(1)]).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

#[test]
fn the_earlier_of_two_predators_gets_the_cell() {
    let all = places(&["0.1", "...", "..*"], &[RIGHT, LEFT]);
    let [([(0, 0), (0, 1)], n), ([(0, 1), (0, 2)], _)] = all[..] else { panic!("{all:?}") };
    assert!(about(n, 0.5), "{all:?}");
}

#[test]
fn two_predators_cannot_swap() {
    assert_eq!(places(&["01.", "...", "..*"], &[RIGHT, LEFT]), [([(0, 0), (0, 1)], REPEATS)]);
}

#[test]
fn following_succeeds_if_the_leader_goes_first() {
    let all = places(&["01.", "...", "..*"], &[RIGHT, RIGHT]);
    let [([(0, 0), (0, 2)], n), ([(0, 1), (0, 2)], _)] = all[..] else { panic!("{all:?}") };
    assert!(about(n, 0.5), "{all:?}");
}

#[test]
fn a_prey_blocks_a_predator() {
    assert_eq!(places(&["0*.", "1..", "..."], &[RIGHT, STAY]), [([(0, 0), (1, 0)], REPEATS)]);
}

#[test]
fn the_mask_forbids_leaving_the_grid_and_catching_nothing() {
    let mut game = picture(&["01..", "...*"], 0);
    let mut frame = Frame::default();
    let step = game.step(&[STAY, STAY], &mut frame).expect("steps");
    assert_eq!(step.end, None);
    // Right is open although 1 stands there.
    assert_eq!(frame.available[..6], [true, true, false, false, true, false]);
    let refused = game.step(&[LEFT, STAY], &mut frame).expect_err("refused");
    assert_eq!(refused.to_string(), "agent 0: action 2 is not available now");
    assert!(matches!(game.step(&[STAY, 6], &mut frame), Err(EnvError::Unavailable { agent: 1, action: 6 })));
    assert!(matches!(game.step(&[STAY], &mut frame), Err(EnvError::Actions { want: 2, got: 1 })));
}

#[test]
#[allow(clippy::float_cmp, reason = "observations are 0 or 1")]
fn the_window_is_centred_and_the_state_lies_as_the_grid() {
    let game = picture(&["0..*", "....", ".1..", "...."], 0);
    let mut frame = Frame::default();
    game.observe(&mut frame);
    let ones = |values: &[f32]| -> Vec<usize> {
        assert!(values.iter().all(|&x| x == 0.0 || x == 1.0));
        (0..values.len()).filter(|&k| values[k] == 1.0).collect()
    };
    // Row, column and channel of the 5x5 window: itself in the centre, 1 two down and one right;
    // the prey is three columns away.
    let window = |row: usize, col: usize, channel: usize| row * 15 + col * 3 + channel;
    assert_eq!(ones(&frame.obs[..75]), [window(2, 2, 0), window(4, 3, 0)]);
    assert_eq!(ones(&frame.obs[75..]), [window(0, 1, 0), window(0, 4, 1), window(2, 2, 0)]);
    assert_eq!(ones(&frame.state), [0, 3 * 3 + 1, 2 * 12 + 3]);
    // The teacher of 0 sees a window of 7x7, which holds the prey.
    let view = |row: usize, col: usize, channel: usize| row * 21 + col * 3 + channel;
    assert_eq!(ones(&frame.teacher[..147]), [view(3, 3, 0), view(3, 6, 1), view(5, 4, 0)]);
    assert_eq!(game.spec().teacher_dim, 147);
}

#[test]
#[allow(clippy::float_cmp, reason = "observations are 0 or 1")]
fn a_teacher_may_see_the_state_and_its_own_place_instead() {
    let config =
        PredatorPreyConfig { teacher_view: TeacherView::StateAndPosition, ..PredatorPreyConfig::default() };
    let mut game = PredatorPrey::from_config(config).expect("builds");
    assert_eq!(game.spec().teacher_dim, 400);
    let mut frame = Frame::default();
    game.reset(3, &mut frame).expect("starts");
    game.predators[1].on_grid = false;
    game.observe(&mut frame);
    for (agent, view) in frame.teacher.chunks_exact(400).enumerate() {
        let (state, plane) = view.split_at(300);
        if agent == 1 {
            assert!(view.iter().all(|&value| value == 0.0), "a frozen predator sees nothing");
            continue;
        }
        let me = game.predators[agent];
        assert_eq!(state, frame.state);
        let own: Vec<usize> = (0..100).filter(|&cell| plane[cell] == 1.0).collect();
        assert_eq!(own, [me.row * 10 + me.col]);
    }
}

#[test]
fn the_default_has_the_sizes_of_the_paper() {
    let game = PredatorPrey::from_config(PredatorPreyConfig::default()).expect("builds");
    let spec = game.spec();
    assert_eq!((spec.n_agents, spec.n_actions()), (8, 6));
    assert_eq!((spec.obs_dim, spec.state_dim, spec.teacher_dim), (75, 300, 1083));
    assert_eq!((spec.episode_limit, spec.best_return), (200, Some(40.0)));
    assert!(spec.obs_layout.starts_with("window 5x5 (row, col)"));
}

#[test]
fn a_frozen_predator_sees_nothing_and_can_only_stay() {
    let mut game = picture(&["0*1..", ".....", "2..*."], 0);
    let mut frame = Frame::default();
    let step = game.step(&[CATCH, CATCH, STAY], &mut frame).expect("steps");
    assert_eq!(step.end, None);
    assert_eq!(frame.alive, [false, false, true]);
    assert!(frame.obs[..150].iter().all(|&x| x.abs() < f32::EPSILON));
    assert_eq!(frame.available[..6], [false, false, false, false, true, false]);
    assert!(matches!(
        game.step(&[DOWN, STAY, STAY], &mut frame),
        Err(EnvError::Unavailable { agent: 0, action: DOWN })
    ));
    assert_eq!(
        game.render().lines().next(),
        Some("step 1/200  score 10  caught 1/2  miscaptures 0  frozen 2/3")
    );
    assert!(game.render().contains('2') && game.render().contains('*'));
}

#[test]
fn the_episode_is_over_when_all_are_frozen_or_all_caught() {
    let end = |rows: &[&str], actions: &[usize], limit: usize| {
        let mut game = picture(rows, 0);
        game.config.episode_limit = limit;
        game.step(actions, &mut Frame::default()).expect("steps").end
    };
    let (both, one) = (["0*1..", "....*"], ["0*1..", "....2"]);
    assert_eq!(end(&both, &[CATCH, CATCH], 200), Some(End::Terminated));
    assert_eq!(end(&one, &[CATCH, CATCH, STAY], 200), Some(End::Terminated));
    assert_eq!(end(&both, &[STAY, STAY], 200), None);
    assert_eq!(end(&both, &[STAY, STAY], 1), Some(End::Truncated));
    // Over at the very step of the limit: stored as cut.
    assert_eq!(end(&both, &[CATCH, CATCH], 1), Some(End::Truncated));
}

#[test]
fn impossible_values_are_refused_by_key() {
    let says = |config| PredatorPrey::from_config(config).expect_err("refused").to_string();
    let usual = PredatorPreyConfig::default;
    assert_eq!(
        says(PredatorPreyConfig { rows: 3, cols: 5, ..usual() }),
        "[env] rows: a grid of 3x5 has 15 cells, 8 predators and 8 prey need 16; enlarge rows or \
         cols, or place fewer"
    );
    assert_eq!(
        says(PredatorPreyConfig { sight: 0, ..usual() }),
        "[env] sight: is 0; give 1 to 63, where 2 is a 5x5 window (0 would hide every neighbour)"
    );
    assert_eq!(
        says(PredatorPreyConfig { miscapture_reward: 2.0, ..usual() }),
        "[env] miscapture_reward: is 2; it is added to the reward, so a penalty of 2 is written -2"
    );
    for (key, config) in [
        ("rows", PredatorPreyConfig { rows: 65, ..usual() }),
        ("cols", PredatorPreyConfig { cols: 0, ..usual() }),
        ("predators", PredatorPreyConfig { predators: 0, ..usual() }),
        ("rows", PredatorPreyConfig { predators: usize::MAX, ..usual() }),
        ("prey", PredatorPreyConfig { prey: 0, ..usual() }),
        ("capture_reward", PredatorPreyConfig { capture_reward: f64::NAN, ..usual() }),
        ("miscapture_reward", PredatorPreyConfig { miscapture_reward: f64::INFINITY, ..usual() }),
        ("prey_rest", PredatorPreyConfig { prey_rest: 1.5, ..usual() }),
        ("episode_limit", PredatorPreyConfig { episode_limit: 0, ..usual() }),
    ] {
        let message = says(config);
        assert!(message.starts_with(&format!("[env] {key}: ")), "{message}");
    }
}

#[test]
fn a_full_grid_can_be_played() {
    let config = PredatorPreyConfig { rows: 4, cols: 4, ..PredatorPreyConfig::default() };
    let mut game = PredatorPrey::from_config(config).expect("builds");
    crate::env::check_env(&mut game, 5, 3).expect("passes");
}

#[test]
fn an_episode_goes_on_exactly_in_another_instance() {
    let mut game = PredatorPrey::from_config(PredatorPreyConfig::default()).expect("builds");
    assert_eq!(game.save(), None);
    let mut frame = game.spec().frame();
    let (mut rng, mut actions) = (stream(1, "test"), vec![0; 8]);
    game.reset(4, &mut frame).expect("resets");
    for _ in 0..50 {
        Random.choose(&game, &mut rng, &mut actions);
        game.step(&actions, &mut frame).expect("steps");
    }
    let mut other = PredatorPrey::from_config(PredatorPreyConfig::default()).expect("builds");
    let mut same = Frame::default();
    other.load(&game.save().expect("saves"), &mut same).expect("loads");
    assert_eq!(same, frame);
    for _ in 50..200 {
        Random.choose(&game, &mut rng, &mut actions);
        let step = game.step(&actions, &mut frame).expect("steps");
        assert_eq!(other.step(&actions, &mut same).expect("steps"), step);
        assert_eq!(same, frame);
        assert_eq!(other.render(), game.render());
    }
    assert_eq!(other.save(), game.save());
}

#[test]
fn a_saved_episode_of_another_game_is_refused() {
    let game = picture(&["0*1..", "....*"], 0);
    let mut other = picture(&["0*1.", "...*"], 0);
    let saved = game.save().expect("saves");
    let refused = other.load(&saved, &mut Frame::default()).expect_err("refused");
    assert_eq!(
        refused.to_string(),
        "cannot restore the environment: saved with cols = 5, this environment has 4"
    );
    let refused = other.load(b"something else", &mut Frame::default()).expect_err("refused");
    assert!(refused.to_string().contains("the bytes start with \"somethin\""), "{refused}");
}

proptest! {
    /// Whatever is changed in a saved episode: an error that changes nothing, or a playable game.
    #[test]
    fn hostile_bytes_never_panic(
        changes in prop::collection::vec((0_usize..400, any::<u8>()), 1..6),
        cut in 0_usize..400,
    ) {
        let mut game = picture(&["0*1..", "....*", "2...."], 1);
        let before = game.save().expect("saves");
        let mut saved = before.clone();
        for (at, value) in changes {
            let at = at % saved.len();
            saved[at] = value;
        }
        if cut < saved.len() / 4 {
            saved.truncate(cut);
        }
        let mut frame = Frame::default();
        match game.load(&saved, &mut frame) {
            Ok(()) => {
                let mut rng = stream(0, "test");
                let mut actions = [0; 3];
                for _ in 0..3 {
                    Random.choose(&game, &mut rng, &mut actions);
                    if game.step(&actions, &mut frame).expect("steps").end.is_some() {
                        break;
                    }
                    prop_assert_eq!(frame.obs.len(), 3 * 75);
                }
            }
            Err(EnvError::Restore { .. }) => prop_assert_eq!(game.save(), Some(before)),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

fn default_game() -> PredatorPrey {
    PredatorPrey::from_config(PredatorPreyConfig::default()).expect("builds")
}

/// Mean and standard deviation.
fn spread(played: &[Played], of: impl Fn(&Played) -> f64) -> (f64, f64) {
    let n = played.len() as f64;
    let mean = played.iter().map(&of).sum::<f64>() / n;
    let squares = played.iter().map(|episode| (of(episode) - mean).powi(2)).sum::<f64>();
    (mean, (squares / (n - 1.0)).sqrt())
}

/// Episodes that a scripted policy plays here.
const EPISODES: usize = 400;

fn played(policy: &dyn ScriptedPolicy) -> Vec<Played> {
    scripted::play(&mut default_game(), policy, 1, EPISODES).expect("plays")
}

/// Whether the mean agrees with that of `n` episodes of the original game. Both are estimates:
/// the band is four standard errors of their difference, with the deviation that is found here.
#[track_caller]
fn agrees(played: &[Played], of: impl Fn(&Played) -> f64, original: f64, n: f64) {
    let (mean, deviation) = spread(played, of);
    let band = 4.0 * deviation * (1.0 / played.len() as f64 + 1.0 / n).sqrt();
    assert!((mean - original).abs() < band, "{mean} is not within {band} of {original}");
}

fn total(episode: &Played) -> f64 {
    f64::from(episode.total)
}

fn length(episode: &Played) -> f64 {
    episode.length as f64
}

fn captures(episode: &Played) -> f64 {
    episode.captures as f64
}

fn miscaptures(episode: &Played) -> f64 {
    episode.miscaptures as f64
}

#[test]
fn random_play_costs_as_much_as_in_the_original() {
    let all = played(&Random);
    agrees(&all, total, -96.8, 400.0);
    agrees(&all, captures, 0.48, 400.0);
    agrees(&all, miscaptures, 50.8, 400.0);
    assert!(all.iter().all(|episode| episode.length == 200));
    // A standard deviation of n draws has a standard error of about itself / sqrt(2n).
    let (_, deviation) = spread(&all, total);
    assert!((deviation - 25.6).abs() < 4.0 * 25.6 * (1.0_f64 / 800.0 + 1.0 / 800.0).sqrt());
}

#[test]
fn never_catching_returns_nothing() {
    let all = played(&NeverCatch);
    assert!(all.iter().all(|episode| total(episode).abs() < 1e-9 && episode.length == 200));
}

#[test]
fn catching_in_pairs_earns_as_much_as_in_the_original() {
    let all = played(&CatchWhenTwo);
    agrees(&all, total, 30.0, 300.0);
    agrees(&all, length, 186.2, 300.0);
    agrees(&all, captures, 3.06, 300.0);
    agrees(&all, miscaptures, 0.30, 300.0);
}

#[test]
fn chasing_earns_as_much_as_in_the_original() {
    let all = played(&Chase);
    agrees(&all, total, 33.6, 300.0);
    agrees(&all, length, 156.0, 300.0);
    agrees(&all, captures, 3.44, 300.0);
    agrees(&all, miscaptures, 0.37, 300.0);
    let best = default_game().spec().best_return.expect("known");
    assert!(all.iter().all(|episode| episode.total <= best));
}

#[test]
fn catching_is_available_as_often_as_in_the_original() {
    let mut game = default_game();
    let mut frame = game.spec().frame();
    let mut actions = vec![0; 8];
    let mut shares = Vec::new();
    for episode in 0..200 {
        let mut rng = stream(2, &format!("test/{episode}"));
        game.reset(number(2, &format!("env/{episode}")), &mut frame).expect("resets");
        let (mut may, mut active) = (0, 0);
        loop {
            active += frame.alive.iter().filter(|&&alive| alive).count();
            may += frame.available.chunks(6).filter(|mask| mask[CATCH]).count();
            Random.choose(&game, &mut rng, &mut actions);
            if game.step(&actions, &mut frame).expect("steps").end.is_some() {
                break;
            }
        }
        shares.push(f64::from(may as u32) / f64::from(active as u32));
    }
    let n = shares.len() as f64;
    let mean = shares.iter().sum::<f64>() / n;
    let deviation = (shares.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    // The original's figure is rounded to a tenth of a percent and comes from 400 episodes.
    let band = 4.0 * deviation * (1.0 / n + 1.0 / 400.0).sqrt() + 0.0005;
    assert!((mean - 0.183).abs() < band, "{mean} is not within {band} of 0.183");
}

#[test]
fn scripted_policies_have_names_of_their_own_and_repeat() {
    let names: Vec<_> = SCRIPTED.iter().map(|policy| policy.name()).collect();
    assert_eq!(names, ["random", "never-catch", "catch-when-two", "chase"]);
    for policy in SCRIPTED {
        assert!(!policy.about().is_empty());
        let twice = [0; 2].map(|_| scripted::play(&mut default_game(), *policy, 9, 2).expect("plays"));
        assert_eq!(twice[0], twice[1], "{}", policy.name());
    }
}
