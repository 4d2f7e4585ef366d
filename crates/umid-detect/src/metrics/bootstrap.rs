//! Percentile bootstrap intervals (Efron 1979, "Bootstrap methods: another look at the jackknife").
//!
//! Identities are drawn with replacement, members and non-members apart. A resample depends on its
//! seed and its number alone: neither on the scores nor on which statistic is asked for.
//!
//! Where a statistic is at the end of its range (every member above every non-member, all flagged),
//! every resample repeats it and the interval has no width; for a share,
//! [`share_interval`](crate::share_interval) still has one.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::decisions::{Tally, check_flags, recall};
use super::interval::Interval;
use super::ranked::{Counts, Ranked};
use super::roc::allowed_false_positives;
use crate::error::{DetectError, Result};

/// Resamples of an interval unless set; Efron and Tibshirani (1993) advise at least 1,000 for
/// percentile intervals.
const DEFAULT_RESAMPLES: usize = 2000;

/// How an interval is bootstrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Resamples drawn, at least 1.
    pub resamples: usize,
    /// Seed; each resample has its own stream of it.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: DEFAULT_RESAMPLES, seed: 0 }
    }
}

/// Scores of both classes by one method. Where two methods are compared, the same position of a
/// list is the same identity in both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassScores<'a> {
    /// Scores of members, higher for members.
    pub members: &'a [f64],
    /// Scores of non-members.
    pub non_members: &'a [f64],
}

impl Bootstrap {
    /// Interval of [`auc`](crate::auc).
    ///
    /// # Errors
    /// As [`auc`](crate::auc), and when `resamples` is 0.
    pub fn auc(&self, members: &[f64], non_members: &[f64]) -> Result<Interval> {
        let ranked = Ranked::new(members, non_members)?;
        let replicates = self.of_counts([&ranked], |[counts]| counts.area())?;
        Ok(Interval::of_replicates(ranked.counts().area(), replicates))
    }

    /// Interval of the first method's [`auc`](crate::auc) less the second's, over the same
    /// identities: they are drawn once and scored by both methods, so that what the methods have in
    /// common cancels. An interval without 0 tells them apart at the 5 % level.
    ///
    /// # Errors
    /// As [`auc`](crate::auc), when the methods do not score equally many identities of a class, and
    /// when `resamples` is 0.
    pub fn auc_difference(
        &self,
        first: ClassScores<'_>,
        second: ClassScores<'_>,
    ) -> Result<Interval> {
        check_paired("members", first.members, second.members)?;
        check_paired("non-members", first.non_members, second.non_members)?;
        let a = Ranked::new(first.members, first.non_members)?;
        let b = Ranked::new(second.members, second.non_members)?;
        let replicates = self.of_counts([&a, &b], |[a, b]| a.area() - b.area())?;
        Ok(Interval::of_replicates(a.counts().area() - b.counts().area(), replicates))
    }

    /// Interval of [`tpr_at_fpr`](crate::tpr_at_fpr); `None` where the sample cannot resolve the
    /// rate.
    ///
    /// # Errors
    /// As [`tpr_at_fpr`](crate::tpr_at_fpr), and when `resamples` is 0.
    pub fn tpr_at_fpr(
        &self,
        members: &[f64],
        non_members: &[f64],
        false_positive_rate: f64,
    ) -> Result<Option<Interval>> {
        let ranked = Ranked::new(members, non_members)?;
        let allowed = allowed_false_positives(ranked.non_members(), false_positive_rate)?;
        let Some(allowed) = allowed else {
            return Ok(None);
        };
        let replicates = self.of_counts([&ranked], |[counts]| counts.share_found(allowed))?;
        let estimate = ranked.counts().share_found(allowed);
        Ok(Some(Interval::of_replicates(estimate, replicates)))
    }

    /// Interval of [`balanced_accuracy`](crate::balanced_accuracy).
    ///
    /// # Errors
    /// When a class is empty or `resamples` is 0.
    pub fn balanced_accuracy(
        &self,
        member_flags: &[bool],
        non_member_flags: &[bool],
    ) -> Result<Interval> {
        self.of_tally(member_flags, non_member_flags, Tally::balanced_accuracy)
    }

    /// Interval of [`accuracy`](crate::accuracy).
    ///
    /// # Errors
    /// When a class is empty or `resamples` is 0.
    pub fn accuracy(&self, member_flags: &[bool], non_member_flags: &[bool]) -> Result<Interval> {
        self.of_tally(member_flags, non_member_flags, Tally::accuracy)
    }

    /// Interval of [`f1`](crate::f1).
    ///
    /// # Errors
    /// When a class is empty or `resamples` is 0.
    pub fn f1(&self, member_flags: &[bool], non_member_flags: &[bool]) -> Result<Interval> {
        self.of_tally(member_flags, non_member_flags, Tally::f1)
    }

    /// Interval of [`precision`](crate::precision); `None` when nothing is flagged.
    ///
    /// A resample in which nothing is flagged could have any precision: it counts as 0 for the
    /// lower end and as 1 for the upper one.
    ///
    /// # Errors
    /// When a class is empty or `resamples` is 0.
    pub fn precision(
        &self,
        member_flags: &[bool],
        non_member_flags: &[bool],
    ) -> Result<Option<Interval>> {
        let Some(estimate) = Tally::count(member_flags, non_member_flags)?.precision() else {
            return Ok(None);
        };
        let resampled = self.of_flags(member_flags, non_member_flags)?;
        let with = |unknown: f64| {
            let replicates = resampled.iter().map(|flagged| flagged.precision().unwrap_or(unknown));
            Interval::of_replicates(estimate, replicates.collect())
        };
        Ok(Some(Interval { estimate, low: with(0.0).low, high: with(1.0).high }))
    }

    /// Interval of [`recall`](crate::recall).
    ///
    /// # Errors
    /// When there is no member or `resamples` is 0.
    pub fn recall(&self, member_flags: &[bool]) -> Result<Interval> {
        check_flags("member flags", member_flags)?;
        let replicates = self
            .replicates(|rng| draw_flags(member_flags, rng) as f64 / member_flags.len() as f64)?;
        Ok(Interval::of_replicates(recall(member_flags)?, replicates))
    }

    /// The statistic of every resample of identities that one or more methods have scored.
    fn of_counts<const METHODS: usize>(
        &self,
        methods: [&Ranked; METHODS],
        statistic: impl Fn(&[Counts; METHODS]) -> f64,
    ) -> Result<Vec<f64>> {
        let (members, non_members) = (methods[0].members(), methods[0].non_members());
        let mut counts = methods.map(Ranked::no_counts);
        self.replicates(|rng| {
            counts.iter_mut().for_each(Counts::clear);
            for _ in 0..members {
                let place = rng.random_range(0..members);
                for (counts, ranked) in counts.iter_mut().zip(methods) {
                    counts.add_member(ranked, place);
                }
            }
            for _ in 0..non_members {
                let place = rng.random_range(0..non_members);
                for (counts, ranked) in counts.iter_mut().zip(methods) {
                    counts.add_non_member(ranked, place);
                }
            }
            statistic(&counts)
        })
    }

    fn of_tally(
        &self,
        member_flags: &[bool],
        non_member_flags: &[bool],
        statistic: impl Fn(Tally) -> f64,
    ) -> Result<Interval> {
        let sample = Tally::count(member_flags, non_member_flags)?;
        let resampled = self.of_flags(member_flags, non_member_flags)?;
        let replicates = resampled.into_iter().map(&statistic).collect();
        Ok(Interval::of_replicates(statistic(sample), replicates))
    }

    /// The counts of every resample of flags. Both classes have some.
    fn of_flags(&self, members: &[bool], non_members: &[bool]) -> Result<Vec<Tally>> {
        self.replicates(|rng| Tally {
            members: members.len(),
            flagged_members: draw_flags(members, rng),
            non_members: non_members.len(),
            flagged_non_members: draw_flags(non_members, rng),
        })
    }

    /// One value per resample, each from its own stream.
    pub(super) fn replicates<T>(
        &self,
        mut replicate: impl FnMut(&mut ChaCha8Rng) -> T,
    ) -> Result<Vec<T>> {
        if self.resamples == 0 {
            return Err(DetectError::Argument {
                argument: "resamples",
                expected: "at least 1",
                found: 0.0,
            });
        }
        let start = ChaCha8Rng::seed_from_u64(self.seed);
        let of_stream = |stream| {
            let mut rng = start.clone();
            rng.set_stream(stream);
            replicate(&mut rng)
        };
        Ok((0..self.resamples as u64).map(of_stream).collect())
    }
}

/// How many are set among `flags.len()` flags that are drawn with replacement.
pub(super) fn draw_flags(flags: &[bool], rng: &mut ChaCha8Rng) -> usize {
    (0..flags.len()).filter(|_| flags[rng.random_range(0..flags.len())]).count()
}

fn check_paired(list: &'static str, first: &[f64], second: &[f64]) -> Result<()> {
    if first.len() == second.len() {
        return Ok(());
    }
    Err(DetectError::Unpaired { list, first: first.len(), second: second.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 400, seed: 5 };

    #[test]
    fn the_interval_holds_the_estimate_and_repeats_with_its_seed() {
        let members: Vec<f64> = (0..60).map(|i| f64::from(i) + 15.0).collect();
        let non_members: Vec<f64> = (0..60).map(f64::from).collect();
        let first = BOOTSTRAP.auc(&members, &non_members).expect("two classes");
        assert!(first.low < first.estimate && first.estimate < first.high);
        // Hanley and McNeil's (1982) standard error is 0.046 here: the width is about four of it.
        assert!((first.high - first.low - 4.0 * 0.046).abs() < 0.05, "{first:?}");
        assert_eq!(first, BOOTSTRAP.auc(&members, &non_members).expect("two classes"));
    }

    #[test]
    fn counting_gives_what_sorting_each_resample_would() {
        let members: Vec<f64> = (0..40).map(|i| f64::from(i * 7 % 11)).collect();
        let non_members: Vec<f64> = (0..30).map(|i| f64::from(i * 5 % 9) - 1.0).collect();
        let replicates: Vec<f64> = (0..BOOTSTRAP.resamples as u64)
            .map(|stream| {
                let mut rng = ChaCha8Rng::seed_from_u64(BOOTSTRAP.seed);
                rng.set_stream(stream);
                let mut draw = |scores: &[f64]| -> Vec<f64> {
                    (0..scores.len()).map(|_| scores[rng.random_range(0..scores.len())]).collect()
                };
                let (m, n) = (draw(&members), draw(&non_members));
                crate::auc(&m, &n).expect("two classes")
            })
            .collect();
        let estimate = crate::auc(&members, &non_members).expect("two classes");
        let fast = BOOTSTRAP.auc(&members, &non_members).expect("two classes");
        assert_eq!(fast, Interval::of_replicates(estimate, replicates));
    }

    #[test]
    fn a_rate_has_an_interval_where_it_has_a_value() {
        let members: Vec<f64> = (0..50).map(|i| f64::from(i) + 20.0).collect();
        let non_members: Vec<f64> = (0..50).map(f64::from).collect();
        let found = BOOTSTRAP.tpr_at_fpr(&members, &non_members, 0.1).expect("two classes");
        let found = found.expect("50 non-members resolve a tenth");
        assert!(found.low <= found.estimate && found.estimate <= found.high);
        let finer = BOOTSTRAP.tpr_at_fpr(&members, &non_members, 0.001).expect("two classes");
        assert_eq!(finer, None);
    }

    #[test]
    fn a_method_does_not_differ_from_itself_or_from_its_monotone_image() {
        let members: Vec<f64> = (0..40).map(|i| f64::from(i * 13 % 17)).collect();
        let non_members: Vec<f64> = (0..30).map(|i| f64::from(i * 5 % 14)).collect();
        let cubed = |scores: &[f64]| -> Vec<f64> { scores.iter().map(|s| s.powi(3)).collect() };
        let (m, n) = (cubed(&members), cubed(&non_members));
        let first = ClassScores { members: &members, non_members: &non_members };
        let second = ClassScores { members: &m, non_members: &n };
        let nothing = Interval { estimate: 0.0, low: 0.0, high: 0.0 };
        assert_eq!(BOOTSTRAP.auc_difference(first, first).expect("paired"), nothing);
        assert_eq!(BOOTSTRAP.auc_difference(first, second).expect("paired"), nothing);
    }

    #[test]
    fn methods_that_scored_different_identities_are_refused() {
        let first = ClassScores { members: &[1.0, 2.0], non_members: &[0.0] };
        let second = ClassScores { members: &[1.0], non_members: &[0.0] };
        assert!(matches!(
            BOOTSTRAP.auc_difference(first, second),
            Err(DetectError::Unpaired { list: "members", first: 2, second: 1 })
        ));
    }

    #[test]
    fn constant_scores_have_an_area_of_a_half_in_every_resample() {
        let half = BOOTSTRAP.auc(&[1.0; 9], &[1.0; 4]).expect("two classes");
        assert_eq!(half, Interval { estimate: 0.5, low: 0.5, high: 0.5 });
    }

    #[test]
    fn decisions_have_intervals() {
        let member_flags: Vec<bool> = (0..100).map(|i| i < 60).collect();
        let non_member_flags: Vec<bool> = (0..100).map(|i| i < 20).collect();
        let recall = BOOTSTRAP.recall(&member_flags).expect("members");
        let accuracy = BOOTSTRAP.balanced_accuracy(&member_flags, &non_member_flags);
        let precision = BOOTSTRAP.precision(&member_flags, &non_member_flags);
        let plain = BOOTSTRAP.accuracy(&member_flags, &non_member_flags);
        let f1 = BOOTSTRAP.f1(&member_flags, &non_member_flags);
        // Standard errors by the binomial: .049 and .032; by the delta method for the ratios: .041
        // and .039.
        for (interval, estimate, error) in [
            (recall, 0.6, 0.049),
            (accuracy.expect("two classes"), 0.7, 0.032),
            (plain.expect("two classes"), 0.7, 0.032),
            (precision.expect("two classes").expect("some flagged"), 0.75, 0.041),
            (f1.expect("two classes"), 2.0 / 3.0, 0.039),
        ] {
            assert!((interval.estimate - estimate).abs() < 1e-12, "{interval:?}");
            assert!(((interval.high - interval.low) / (3.92 * error) - 1.0).abs() < 0.2);
        }
    }

    #[test]
    fn precision_of_next_to_nothing_could_be_anything() {
        let mut member_flags = [false; 50];
        assert_eq!(BOOTSTRAP.precision(&member_flags, &[false; 50]).expect("two classes"), None);
        member_flags[0] = true;
        let one = BOOTSTRAP.precision(&member_flags, &[false; 50]).expect("two classes");
        assert_eq!(one, Some(Interval { estimate: 1.0, low: 0.0, high: 1.0 }));
    }

    #[test]
    fn zero_resamples_are_refused() {
        let none = Bootstrap { resamples: 0, seed: 0 };
        assert!(matches!(
            none.auc(&[1.0], &[0.0]),
            Err(DetectError::Argument { argument: "resamples", .. })
        ));
        assert!(none.recall(&[true]).is_err());
        assert!(none.precision(&[true], &[true]).is_err());
    }
}
