//! An estimate with its 95 % interval.

use serde::{Deserialize, Serialize};

use crate::quantile::sorted_quantile;

/// Tails of a 95 % interval.
pub(super) const TAILS: (f64, f64) = (0.025, 0.975);

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

impl Interval {
    /// Percentiles of bootstrap replicates (Efron 1979); there must be at least one.
    pub(super) fn of_replicates(estimate: f64, mut replicates: Vec<f64>) -> Self {
        replicates.sort_unstable_by(f64::total_cmp);
        Self {
            estimate,
            low: sorted_quantile(&replicates, TAILS.0),
            high: sorted_quantile(&replicates, TAILS.1),
        }
    }
}
