//! Exact interval of a share: Clopper and Pearson, "The use of confidence or fiducial limits
//! illustrated in the case of the binomial", Biometrika 26, 1934.
//!
//! Its lower end is the share at which as many hits as were seen, or more, would have a probability
//! of 2.5 %; its upper end, the share at which as many or fewer would. It covers at least 95 % of
//! the time and keeps its width at 0 and at 1, where a bootstrap has none.

use super::interval::{Interval, TAILS};
use crate::conformal::check_level;
use crate::error::{DetectError, Result};

/// Halvings of `0..=1` after which f64 has no number left between the ends, for any end above
/// 1e-9.
const HALVINGS: usize = 90;

/// Realised false positive rate at a nominal level: the share of the non-members' p-values that are
/// at most `level`, with its exact 95 % interval.
///
/// If the p-values share calibration rows, the interval is of the rate that a further non-member
/// would meet with *these* calibration rows, which scatters about the level from one calibration to
/// the next.
///
/// ```
/// let rate = umid_detect::realised_false_positive_rate(&[0.01, 0.3, 0.5, 0.9], 0.05)?;
/// assert_eq!(rate.estimate, 0.25);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
///
/// # Errors
/// When there is no p-value, one is not in `0..=1`, or the level is not above 0 and below 1.
pub fn realised_false_positive_rate(non_member_p_values: &[f64], level: f64) -> Result<Interval> {
    check_level("level", level)?;
    let bad = non_member_p_values.iter().enumerate().find(|(_, p)| !(0.0..=1.0).contains(*p));
    if let Some((index, &value)) = bad {
        return Err(DetectError::NotAProbability { index, value });
    }
    if non_member_p_values.is_empty() {
        return Err(DetectError::Empty { list: "non-member p-values" });
    }
    let flagged = non_member_p_values.iter().filter(|&&p| p <= level).count();
    share_interval(flagged, non_member_p_values.len())
}

/// A share with its exact 95 % interval: `hits` of `trials` that are independent of each other.
///
/// # Errors
/// When `trials` is 0 or below `hits`.
pub fn share_interval(hits: usize, trials: usize) -> Result<Interval> {
    if trials == 0 || hits > trials {
        return Err(DetectError::Argument {
            argument: "trials",
            expected: "at least 1 and at least the number of hits",
            found: trials as f64,
        });
    }
    Ok(Interval {
        estimate: hits as f64 / trials as f64,
        low: lower_end(hits, trials),
        high: 1.0 - lower_end(trials - hits, trials),
    })
}

/// The share at which `hits` or more of `trials` have the probability of a tail; 0 for no hits.
fn lower_end(hits: usize, trials: usize) -> f64 {
    if hits == 0 {
        return 0.0;
    }
    let ways = ln_choose(trials, hits);
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if upper_tail(hits, trials, middle, ways) < TAILS.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Probability of `hits` or more; `ways` is the logarithm of the binomial coefficient.
fn upper_tail(hits: usize, trials: usize, share: f64, ways: f64) -> f64 {
    // At or below the mean the tail is about a half or more, which is all that the search asks.
    if share * trials as f64 >= hits as f64 {
        return 1.0;
    }
    let misses = (trials - hits) as f64;
    let odds = share / (1.0 - share);
    let mut term = (ways + hits as f64 * share.ln() + misses * (-share).ln_1p()).exp();
    let mut sum = 0.0;
    for k in hits..=trials {
        sum += term;
        term *= (trials - k) as f64 / (k + 1) as f64 * odds;
    }
    sum
}

/// Logarithm of `n` over `k`.
fn ln_choose(n: usize, k: usize) -> f64 {
    (1..=k.min(n - k)).map(|i| ((n + 1 - i) as f64 / i as f64).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_have_a_closed_form_for_no_hits_and_for_all_hits() {
        // (1 - p)^n = 0.025.
        for trials in [1, 10, 1000] {
            let closed = 1.0 - 0.025_f64.powf(1.0 / f64::from(trials));
            let none = share_interval(0, trials as usize).expect("trials");
            assert!(none.low.abs() < 1e-15 && (none.high - closed).abs() < 1e-12, "{none:?}");
            let all = share_interval(trials as usize, trials as usize).expect("trials");
            assert!((all.high - 1.0).abs() < 1e-15, "{all:?}");
            assert!((all.low - (1.0 - closed)).abs() < 1e-12, "{all:?}");
        }
    }

    #[test]
    fn coverage_is_at_least_nominal_for_every_share() {
        let trials = 30;
        let intervals: Vec<_> =
            (0..=trials).map(|hits| share_interval(hits, trials).expect("trials")).collect();
        for percent in 1..100 {
            let share = f64::from(percent) / 100.0;
            let covered: f64 = (0..=trials)
                .filter(|&hits| intervals[hits].low <= share && share <= intervals[hits].high)
                .map(|hits| {
                    let misses = (trials - hits) as i32;
                    ln_choose(trials, hits).exp()
                        * share.powi(hits as i32)
                        * (1.0 - share).powi(misses)
                })
                .sum();
            assert!(covered >= 0.95, "a share of {share} is covered {covered} of the time");
        }
    }

    #[test]
    fn a_p_value_at_the_level_counts() {
        let rate = realised_false_positive_rate(&[0.05, 0.050001, 1.0, 0.0], 0.05).expect("valid");
        assert!((rate.estimate - 0.5).abs() < 1e-15);
    }

    #[test]
    fn unusable_input_is_refused() {
        assert!(matches!(
            realised_false_positive_rate(&[], 0.05),
            Err(DetectError::Empty { list: "non-member p-values" })
        ));
        assert!(matches!(
            realised_false_positive_rate(&[0.1, f64::NAN], 0.05),
            Err(DetectError::NotAProbability { index: 1, .. })
        ));
        assert!(realised_false_positive_rate(&[0.1], 0.0).is_err());
        assert!(share_interval(0, 0).is_err());
        assert!(share_interval(2, 1).is_err());
    }
}
