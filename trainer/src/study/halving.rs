//! Successive halving: after some steps only the best settings go on.
//!
//! All settings of a task and an algorithm reach a rung before any goes beyond it, so that who goes
//! on hangs on what was learned and never on which process was faster. That is the synchronous form
//! of the rule that ASHA applies as results come in; it costs waiting at a rung, and repeats.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;
use crate::metrics::Record;

/// `[halving]` of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Halving {
    /// Environment steps after which settings are compared, ascending; each a multiple of `eval.interval`.
    pub rungs: Vec<u64>,
    /// Share of the settings that goes on at each rung; one of them always does.
    #[serde(default = "third")]
    pub keep: f64,
    /// What is compared: a metric of a run, the larger the better; after a `-`, the smaller. Default: the greedy
    /// return of the network that ships.
    #[serde(default)]
    pub metric: Option<String>,
}

fn third() -> f64 {
    1.0 / 3.0
}

impl Halving {
    /// Refuses what cannot work.
    ///
    /// # Errors
    /// [`ConfigError::Value`] with the key.
    pub fn check(&self) -> Result<(), ConfigError> {
        let rising = self.rungs.windows(2).all(|pair| pair[0] < pair[1]);
        if self.rungs.first().is_none_or(|&first| first == 0) || !rising {
            return Err(ConfigError::value("halving.rungs", "give numbers of steps above 0, ascending"));
        }
        if !(self.keep > 0.0 && self.keep < 1.0) {
            return Err(ConfigError::value(
                "halving.keep",
                format!("is {}; give a share between 0 and 1", self.keep),
            ));
        }
        Ok(())
    }

    /// Refuses rungs at which a cell has no test, or that lie behind its end.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn check_against(&self, t_max: u64, interval: u64) -> Result<(), ConfigError> {
        match self.rungs.iter().find(|&&rung| rung >= t_max || !rung.is_multiple_of(interval)) {
            Some(rung) => Err(ConfigError::value(
                "halving.rungs",
                format!("{rung} must be a multiple of eval.interval = {interval} and below t_max = {t_max}"),
            )),
            None => Ok(()),
        }
    }

    /// What a run had reached at `rung`: the first record from there on.
    ///
    /// `None` where it has not come so far, or has no such metric; NaN never goes on.
    #[must_use]
    pub fn score(&self, records: &[Record], ships: &str, rung: u64) -> Option<f64> {
        let key = self.metric.clone().unwrap_or_else(|| format!("test_{ships}_return"));
        let (key, sign) = key.strip_prefix('-').map_or((key.as_str(), 1.0), |key| (key, -1.0));
        Some(sign * records.iter().find(|record| record.t_env >= rung)?.values.get(key).copied()?)
    }

    /// What to say where no cell has the metric: the names that there are.
    ///
    /// # Errors
    /// Always, [`ConfigError::Value`].
    pub fn unknown<'r>(&self, records: impl Iterator<Item = &'r Record>) -> Result<(), ConfigError> {
        let names: BTreeSet<&str> =
            records.flat_map(|record| record.values.keys().map(String::as_str)).collect();
        let names: Vec<_> = names.into_iter().collect();
        let metric = self.metric.as_deref().unwrap_or_default();
        let reason = format!("no cell has logged \"{metric}\"; there are: {}", names.join(", "));
        Err(ConfigError::value("halving.metric", reason))
    }

    /// Which of `scores`, by setting, go on; ties go to the earlier setting.
    #[must_use]
    pub fn survivors(&self, scores: &BTreeMap<usize, f64>) -> Vec<usize> {
        let rank = |score: f64| if score.is_nan() { f64::NEG_INFINITY } else { score };
        let mut order: Vec<_> = scores.iter().map(|(&setting, &score)| (rank(score), setting)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let count = ((scores.len() as f64 * self.keep).ceil() as usize).clamp(1, scores.len().max(1));
        let mut kept: Vec<_> = order.into_iter().take(count).map(|(_, setting)| setting).collect();
        kept.sort_unstable();
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halving(rungs: &[u64], keep: f64) -> Halving {
        Halving { rungs: rungs.to_vec(), keep, metric: None }
    }

    #[test]
    fn the_best_share_goes_on_and_one_always() {
        let scores = |values: &[f64]| values.iter().copied().enumerate().collect::<BTreeMap<_, _>>();
        let third = halving(&[10], 1.0 / 3.0);
        assert_eq!(third.survivors(&scores(&[1.0, 5.0, 3.0, 5.0, 0.0, 4.0])), [1, 3]);
        assert_eq!(third.survivors(&scores(&[2.0, 2.0, 2.0, 2.0])), [0, 1]);
        assert_eq!(third.survivors(&scores(&[f64::NAN, -9.0])), [1]);
        assert_eq!(third.survivors(&scores(&[f64::NAN])), [0]);
        assert_eq!(halving(&[10], 0.9).survivors(&scores(&[1.0, 2.0])), [0, 1]);
    }

    #[test]
    fn a_score_is_that_of_the_first_test_from_the_rung_on() {
        let record = |t_env, value: f64| {
            let values =
                BTreeMap::from([("test_lpn_return".to_owned(), value), ("loss_td".to_owned(), -value)]);
            Record { t_env, episode: 0, update: 0, values }
        };
        let records = [record(8, 1.0), record(21, 2.0), record(40, 3.0)];
        let mut rule = halving(&[20], 0.5);
        assert_eq!(rule.score(&records, "lpn", 20), Some(2.0));
        assert_eq!(rule.score(&records, "lpn", 41), None);
        assert_eq!(rule.score(&records, "agent", 20), None);
        rule.metric = Some("loss_td".into());
        assert_eq!(rule.score(&records, "agent", 40), Some(-3.0));
        rule.metric = Some("-loss_td".into());
        assert_eq!(rule.score(&records, "agent", 40), Some(3.0));
        rule.metric = Some("los_td".into());
        assert_eq!(rule.score(&records, "agent", 40), None);
        let message = rule.unknown(records.iter()).unwrap_err().to_string();
        assert!(message.contains("\"los_td\"; there are: loss_td, test_lpn_return"), "{message}");
    }

    #[test]
    fn mistakes_are_named() {
        for (rule, want) in [
            (halving(&[], 0.5), "halving.rungs"),
            (halving(&[0, 5], 0.5), "halving.rungs"),
            (halving(&[5, 5], 0.5), "ascending"),
            (halving(&[5], 1.0), "halving.keep"),
        ] {
            let message = rule.check().unwrap_err().to_string();
            assert!(message.contains(want), "{message}");
        }
        let rule = halving(&[100, 250], 0.5);
        assert!(rule.check_against(1000, 50).is_ok());
        assert!(rule.check_against(1000, 100).unwrap_err().to_string().contains("250 must be a multiple"));
        assert!(rule.check_against(250, 50).unwrap_err().to_string().contains("below t_max = 250"));
    }
}
