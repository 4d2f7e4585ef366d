//! Contamination: how large a share of the reference may be called anomalous. It sets the
//! threshold of the detectors that have no threshold of their own, in scikit-learn's way.

use serde::{Deserialize, Serialize};

use crate::error::{Result, require};
use crate::quantile::quantile;

/// Share of the reference that lies beyond the threshold, as used by TUNI (arXiv 2405.14517).
pub(crate) const DEFAULT_CONTAMINATION: f64 = 0.1;

/// Where a detector's threshold comes from. Always from the reference, never from rows under test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Contamination {
    /// The fixed threshold that the algorithm's authors name.
    Auto,
    /// This share of the reference, above 0 and at most 0.5, lies beyond the threshold.
    Share(f64),
}

impl Default for Contamination {
    fn default() -> Self {
        Self::Share(DEFAULT_CONTAMINATION)
    }
}

impl Contamination {
    pub(crate) fn check(self, algorithm: &'static str) -> Result<()> {
        match self {
            Self::Auto => Ok(()),
            Self::Share(share) => check_share(algorithm, share),
        }
    }

    /// Threshold on anomaly scores (higher is more anomalous): a row above it is flagged.
    pub(crate) fn threshold(self, reference_scores: &[f64], auto: f64) -> f64 {
        match self {
            Self::Auto => auto,
            Self::Share(share) => share_threshold(reference_scores, share),
        }
    }
}

/// The score that a share of the reference lies above.
///
/// scikit-learn takes the `share` percentile of the *negated* scores; the same is done here before
/// the sign is turned, because interpolation from the other end rounds differently.
pub(crate) fn share_threshold(reference_scores: &[f64], share: f64) -> f64 {
    -quantile(reference_scores.iter().map(|score| -score), share)
}

pub(crate) fn check_share(algorithm: &'static str, share: f64) -> Result<()> {
    let expected = "a share above 0 and at most 0.5";
    require(share > 0.0 && share <= 0.5, algorithm, "contamination", expected, share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_flags_about_that_share_of_the_reference() {
        let scores: Vec<f64> = (0..100).map(f64::from).collect();
        let threshold = Contamination::Share(0.1).threshold(&scores, 0.0);
        assert_eq!(scores.iter().filter(|&&s| s > threshold).count(), 10);
    }

    #[test]
    fn auto_ignores_the_reference() {
        assert!((Contamination::Auto.threshold(&[9.0], 1.5) - 1.5).abs() < f64::EPSILON);
    }

    #[test]
    fn shares_outside_the_range_are_refused() {
        for bad in [0.0, -0.1, 0.6, f64::NAN, f64::INFINITY] {
            assert!(Contamination::Share(bad).check("t").is_err(), "{bad} was accepted");
        }
        assert!(Contamination::Share(0.5).check("t").is_ok());
    }
}
