//! The calibrated test: a signed score against a reference of plausible but unseen texts, as a
//! conformal p-value. The fit part of the reference sets the scales of the score, the calibration
//! part gives the p-values; see [`Split`] for why.
//!
//! **Missing signals.** A query may lack a signal: a name of one part has no interaction between
//! parts. Its score is then a mean over fewer signals, which is wider, and is compared with
//! calibration scores made of *exactly the same* signals, from the calibration rows that have them
//! all. Its p-value rests on one more assumption: that what a text lacks says nothing about the
//! signals that it has. Where that is doubtful, give such texts a reference of their own kind.

use serde::{Deserialize, Serialize};

use crate::anchored::AnchoredScore;
use crate::conformal::ConformalCalibration;
use crate::error::{DetectError, Result};
use crate::signed_z::{SignalWeight, SignedZ, check_row, check_rows, present};
use crate::split::Split;

/// Calibration rows below which a p-value is refused: one more than the 19 with which a p-value
/// can reach 5 % at all.
pub const MIN_CALIBRATION_ROWS: usize = 20;

/// A test fitted on a reference of texts that cannot be members.
///
/// ```
/// use umid_detect::{CalibratedTest, DEFAULT_FIT_FRACTION, SignalWeight, Split};
///
/// let reference: Vec<Vec<Option<f64>>> =
///     (0..90).map(|i| vec![Some(f64::from(i % 10)), Some(f64::from(i % 7))]).collect();
/// let signals = [SignalWeight::new("interaction", 2.0), SignalWeight::new("bank", 1.0)];
/// let split = Split::new(reference.len(), DEFAULT_FIT_FRACTION, 0)?;
/// let test = CalibratedTest::fit(&signals, &reference, &split)?;
///
/// let scored = test.test(&[Some(30.0), None])?;
/// assert_eq!(scored.p_value, 1.0 / 61.0);
/// assert_eq!(scored.signals_used, ["interaction"]);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibratedTest {
    score: Score,
    calibration: Vec<Vec<Option<f64>>>,
    /// For the signals that the first calibration row has, as most queries do.
    usual: Option<Usual>,
}

/// Signals, and the calibration rows' scores by exactly these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Usual {
    used: Vec<bool>,
    calibration: ConformalCalibration,
}

/// What a row is ranked by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Score {
    /// Fixed signs and weights.
    Signed(SignedZ),
    /// Signs and weights fitted on known members.
    Anchored(AnchoredScore),
}

impl Score {
    fn names(&self) -> Vec<&str> {
        match self {
            Self::Signed(score) => score.names(),
            Self::Anchored(score) => score.names(),
        }
    }

    /// The score by exactly the signals in `used`, which the checked row has.
    fn of(&self, row: &[Option<f64>], used: &[bool]) -> f64 {
        match self {
            Self::Signed(score) => score.score_of(row, used),
            Self::Anchored(score) => score.score_of(row, used),
        }
    }
}

/// A query's score and its p-value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibratedScore {
    /// Weighted mean of z-scores, or the log-odds of a score fitted on known members; higher is
    /// more member-like. Scores made of different signals differ in spread: compare p-values across
    /// queries.
    pub score: f64,
    /// Probability that a text which is not a member scores at least this high.
    pub p_value: f64,
    /// For a score above all calibration scores, the p-value by their tail; see
    /// [`ConformalCalibration::tail_p_value`].
    pub tail_p_value: Option<f64>,
    /// Names of the signals that the query had.
    pub signals_used: Vec<String>,
    /// Calibration rows behind the p-value, whose smallest value is `1 / (n + 1)`.
    pub calibration_n: usize,
}

impl CalibratedTest {
    /// Learns the scales from one part of the reference and keeps the other for the p-values.
    ///
    /// The signals are those of a row, in the order of its entries, oriented (higher is more
    /// member-like).
    ///
    /// # Errors
    /// As [`SignedZ::fit`]; when the split names a row that the reference lacks or a row twice; and
    /// when the calibration part has fewer than [`MIN_CALIBRATION_ROWS`] rows.
    pub fn fit(signals: &[SignalWeight], rows: &[Vec<Option<f64>>], split: &Split) -> Result<Self> {
        check_split(split, rows.len())?;
        // Checked here as well, so that an error names a row by its place in the reference.
        check_rows(signals, rows)?;
        let score = Score::Signed(SignedZ::fit(signals, &part(rows, &split.fit))?);
        Ok(Self::with_calibration(score, part(rows, &split.calibration)))
    }

    fn with_calibration(score: Score, calibration: Vec<Vec<Option<f64>>>) -> Self {
        let mut test = Self { score, calibration, usual: None };
        let used = test.calibration.first().map(|row| present(row));
        test.usual = used.filter(|used| used.contains(&true)).and_then(|used| {
            let calibration = test.calibration_for(&used, Vec::new).ok()?;
            Some(Usual { used, calibration })
        });
        test
    }

    /// The score of a row without its p-value; `None` for a row without signals.
    ///
    /// # Errors
    /// When the row has another number of entries, or a value is not finite.
    pub fn score(&self, row: &[Option<f64>]) -> Result<Option<f64>> {
        check_row(&self.score.names(), 0, row)?;
        let used = present(row);
        Ok(used.contains(&true).then(|| self.score.of(row, &used)))
    }

    /// [`Self::fit`] by a score that tells known members from the fit part of the reference. The
    /// calibration part takes no part in it, so the p-values of non-members hold whatever is known
    /// of members; a known member must not be tested, nor be a row of the reference.
    ///
    /// # Errors
    /// As [`AnchoredScore::fit`]; when the split names a row that the reference lacks or a row
    /// twice; and when the calibration part has fewer than [`MIN_CALIBRATION_ROWS`] rows.
    pub fn fit_anchored(
        signals: &[&str],
        rows: &[Vec<Option<f64>>],
        split: &Split,
        known: &[Vec<Option<f64>>],
    ) -> Result<Self> {
        check_split(split, rows.len())?;
        for (index, row) in rows.iter().enumerate() {
            check_row(signals, index, row)?;
        }
        let score = AnchoredScore::fit(signals, &part(rows, &split.fit), known)?;
        let score = Score::Anchored(score);
        Ok(Self::with_calibration(score, part(rows, &split.calibration)))
    }

    /// Tests one query.
    ///
    /// # Errors
    /// When the query has another number of entries, a value is not finite, it has no signal, or
    /// fewer than [`MIN_CALIBRATION_ROWS`] calibration rows have all the signals that it has.
    pub fn test(&self, query: &[Option<f64>]) -> Result<CalibratedScore> {
        let names = self.score.names();
        check_row(&names, 0, query)?;
        let used = present(query);
        let of_used = |used: &[bool]| -> Vec<String> {
            let names = names.iter().zip(used).filter(|(_, used)| **used);
            names.map(|(name, _)| (*name).to_owned()).collect()
        };
        if !used.contains(&true) {
            return Err(DetectError::NoSignal { expected: of_used(&vec![true; names.len()]) });
        }
        let of_others;
        let calibration = match &self.usual {
            Some(usual) if usual.used == used => &usual.calibration,
            _ => {
                of_others = self.calibration_for(&used, || of_used(&used))?;
                &of_others
            }
        };
        let score = self.score.of(query, &used);
        Ok(CalibratedScore {
            p_value: calibration.p_value(score)?,
            tail_p_value: calibration.tail_p_value(score)?,
            score,
            signals_used: of_used(&used),
            calibration_n: calibration.size(),
        })
    }

    /// Scores of the calibration rows by exactly these signals.
    fn calibration_for(
        &self,
        used: &[bool],
        names: impl Fn() -> Vec<String>,
    ) -> Result<ConformalCalibration> {
        let complete = self
            .calibration
            .iter()
            .filter(|row| row.iter().zip(used).all(|(value, used)| value.is_some() || !used));
        let scores: Vec<f64> = complete.map(|row| self.score.of(row, used)).collect();
        if scores.len() < MIN_CALIBRATION_ROWS {
            return Err(DetectError::CalibrationTooSmall {
                signals: names(),
                needed: MIN_CALIBRATION_ROWS,
                found: scores.len(),
            });
        }
        ConformalCalibration::new(scores)
    }
}

/// Checks a split against a reference of this many rows, and that its rows can calibrate.
fn check_split(split: &Split, rows: usize) -> Result<()> {
    split.check(rows)?;
    if split.calibration.len() < MIN_CALIBRATION_ROWS {
        return Err(DetectError::TooFewRows {
            algorithm: "calibrated test (calibration part)",
            needed: MIN_CALIBRATION_ROWS,
            found: split.calibration.len(),
        });
    }
    Ok(())
}

fn part(rows: &[Vec<Option<f64>>], part: &[usize]) -> Vec<Vec<Option<f64>>> {
    part.iter().map(|&row| rows[row].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::DEFAULT_FIT_FRACTION;
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

    fn split(rows: usize) -> Split {
        Split::new(rows, DEFAULT_FIT_FRACTION, 0).expect("enough rows")
    }

    fn fit(rows: &[Vec<Option<f64>>]) -> Result<CalibratedTest> {
        CalibratedTest::fit(&signals(), rows, &split(rows.len()))
    }

    #[test]
    fn a_reference_without_enough_calibration_rows_is_refused() {
        assert!(matches!(
            fit(&rows(29, 1)),
            Err(DetectError::TooFewRows { needed: MIN_CALIBRATION_ROWS, found: 19, .. })
        ));
        assert!(fit(&rows(30, 1)).is_ok());
    }

    #[test]
    fn a_bad_row_of_either_part_is_named_by_its_place_in_the_reference() {
        let Split { fit: fit_part, calibration } = split(60);
        for bad in [fit_part[5], calibration[5]] {
            let mut reference = rows(60, 1);
            reference[bad][1] = Some(f64::NAN);
            let result = fit(&reference);
            assert!(
                matches!(result, Err(DetectError::NonFiniteSignal { row, .. }) if row == bad),
                "{result:?}"
            );
        }
    }

    #[test]
    fn a_row_that_both_sets_the_scale_and_calibrates_is_refused() {
        let mut split = split(60);
        split.calibration[0] = split.fit[0];
        assert!(matches!(
            CalibratedTest::fit(&signals(), &rows(60, 1), &split),
            Err(DetectError::Split { row, .. }) if row == split.fit[0]
        ));
    }

    #[test]
    fn the_test_can_be_fitted_on_parts_that_were_chosen_elsewhere() {
        let split = Split { fit: (0..10).collect(), calibration: (30..60).collect() };
        let mut reference = rows(60, 1);
        let query = [Some(1.0), Some(1.0)];
        let test = |reference: &[Vec<Option<f64>>]| {
            CalibratedTest::fit(&signals(), reference, &split)
                .expect("valid")
                .test(&query)
                .expect("valid")
        };
        let before = test(&reference);
        assert_eq!(before.calibration_n, 30);
        // Rows of neither part have no influence.
        reference[10..30].iter_mut().for_each(|row| row[0] = Some(1e6));
        assert_eq!(test(&reference), before);
    }

    #[test]
    fn calibration_rows_do_not_move_the_score() {
        let mut reference = rows(60, 1);
        let before = fit(&reference).expect("valid").test(&[Some(1.0), Some(1.0)]);
        let calibration = split(60).calibration;
        reference[calibration[0]][0] = Some(50.0);
        let after = fit(&reference).expect("valid").test(&[Some(1.0), Some(1.0)]);
        assert_eq!(before.expect("valid").score.to_bits(), after.expect("valid").score.to_bits());
    }

    #[test]
    fn a_missing_signal_is_calibrated_by_the_others() {
        let mut reference = rows(90, 2);
        let calibration = split(90).calibration;
        for &row in &calibration[..30] {
            reference[row][0] = None;
        }
        let test = fit(&reference).expect("valid");
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
        let calibration = split(90).calibration;
        for &row in &calibration[..41] {
            reference[row][0] = None;
        }
        let test = fit(&reference).expect("valid");
        assert!(matches!(
            test.test(&[Some(0.0), None]),
            Err(DetectError::CalibrationTooSmall { found: 19, .. })
        ));
        assert!(test.test(&[None, Some(0.0)]).is_ok());
    }

    #[test]
    fn a_query_without_any_signal_is_an_error() {
        let test = fit(&rows(60, 1)).expect("valid");
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
            let split = Split::new(all.len(), DEFAULT_FIT_FRACTION, world).expect("60 rows");
            let test = CalibratedTest::fit(&signals(), &all, &split).expect("valid");
            test.test(&query).expect("valid").p_value <= 0.1
        });
        let rate = rejected.count() as f64 / WORLDS as f64;
        // 40 calibration rows: P(p <= 0.1) is exactly 4/41; four standard errors are 0.022.
        assert!((rate - 4.0 / 41.0).abs() < 0.022, "rate {rate}");
    }

    proptest! {
        #[test]
        fn p_values_fall_as_every_signal_rises(a in -3.0..3.0_f64, b in -3.0..3.0_f64, up in 0.0..2.0_f64) {
            let test = fit(&rows(90, 5)).expect("valid");
            let low = test.test(&[Some(a), Some(b)]).expect("valid");
            let high = test.test(&[Some(a + up), Some(b + up)]).expect("valid");
            prop_assert!(high.score >= low.score && high.p_value <= low.p_value);
        }
    }

    #[test]
    fn a_saved_test_gives_identical_scores() {
        let test = fit(&rows(90, 6)).expect("valid");
        let text = serde_json::to_string(&test).expect("serialisable");
        let read: CalibratedTest = serde_json::from_str(&text).expect("what was written");
        assert_eq!(test, read);
        let query = [Some(0.123), Some(-1.7)];
        assert_eq!(test.test(&query).expect("valid"), read.test(&query).expect("valid"));
    }

    /// Four signals, so that a fit on the calibration rows would show.
    const ANCHORED: [&str; 4] = ["a", "b", "c", "d"];

    fn wide_rows(n: usize, shift: f64, seed: u64) -> Vec<Vec<Option<f64>>> {
        let drawn = gaussian(n, ANCHORED.len(), seed);
        drawn.rows().into_iter().map(|r| r.iter().map(|v| Some(v + shift)).collect()).collect()
    }

    fn anchored(rows: &[Vec<Option<f64>>], known: &[Vec<Option<f64>>]) -> Result<CalibratedTest> {
        CalibratedTest::fit_anchored(&ANCHORED, rows, &split(rows.len()), known)
    }

    #[test]
    fn exchangeable_queries_are_rejected_at_the_nominal_rate_by_a_score_fitted_on_known_members() {
        // Each world draws its own reference, known members and one query that is like the
        // reference.
        const WORLDS: u64 = 3000;
        let rejected = (0..WORLDS).filter(|&world| {
            let mut all = wide_rows(61, 0.0, 50_000 + world);
            let query = all.pop().expect("61 rows");
            let known = wide_rows(30, 0.7, 90_000 + world);
            let split = Split::new(all.len(), DEFAULT_FIT_FRACTION, world).expect("60 rows");
            let test =
                CalibratedTest::fit_anchored(&ANCHORED, &all, &split, &known).expect("valid");
            test.test(&query).expect("valid").p_value <= 0.1
        });
        let rate = rejected.count() as f64 / WORLDS as f64;
        // 40 calibration rows: P(p <= 0.1) is exactly 4/41; four standard errors are 0.022.
        assert!((rate - 4.0 / 41.0).abs() < 0.022, "rate {rate}");
    }

    #[test]
    fn calibration_rows_do_not_move_the_score_fitted_on_known_members_and_fit_rows_do() {
        let (reference, known) = (wide_rows(90, 0.0, 1), wide_rows(40, 1.0, 2));
        let query = [Some(0.5), Some(0.4), Some(-0.2), Some(1.1)];
        let bits = |reference: &[Vec<Option<f64>>], known: &[Vec<Option<f64>>]| {
            let test = anchored(reference, known).expect("valid");
            test.test(&query).expect("valid").score.to_bits()
        };
        let before = bits(&reference, &known);
        let fit = split(90).fit;
        for row in 0..90 {
            let mut changed = reference.clone();
            changed[row][2] = Some(6.0);
            let in_fit_part = fit.binary_search(&row).is_ok();
            assert_eq!(bits(&changed, &known) != before, in_fit_part, "row {row}");
        }
        let mut changed = known.clone();
        changed[11][0] = Some(6.0);
        assert_ne!(bits(&reference, &changed), before);
    }

    #[test]
    fn a_p_value_of_the_score_fitted_on_known_members_is_a_rank_among_the_calibration_rows() {
        let mut reference = wide_rows(90, 0.0, 3);
        let known = wide_rows(40, 1.0, 4);
        let Split { fit, calibration } = split(90);
        for &row in &calibration[..20] {
            reference[row][3] = None;
        }
        let test = anchored(&reference, &known).expect("valid");
        let fit: Vec<_> = fit.iter().map(|&row| reference[row].clone()).collect();
        let score = AnchoredScore::fit(&ANCHORED, &fit, &known).expect("valid");
        let values = [0.5, 0.9, -0.1, 0.6];
        let whole = test.test(&values.map(Some)).expect("valid");
        assert_eq!(whole.score.to_bits(), score.score(&values).to_bits());
        let scores = calibration[20..]
            .iter()
            .map(|&row| score.score(&reference[row].iter().copied().flatten().collect::<Vec<_>>()));
        let at_least = scores.filter(|calibration| *calibration >= whole.score).count();
        assert_eq!(whole.calibration_n, 40);
        assert!((whole.p_value - (1 + at_least) as f64 / 41.0).abs() < 1e-12);
        // Without the last signal all rows are compared, by the other three. What the last one adds
        // is the same for all rows where it has the same value in all rows.
        let without_last = |row: &[Option<f64>]| {
            let mut values: Vec<f64> = row.iter().copied().map(Option::unwrap_or_default).collect();
            values[3] = 0.0;
            score.score(&values)
        };
        for shift in [-1.5, -1.0, -0.5, 0.0, 0.5] {
            let query = [Some(0.5 + shift), Some(0.9 + shift), Some(-0.1 + shift), None];
            let three = test.test(&query).expect("valid");
            assert_eq!((three.calibration_n, three.signals_used.len()), (60, 3));
            let scores = calibration.iter().map(|&row| without_last(&reference[row]));
            let at_least = scores.filter(|one| *one >= without_last(&query)).count();
            assert!((three.p_value - (1 + at_least) as f64 / 61.0).abs() < 1e-12, "{shift}");
        }
        assert!(matches!(test.test(&[None; 4]), Err(DetectError::NoSignal { .. })));
    }

    #[test]
    fn a_test_fitted_on_known_members_refuses_bad_rows_and_is_saved_exactly() {
        let (reference, known) = (wide_rows(90, 0.0, 5), wide_rows(40, 1.0, 6));
        let Split { fit, calibration } = split(90);
        for bad in [fit[5], calibration[5]] {
            let mut reference = reference.clone();
            reference[bad][1] = Some(f64::NAN);
            let result = anchored(&reference, &known);
            assert!(
                matches!(result, Err(DetectError::NonFiniteSignal { row, .. }) if row == bad),
                "{result:?}"
            );
        }
        assert!(anchored(&reference[..29], &known).is_err());
        let test = anchored(&reference, &known).expect("valid");
        let mut query = [Some(0.1), Some(0.2), Some(0.3), Some(f64::NAN)];
        assert!(test.test(&query).is_err());
        query[3] = Some(0.4);
        let text = serde_json::to_string(&test).expect("serialisable");
        let read: CalibratedTest = serde_json::from_str(&text).expect("what was written");
        assert_eq!(test.test(&query).expect("valid"), read.test(&query).expect("valid"));
    }
}
