//! Payoff matrices that not every mixer can represent, tried out uniformly: what is best for a
//! mixer to say of them is known, and whether it finds the best joint action.

use super::all_returns;

/// Rows are the first agent's actions, columns the second's.
type Table = [[f64; 3]; 3];

/// Of the QTRAN paper (arXiv 1905.05408, Table 1a). The closest monotone table keeps the 8 on top:
/// nothing here says that QMIX must miss it.
const QTRAN: Table = [[8.0, -12.0, -12.0], [-12.0, 0.0, 0.0], [-12.0, 0.0, 0.0]];

/// The same shape with less to win: the closest monotone table puts a 0 on top.
const SMALL_PRIZE: Table = [[1.0, -3.0, -3.0], [-3.0, 0.0, 0.0], [-3.0, 0.0, 0.0]];

/// With a second-best beside safe actions: the closest monotone table puts that on top.
const SECOND_BEST: Table = [[1.5, -4.0, -4.0], [-4.0, 0.5, 0.0], [-4.0, 0.0, 0.0]];

const SEEDS: usize = 10;

/// A mixer with the keys of its table, sized for three actions, and how many times longer than the
/// others it learns.
type Choice = (&'static str, &'static str, usize);

const VDN: Choice = ("vdn", "", 1);
const QMIX: Choice = ("qmix", "", 1);
const ABLE: [Choice; 4] = [
    ("qtran", ", embed = 16", 1),
    ("wqmix", ", weighting = \"ow\", central_embed = 16, central_hidden = 16", 1),
    ("wqmix", ", weighting = \"cw\", central_embed = 16, central_hidden = 16", 1),
    ("qplex", ", kernels = 4, layers = 2, embed = 32, hyper = 32", 2),
];

fn best_payoff(table: &Table) -> f64 {
    table.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// For each mixer, of how many seeds the greedy team earns the most there is.
fn finds(table: &Table, choices: &[Choice], (updates, lr): (usize, f64)) -> Vec<usize> {
    let config = |(mixer, keys, times): &Choice, seed: usize| {
        let updates = times * updates;
        let payoffs: Vec<f64> = table.iter().flatten().copied().collect();
        format!(
            "seed = {seed}\nt_max = {updates}\nenv = {{ kind = \"matrix-game\", payoffs = {payoffs:?} }}\n\
             scheme = {{ kind = \"plain\", hidden = 16, optimiser = {{ kind = \"rmsprop\", lr = {lr} }} }}\n\
             mixer = {{ kind = \"{mixer}\"{keys} }}\nrollout = {{ epsilon_finish = 1.0 }}\nreplay = {{ batch = 64 }}\n\
             eval = {{ interval = 100000, episodes = 1 }}\ncheckpoint = {{ interval = 1000000 }}\n"
        )
    };
    let configs: Vec<String> =
        choices.iter().flat_map(|choice| (0..SEEDS).map(move |seed| config(choice, seed + 1))).collect();
    let best = best_payoff(table);
    let found = |returns: &Vec<f64>| (returns[0] - best).abs() < 1e-6;
    all_returns(&configs).chunks(SEEDS).map(|runs| runs.iter().filter(|runs| found(runs)).count()).collect()
}

fn check(table: &Table, (able, unable): (&[Choice], &[Choice]), training: (usize, f64)) {
    let choices = [able, unable].concat();
    let found = finds(table, &choices, training);
    let want: Vec<usize> =
        choices.iter().map(|choice| if able.contains(choice) { SEEDS } else { 0 }).collect();
    assert_eq!(found, want, "seeds that find the best of {table:?}; mixers {choices:?}");
}

#[test]
fn the_matrix_of_qtran() {
    check(&QTRAN, (&ABLE, &[VDN]), (2000, 0.01));
}

#[test]
fn a_small_prize() {
    check(&SMALL_PRIZE, (&ABLE, &[VDN, QMIX]), (1500, 0.005));
}

#[test]
fn a_second_best() {
    check(&SECOND_BEST, (&ABLE, &[VDN, QMIX]), (1500, 0.005));
}

/// All orders of three things.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// Sets of cells, as bits `3 · row + column`, that hold with a cell all that are not before it.
fn upper_sets() -> Vec<u32> {
    let with_followers = |set: &u32| {
        (0..9).filter(|cell| set >> cell & 1 == 1).all(|cell| {
            (cell % 3 == 2 || set >> (cell + 1) & 1 == 1) && (cell >= 6 || set >> (cell + 3) & 1 == 1)
        })
    };
    (0..1 << 9).filter(with_followers).collect()
}

/// The squared error of the closest table that falls along neither rows nor columns. Isotonic
/// regression: its cell x is the largest, over upper sets with x, of the smallest mean of what they
/// share with a lower set with x.
fn distance_from_monotone(table: &Table, uppers: &[u32]) -> f64 {
    let value = |cell: usize| table[cell / 3][cell % 3];
    let mean = |set: u32| {
        let cells = (0..9).filter(|cell| set >> cell & 1 == 1);
        cells.map(value).sum::<f64>() / f64::from(set.count_ones())
    };
    let error = |cell: usize| {
        let with = |set: &u32| set >> cell & 1 == 1;
        let least = |upper: u32| {
            let lowers = uppers.iter().map(|upper| !upper & 0x1ff).filter(with);
            lowers.map(|lower| mean(upper & lower)).fold(f64::INFINITY, f64::min)
        };
        let fit = uppers.iter().copied().filter(with).map(least).fold(f64::NEG_INFINITY, f64::max);
        (value(cell) - fit).powi(2)
    };
    (0..9).map(error).sum()
}

/// For each joint action, the least squared error of a monotone table of which it is the greedy
/// one: the last row and the last column of an order.
fn monotone_errors(table: &Table) -> [[f64; 3]; 3] {
    let uppers = upper_sets();
    let mut errors = [[f64::INFINITY; 3]; 3];
    for rows in ORDERS {
        for columns in ORDERS {
            let ordered = rows.map(|row| columns.map(|column| table[row][column]));
            let least = &mut errors[rows[2]][columns[2]];
            *least = least.min(distance_from_monotone(&ordered, &uppers));
        }
    }
    errors
}

#[test]
fn what_sums_and_monotone_functions_can_say_of_these_tables() {
    assert!(
        (distance_from_monotone(&[[0.0, 1.0, 1.0], [0.0, 1.0, 2.0], [0.5, 3.0, 3.0]], &upper_sets())).abs()
            < 1e-12
    );
    // 2 and 0 out of order become 1 and 1.
    let error = distance_from_monotone(&[[0.0, 2.0, 0.0], [0.0, 2.0, 4.0], [4.0, 4.0, 4.0]], &upper_sets());
    assert!((error - 2.0).abs() < 1e-12, "{error}");

    for (table, hidden_from_monotone) in [(QTRAN, false), (SMALL_PRIZE, true), (SECOND_BEST, true)] {
        assert!((table[0][0] - best_payoff(&table)).abs() < 1e-12, "the best joint action is the first");
        // The closest sum has the means of rows and columns as its terms, up to constants.
        let means = table.map(|row| row.iter().sum::<f64>());
        assert!(means[0] < means[1].max(means[2]), "{table:?}: a sum prefers another row");
        // A clear difference: no network comes as close as another that has the best on top.
        let errors = monotone_errors(&table);
        let others = errors.iter().flatten().skip(1).copied().fold(f64::INFINITY, f64::min);
        let (less, more) = if hidden_from_monotone { (others, errors[0][0]) } else { (errors[0][0], others) };
        assert!(less < 0.95 * more, "{table:?}: {errors:?}");
    }
}
