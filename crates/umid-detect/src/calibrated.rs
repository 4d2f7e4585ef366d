//! The calibrated test: a signed score against a reference of plausible but unseen texts, as a
//! conformal p-value.
//!
//! **Why the reference is split.** The z-scores need means and deviations, and the p-value needs
//! scores of non-members. If one row served both, it would have helped to set the scale that it is
//! then measured on, and a query would not have: the two would not be exchangeable and the p-value
//! not valid. So a seed splits the reference: the *fit part* sets the scales, the *calibration part*
//! gives the p-values. Whatever else a signal learns from the reference (nearest-neighbour lists,
//! hubness) must come from the fit part too; [`split`] says which rows these are.
//!
//! **Missing signals.** A query may lack a signal: a name of one part has no interaction between
//! parts. Its score is then a mean over fewer signals, which is wider, and is compared with
//! calibration scores made of *exactly the same* signals, from the calibration rows that have them
//! all. Its p-value rests on one more assumption: that what a text lacks says nothing of the signals
//! that it has. Where that is doubtful, give such texts a reference of their own kind.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::conformal::ConformalCalibration;
use crate::error::{DetectError, Result};
use crate::signed_z::{SignalWeight, SignedZ, present};

/// Share of the reference that sets the scales. Means and deviations need few rows; the resolution
/// of the p-values needs many.
pub const DEFAULT_FIT_FRACTION: f64 = 1.0 / 3.0;
/// Calibration rows below which a p-value is refused: 19 are the least that reach 5 % at all.
pub const MIN_CALIBRATION_ROWS: usize = 20;

/// How a [`CalibratedTest`] is fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibratedTestParams {
    /// The signals of a row, in the order of its entries, oriented (higher is more member-like).
    pub signals: Vec<SignalWeight>,
    /// Share of the reference that sets the scales, above 0 and below 1.
    pub fit_fraction: f64,
    /// Seed of the split.
    pub seed: u64,
}

/// A test fitted on a reference of texts that cannot be members.
///
/// ```
/// use umid_detect::{CalibratedTestParams, SignalWeight};
///
/// let reference: Vec<Vec<Option<f64>>> =
///     (0..90).map(|i| vec![Some(f64::from(i % 10)), Some(f64::from(i % 7))]).collect();
/// let signals = vec![SignalWeight::new("interaction", 2.0), SignalWeight::new("bank", 1.0)];
/// let test = CalibratedTestParams::new(signals).fit(&reference)?;
///
/// let outcome = test.test(&[Some(30.0), None])?;
/// assert_eq!(outcome.p_value, 1.0 / 61.0);
/// assert_eq!(outcome.signals_used, ["interaction"]);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibratedTest {
    score: SignedZ,
    calibration: Vec<Vec<Option<f64>>>,
}

/// What the test says of a query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Weighted mean of z-scores; higher is more member-like. Scores made of different signals
    /// differ in spread: compare p-values across queries.
    pub score: f64,
    /// Chance that a text which is not a member scores at least this high.
    pub p_value: f64,
    /// Names of the signals that the query had.
    pub signals_used: Vec<String>,
    /// Calibration rows behind the p-value, whose smallest value is `1 / (n + 1)`.
    pub calibration_n: usize,
}

impl CalibratedTestParams {
    /// These signals, with a third of the reference for the scales and seed 0.
    pub fn new(signals: Vec<SignalWeight>) -> Self {
        Self { signals, fit_fraction: DEFAULT_FIT_FRACTION, seed: 0 }
    }

    /// Splits the reference by the seed, learns the scales from one part and keeps the other.
    ///
    /// # Errors
    /// As [`split`] and [`SignedZ::fit`], and when the calibration part has fewer than
    /// [`MIN_CALIBRATION_ROWS`] rows.
    pub fn fit(&self, rows: &[Vec<Option<f64>>]) -> Result<CalibratedTest> {
        let (fit_part, calibration_part) = split(rows.len(), self.fit_fraction, self.seed)?;
        if calibration_part.len() < MIN_CALIBRATION_ROWS {
            return Err(DetectError::TooFewRows {
                algorithm: "calibrated test (calibration part)",
                needed: MIN_CALIBRATION_ROWS,
                found: calibration_part.len(),
            });
        }
        let pick = |part: &[usize]| part.iter().map(|&row| rows[row].clone()).collect::<Vec<_>>();
        let score = SignedZ::fit(&self.signals, &pick(&fit_part))?;
        for &row in &calibration_part {
            score.check_row(row, &rows[row])?;
        }
        Ok(CalibratedTest { score, calibration: pick(&calibration_part) })
    }
}

impl CalibratedTest {
    /// Tests one query.
    ///
    /// # Errors
    /// When the query has another number of entries, a value is not finite, it has no signal, or
    /// fewer than [`MIN_CALIBRATION_ROWS`] calibration rows have all the signals that it has.
    pub fn test(&self, query: &[Option<f64>]) -> Result<Outcome> {
        let scored = self.score.score(query)?;
        let used = present(query);
        let calibration = self.calibration_for(&used)?;
        Ok(Outcome {
            p_value: calibration.p_value(scored.score)?,
            score: scored.score,
            signals_used: scored.signals_used,
            calibration_n: calibration.size(),
        })
    }

    /// Scores of the calibration rows by exactly these signals.
    fn calibration_for(&self, used: &[bool]) -> Result<ConformalCalibration> {
        let complete = self
            .calibration
            .iter()
            .filter(|row| row.iter().zip(used).all(|(value, used)| value.is_some() || !used));
        let scores: Vec<f64> = complete.map(|row| self.score.score_of(row, used)).collect();
        if scores.len() < MIN_CALIBRATION_ROWS {
            return Err(DetectError::CalibrationTooSmall {
                signals: self.score.names_of(used),
                needed: MIN_CALIBRATION_ROWS,
                found: scores.len(),
            });
        }
        ConformalCalibration::new(scores)
    }
}

/// Splits the rows `0..n` by a seed into a fit part of about `n * fraction` rows and the rest, the
/// calibration part; each is sorted upwards. The split depends on nothing but its arguments.
///
/// # Errors
/// When the fraction is not above 0 and below 1, or `n` is too small for both parts to have a row.
pub fn split(n: usize, fraction: f64, seed: u64) -> Result<(Vec<usize>, Vec<usize>)> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(DetectError::Argument {
            argument: "fit_fraction",
            expected: "above 0 and below 1",
            found: fraction,
        });
    }
    if n < 2 {
        return Err(DetectError::TooFewRows {
            algorithm: "split of the reference",
            needed: 2,
            found: n,
        });
    }
    let fitted = ((n as f64 * fraction).round() as usize).clamp(1, n - 1);
    let mut rows: Vec<usize> = (0..n).collect();
    rows.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut calibration = rows.split_off(fitted);
    rows.sort_unstable();
    calibration.sort_unstable();
    Ok((rows, calibration))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gaussian;
    use proptest::prelude::*;

    fn signals() -> Vec<SignalWeight> {
        vec![SignalWeight::new("interaction", 2.0), SignalWeight::new("bank", 1.0)]
    }

    fn rows(n: usize, seed: u64) -> Vec<Vec<Option<f64>>> {
        gaussian(n, 2, seed)
            .rows()
            .into_iter()
            .map(|r| r.iter().copied().map(Some).collect())
            .collect()
    }

    #[test]
    fn the_split_covers_every_row_once() {
        let (fit_part, calibration_part) = split(100, 0.25, 3).expect("valid");
        assert_eq!((fit_part.len(), calibration_part.len()), (25, 75));
        let mut all = [fit_part, calibration_part].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_ne!(split(100, 0.25, 3).expect("valid"), split(100, 0.25, 4).expect("valid"));
    }

    #[test]
    fn a_fraction_outside_its_range_is_refused() {
        for bad in [0.0, 1.0, -0.5, f64::NAN] {
            assert!(matches!(
                split(100, bad, 0),
                Err(DetectError::Argument { argument: "fit_fraction", .. })
            ));
        }
    }

    #[test]
    fn one_row_cannot_be_split() {
        assert!(matches!(split(1, 0.5, 0), Err(DetectError::TooFewRows { needed: 2, .. })));
    }

    #[test]
    fn a_reference_without_enough_calibration_rows_is_refused() {
        assert!(matches!(
            CalibratedTestParams::new(signals()).fit(&rows(29, 1)),
            Err(DetectError::TooFewRows { needed: MIN_CALIBRATION_ROWS, found: 19, .. })
        ));
        assert!(CalibratedTestParams::new(signals()).fit(&rows(30, 1)).is_ok());
    }

    #[test]
    fn a_bad_calibration_row_is_named_by_its_place_in_the_reference() {
        let mut reference = rows(60, 1);
        let (_, calibration) = split(60, DEFAULT_FIT_FRACTION, 0).expect("valid");
        reference[calibration[5]][1] = Some(f64::NAN);
        assert!(matches!(
            CalibratedTestParams::new(signals()).fit(&reference),
            Err(DetectError::NonFiniteSignal { row, .. }) if row == calibration[5]
        ));
    }

    #[test]
    fn calibration_rows_do_not_move_the_score() {
        let mut reference = rows(60, 1);
        let params = CalibratedTestParams::new(signals());
        let before = params.fit(&reference).expect("valid").test(&[Some(1.0), Some(1.0)]);
        let (_, calibration) = split(60, DEFAULT_FIT_FRACTION, 0).expect("valid");
        reference[calibration[0]][0] = Some(50.0);
        let after = params.fit(&reference).expect("valid").test(&[Some(1.0), Some(1.0)]);
        assert_eq!(before.expect("valid").score.to_bits(), after.expect("valid").score.to_bits());
    }

    #[test]
    fn a_missing_signal_is_calibrated_by_the_others() {
        let mut reference = rows(90, 2);
        let (_, calibration) = split(90, DEFAULT_FIT_FRACTION, 0).expect("valid");
        for &row in &calibration[..30] {
            reference[row][0] = None;
        }
        let test = CalibratedTestParams::new(signals()).fit(&reference).expect("valid");
        let one = test.test(&[None, Some(0.3)]).expect("one signal");
        assert_eq!(
            (one.signals_used.as_slice(), one.calibration_n),
            (&["bank".to_owned()][..], 60)
        );
        let both = test.test(&[Some(0.0), Some(0.3)]).expect("two signals");
        assert_eq!(both.calibration_n, 30);
        // By hand: the rank of 0.3 among the bank values of the calibration part.
        let at_least = calibration.iter().filter(|&&row| reference[row][1] >= Some(0.3)).count();
        assert!((one.p_value - (1 + at_least) as f64 / 61.0).abs() < 1e-12);
    }

    #[test]
    fn a_subset_with_too_few_calibration_rows_is_an_error() {
        let mut reference = rows(90, 2);
        let (_, calibration) = split(90, DEFAULT_FIT_FRACTION, 0).expect("valid");
        for &row in &calibration[..41] {
            reference[row][0] = None;
        }
        let test = CalibratedTestParams::new(signals()).fit(&reference).expect("valid");
        assert!(matches!(
            test.test(&[Some(0.0), None]),
            Err(DetectError::CalibrationTooSmall { found: 19, .. })
        ));
        assert!(test.test(&[None, Some(0.0)]).is_ok());
    }

    #[test]
    fn a_query_without_any_signal_is_an_error() {
        let test = CalibratedTestParams::new(signals()).fit(&rows(60, 1)).expect("valid");
        assert!(matches!(test.test(&[None, None]), Err(DetectError::NoSignal { .. })));
        assert!(matches!(test.test(&[None]), Err(DetectError::SignalCount { .. })));
    }

    #[test]
    fn exchangeable_queries_are_rejected_at_the_nominal_rate() {
        // Each world draws its own reference and one query from the same distribution.
        const WORLDS: u64 = 3000;
        let rejected = (0..WORLDS).filter(|&world| {
            let mut all = rows(61, 1000 + world);
            let query = all.pop().expect("61 rows");
            let params =
                CalibratedTestParams { seed: world, ..CalibratedTestParams::new(signals()) };
            let test = params.fit(&all).expect("valid");
            test.test(&query).expect("valid").p_value <= 0.1
        });
        let rate = rejected.count() as f64 / WORLDS as f64;
        // 40 calibration rows: P(p <= 0.1) is exactly 4/41; four standard errors are 0.022.
        assert!((rate - 4.0 / 41.0).abs() < 0.022, "rate {rate}");
    }

    proptest! {
        #[test]
        fn p_values_fall_as_every_signal_rises(a in -3.0..3.0_f64, b in -3.0..3.0_f64, up in 0.0..2.0_f64) {
            let test = CalibratedTestParams::new(signals()).fit(&rows(90, 5)).expect("valid");
            let low = test.test(&[Some(a), Some(b)]).expect("valid");
            let high = test.test(&[Some(a + up), Some(b + up)]).expect("valid");
            prop_assert!(high.score >= low.score && high.p_value <= low.p_value);
        }
    }

    #[test]
    fn a_saved_test_gives_identical_outcomes() {
        let test = CalibratedTestParams::new(signals()).fit(&rows(90, 6)).expect("valid");
        let text = serde_json::to_string(&test).expect("serialisable");
        let read: CalibratedTest = serde_json::from_str(&text).expect("what was written");
        assert_eq!(test, read);
        let query = [Some(0.123), Some(-1.7)];
        assert_eq!(test.test(&query).expect("valid"), read.test(&query).expect("valid"));
    }
}
