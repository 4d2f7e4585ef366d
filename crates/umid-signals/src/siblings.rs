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

/// Which share of each group's mean is taken off a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shares {
    /// Of the names with the same first part.
    pub(crate) same_first: f64,
    /// Of the names with the same last part.
    pub(crate) same_last: f64,
}

impl Shares {
    /// Half of each: what is common to all names drops out.
    pub(crate) const HALVES: Self = Self { same_first: 0.5, same_last: 0.5 };

    /// score - same_first * of_first - same_last * of_last, the means over the two groups.
    pub(crate) fn taken_off(self, score: f64, of_first: f64, of_last: f64) -> f64 {
        score - self.same_first * of_first - self.same_last * of_last
    }
}

/// The mean over a group, whose size does not matter; `None` for an empty one.
pub(crate) fn mean(scores: &[f64]) -> Option<f64> {
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// f64 sums of a dozen values below 1e3.
    const ROUND_OFF: f64 = 1e-10;

    #[test]
    fn a_groups_share_counts_and_not_its_size() {
        let shares = Shares { same_first: 0.25, same_last: 0.5 };
        let score = shares.taken_off(0.0, mean(&[2.0; 16]).unwrap(), mean(&[4.0]).unwrap());
        assert!((score + 2.5).abs() < ROUND_OFF);
    }

    #[test]
    fn an_empty_group_has_no_mean() {
        assert_eq!(mean(&[]), None);
    }

    proptest! {
        #[test]
        fn a_level_common_to_all_names_drops_out_by_halves(
            score in -10.0..10.0,
            firsts in prop::collection::vec(-10.0..10.0, 1..8),
            lasts in prop::collection::vec(-10.0..10.0, 1..8),
            level in -100.0..100.0,
        ) {
            let raised = |scores: &[f64]| scores.iter().map(|s| s + level).collect::<Vec<_>>();
            let of = |score, firsts: &[f64], lasts: &[f64]| {
                Shares::HALVES.taken_off(score, mean(firsts).unwrap(), mean(lasts).unwrap())
            };
            let before = of(score, &firsts, &lasts);
            let after = of(score + level, &raised(&firsts), &raised(&lasts));
            prop_assert!((before - after).abs() < ROUND_OFF);
        }
    }
}
