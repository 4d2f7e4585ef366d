//! Benjamini and Hochberg's procedure with an estimate of how many names are not members.
//!
//! Their procedure allows for a list without members, and so keeps a rate of `share * level` where
//! only a share of the names are not members. Storey, Taylor and Siegmund, "Strong control,
//! conservative point estimation and simultaneous conservative consistency of false discovery rates",
//! JRSS B 66, 2004, divide by an estimate of that share; Bates et al. (2023, see
//! [`ConformalCalibration`](crate::ConformalCalibration)) prove that this holds for conformal
//! p-values too, and PTDI (arXiv 2510.09717) uses it for questions of membership.
//!
//! The estimate is safe where p-values depend on each other only through the reference. Names of one
//! family, which share a part, depend on each other more, so two guards stand here that the theory
//! does not ask for: short lists are taken to have no members, and no q-value is below its p-value.

use serde::{Deserialize, Serialize};

use crate::conformal::{FalseDiscovery, benjamini_hochberg};
use crate::error::Result;

/// The p-value above which names are taken not to be members.
const ABOVE: f64 = 0.5;

/// Fewest names for which a share is estimated.
pub const MIN_NAMES_FOR_A_SHARE: usize = 50;

/// A false discovery rate with the share of non-members that it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdaptiveDiscovery {
    /// q-values and discoveries in the order of the p-values.
    pub found: FalseDiscovery,
    /// Estimated share of names that are not members, in `0..=1`; 1 for short lists.
    pub non_members: f64,
}

/// An estimate of the share of non-members that is too high rather than too low:
/// `(1 + number of p > 1/2) / (n / 2)`, at most 1, and 1 for fewer than [`MIN_NAMES_FOR_A_SHARE`]
/// p-values.
pub fn non_member_share(p_values: &[f64]) -> f64 {
    if p_values.len() < MIN_NAMES_FOR_A_SHARE {
        return 1.0;
    }
    // A p-value that is not a number counts as a non-member's.
    let above = p_values.len() - p_values.iter().filter(|p| **p <= ABOVE).count();
    ((1 + above) as f64 / (p_values.len() as f64 * (1.0 - ABOVE))).min(1.0)
}

/// [`benjamini_hochberg`] at `level / share`, where `share` is [`non_member_share`]; no q-value is
/// below its p-value.
///
/// ```
/// let p_values: Vec<f64> = (0..100).map(|i| if i < 80 { 0.03 } else { 0.9 }).collect();
/// let found = umid_detect::adaptive_benjamini_hochberg(&p_values, 0.05)?;
/// assert_eq!(found.non_members, 0.42);
/// assert_eq!(found.found.q_values[0], 0.03);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
///
/// # Errors
/// As [`benjamini_hochberg`].
pub fn adaptive_benjamini_hochberg(p_values: &[f64], level: f64) -> Result<AdaptiveDiscovery> {
    let mut found = benjamini_hochberg(p_values, level)?;
    let non_members = non_member_share(p_values);
    for (q, p) in found.q_values.iter_mut().zip(p_values) {
        *q = (*q * non_members).max(*p);
    }
    found.discoveries = found.q_values.iter().map(|q| *q <= level).collect();
    Ok(AdaptiveDiscovery { found, non_members })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConformalCalibration;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn a_short_list_is_taken_to_have_no_members() {
        let few = vec![0.01; MIN_NAMES_FOR_A_SHARE - 1];
        assert!((non_member_share(&few) - 1.0).abs() < 1e-12);
        assert_eq!(
            adaptive_benjamini_hochberg(&few, 0.05).unwrap().found,
            benjamini_hochberg(&few, 0.05).unwrap()
        );
    }

    #[test]
    fn a_share_is_at_most_one_and_counts_nan_as_a_non_member() {
        assert!((non_member_share(&[0.9; 100]) - 1.0).abs() < 1e-12);
        let mut p_values = vec![0.1; 100];
        assert!((non_member_share(&p_values) - 0.02).abs() < 1e-12);
        p_values[0] = f64::NAN;
        assert!((non_member_share(&p_values) - 0.04).abs() < 1e-12);
        assert!(adaptive_benjamini_hochberg(&p_values, 0.05).is_err());
    }

    #[test]
    fn no_name_is_discovered_whose_own_p_value_is_above_the_level() {
        let found = adaptive_benjamini_hochberg(&[0.2; 100], 0.05).unwrap();
        assert_eq!(found.found.discoveries, [false; 100]);
        assert!(found.found.q_values.iter().all(|q| *q >= 0.2));
    }

    /// 200 names, of which `members` lie 2.5 deviations higher, ranked among 400 others: mean share of
    /// false discoveries and of members found.
    fn simulated(members: usize) -> [f64; 2] {
        const LISTS: usize = 2_000;
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut normal = || {
            let uniform: f64 = (0..12).map(|_| rng.random::<f64>()).sum();
            uniform - 6.0
        };
        let (mut falsely, mut found) = (0.0, 0.0);
        for _ in 0..LISTS {
            let calibration =
                ConformalCalibration::new((0..400).map(|_| normal()).collect()).unwrap();
            let p_values: Vec<f64> = (0..200)
                .map(|i| normal() + if i < members { 2.5 } else { 0.0 })
                .map(|score| calibration.p_value(score).unwrap())
                .collect();
            let flags = adaptive_benjamini_hochberg(&p_values, 0.1).unwrap().found.discoveries;
            let hits = flags[..members].iter().filter(|flag| **flag).count();
            let all = flags.iter().filter(|flag| **flag).count();
            falsely += (all - hits) as f64 / all.max(1) as f64;
            found += hits as f64 / members.max(1) as f64;
        }
        [falsely / LISTS as f64, found / LISTS as f64]
    }

    #[test]
    fn the_rate_holds_with_few_and_with_many_members() {
        // Four standard errors of a share near .1 in 2,000 lists, whose own deviation is at most .3
        // (no member) or .05.
        for (members, error) in [(0, 0.027), (20, 0.009), (100, 0.005), (160, 0.005)] {
            let [falsely, found] = simulated(members);
            assert!(falsely <= 0.1 + error, "{members} members: {falsely}");
            assert!(members == 0 || found > 0.3, "{members} members: {found}");
        }
    }
}
