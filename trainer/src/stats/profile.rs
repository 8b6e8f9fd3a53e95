//! Performance profiles: what share of the runs scores above a threshold.

use serde::Serialize;

use super::aggregate::itself;
use super::bootstrap::{Bootstrap, Interval, draw};
use super::error::{Result, StatsError};
use super::scores::Scores;

/// The run-score distribution of one algorithm, with a band.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// τ, ascending, `[K]`.
    pub thresholds: Vec<f64>,
    /// The share of scores above each threshold, between 0 and 1, `[K]`.
    pub shares: Vec<Interval>,
}

/// The share of all R·M scores that are greater than τ, for each τ of `thresholds` `[K]`.
///
/// All tasks have the same number of runs, so this is also the mean of the shares of the tasks. The
/// band is that of each threshold on its own.
///
/// Source: Agarwal et al. 2021, section 4.2; `rliable.library.create_performance_profile`.
///
/// # Errors
/// If there are no thresholds, one is not finite or lower than the one before it, or the settings of
/// the bootstrap make no sense.
pub fn profile(scores: &Scores, thresholds: &[f64], bootstrap: &Bootstrap) -> Result<Profile> {
    if thresholds.is_empty() {
        return Err(StatsError::Empty { what: "thresholds" });
    }
    let mut before = f64::NEG_INFINITY;
    for (index, &value) in thresholds.iter().enumerate() {
        if !value.is_finite() || value < before {
            return Err(StatsError::Threshold { index, value });
        }
        before = value;
    }
    // How many thresholds each score is above: the first ones.
    let passes = |&score: &f64| thresholds.partition_point(|&threshold| threshold < score);
    let passed: Vec<usize> = scores.cells().iter().map(passes).collect();
    let mut counts = vec![0_usize; thresholds.len() + 1];
    let mut shares = |picks: &[usize], shares: &mut [f64]| {
        counts.fill(0);
        for &cell in picks {
            counts[passed[cell]] += 1;
        }
        let mut above = 0;
        for (share, &count) in shares.iter_mut().zip(&counts[1..]).rev() {
            above += count;
            *share = above as f64 / picks.len() as f64;
        }
    };
    let mut picks = itself(scores);
    let mut estimates = vec![0.0; thresholds.len()];
    shares(&picks, &mut estimates);
    let found = bootstrap.intervals("stats/profile", &estimates, |rng, values| {
        draw(scores, bootstrap.tasks, rng, &mut picks);
        shares(&picks, values);
    })?;
    Ok(Profile { thresholds: thresholds.to_vec(), shares: found })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimates(profile: &Profile) -> Vec<f64> {
        profile.shares.iter().map(|share| share.estimate).collect()
    }

    #[test]
    fn known_shares() {
        let scores = Scores::new(&[[0.0, 0.5], [0.25, 1.0]]).unwrap();
        let found = profile(&scores, &[-1.0, 0.0, 0.25, 0.25, 0.7, 1.0], &Bootstrap::short(1)).unwrap();
        // Strictly above.
        assert_eq!(estimates(&found), [1.0, 0.75, 0.5, 0.5, 0.25, 0.0]);
        // Whatever is drawn is above the first threshold, nothing is above the last.
        assert_eq!((found.shares[0].low, found.shares[0].high), (1.0, 1.0));
        assert_eq!((found.shares[5].low, found.shares[5].high), (0.0, 0.0));
        // At 0.7 the first task never passes; the second does in 0, 1 or 2 of 2 draws.
        assert_eq!((found.shares[4].low, found.shares[4].high), (0.0, 0.5));
    }

    #[test]
    fn shares_and_bands_fall_and_do_not_depend_on_the_scale() {
        let score = |run: i32, task: i32| f64::from((run * 17 + task * 29) % 23) / 4.0;
        let rows: Vec<Vec<f64>> = (0..8).map(|run| (0..3).map(|task| score(run, task)).collect()).collect();
        let thresholds: Vec<f64> = (0..=30).map(|k| f64::from(k) / 5.0).collect();
        let bootstrap = Bootstrap { tasks: true, ..Bootstrap::short(9) };
        let found = profile(&Scores::new(&rows).unwrap(), &thresholds, &bootstrap).unwrap();
        for pair in found.shares.windows(2) {
            let falls = |of: fn(&Interval) -> f64| of(&pair[0]) >= of(&pair[1]);
            assert!(falls(|share| share.estimate) && falls(|share| share.low) && falls(|share| share.high));
        }
        assert!(found.shares.iter().all(|s| s.low <= s.estimate && s.estimate <= s.high));
        // Doubling moves no bit of a score across a threshold.
        let double = |values: &[f64]| values.iter().map(|value| 2.0 * value).collect::<Vec<_>>();
        let rows: Vec<Vec<f64>> = rows.iter().map(|row| double(row)).collect();
        let doubled = profile(&Scores::new(&rows).unwrap(), &double(&thresholds), &bootstrap).unwrap();
        assert_eq!(doubled.shares, found.shares);
    }

    #[test]
    fn one_run_has_no_band() {
        let scores = Scores::new(&[[0.2, 0.6]]).unwrap();
        let found = profile(&scores, &[0.0, 0.5, 0.9], &Bootstrap::short(1)).unwrap();
        assert_eq!(estimates(&found), [1.0, 0.5, 0.0]);
        assert!(found.shares.iter().all(|s| s.high - s.low == 0.0), "{found:?}");
    }

    #[test]
    fn thresholds_without_order_are_refused() {
        let scores = Scores::one_task(&[1.0]).unwrap();
        let ask = |thresholds: &[f64]| profile(&scores, thresholds, &Bootstrap::short(1)).unwrap_err();
        assert_eq!(ask(&[]), StatsError::Empty { what: "thresholds" });
        assert_eq!(ask(&[0.0, 2.0, 1.0]), StatsError::Threshold { index: 2, value: 1.0 });
        assert!(matches!(ask(&[0.0, f64::NAN]), StatsError::Threshold { index: 1, .. }));
    }
}
