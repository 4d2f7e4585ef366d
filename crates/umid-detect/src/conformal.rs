//! Conformal p-values for outliers, and control of the false discovery rate over many of them.
//!
//! Bates, Candès, Lei, Romano and Sesia, "Testing for outliers with conformal p-values", Annals of
//! Statistics 51, 2023: the p-value of a score is its rank among the scores of rows
//! that are known to be non-members, the query itself included. If the query is exchangeable with
//! them, `P(p <= alpha) <= alpha`, whatever the score is. The rows must not have been used to fit
//! or to scale the score.
//!
//! Benjamini and Hochberg, "Controlling the False Discovery Rate", JRSS B 57, 1995. Conformal
//! p-values that share their calibration rows are positively dependent in the way that this
//! procedure tolerates, as Bates et al. prove.

use serde::{Deserialize, Serialize};

use crate::error::{DetectError, Result};
use crate::records::check_scores;
use crate::tail::Tail;

/// Scores of calibration rows, none of which is a member.
///
/// ```
/// use umid_detect::ConformalCalibration;
///
/// let calibration = ConformalCalibration::new(vec![0.0, 1.0, 2.0, 3.0])?;
/// assert_eq!(calibration.p_value(9.0)?, 0.2);
/// assert_eq!(calibration.p_value(2.0)?, 0.6);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConformalCalibration {
    /// Sorted upwards.
    scores: Vec<f64>,
}

impl ConformalCalibration {
    /// Takes the calibration scores, in any order; higher is more member-like.
    ///
    /// # Errors
    /// When the list is empty or a score is not finite.
    pub fn new(mut scores: Vec<f64>) -> Result<Self> {
        check_scores("calibration", &scores)?;
        scores.sort_by(f64::total_cmp);
        Ok(Self { scores })
    }

    /// `(1 + number of calibration scores >= score) / (n + 1)`. A tie counts against the query,
    /// which keeps the p-value valid (conservative) for scores that repeat.
    ///
    /// # Errors
    /// When the score is not finite.
    pub fn p_value(&self, score: f64) -> Result<f64> {
        check_scores("query", &[score])?;
        let below = self.scores.partition_point(|&calibration| calibration < score);
        let at_least = self.scores.len() - below;
        Ok((1 + at_least) as f64 / (self.scores.len() + 1) as f64)
    }

    /// For a score above all calibration scores, its p-value by the tail of these: at most the
    /// `1 / (n + 1)` of [`Self::p_value`], and above 0. `None` for another score, and where fewer than
    /// 120 scores calibrate.
    ///
    /// The guarantee of a conformal p-value does not extend to this one; how it errs is measured by the
    /// table `tails` of the evaluation (`docs/findings.md`).
    ///
    /// # Errors
    /// When the score is not finite.
    pub fn tail_p_value(&self, score: f64) -> Result<Option<f64>> {
        let by_rank = self.p_value(score)?;
        let beyond = self.scores.last().is_some_and(|greatest| score > *greatest);
        let tail = if beyond { Tail::fit(&self.scores) } else { None };
        Ok(tail.map(|tail| tail.above(score).clamp(f64::MIN_POSITIVE, by_rank)))
    }

    /// Number of calibration rows.
    pub fn size(&self) -> usize {
        self.scores.len()
    }
}

/// Results of Benjamini and Hochberg's procedure for each p-value, in the order they came in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FalseDiscovery {
    /// Adjusted p-values: the smallest level at which each would be a discovery. They rise with the
    /// p-values.
    pub q_values: Vec<f64>,
    /// Which are discoveries: those with a q-value of at most the level.
    pub discoveries: Vec<bool>,
}

/// Discoveries among p-values such that the expected share of false ones is at most `level`.
///
/// ```
/// let found = umid_detect::benjamini_hochberg(&[0.04, 0.01, 0.5], 0.05)?;
/// assert_eq!(found.discoveries, [false, true, false]);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
///
/// # Errors
/// When a p-value is not in `0..=1` or the level is not above 0 and below 1. No p-values are fine.
pub fn benjamini_hochberg(p_values: &[f64], level: f64) -> Result<FalseDiscovery> {
    check_level("level", level)?;
    if let Some((index, &value)) =
        p_values.iter().enumerate().find(|(_, p)| !(0.0..=1.0).contains(*p))
    {
        return Err(DetectError::NotAProbability { index, value });
    }
    let q_values = adjusted(p_values);
    Ok(FalseDiscovery { discoveries: q_values.iter().map(|&q| q <= level).collect(), q_values })
}

/// `q_(k) = min over j >= k of m p_(j) / j`, at most 1.
fn adjusted(p_values: &[f64]) -> Vec<f64> {
    let total = p_values.len();
    let mut downwards: Vec<usize> = (0..total).collect();
    downwards.sort_by(|&a, &b| p_values[b].total_cmp(&p_values[a]));
    let mut q_values = vec![1.0; total];
    let mut least: f64 = 1.0;
    for (position, &index) in downwards.iter().enumerate() {
        let rank = total - position;
        // The factor is at least 1 and is rounded first: a q-value is never below its p-value.
        least = least.min(p_values[index] * (total as f64 / rank as f64));
        q_values[index] = least;
    }
    q_values
}

pub(crate) fn check_level(argument: &'static str, level: f64) -> Result<()> {
    if level > 0.0 && level < 1.0 {
        return Ok(());
    }
    Err(DetectError::Argument { argument, expected: "above 0 and below 1", found: level })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Share of simulated null queries with a p-value of at most `alpha`. Values repeat when
    /// `distinct` is small.
    fn rejection_rate(calibration_size: usize, distinct: u32, alpha: f64) -> f64 {
        const WORLDS: usize = 20_000;
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut draw = || f64::from(rng.random_range(0..distinct));
        let rejected = (0..WORLDS).filter(|_| {
            let scores = (0..calibration_size).map(|_| draw()).collect();
            let calibration = ConformalCalibration::new(scores).expect("finite scores");
            calibration.p_value(draw()).expect("finite score") <= alpha
        });
        rejected.count() as f64 / WORLDS as f64
    }

    /// Four standard errors of a share near 0.1 of 20,000.
    const SIMULATION_ERROR: f64 = 0.0085;

    #[test]
    fn null_p_values_are_uniform_on_their_grid() {
        for alpha in [0.05, 0.1, 0.25] {
            let rate = rejection_rate(19, u32::MAX, alpha);
            assert!((rate - alpha).abs() < 1.5 * SIMULATION_ERROR, "alpha {alpha}: {rate}");
        }
    }

    #[test]
    fn ties_keep_null_p_values_conservative() {
        for alpha in [0.05, 0.1, 0.25] {
            let rate = rejection_rate(19, 4, alpha);
            assert!(rate <= alpha + SIMULATION_ERROR, "alpha {alpha}: {rate}");
        }
    }

    #[test]
    fn the_smallest_p_value_is_one_over_n_plus_one() {
        let calibration = ConformalCalibration::new(vec![0.0; 19]).expect("finite scores");
        let smallest = calibration.p_value(1.0).expect("finite score");
        assert!((smallest - 0.05).abs() < 1e-15);
    }

    #[test]
    fn only_a_score_beyond_all_others_is_extrapolated_and_only_downwards() {
        let scores: Vec<f64> = (1..=400).map(|i| (401.0 / (401.0 - f64::from(i))).ln()).collect();
        let greatest = scores[399];
        let calibration = ConformalCalibration::new(scores.clone()).expect("finite scores");
        for score in [0.0, scores[200], greatest] {
            assert_eq!(calibration.tail_p_value(score).expect("finite"), None);
        }
        // Unit exponential quantiles: the chance of a score x is exp(-x).
        for beyond in [1.0, 3.0, 6.0] {
            let score = greatest + beyond;
            let p = calibration.tail_p_value(score).expect("finite").expect("a tail");
            let ratio = p / (-score).exp();
            assert!((0.5..2.0).contains(&ratio), "{beyond}: {ratio}");
            assert!(p <= calibration.p_value(score).expect("finite"));
        }
        let far = calibration.tail_p_value(1e300).expect("finite").expect("a tail");
        assert!(far > 0.0);
        assert!(calibration.tail_p_value(f64::NAN).is_err());
        let few = ConformalCalibration::new(scores[..119].to_vec()).expect("finite scores");
        assert_eq!(few.tail_p_value(9.0).expect("finite"), None);
        let equal = ConformalCalibration::new(vec![1.0; 400]).expect("finite scores");
        assert_eq!(equal.tail_p_value(2.0).expect("finite"), None);
    }

    #[test]
    fn levels_outside_their_range_are_refused() {
        for bad in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(benjamini_hochberg(&[0.5], bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn calibration_scores_must_exist_and_be_finite() {
        assert!(matches!(ConformalCalibration::new(vec![]), Err(DetectError::Empty { .. })));
        assert!(ConformalCalibration::new(vec![f64::NAN]).is_err());
        let calibration = ConformalCalibration::new(vec![0.0]).expect("one score");
        assert!(calibration.p_value(f64::NAN).is_err());
    }

    /// The fifteen p-values of the worked example in Benjamini and Hochberg 1995: at 5 % four are
    /// discoveries, because 0.0095 <= 4/15 of 5 % and 0.0201 > 5/15 of 5 %.
    const PUBLISHED: [f64; 15] = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
        0.5719, 0.6528, 0.7590, 1.0000,
    ];

    #[test]
    fn the_published_example_has_four_discoveries() {
        let found = benjamini_hochberg(&PUBLISHED, 0.05).expect("valid");
        let expected: Vec<bool> = (0..15).map(|i| i < 4).collect();
        assert_eq!(found.discoveries, expected);
    }

    #[test]
    fn q_values_match_a_hand_worked_example() {
        // Sorted: .01 .02 .03 .50, times 4/1, 4/2, 4/3, 4/4: .04 .04 .04 .50.
        let found = benjamini_hochberg(&[0.50, 0.02, 0.01, 0.03], 0.05).expect("valid");
        assert_eq!(found.q_values.len(), 4);
        for (q, expected) in found.q_values.iter().zip([0.50, 0.04, 0.04, 0.04]) {
            assert!((q - expected).abs() < 1e-12, "{:?}", found.q_values);
        }
        assert_eq!(found.discoveries, [false, true, true, true]);
    }

    #[test]
    fn values_that_are_no_probabilities_are_refused() {
        for bad in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(
                benjamini_hochberg(&[0.5, bad], 0.1),
                Err(DetectError::NotAProbability { index: 1, .. })
            ));
        }
    }

    #[test]
    fn no_p_values_give_no_discoveries() {
        assert!(benjamini_hochberg(&[], 0.1).expect("valid").discoveries.is_empty());
    }

    proptest! {
        #[test]
        fn q_values_rise_with_p_values_and_are_no_smaller(
            p_values in prop::collection::vec(0.0..=1.0_f64, 1..40),
        ) {
            let q_values = benjamini_hochberg(&p_values, 0.1).expect("valid").q_values;
            for i in 0..p_values.len() {
                prop_assert!(q_values[i] >= p_values[i] && q_values[i] <= 1.0);
                for j in 0..p_values.len() {
                    prop_assert!(p_values[i] > p_values[j] || q_values[i] <= q_values[j]);
                }
            }
        }
    }
}
