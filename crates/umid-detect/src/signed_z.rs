//! The signed score: a weighted mean of z-scores, each against the reference.
//!
//! An outlier detector asks "is this row unusual?"; this score asks "is it unusual *in the
//! direction of membership*?". Signals come oriented (higher is more member-like), so high values
//! add up and low ones count against. Stouffer's method (1949) without the square root of the number
//! of signals: the scale is that of one z-score, however many signals a row has.
//!
//! A missing signal is `None` and leaves the mean; it never counts as 0.

use serde::{Deserialize, Serialize};

use crate::error::{DetectError, Result};
use crate::scaler::Moments;

/// Reference rows that must have a signal before it has a deviation.
const MIN_PRESENT: usize = 2;

/// A named signal and its weight in the mean. The signal must be oriented: higher is more
/// member-like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalWeight {
    /// Name, as it appears in reports.
    pub name: String,
    /// Weight, above 0 and finite.
    pub weight: f64,
}

impl SignalWeight {
    /// A signal with a weight.
    pub fn new(name: impl Into<String>, weight: f64) -> Self {
        Self { name: name.into(), weight }
    }
}

/// A signed score fitted on a reference.
///
/// ```
/// use umid_detect::{SignalWeight, SignedZ};
///
/// let signals = [SignalWeight::new("interaction", 2.0), SignalWeight::new("bank", 1.0)];
/// let reference = [
///     vec![Some(0.0), Some(10.0)],
///     vec![Some(2.0), Some(30.0)],
///     vec![None, Some(20.0)],
/// ];
/// let score = SignedZ::fit(&signals, &reference)?;
/// let scored = score.score(&[Some(3.0), None])?;
/// assert_eq!(scored.score, 2.0);
/// assert_eq!(scored.signals_used, ["interaction"]);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignedZ {
    signals: Vec<Standardised>,
}

/// A signal with its mean and deviation over the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Standardised {
    name: String,
    weight: f64,
    mean: f64,
    standard_deviation: f64,
}

/// A row's score, and the signals it was made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignedScore {
    /// Weighted mean of z-scores; higher is more member-like.
    pub score: f64,
    /// Names of the signals that the row had.
    pub signals_used: Vec<String>,
}

impl SignedZ {
    /// Learns the mean and the population deviation of every signal over the reference rows that
    /// have it.
    ///
    /// # Errors
    /// When there is no signal, two have one name, a weight is not positive and finite, a row has
    /// another number of entries, a value is not finite, or a signal is present in fewer than two
    /// rows or does not vary.
    pub fn fit(signals: &[SignalWeight], rows: &[Vec<Option<f64>>]) -> Result<Self> {
        check_rows(signals, rows)?;
        let standardised = signals.iter().enumerate().map(|(column, signal)| {
            let present: Vec<f64> = rows.iter().filter_map(|row| row[column]).collect();
            Standardised::of(signal, &present)
        });
        Ok(Self { signals: standardised.collect::<Result<_>>()? })
    }

    /// Scores one row by the signals that it has.
    ///
    /// # Errors
    /// When the row has another number of entries, a value is not finite, or it has no signal.
    pub fn score(&self, row: &[Option<f64>]) -> Result<SignedScore> {
        check_row(&self.names(), 0, row)?;
        let used = present(row);
        if !used.contains(&true) {
            return Err(DetectError::NoSignal {
                expected: self.names().into_iter().map(String::from).collect(),
            });
        }
        Ok(SignedScore { score: self.score_of(row, &used), signals_used: self.names_of(&used) })
    }

    /// Names of the signals, in the order of a row's entries.
    pub fn names(&self) -> Vec<&str> {
        self.signals.iter().map(|signal| signal.name.as_str()).collect()
    }

    fn names_of(&self, used: &[bool]) -> Vec<String> {
        let chosen = self.signals.iter().zip(used).filter(|(_, used)| **used);
        chosen.map(|(signal, _)| signal.name.clone()).collect()
    }

    /// The mean over exactly the signals in `used`, of which there is at least one and all of which
    /// the checked row has.
    pub(crate) fn score_of(&self, row: &[Option<f64>], used: &[bool]) -> f64 {
        let mut total = 0.0;
        let mut weights = 0.0;
        for ((signal, value), used) in self.signals.iter().zip(row).zip(used) {
            if let (Some(value), true) = (value, used) {
                total += signal.weight * (value - signal.mean) / signal.standard_deviation;
                weights += signal.weight;
            }
        }
        total / weights
    }
}

impl Standardised {
    fn of(signal: &SignalWeight, present: &[f64]) -> Result<Self> {
        if present.len() < MIN_PRESENT {
            return Err(DetectError::SparseSignal {
                signal: signal.name.clone(),
                needed: MIN_PRESENT,
                found: present.len(),
            });
        }
        let moments = Moments::of_varying(&signal.name, present)?;
        Ok(Self {
            name: signal.name.clone(),
            weight: signal.weight,
            mean: moments.mean,
            standard_deviation: moments.standard_deviation,
        })
    }
}

/// Which entries of a row are there.
pub(crate) fn present(row: &[Option<f64>]) -> Vec<bool> {
    row.iter().map(Option::is_some).collect()
}

/// Checks names and weights, and rows against the names.
pub(crate) fn check_rows(signals: &[SignalWeight], rows: &[Vec<Option<f64>>]) -> Result<()> {
    check_signals(signals)?;
    let names: Vec<&str> = signals.iter().map(|signal| signal.name.as_str()).collect();
    rows.iter().enumerate().try_for_each(|(index, row)| check_row(&names, index, row))
}

fn check_signals(signals: &[SignalWeight]) -> Result<()> {
    if signals.is_empty() {
        return Err(DetectError::Empty { list: "signals" });
    }
    for (index, signal) in signals.iter().enumerate() {
        if !(signal.weight > 0.0 && signal.weight.is_finite()) {
            return Err(DetectError::SignalWeight {
                signal: signal.name.clone(),
                weight: signal.weight,
            });
        }
        if signals[..index].iter().any(|earlier| earlier.name == signal.name) {
            return Err(DetectError::DuplicateSignal { signal: signal.name.clone() });
        }
    }
    Ok(())
}

pub(crate) fn check_row(names: &[&str], index: usize, row: &[Option<f64>]) -> Result<()> {
    if row.len() != names.len() {
        return Err(DetectError::SignalCount {
            row: index,
            expected: names.len(),
            found: row.len(),
        });
    }
    for (name, value) in names.iter().zip(row) {
        if let Some(value) = value
            && !value.is_finite()
        {
            return Err(DetectError::NonFiniteSignal {
                signal: (*name).to_owned(),
                row: index,
                value: *value,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_signals() -> [SignalWeight; 2] {
        [SignalWeight::new("a", 1.0), SignalWeight::new("b", 3.0)]
    }

    fn reference() -> Vec<Vec<Option<f64>>> {
        vec![vec![Some(0.0), Some(10.0)], vec![Some(2.0), Some(14.0)], vec![None, Some(12.0)]]
    }

    #[test]
    fn weights_and_directions_count() {
        let score = SignedZ::fit(&two_signals(), &reference()).expect("valid");
        // z of a: (2 - 1) / 1; z of b: 0.
        let both = score.score(&[Some(2.0), Some(12.0)]).expect("two signals");
        assert!((both.score - 0.25).abs() < 1e-12);
        let low = score.score(&[Some(-2.0), Some(12.0)]).expect("two signals");
        assert!((low.score + 0.75).abs() < 1e-12);
    }

    #[test]
    fn a_missing_signal_is_left_out_and_not_zero() {
        let score = SignedZ::fit(&two_signals(), &reference()).expect("valid");
        let one = score.score(&[Some(2.0), None]).expect("one signal");
        assert!((one.score - 1.0).abs() < 1e-12);
        assert_eq!(one.signals_used, ["a"]);
    }

    #[test]
    fn a_row_without_any_signal_is_an_error() {
        let score = SignedZ::fit(&two_signals(), &reference()).expect("valid");
        assert!(matches!(
            score.score(&[None, None]),
            Err(DetectError::NoSignal { expected }) if expected == ["a", "b"]
        ));
    }

    #[test]
    fn a_constant_signal_is_named() {
        let rows = vec![vec![Some(0.1), Some(1.0)]; 10];
        assert!(matches!(
            SignedZ::fit(&two_signals(), &rows),
            Err(DetectError::DegenerateSignal { signal, present: 10, .. }) if signal == "a"
        ));
    }

    #[test]
    fn a_deviation_that_overflows_is_named() {
        let rows = [vec![Some(1e300), Some(0.0)], vec![Some(-1e300), Some(1.0)]];
        assert!(matches!(
            SignedZ::fit(&two_signals(), &rows),
            Err(DetectError::DegenerateSignal { signal, .. }) if signal == "a"
        ));
    }

    #[test]
    fn a_signal_that_the_reference_lacks_is_named() {
        let rows = [vec![Some(0.0), None], vec![Some(1.0), Some(3.0)]];
        assert!(matches!(
            SignedZ::fit(&two_signals(), &rows),
            Err(DetectError::SparseSignal { signal, found: 1, .. }) if signal == "b"
        ));
    }

    #[test]
    fn a_non_finite_signal_is_named() {
        let rows = [vec![Some(0.0), Some(f64::NAN)], vec![Some(1.0), Some(3.0)]];
        assert!(matches!(
            SignedZ::fit(&two_signals(), &rows),
            Err(DetectError::NonFiniteSignal { signal, row: 0, .. }) if signal == "b"
        ));
    }

    #[test]
    fn a_weight_that_is_not_positive_is_refused() {
        for bad in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            let signals = [SignalWeight::new("a", bad), SignalWeight::new("b", 1.0)];
            assert!(matches!(
                SignedZ::fit(&signals, &reference()),
                Err(DetectError::SignalWeight { signal, .. }) if signal == "a"
            ));
        }
    }

    #[test]
    fn a_name_used_twice_is_refused() {
        let signals = [SignalWeight::new("a", 1.0), SignalWeight::new("a", 1.0)];
        assert!(matches!(
            SignedZ::fit(&signals, &reference()),
            Err(DetectError::DuplicateSignal { signal }) if signal == "a"
        ));
    }

    #[test]
    fn no_signals_and_ragged_rows_are_refused() {
        assert!(matches!(SignedZ::fit(&[], &reference()), Err(DetectError::Empty { .. })));
        assert!(matches!(
            SignedZ::fit(&two_signals(), &[vec![Some(1.0)]]),
            Err(DetectError::SignalCount { row: 0, expected: 2, found: 1 })
        ));
    }
}
