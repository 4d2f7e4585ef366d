//! The anchored score: a logistic regression that tells *known members* from the fit part of a
//! reference.
//!
//! The signed score ([`crate::SignedZ`]) has fixed signs and weights, which were chosen on other
//! models. Where some texts are known to be members of this very model's training data, signs and
//! weights can be learnt from them. Each signal enters twice, as its z-score and as the square of
//! it, since some signals rise and then fall as a text is seen more often: a lightly exposed and a
//! heavily exposed member may both differ from the reference, in opposite directions.
//!
//! The fit is the maximum of the penalised likelihood (Hoerl and Kennard 1970 for the penalty; le
//! Cessie and van Houwelingen, "Ridge estimators in logistic regression", Applied Statistics 41,
//! 1992), found by Newton's method. It has no random part.
//!
//! Calibration rows and rows under test take no part in the fit: see
//! [`crate::CalibratedTest::fit_anchored`].

use ndarray::{Array1, Array2, Axis};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::error::{DetectError, Result};
use crate::metrics::auc;
use crate::scaler::Moments;
use crate::signed_z::{SignalWeight, check_rows};
use crate::streams::stream;

/// Known members below which no score is fitted. With 30 of them against 200 reference rows, the
/// AUC of a score without any power has a standard error of .057 (the variance of Mann and
/// Whitney's statistic), so that an AUC of [`MIN_ANCHORED_AUC`] is nearly two of these above .5;
/// with fewer, a score that has learnt something could not be told from one that has not.
pub const MIN_KNOWN_MEMBERS: usize = 30;

/// Cross-validated AUC below which the known members are not told from the reference.
pub const MIN_ANCHORED_AUC: f64 = 0.6;

/// Weight of half the squared coefficients beside the sum of the log losses. 1 says: before any
/// text is seen, one standard deviation of a signal is taken to move the log-odds by about one,
/// up or down (a standard normal prior). It matters with few known members and fades with many.
const RIDGE: f64 = 1.0;

/// Folds of the cross-validation: with the fewest known members, six are held out at a time.
const FOLDS: usize = 5;

const FOLD_PURPOSE: &str = "umid 2026 folds of known members";
const ALGORITHM: &str = "score fitted on known members";

/// A score fitted on known members; higher is more like them and less like the reference.
///
/// ```
/// use umid_detect::AnchoredScore;
///
/// let reference: Vec<_> = (0..40).map(|i| vec![Some(f64::from(i % 9) - 4.0)]).collect();
/// // Known members are at both ends of the signal.
/// let known: Vec<_> =
///     (0..30).map(|i| vec![Some(f64::from(i % 3 + 4) * if i % 2 == 0 { 1.0 } else { -1.0 })]).collect();
/// let score = AnchoredScore::fit(&["bank"], &reference, &known)?;
/// assert!(score.score(&[5.0]) > score.score(&[0.0]));
/// assert!(score.score(&[-5.0]) > score.score(&[0.0]));
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnchoredScore {
    intercept: f64,
    signals: Vec<Terms>,
}

/// What one signal adds to the log-odds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Terms {
    name: String,
    mean: f64,
    standard_deviation: f64,
    /// Mean and deviation of the squared z-score over the reference.
    square_mean: f64,
    square_deviation: f64,
    /// Coefficient of the z-score.
    linear: f64,
    /// Coefficient of the standardised square.
    quadratic: f64,
}

/// How well known members are told from the rows that they were fitted against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AnchoredAuc {
    /// By a score that was fitted on the same rows; too good.
    pub in_sample: f64,
    /// By scores that were fitted without the rows that they are measured on: the mean over
    /// five folds.
    pub cross_validated: f64,
}

impl AnchoredScore {
    /// Fits the score of the named signals on known members against reference rows, none of which
    /// may be used to calibrate.
    ///
    /// # Errors
    /// When there is no signal or one is named twice; a row has another number of entries, lacks a
    /// value or has one that is not finite; there are fewer than [`MIN_KNOWN_MEMBERS`] known
    /// members or too few reference rows; a signal does not vary over the reference; or the fit
    /// does not converge.
    pub fn fit(
        signals: &[&str],
        reference: &[Vec<Option<f64>>],
        known: &[Vec<Option<f64>>],
    ) -> Result<Self> {
        let rows = Rows::check(signals, reference, known)?;
        Self::fit_rows(signals, &rows.reference, &rows.known)
    }

    fn fit_rows(signals: &[&str], reference: &[Vec<f64>], known: &[Vec<f64>]) -> Result<Self> {
        let mut terms = Vec::with_capacity(signals.len());
        for (column, name) in signals.iter().enumerate() {
            let values: Vec<f64> = reference.iter().map(|row| row[column]).collect();
            terms.push(Terms::standardised(name, &values)?);
        }
        let mut design = Vec::new();
        for row in reference.iter().chain(known) {
            design.push(1.0);
            for (terms, value) in terms.iter().zip(row) {
                design.extend(terms.standardise(*value));
            }
        }
        let count = reference.len() + known.len();
        let design = Array2::from_shape_vec((count, 1 + 2 * terms.len()), design)
            .expect("two entries per signal and one for the intercept");
        let known = (0..count).map(|row| f64::from(u8::from(row >= reference.len()))).collect();
        let coefficients = ridge_logistic(&design, &known)?;
        for (i, terms) in terms.iter_mut().enumerate() {
            terms.linear = coefficients[1 + 2 * i];
            terms.quadratic = coefficients[2 + 2 * i];
        }
        Ok(Self { intercept: coefficients[0], signals: terms })
    }

    /// The log-odds of being a known member rather than a row of the reference, where both are as
    /// frequent as they were in the fit.
    ///
    /// # Panics
    /// When there is not one value for each signal.
    pub fn score(&self, values: &[f64]) -> f64 {
        assert_eq!(values.len(), self.signals.len(), "one value for each signal");
        let terms = self.signals.iter().zip(values);
        self.intercept + terms.map(|(terms, value)| terms.log_odds(*value)).sum::<f64>()
    }

    /// Names of the signals, in the order of a row's entries.
    pub fn names(&self) -> Vec<&str> {
        self.signals.iter().map(|terms| terms.name.as_str()).collect()
    }

    /// The score from exactly the signals in `used`, which the checked row has. What the others
    /// would have added is left out, for a query and for the calibration rows that it is compared
    /// with alike.
    pub(crate) fn score_of(&self, row: &[Option<f64>], used: &[bool]) -> f64 {
        let terms = self.signals.iter().zip(row).zip(used);
        let used = terms.filter(|(_, used)| **used);
        self.intercept
            + used.filter_map(|((terms, value), _)| Some(terms.log_odds((*value)?))).sum::<f64>()
    }
}

/// How well a score that is fitted on these rows tells them apart, in and out of sample.
///
/// The folds depend on the seed and on the rows' order alone.
///
/// # Errors
/// As [`AnchoredScore::fit`].
pub fn anchored_auc(
    signals: &[&str],
    reference: &[Vec<Option<f64>>],
    known: &[Vec<Option<f64>>],
    seed: u64,
) -> Result<AnchoredAuc> {
    let Rows { reference, known } = Rows::check(signals, reference, known)?;
    let area = |score: &AnchoredScore, reference: &[Vec<f64>], known: &[Vec<f64>]| {
        let scores =
            |rows: &[Vec<f64>]| rows.iter().map(|row| score.score(row)).collect::<Vec<_>>();
        auc(&scores(known), &scores(reference))
    };
    let whole = AnchoredScore::fit_rows(signals, &reference, &known)?;
    let in_sample = area(&whole, &reference, &known)?;
    let (reference, known) = (folds(&reference, seed, 0), folds(&known, seed, 1));
    let mut total = 0.0;
    for held_out in 0..FOLDS {
        let others = |folds: &[Vec<Vec<f64>>]| -> Vec<Vec<f64>> {
            let kept = folds.iter().enumerate().filter(|(fold, _)| *fold != held_out);
            kept.flat_map(|(_, rows)| rows.clone()).collect()
        };
        let score = AnchoredScore::fit_rows(signals, &others(&reference), &others(&known))?;
        total += area(&score, &reference[held_out], &known[held_out])?;
    }
    Ok(AnchoredAuc { in_sample, cross_validated: total / FOLDS as f64 })
}

/// Rows dealt into folds at random, as evenly as can be.
fn folds(rows: &[Vec<f64>], seed: u64, index: u64) -> Vec<Vec<Vec<f64>>> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.shuffle(&mut stream(FOLD_PURPOSE, seed, index));
    let fold = |first| order.iter().skip(first).step_by(FOLDS).map(|row| rows[*row].clone());
    (0..FOLDS).map(|first| fold(first).collect()).collect()
}

/// Complete, finite rows, enough of each kind.
struct Rows {
    reference: Vec<Vec<f64>>,
    known: Vec<Vec<f64>>,
}

impl Rows {
    fn check(
        signals: &[&str],
        reference: &[Vec<Option<f64>>],
        known: &[Vec<Option<f64>>],
    ) -> Result<Self> {
        let named: Vec<SignalWeight> =
            signals.iter().map(|name| SignalWeight::new(*name, 1.0)).collect();
        if known.len() < MIN_KNOWN_MEMBERS {
            let (needed, found) = (MIN_KNOWN_MEMBERS, known.len());
            return Err(DetectError::TooFewKnownMembers { needed, found });
        }
        if reference.len() < FOLDS {
            let (needed, found) = (FOLDS, reference.len());
            return Err(DetectError::TooFewRows { algorithm: ALGORITHM, needed, found });
        }
        let complete = |rows: &[Vec<Option<f64>>]| -> Result<Vec<Vec<f64>>> {
            check_rows(&named, rows)?;
            for (column, signal) in signals.iter().enumerate() {
                let found = rows.iter().filter(|row| row[column].is_some()).count();
                if found < rows.len() {
                    let (signal, needed) = ((*signal).to_owned(), rows.len());
                    return Err(DetectError::SparseSignal { signal, needed, found });
                }
            }
            Ok(rows.iter().map(|row| row.iter().copied().flatten().collect()).collect())
        };
        Ok(Self { reference: complete(reference)?, known: complete(known)? })
    }
}

impl Terms {
    /// The scales of a signal over the reference, with coefficients that are not fitted yet.
    fn standardised(name: &str, values: &[f64]) -> Result<Self> {
        let Moments { mean, standard_deviation, .. } = Moments::of_varying(name, values)?;
        let squares: Vec<f64> =
            values.iter().map(|value| ((value - mean) / standard_deviation).powi(2)).collect();
        let squares = Moments::of(&squares);
        Ok(Self {
            name: name.to_owned(),
            mean,
            standard_deviation,
            square_mean: squares.mean,
            // All squares are alike where a signal has two values: then the square says nothing.
            square_deviation: squares.scale_or_one(),
            linear: 0.0,
            quadratic: 0.0,
        })
    }

    /// The z-score and the standardised square of it.
    fn standardise(&self, value: f64) -> [f64; 2] {
        let z = (value - self.mean) / self.standard_deviation;
        [z, (z.powi(2) - self.square_mean) / self.square_deviation]
    }

    fn log_odds(&self, value: f64) -> f64 {
        let [linear, quadratic] = self.standardise(value);
        self.linear * linear + self.quadratic * quadratic
    }
}

/// Largest entry of the gradient, per row, at which the fit has converged. Coefficients are of
/// order one, and an error of this size in them moves no rank that means anything.
const TOLERANCE: f64 = 1e-9;
/// Newton steps. Convergence is quadratic and takes about ten.
const MAX_STEPS: usize = 100;
/// Times that a step is halved where it does not lower the loss.
const MAX_HALVINGS: usize = 40;

/// Coefficients of the penalised logistic regression of `labels`, 0 or 1, on the columns of
/// `design`, the first of which is the intercept and is not penalised.
///
/// # Shapes
/// `[rows, coefficients]` and `[rows]` to `[coefficients]`.
fn ridge_logistic(design: &Array2<f64>, labels: &Array1<f64>) -> Result<Array1<f64>> {
    let mut penalty = Array1::from_elem(design.ncols(), RIDGE);
    penalty[0] = 0.0;
    let loss = |coefficients: &Array1<f64>| {
        let log_odds = design.dot(coefficients);
        // ln(1 + e^x) - y x, written so that e^x cannot overflow.
        let terms = log_odds.iter().zip(labels);
        let terms = terms.map(|(x, y)| x.max(0.0) + (-x.abs()).exp().ln_1p() - y * x);
        terms.sum::<f64>() + 0.5 * (&penalty * coefficients * coefficients).sum()
    };
    let mut coefficients = Array1::zeros(design.ncols());
    let mut violation = f64::INFINITY;
    let tolerance = TOLERANCE * design.nrows() as f64;
    for _ in 0..MAX_STEPS {
        let shares = design.dot(&coefficients).mapv(|x| 1.0 / (1.0 + (-x).exp()));
        let gradient = design.t().dot(&(&shares - labels)) + &penalty * &coefficients;
        violation = gradient.iter().fold(0.0, |most: f64, entry| {
            // Unlike `max`, keeps a NaN.
            if most >= entry.abs() { most } else { entry.abs() }
        });
        if violation <= tolerance {
            return Ok(coefficients);
        }
        let weights = shares.mapv(|share| share * (1.0 - share)).insert_axis(Axis(1));
        let curvature = design.t().dot(&(design * &weights)) + Array2::from_diag(&penalty);
        let Some(step) = solve(curvature, gradient) else { break };
        let before = loss(&coefficients);
        let slack = f64::EPSILON * design.nrows() as f64 * before.abs();
        let mut length = 1.0;
        for _ in 0..MAX_HALVINGS {
            if loss(&(&coefficients - &(length * &step))) <= before + slack {
                break;
            }
            length /= 2.0;
        }
        coefficients = coefficients - length * step;
    }
    Err(DetectError::NotConverged { algorithm: ALGORITHM, tolerance, violation })
}

/// Solves `matrix x = right` by Cholesky's factorisation; `None` where the symmetric matrix is not
/// positive definite.
///
/// # Shapes
/// `[n, n]` and `[n]` to `[n]`.
fn solve(mut matrix: Array2<f64>, mut right: Array1<f64>) -> Option<Array1<f64>> {
    let n = right.len();
    for column in 0..n {
        for row in column..n {
            let product: f64 = (0..column).map(|k| matrix[[row, k]] * matrix[[column, k]]).sum();
            let rest = matrix[[row, column]] - product;
            matrix[[row, column]] = if row > column {
                rest / matrix[[column, column]]
            } else if rest > 0.0 {
                rest.sqrt()
            } else {
                return None;
            };
        }
    }
    for row in 0..n {
        let known: f64 = (0..row).map(|k| matrix[[row, k]] * right[k]).sum();
        right[row] = (right[row] - known) / matrix[[row, row]];
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|k| matrix[[k, row]] * right[k]).sum();
        right[row] = (right[row] - known) / matrix[[row, row]];
    }
    Some(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gaussian;

    type Table = Vec<Vec<Option<f64>>>;

    const SIGNALS: [&str; 3] = ["a", "b", "c"];

    fn rows(count: usize, seed: u64, of: impl Fn(usize, f64) -> f64) -> Table {
        let drawn = gaussian(count, SIGNALS.len(), seed);
        let row = |row: ndarray::ArrayView1<'_, f64>| {
            row.iter().enumerate().map(|(column, value)| Some(of(column, *value))).collect()
        };
        drawn.rows().into_iter().map(row).collect()
    }

    fn reference(seed: u64) -> Table {
        rows(120, seed, |_, value| value)
    }

    /// Known members that are higher in one signal and at both ends of another.
    fn known(seed: u64) -> Table {
        rows(60, seed, |column, value| match column {
            0 => value + 1.0,
            1 => 3.0 * value,
            _ => value,
        })
    }

    fn fit(reference: &Table, known: &Table) -> Result<AnchoredScore> {
        AnchoredScore::fit(&SIGNALS, reference, known)
    }

    #[test]
    fn the_fit_is_where_the_gradient_of_the_penalised_loss_vanishes() {
        let (reference, known) = (reference(1), known(2));
        let score = fit(&reference, &known).unwrap();
        let mut gradient = [0.0; 7];
        for (i, row) in reference.iter().chain(&known).enumerate() {
            let values: Vec<f64> = row.iter().copied().flatten().collect();
            let share = 1.0 / (1.0 + (-score.score(&values)).exp());
            let error = share - f64::from(u8::from(i >= reference.len()));
            gradient[0] += error;
            for (column, terms) in score.signals.iter().enumerate() {
                let of_column = |row: &Vec<Option<f64>>| row[column].unwrap();
                let n = reference.len() as f64;
                let mean = reference.iter().map(of_column).sum::<f64>() / n;
                let variance =
                    reference.iter().map(|row| (of_column(row) - mean).powi(2)).sum::<f64>() / n;
                let z = |row: &Vec<Option<f64>>| (of_column(row) - mean) / variance.sqrt();
                // Of the squared z-score the mean over the reference is 1.
                let of_squares = reference.iter().map(|row| (z(row).powi(2) - 1.0).powi(2));
                let deviation = (of_squares.sum::<f64>() / n).sqrt();
                gradient[1 + 2 * column] += error * z(row) + terms.linear / 180.0;
                gradient[2 + 2 * column] +=
                    error * (z(row).powi(2) - 1.0) / deviation + terms.quadratic / 180.0;
            }
        }
        for entry in gradient {
            assert!(entry.abs() < 1e-6, "{gradient:?}");
        }
        // What the known members were made of is found.
        assert!(score.signals[0].linear > 0.3 && score.signals[1].quadratic > 0.3, "{score:?}");
    }

    #[test]
    fn members_at_both_ends_of_a_signal_are_found_by_its_square() {
        let both_ends = |seed| rows(60, seed, |column, value| value * [9.0, 1.0, 1.0][column]);
        let score = fit(&reference(3), &both_ends(4)).unwrap();
        let values = |table: &Table| -> Vec<f64> {
            table
                .iter()
                .map(|row| score.score(&row.iter().copied().flatten().collect::<Vec<_>>()))
                .collect()
        };
        let found = auc(&values(&both_ends(5)), &values(&reference(6))).unwrap();
        assert!(found > 0.8, "{found}");
        let direction = |table: &Table| table.iter().map(|row| row[0].unwrap()).collect::<Vec<_>>();
        let signed = auc(&direction(&both_ends(5)), &direction(&reference(6))).unwrap();
        assert!((signed - 0.5).abs() < 0.12, "{signed}");
    }

    #[test]
    fn known_members_that_a_signal_separates_give_a_finite_score() {
        let far = rows(40, 7, |_, value| value + 100.0);
        let score = fit(&reference(8), &far).unwrap();
        assert!(score.score(&[100.0, 100.0, 100.0]).is_finite());
        assert!(score.score(&[100.0, 100.0, 100.0]) > score.score(&[0.0, 0.0, 0.0]));
    }

    #[test]
    fn the_fit_converges_where_plain_newton_steps_overshoot() {
        // A ratio of this kind has neither mean nor variance.
        for world in 0..30 {
            let heavy = rows(40, 300 + world, |_, value| 30.0 / value);
            let score = fit(&reference(400 + world), &heavy);
            assert!(score.is_ok(), "world {world}: {score:?}");
        }
    }

    #[test]
    fn too_few_rows_are_refused() {
        let fewer = known(2)[..MIN_KNOWN_MEMBERS - 1].to_vec();
        assert!(matches!(
            fit(&reference(1), &fewer),
            Err(DetectError::TooFewKnownMembers { needed: MIN_KNOWN_MEMBERS, found: 29 })
        ));
        assert!(fit(&reference(1), &known(2)[..MIN_KNOWN_MEMBERS].to_vec()).is_ok());
        assert!(matches!(
            fit(&reference(1)[..FOLDS - 1].to_vec(), &known(2)),
            Err(DetectError::TooFewRows { needed: FOLDS, found: 4, .. })
        ));
    }

    #[test]
    fn what_is_no_number_is_named_in_either_list() {
        for bad in [f64::NAN, f64::INFINITY] {
            let (mut reference, mut known) = (reference(1), known(2));
            known[7][1] = Some(bad);
            let error = fit(&reference, &known).unwrap_err();
            assert!(
                matches!(&error, DetectError::NonFiniteSignal { signal, row: 7, .. } if signal == "b"),
                "{error}"
            );
            known[7][1] = Some(0.0);
            reference[9][2] = Some(bad);
            let error = fit(&reference, &known).unwrap_err();
            assert!(
                matches!(&error, DetectError::NonFiniteSignal { signal, row: 9, .. } if signal == "c"),
                "{error}"
            );
        }
        let mut huge = known(2);
        huge[0][0] = Some(1e200);
        assert!(matches!(fit(&reference(1), &huge), Err(DetectError::NotConverged { .. })));
    }

    #[test]
    fn a_missing_value_and_a_constant_signal_are_named() {
        let mut known = known(2);
        known[3][0] = None;
        assert!(matches!(
            fit(&reference(1), &known),
            Err(DetectError::SparseSignal { signal, needed: 60, found: 59 }) if signal == "a"
        ));
        known[3][0] = Some(0.0);
        let constant = rows(120, 1, |column, value| if column == 1 { 0.1 } else { value });
        assert!(matches!(
            fit(&constant, &known),
            Err(DetectError::DegenerateSignal { signal, .. }) if signal == "b"
        ));
        assert!(matches!(
            AnchoredScore::fit(&["a", "a", "c"], &reference(1), &known),
            Err(DetectError::DuplicateSignal { .. })
        ));
        assert!(matches!(
            AnchoredScore::fit(&["a", "b"], &reference(1), &known),
            Err(DetectError::SignalCount { expected: 2, found: 3, .. })
        ));
        assert!(matches!(
            AnchoredScore::fit(&[], &reference(1), &known),
            Err(DetectError::Empty { .. })
        ));
    }

    #[test]
    fn the_cross_validated_auc_tells_learning_from_fitting() {
        let of = |known: &Table| anchored_auc(&SIGNALS, &reference(1), known, 0).unwrap();
        let learnt = of(&known(2));
        assert!(learnt.cross_validated > 0.75, "{learnt:?}");
        // Averaged over worlds without any difference it is at .5, and the other is not.
        let alike: Vec<AnchoredAuc> = (0..20)
            .map(|world| {
                let alike = rows(40, 100 + world, |_, value| value);
                anchored_auc(&SIGNALS, &reference(200 + world), &alike, world).unwrap()
            })
            .collect();
        let mean = |of: fn(&AnchoredAuc) -> f64| alike.iter().map(of).sum::<f64>() / 20.0;
        let (in_sample, held_out) = (mean(|auc| auc.in_sample), mean(|auc| auc.cross_validated));
        assert!((held_out - 0.5).abs() < 0.05, "{held_out}");
        assert!(in_sample > held_out + 0.08, "{in_sample} and {held_out}");
    }

    #[test]
    fn the_folds_deal_out_every_row_once_and_follow_the_seed() {
        let table: Vec<Vec<f64>> = (0..33).map(|i| vec![f64::from(i)]).collect();
        let dealt = folds(&table, 5, 0);
        assert_eq!(dealt.iter().map(Vec::len).collect::<Vec<_>>(), [7, 7, 7, 6, 6]);
        let mut all: Vec<Vec<f64>> = dealt.iter().flatten().cloned().collect();
        all.sort_by(|a, b| a[0].total_cmp(&b[0]));
        assert_eq!(all, table);
        assert_eq!(dealt, folds(&table, 5, 0));
        assert_ne!(dealt, folds(&table, 6, 0));
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_is_not_solved() {
        let right = Array1::from_vec(vec![1.0, 2.0]);
        let matrix = Array2::from_shape_vec((2, 2), vec![4.0, 2.0, 2.0, 3.0]).unwrap();
        let found = solve(matrix.clone(), right.clone()).unwrap();
        assert!((matrix.dot(&found) - &right).iter().all(|error| error.abs() < 1e-12));
        let indefinite = Array2::from_shape_vec((2, 2), vec![1.0, 2.0, 2.0, 1.0]).unwrap();
        assert!(solve(indefinite, right.clone()).is_none());
        assert!(solve(Array2::from_elem((2, 2), f64::NAN), right).is_none());
    }
}
