//! Scores of one name set against the scores of names that share a part with it.
//!
//! A name of two parts, f and l, has two groups of siblings: (f, l_j) with the same first part and
//! other public last parts, and (f_i, l) with the same last part and other public first parts.
//! What a score owes to the parts themselves (a rare surname, a long one, gibberish) shows up in
//! the siblings and can be taken off. This works on any score of a name, and keeps its direction,
//! since it is linear. Source: this project, docs/method.md.
//!
//! A sibling that is the query itself, because a public part is also the query's, is left out by
//! the caller.

/// A score minus half the mean of each group of siblings:
/// s(f, l) - 1/2 mean_j s(f, l_j) - 1/2 mean_i s(f_i, l).
///
/// The two groups weigh alike even when they differ in size, and what is common to all names drops
/// out. `None` when a group is empty, as for a name of one part.
pub(crate) fn sibling_calibrated(score: f64, same_first: &[f64], same_last: &[f64]) -> Option<f64> {
    Some(score - 0.5 * mean(same_first)? - 0.5 * mean(same_last)?)
}

fn mean(scores: &[f64]) -> Option<f64> {
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// f64 sums of a dozen values below 1e3.
    const ROUND_OFF: f64 = 1e-10;

    #[test]
    fn groups_of_two_sizes_weigh_alike() {
        let score = sibling_calibrated(0.0, &[2.0; 16], &[4.0]).unwrap();
        assert!((score + 3.0).abs() < ROUND_OFF);
    }

    #[test]
    fn an_empty_group_gives_no_number() {
        assert_eq!(sibling_calibrated(1.0, &[1.0], &[]), None);
        assert_eq!(sibling_calibrated(1.0, &[], &[1.0]), None);
    }

    proptest! {
        #[test]
        fn a_level_common_to_all_names_drops_out(
            score in -10.0..10.0,
            firsts in prop::collection::vec(-10.0..10.0, 1..8),
            lasts in prop::collection::vec(-10.0..10.0, 1..8),
            level in -100.0..100.0,
        ) {
            let raised = |scores: &[f64]| scores.iter().map(|s| s + level).collect::<Vec<_>>();
            let before = sibling_calibrated(score, &firsts, &lasts).unwrap();
            let after = sibling_calibrated(score + level, &raised(&firsts), &raised(&lasts));
            prop_assert!((before - after.unwrap()).abs() < ROUND_OFF);
        }
    }
}
