//! The ROC curve, its area and its height at a small false positive rate.

use serde::{Deserialize, Serialize};

use super::ranked::Ranked;
use crate::error::{DetectError, Result};

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
    Ok(Ranked::new(members, non_members)?.counts().area())
}

/// Largest share of members found while at most `false_positive_rate` of the non-members are
/// flagged; members that tie with a non-member above the limit are not counted as found.
///
/// `None` when the sample cannot resolve the rate, that is, when fewer than
/// `1 / false_positive_rate` non-members are at hand. This is the one difference from reading the
/// highest point of scikit-learn's `roc_curve` whose false positive rate is at most the limit: for
/// such a sample that reading is the share of members above *every* non-member, a number that says
/// nothing of the rate asked for.
///
/// # Errors
/// When a class is empty, a score is not finite, or the rate is not above 0 and below 1.
pub fn tpr_at_fpr(
    members: &[f64],
    non_members: &[f64],
    false_positive_rate: f64,
) -> Result<Option<f64>> {
    let ranked = Ranked::new(members, non_members)?;
    let allowed = allowed_false_positives(ranked.non_members(), false_positive_rate)?;
    Ok(allowed.map(|allowed| ranked.counts().share_found(allowed)))
}

/// Non-members that may be flagged at a rate; `None` when not even one may.
pub(super) fn allowed_false_positives(non_members: usize, rate: f64) -> Result<Option<usize>> {
    if !(rate > 0.0 && rate < 1.0) {
        return Err(DetectError::Argument {
            argument: "false_positive_rate",
            expected: "above 0 and below 1",
            found: rate,
        });
    }
    let allowed = (rate * non_members as f64 + RATE_ROUNDING).floor() as usize;
    // A rate below 1 leaves one unflagged, whatever the rounding says.
    let allowed = allowed.min(non_members - 1);
    Ok((allowed > 0).then_some(allowed))
}

/// A point of an ROC curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RocPoint {
    /// Share of the non-members at or above the threshold.
    pub false_positive_rate: f64,
    /// Share of the members at or above the threshold.
    pub true_positive_rate: f64,
}

/// The points of the ROC curve from (0, 0) to (1, 1), one for each distinct score: scores that tie
/// are passed in one step, which may be oblique.
///
/// The straight line between neighbouring points encloses [`auc`].
///
/// ```
/// let points = umid_detect::roc_curve(&[2.0, 3.0], &[1.0, 2.0])?;
/// let rates: Vec<_> = points.iter().map(|p| (p.false_positive_rate, p.true_positive_rate)).collect();
/// assert_eq!(rates, [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0)]);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
///
/// # Errors
/// When a class is empty or a score is not finite.
pub fn roc_curve(members: &[f64], non_members: &[f64]) -> Result<Vec<RocPoint>> {
    let ranked = Ranked::new(members, non_members)?;
    let (mut found, mut flagged) = (0, 0);
    let origin = RocPoint { false_positive_rate: 0.0, true_positive_rate: 0.0 };
    let counts = ranked.counts();
    let steps = counts.downwards().map(|(m, n)| {
        found += m;
        flagged += n;
        RocPoint {
            false_positive_rate: flagged as f64 / ranked.non_members() as f64,
            true_positive_rate: found as f64 / ranked.members() as f64,
        }
    });
    Ok(std::iter::once(origin).chain(steps).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

        #[test]
        fn the_curve_rises_and_encloses_the_auc(members in scores(1..30), non_members in scores(1..30)) {
            let points = roc_curve(&members, &non_members).expect("two classes");
            let mut area = 0.0;
            for pair in points.windows(2) {
                let width = pair[1].false_positive_rate - pair[0].false_positive_rate;
                let height = pair[1].true_positive_rate - pair[0].true_positive_rate;
                prop_assert!(width >= 0.0 && height >= 0.0 && width + height > 0.0);
                area += width * (pair[0].true_positive_rate + height / 2.0);
            }
            let last = points[points.len() - 1];
            prop_assert_eq!((last.false_positive_rate, last.true_positive_rate), (1.0, 1.0));
            prop_assert!((area - auc(&members, &non_members).expect("two classes")).abs() < 1e-12);
        }
    }

    #[test]
    fn scores_that_all_tie_are_one_oblique_step() {
        let points = roc_curve(&[0.0; 3], &[-0.0; 2]).expect("two classes");
        assert_eq!(points.len(), 2, "{points:?}");
        assert!((auc(&[0.0; 3], &[-0.0; 2]).expect("two classes") - 0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn an_empty_class_is_an_error() {
        assert!(matches!(auc(&[], &[1.0]), Err(DetectError::Empty { list: "member" })));
        assert!(matches!(auc(&[1.0], &[]), Err(DetectError::Empty { list: "non-member" })));
        assert!(roc_curve(&[1.0], &[]).is_err());
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
}
