//! How well scores separate members from non-members: the area under the ROC curve, the true
//! positive rate at a small false positive rate (Carlini et al. 2022, "Membership Inference Attacks
//! From First Principles"), and bootstrap intervals.
//!
//! Scores are higher for members. Nothing here is ever NaN: an empty class is an error, and a rate
//! that the sample cannot resolve is `None`.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::{DetectError, Result};
use crate::quantile::sorted_quantile;
use crate::records::check_scores;

/// Tails of a 95 % interval.
const TAILS: (f64, f64) = (0.025, 0.975);
/// Resamples of an interval unless set; Efron and Tibshirani (1993) advise at least 1,000 for
/// percentile intervals.
pub const DEFAULT_RESAMPLES: usize = 2000;
/// Rounding of a product such as `0.001 * 1000`, which must count as 1.
const RATE_ROUNDING: f64 = 1e-9;

/// Area under the ROC curve: the probability that a member scores above a non-member, ties counting
/// one half (Mann and Whitney 1947).
///
/// ```
/// let area = umid_detect::auc(&[2.0, 3.0], &[1.0, 2.0])?;
/// assert_eq!(area, 0.875);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
///
/// # Errors
/// When a class is empty or a score is not finite.
pub fn auc(members: &[f64], non_members: &[f64]) -> Result<f64> {
    check_classes(members, non_members)?;
    Ok(auc_of_checked(members, non_members))
}

fn auc_of_checked(members: &[f64], non_members: &[f64]) -> f64 {
    let sorted = sorted_upwards(non_members);
    // Twice the wins and once the ties is an integer: exact in f64, whatever the order.
    let doubled: f64 = members
        .iter()
        .map(|&member| {
            let below = sorted.partition_point(|&other| other < member);
            let not_above = sorted.partition_point(|&other| other <= member);
            (below + not_above) as f64
        })
        .sum();
    doubled / (2.0 * members.len() as f64 * non_members.len() as f64)
}

/// Largest share of members found while at most `false_positive_rate` of the non-members are
/// flagged; members that tie with a non-member above the limit are not counted as found.
///
/// `None` when the sample cannot resolve the rate, that is, when fewer than
/// `1 / false_positive_rate` non-members are at hand.
///
/// # Errors
/// When a class is empty, a score is not finite, or the rate is not above 0 and below 1.
pub fn tpr_at_fpr(
    members: &[f64],
    non_members: &[f64],
    false_positive_rate: f64,
) -> Result<Option<f64>> {
    check_classes(members, non_members)?;
    let allowed = allowed_false_positives(non_members.len(), false_positive_rate)?;
    Ok(allowed.map(|allowed| share_found(members, non_members, allowed)))
}

/// Non-members that may be flagged at a rate; `None` when not even one may.
fn allowed_false_positives(non_members: usize, rate: f64) -> Result<Option<usize>> {
    if !(rate > 0.0 && rate < 1.0) {
        return Err(DetectError::Argument {
            argument: "false_positive_rate",
            expected: "above 0 and below 1",
            found: rate,
        });
    }
    let allowed = (rate * non_members as f64 + RATE_ROUNDING).floor() as usize;
    Ok((allowed > 0).then_some(allowed))
}

/// Share of members above all but `allowed` of the non-members.
fn share_found(members: &[f64], non_members: &[f64], allowed: usize) -> f64 {
    let sorted = sorted_upwards(non_members);
    // With a rate below 1, `allowed` is below the number of non-members, up to rounding.
    let highest_excluded = sorted[sorted.len().saturating_sub(allowed + 1)];
    let found = members.iter().filter(|&&member| member > highest_excluded).count();
    found as f64 / members.len() as f64
}

/// Mean of the share of members that are flagged and the share of non-members that are not.
///
/// # Errors
/// When a class is empty.
pub fn balanced_accuracy(member_flags: &[bool], non_member_flags: &[bool]) -> Result<f64> {
    let share = |list, flags: &[bool], wanted: bool| {
        if flags.is_empty() {
            return Err(DetectError::Empty { list });
        }
        let hits = flags.iter().filter(|&&flag| flag == wanted).count();
        Ok(hits as f64 / flags.len() as f64)
    };
    let sensitivity = share("member flags", member_flags, true)?;
    let specificity = share("non-member flags", non_member_flags, false)?;
    Ok(f64::midpoint(sensitivity, specificity))
}

/// An estimate with the ends of its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The statistic of the sample itself.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// How an interval is bootstrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Resamples drawn, at least 1.
    pub resamples: usize,
    /// Seed; each resample has its own stream of it.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: DEFAULT_RESAMPLES, seed: 0 }
    }
}

impl Bootstrap {
    /// Percentile bootstrap of [`auc`] (Efron 1979), resampling members and non-members apart.
    ///
    /// # Errors
    /// As [`auc`], and when `resamples` is 0.
    pub fn auc(&self, members: &[f64], non_members: &[f64]) -> Result<Interval> {
        let estimate = auc(members, non_members)?;
        let values = self.replicates(members, non_members, auc_of_checked)?;
        Ok(interval(estimate, values))
    }

    /// Percentile bootstrap of [`tpr_at_fpr`], resampling members and non-members apart; `None`
    /// where the sample cannot resolve the rate.
    ///
    /// # Errors
    /// As [`tpr_at_fpr`], and when `resamples` is 0.
    pub fn tpr_at_fpr(
        &self,
        members: &[f64],
        non_members: &[f64],
        false_positive_rate: f64,
    ) -> Result<Option<Interval>> {
        check_classes(members, non_members)?;
        let allowed = allowed_false_positives(non_members.len(), false_positive_rate)?;
        let Some(allowed) = allowed else {
            return Ok(None);
        };
        let statistic = |m: &[f64], n: &[f64]| share_found(m, n, allowed);
        let values = self.replicates(members, non_members, statistic)?;
        Ok(Some(interval(statistic(members, non_members), values)))
    }

    /// The statistic of every resample. The classes have been checked.
    fn replicates(
        &self,
        members: &[f64],
        non_members: &[f64],
        statistic: impl Fn(&[f64], &[f64]) -> f64,
    ) -> Result<Vec<f64>> {
        if self.resamples == 0 {
            return Err(DetectError::Argument {
                argument: "resamples",
                expected: "at least 1",
                found: 0.0,
            });
        }
        let replicate = |stream: u64| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(stream);
            let m = resample(members, &mut rng);
            let n = resample(non_members, &mut rng);
            statistic(&m, &n)
        };
        Ok((0..self.resamples as u64).map(replicate).collect())
    }
}

fn interval(estimate: f64, mut replicates: Vec<f64>) -> Interval {
    replicates.sort_by(f64::total_cmp);
    Interval {
        estimate,
        low: sorted_quantile(&replicates, TAILS.0),
        high: sorted_quantile(&replicates, TAILS.1),
    }
}

fn resample(scores: &[f64], rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..scores.len()).map(|_| scores[rng.random_range(0..scores.len())]).collect()
}

fn sorted_upwards(scores: &[f64]) -> Vec<f64> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn check_classes(members: &[f64], non_members: &[f64]) -> Result<()> {
    check_scores("member", members)?;
    check_scores("non-member", non_members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 400, seed: 5 };

    /// By definition: the mean over all pairs.
    fn brute_force_auc(members: &[f64], non_members: &[f64]) -> f64 {
        let pairs = members.iter().flat_map(|m| non_members.iter().map(move |n| (m, n)));
        let wins: f64 = pairs
            .map(|(m, n)| {
                if m > n {
                    1.0
                } else if m < n {
                    0.0
                } else {
                    0.5
                }
            })
            .sum();
        wins / (members.len() * non_members.len()) as f64
    }

    /// By definition: the best over all thresholds.
    fn brute_force_tpr(members: &[f64], non_members: &[f64], rate: f64) -> f64 {
        let share_above = |scores: &[f64], threshold: f64| {
            scores.iter().filter(|&&s| s >= threshold).count() as f64 / scores.len() as f64
        };
        let thresholds = members.iter().filter(|&&t| share_above(non_members, t) <= rate);
        thresholds.map(|&t| share_above(members, t)).fold(0.0, f64::max)
    }

    /// Few distinct values, so that ties are common.
    fn scores(sizes: std::ops::Range<usize>) -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec((-4_i8..5).prop_map(f64::from), sizes)
    }

    proptest! {
        #[test]
        fn auc_is_the_mean_over_pairs(members in scores(1..30), non_members in scores(1..30)) {
            let fast = auc(&members, &non_members).expect("two classes");
            prop_assert!((fast - brute_force_auc(&members, &non_members)).abs() < 1e-12);
        }

        #[test]
        fn swapping_the_classes_mirrors_the_auc(a in scores(1..30), b in scores(1..30)) {
            let sum = auc(&a, &b).expect("two classes") + auc(&b, &a).expect("two classes");
            prop_assert!((sum - 1.0).abs() < 1e-12);
        }

        #[test]
        fn tpr_is_the_best_over_thresholds(
            members in scores(1..30),
            non_members in scores(10..60),
            tenths in 1_u8..10,
        ) {
            let rate = f64::from(tenths) / 10.0;
            let fast = tpr_at_fpr(&members, &non_members, rate).expect("two classes");
            let slow = brute_force_tpr(&members, &non_members, rate + RATE_ROUNDING);
            prop_assert_eq!(fast, Some(slow));
        }
    }

    #[test]
    fn an_empty_class_is_an_error() {
        assert!(matches!(auc(&[], &[1.0]), Err(DetectError::Empty { list: "member" })));
        assert!(matches!(auc(&[1.0], &[]), Err(DetectError::Empty { list: "non-member" })));
        assert!(matches!(balanced_accuracy(&[], &[true]), Err(DetectError::Empty { .. })));
        assert!(matches!(balanced_accuracy(&[true], &[]), Err(DetectError::Empty { .. })));
    }

    #[test]
    fn a_nan_score_is_an_error() {
        assert!(matches!(
            auc(&[f64::NAN], &[1.0]),
            Err(DetectError::NonFiniteScore { list: "member", index: 0, .. })
        ));
    }

    #[test]
    fn a_rate_that_the_sample_cannot_resolve_has_no_value() {
        let non_members: Vec<f64> = (0..999).map(f64::from).collect();
        assert_eq!(tpr_at_fpr(&[2000.0], &non_members, 0.001).expect("two classes"), None);
        let one_more: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(tpr_at_fpr(&[2000.0], &one_more, 0.001).expect("two classes"), Some(1.0));
    }

    #[test]
    fn a_rate_outside_its_range_is_refused() {
        for bad in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(tpr_at_fpr(&[1.0], &[0.0], bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn the_interval_holds_the_estimate_and_repeats_with_its_seed() {
        let members: Vec<f64> = (0..60).map(|i| f64::from(i) + 15.0).collect();
        let non_members: Vec<f64> = (0..60).map(f64::from).collect();
        let first = BOOTSTRAP.auc(&members, &non_members).expect("two classes");
        assert!(first.low < first.estimate && first.estimate < first.high);
        // Hanley and McNeil's (1982) standard error is 0.046 here: the width is about four of it.
        assert!((first.high - first.low - 4.0 * 0.046).abs() < 0.05, "{first:?}");
        assert_eq!(first, BOOTSTRAP.auc(&members, &non_members).expect("two classes"));
    }

    #[test]
    fn a_rate_has_an_interval_where_it_has_a_value() {
        let members: Vec<f64> = (0..50).map(|i| f64::from(i) + 20.0).collect();
        let non_members: Vec<f64> = (0..50).map(f64::from).collect();
        let found = BOOTSTRAP.tpr_at_fpr(&members, &non_members, 0.1).expect("two classes");
        let found = found.expect("50 non-members resolve a tenth");
        assert!(found.low <= found.estimate && found.estimate <= found.high);
        let finer = BOOTSTRAP.tpr_at_fpr(&members, &non_members, 0.001).expect("two classes");
        assert_eq!(finer, None);
    }

    #[test]
    fn zero_resamples_are_refused() {
        let none = Bootstrap { resamples: 0, seed: 0 };
        assert!(matches!(
            none.auc(&[1.0], &[0.0]),
            Err(DetectError::Argument { argument: "resamples", .. })
        ));
    }

    #[test]
    fn balanced_accuracy_weighs_the_classes_alike() {
        let accuracy = balanced_accuracy(&[true, false], &[false; 10]).expect("two classes");
        assert!((accuracy - 0.75).abs() < f64::EPSILON);
    }
}
