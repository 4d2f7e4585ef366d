//! The split of a reference into the part that sets scales and the part that calibrates p-values.
//!
//! The z-scores need means and deviations, and the p-value needs scores of non-members. If one row
//! served both, it would have helped to set the scale that it is then measured on, and a query
//! would not have: the two would not be exchangeable and the p-value not valid. Whatever else is
//! learnt from the reference (nearest-neighbour lists, hubness) must come from the fit part too. So
//! split once and pass the same value to everything that is fitted.

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::error::{DetectError, Result};
use crate::streams::stream;

/// Share of the reference that sets the scales. Means and deviations need few rows; the resolution
/// of the p-values needs many.
pub const DEFAULT_FIT_FRACTION: f64 = 1.0 / 3.0;

pub(crate) const PURPOSE: &str = "umid 2026 split of a reference";

/// Which rows of a reference set scales and which calibrate p-values.
///
/// ```
/// use umid_detect::{DEFAULT_FIT_FRACTION, Split};
///
/// let split = Split::new(90, DEFAULT_FIT_FRACTION, 7)?;
/// assert_eq!((split.fit.len(), split.calibration.len()), (30, 60));
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Rows that set scales and neighbours, in ascending order.
    pub fit: Vec<usize>,
    /// Rows whose scores give the p-values, in ascending order.
    pub calibration: Vec<usize>,
}

impl Split {
    /// Splits `rows` rows at random: about `rows * fit_fraction` of them form the fit part. The
    /// split depends on nothing but these arguments.
    ///
    /// # Errors
    /// When the fraction is not above 0 and below 1, or there are too few rows for both parts to
    /// have one.
    pub fn new(rows: usize, fit_fraction: f64, seed: u64) -> Result<Self> {
        if !(fit_fraction > 0.0 && fit_fraction < 1.0) {
            return Err(DetectError::Argument {
                argument: "fit_fraction",
                expected: "above 0 and below 1",
                found: fit_fraction,
            });
        }
        if rows < 2 {
            return Err(DetectError::TooFewRows {
                algorithm: "split of the reference",
                needed: 2,
                found: rows,
            });
        }
        let fitted = ((rows as f64 * fit_fraction).round() as usize).clamp(1, rows - 1);
        let mut fit: Vec<usize> = (0..rows).collect();
        fit.shuffle(&mut stream(PURPOSE, seed, 0));
        let mut calibration = fit.split_off(fitted);
        fit.sort_unstable();
        calibration.sort_unstable();
        Ok(Self { fit, calibration })
    }

    /// Checks that the split is one of a reference of this many rows: no row is missing from the
    /// reference and none is named twice.
    pub(crate) fn check(&self, rows: usize) -> Result<()> {
        let mut named = vec![false; rows];
        for &row in self.fit.iter().chain(&self.calibration) {
            let refuse = |problem| Err(DetectError::Split { row, problem });
            match named.get_mut(row) {
                None => return refuse("which the reference does not have"),
                Some(true) => return refuse("which it has named before"),
                Some(named) => *named = true,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_covers_every_row_once() {
        let split = Split::new(100, 0.25, 3).expect("valid");
        assert_eq!((split.fit.len(), split.calibration.len()), (25, 75));
        let mut all = [split.fit.clone(), split.calibration.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_ne!(split, Split::new(100, 0.25, 4).expect("valid"));
        assert!(split.check(100).is_ok());
    }

    #[test]
    fn the_split_does_not_repeat_the_plain_stream_of_its_seed() {
        use rand::SeedableRng;
        let mut plain: Vec<usize> = (0..40).collect();
        plain.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(3));
        plain.truncate(20);
        plain.sort_unstable();
        assert_ne!(Split::new(40, 0.5, 3).expect("valid").fit, plain);
    }

    #[test]
    fn a_fraction_outside_its_range_is_refused() {
        for bad in [0.0, 1.0, -0.5, f64::NAN] {
            assert!(matches!(
                Split::new(100, bad, 0),
                Err(DetectError::Argument { argument: "fit_fraction", .. })
            ));
        }
    }

    #[test]
    fn one_row_cannot_be_split() {
        assert!(matches!(Split::new(1, 0.5, 0), Err(DetectError::TooFewRows { needed: 2, .. })));
    }

    #[test]
    fn a_row_in_both_parts_and_a_row_outside_the_reference_are_refused() {
        let split = |fit: &[usize], calibration: &[usize]| {
            Split { fit: fit.to_vec(), calibration: calibration.to_vec() }.check(4)
        };
        assert!(split(&[0, 2], &[1]).is_ok());
        assert!(matches!(split(&[0, 2], &[1, 2]), Err(DetectError::Split { row: 2, .. })));
        assert!(matches!(split(&[0], &[1, 4]), Err(DetectError::Split { row: 4, .. })));
    }
}
