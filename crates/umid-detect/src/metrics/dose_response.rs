//! How often a name must have been shown before half of such names are detected: the median
//! effective dose (ED50) of toxicology, with exposures for the dose.
//!
//! Detection rates are made monotone in the dose by pooling adjacent violators (Ayer et al. 1955),
//! and the dose at one half is read off between the two doses around it, on a logarithmic scale. No
//! curve is assumed.

use serde::{Deserialize, Serialize};

use super::bootstrap::{Bootstrap, draw_flags};
use super::decisions::check_flags;
use super::interval::TAILS;
use crate::error::{DetectError, Result};

/// Who was detected among those who were shown equally often.
#[derive(Debug, Clone, PartialEq)]
pub struct Dose {
    /// How often each was shown, above 0.
    pub exposures: f64,
    /// Whether each was detected.
    pub detected: Vec<bool>,
}

/// The exposures at which half are detected, with the ends of a 95 % interval. `None` is more than the
/// largest dose; where half are detected at the smallest dose already, it is that dose.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HalfDetected {
    /// Of the sample itself.
    pub estimate: Option<f64>,
    /// Lower end.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

impl Bootstrap {
    /// The exposures at which half are detected. Names are drawn with replacement within a dose.
    ///
    /// # Errors
    /// No dose, a dose without names, doses that do not rise or are not above 0, or no resamples.
    pub fn half_detected(&self, doses: &[Dose]) -> Result<HalfDetected> {
        let rising = doses.windows(2).all(|pair| pair[0].exposures < pair[1].exposures);
        let first = doses.first().map_or(0.0, |dose| dose.exposures);
        let last = doses.last().map_or(0.0, |dose| dose.exposures);
        if !(rising && first > 0.0 && last.is_finite()) {
            return Err(DetectError::Argument {
                argument: "exposures",
                expected: "doses above 0 that rise",
                found: first,
            });
        }
        for dose in doses {
            check_flags("detected", &dose.detected)?;
        }
        let estimate = half(doses, |flags| flags.iter().filter(|flag| **flag).count());
        let mut replicates = self.replicates(|rng| half(doses, |flags| draw_flags(flags, rng)))?;
        // What lies beyond the largest dose comes last.
        replicates.sort_unstable_by(|a, b| match (a, b) {
            (Some(a), Some(b)) => a.total_cmp(b),
            _ => a.is_none().cmp(&b.is_none()),
        });
        let at = |share: f64| replicates[(share * (replicates.len() - 1) as f64).round() as usize];
        Ok(HalfDetected { estimate, low: at(TAILS.0), high: at(TAILS.1) })
    }
}

/// A run of doses that are taken together: detected, names, and how many doses.
struct Pool {
    detected: usize,
    names: usize,
    doses: usize,
}

impl Pool {
    fn rate(&self) -> f64 {
        self.detected as f64 / self.names as f64
    }
}

/// Detection rates made monotone in the dose, one for each dose: the curve on which
/// [`Bootstrap::half_detected`] reads off one half. NaN for doses without names.
pub fn monotone_rates(doses: &[Dose]) -> Vec<f64> {
    monotone(doses, |flags| flags.iter().filter(|flag| **flag).count())
}

/// Pools adjacent violators, when so many are detected at each dose.
fn monotone(doses: &[Dose], mut detected: impl FnMut(&[bool]) -> usize) -> Vec<f64> {
    let mut pools: Vec<Pool> = Vec::new();
    for Dose { detected: flags, .. } in doses {
        pools.push(Pool { detected: detected(flags), names: flags.len(), doses: 1 });
        while let [.., before, last] = &pools[..]
            && before.rate() > last.rate()
        {
            let last = pools.pop().expect("two pools");
            let before = pools.last_mut().expect("one pool is left");
            before.detected += last.detected;
            before.names += last.names;
            before.doses += last.doses;
        }
    }
    pools.iter().flat_map(|pool| std::iter::repeat_n(pool.rate(), pool.doses)).collect()
}

/// The dose at which the monotone rate reaches one half, when so many are detected at each dose.
fn half(doses: &[Dose], detected: impl FnMut(&[bool]) -> usize) -> Option<f64> {
    let rates = monotone(doses, detected);
    let points: Vec<(f64, f64)> = doses.iter().map(|dose| dose.exposures.ln()).zip(rates).collect();
    let above = points.iter().position(|(_, rate)| *rate >= 0.5)?;
    let (dose, rate) = points[above];
    let Some((dose_before, rate_before)) = above.checked_sub(1).map(|before| points[before]) else {
        return Some(dose.exp());
    };
    Some((dose_before + (dose - dose_before) * (0.5 - rate_before) / (rate - rate_before)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 400, seed: 3 };

    fn doses(detected: &[(f64, usize, usize)]) -> Vec<Dose> {
        let dose = |&(exposures, detected, names): &(f64, usize, usize)| Dose {
            exposures,
            detected: (0..names).map(|i| i < detected).collect(),
        };
        detected.iter().map(dose).collect()
    }

    fn estimate(detected: &[(f64, usize, usize)]) -> Option<f64> {
        BOOTSTRAP.half_detected(&doses(detected)).expect("valid").estimate
    }

    #[track_caller]
    fn assert_near(found: Option<f64>, expected: f64) {
        let found = found.expect("half are detected");
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    }

    #[test]
    fn half_is_read_off_between_two_doses_on_a_logarithmic_scale() {
        assert_near(estimate(&[(4.0, 0, 10), (16.0, 10, 10)]), 8.0);
        assert_near(estimate(&[(4.0, 2, 10), (8.0, 4, 10), (16.0, 6, 10)]), 8.0 * 2f64.sqrt());
        assert_near(estimate(&[(4.0, 1, 10), (8.0, 5, 10)]), 8.0);
    }

    #[test]
    fn the_ends_are_the_smallest_dose_and_none() {
        assert_near(estimate(&[(4.0, 9, 10), (8.0, 10, 10)]), 4.0);
        assert_eq!(estimate(&[(4.0, 0, 10), (8.0, 4, 10)]), None);
    }

    #[test]
    fn rates_that_fall_are_pooled() {
        // 6 and 2 of 10 are 4 of 10 together, so that half lies behind them.
        let found = estimate(&[(4.0, 6, 10), (8.0, 2, 10), (16.0, 6, 10)]);
        assert_near(found, 8.0 * 2f64.sqrt());
    }

    #[test]
    fn the_curve_is_the_pooled_rates() {
        let rates = monotone_rates(&doses(&[(4.0, 6, 10), (8.0, 2, 10), (16.0, 6, 10)]));
        for (found, expected) in rates.iter().zip([0.4, 0.4, 0.6]) {
            assert!((found - expected).abs() < 1e-12, "{rates:?}");
        }
        assert!(monotone_rates(&[]).is_empty());
    }

    #[test]
    fn the_interval_holds_the_estimate_and_may_be_open() {
        let found = BOOTSTRAP
            .half_detected(&doses(&[(4.0, 5, 50), (16.0, 20, 50), (64.0, 27, 50)]))
            .expect("valid");
        let [low, estimate] = [found.low, found.estimate].map(|end| end.expect("in the range"));
        assert!(low < estimate, "{found:?}");
        // 27 of 50 are at most half in more than 1 of 40 resamples.
        assert_eq!(found.high, None);
    }

    #[test]
    fn doses_that_are_none_are_errors() {
        for bad in [
            vec![],
            doses(&[(0.0, 1, 2)]),
            doses(&[(f64::NAN, 1, 2)]),
            doses(&[(4.0, 1, 2), (4.0, 1, 2)]),
            doses(&[(4.0, 1, 2), (f64::INFINITY, 1, 2)]),
            doses(&[(4.0, 0, 0)]),
        ] {
            assert!(BOOTSTRAP.half_detected(&bad).is_err(), "{bad:?}");
        }
    }
}
