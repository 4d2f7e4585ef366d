//! How far beyond all calibration scores a score lies, as a p-value by extrapolation.
//!
//! A conformal p-value is at least `1 / (n + 1)`, and a list of many names asks for smaller ones.
//! Above their 95th percentile the calibration scores are taken to fall off exponentially, the
//! generalised Pareto tail (Pickands, Annals of Statistics 3, 1975; for p-values Knijnenburg et al.,
//! Bioinformatics 25, 2009) with shape 0. The scores of this project fall off faster, so that shape
//! errs on the safe side (table `tails` of the suites); a fitted shape would have no such side.

/// Share of the calibration scores that make the tail.
const SHARE: f64 = 0.05;
/// Fewest scores that make it.
const FEWEST: usize = 30;
/// Fewest calibration scores for each one of the tail.
const AT_LEAST: usize = 4;

/// Survival function of an exponential tail above the greatest of some scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tail {
    threshold: f64,
    mean_excess: f64,
    /// `(1 + scores above the threshold) / (n + 1)`.
    share: f64,
}

impl Tail {
    /// Fits the tail of scores that are sorted upwards; `None` where they are too few, or where the
    /// greatest ones are all equal.
    pub(crate) fn fit(sorted: &[f64]) -> Option<Self> {
        let count = FEWEST.max((sorted.len() as f64 * SHARE) as usize);
        if sorted.len() < AT_LEAST * count {
            return None;
        }
        let (below, above) = sorted.split_at(sorted.len() - count);
        let threshold = *below.last()?;
        let mean_excess = above.iter().map(|score| score - threshold).sum::<f64>() / count as f64;
        let share = (1 + count) as f64 / (sorted.len() + 1) as f64;
        (mean_excess > 0.0).then_some(Self { threshold, mean_excess, share })
    }

    /// The chance of a score this high.
    pub(crate) fn above(&self, score: f64) -> f64 {
        self.share * (-(score - self.threshold).max(0.0) / self.mean_excess).exp()
    }
}
