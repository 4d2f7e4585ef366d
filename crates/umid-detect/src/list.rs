//! What a list of names says as a whole: whether some of them are members, and at least how many.
//!
//! The count of small p-values is compared with what it would be without members, at many thresholds at
//! once. The bound is that of Meinshausen and Rice, "Estimating the proportion of false null
//! hypotheses among a large number of independently tested hypotheses", Annals of Statistics 34, 2006;
//! what is added is that conformal p-values share their calibration rows and so rise and fall
//! together, which is simulated rather than bounded. There is no bound from above: members of whom
//! nothing is left in the model look like names that were never seen.

use rand_distr::{Binomial, Distribution, Gamma};
use serde::{Deserialize, Serialize};

use crate::error::{DetectError, Result};
use crate::quantile::quantile;
use crate::streams::stream;

/// Lists without members that the observed counts are compared with.
const SIMULATED: usize = 2_000;
/// Thresholds, evenly spaced in the logarithm up to [`HIGHEST`].
const THRESHOLDS: usize = 24;
/// The highest threshold.
const HIGHEST: f64 = 0.5;
/// The bound holds in this share of lists.
const CONFIDENCE: f64 = 0.95;

/// p-values of names that are ranked among the same calibration rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankedNames<'a> {
    /// Conformal p-values, one a name.
    pub p_values: &'a [f64],
    /// Calibration rows. At least 1.
    pub calibration: usize,
}

/// What a list says as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListAnswer {
    /// Names with a p-value.
    pub names: usize,
    /// Chance of so many small p-values, at the threshold where they are most striking, for a list
    /// without members.
    pub p_value: f64,
    /// At least so many of the names are members, with a confidence of 95 %.
    pub at_least: usize,
    /// Estimated number of members that stand out; those of whom nothing is left in the model are not
    /// counted, so it is too low rather than too high.
    pub about: f64,
}

impl ListAnswer {
    /// The answer for a list, form by form of its names; `None` without a name.
    ///
    /// # Errors
    /// When a p-value is not above 0 and at most 1, or names are ranked among nothing.
    pub fn of(groups: &[RankedNames<'_>], seed: u64) -> Result<Option<Self>> {
        for group in groups {
            if group.calibration == 0 {
                return Err(DetectError::Empty { list: "calibration rows" });
            }
            if let Some((index, &value)) =
                group.p_values.iter().enumerate().find(|(_, p)| !(**p > 0.0 && **p <= 1.0))
            {
                return Err(DetectError::NotAProbability { index, value });
            }
        }
        let names: usize = groups.iter().map(|group| group.p_values.len()).sum();
        if names == 0 {
            return Ok(None);
        }
        let most = groups.iter().map(|group| group.calibration).max().unwrap_or(1);
        let thresholds = thresholds(most);
        let observed = thresholds.iter().map(|threshold| {
            let of = |group: &RankedNames<'_>| {
                group.p_values.iter().filter(|p| at_most(**p, *threshold)).count()
            };
            groups.iter().map(of).sum::<usize>() as f64
        });
        let observed: Vec<f64> = observed.collect();
        let scales = Scales::simulate(groups, &thresholds, seed);
        let excess = scales.excess(&observed);
        let as_striking = scales.excesses.iter().filter(|simulated| **simulated >= excess).count();
        let critical = quantile(scales.excesses.iter().copied(), CONFIDENCE);
        let bound = (0..thresholds.len()).map(|at| {
            let others = scales.means[at] / names as f64;
            (observed[at] - scales.means[at] - critical * scales.deviations[at]) / (1.0 - others)
        });
        let bound = bound.fold(0.0_f64, f64::max).ceil();
        let all = groups.iter().flat_map(|group| group.p_values);
        let above = all.filter(|p| **p > HIGHEST).count() as f64;
        let at_least = (bound as usize).min(names);
        Ok(Some(Self {
            names,
            p_value: (1 + as_striking) as f64 / (1 + SIMULATED) as f64,
            at_least,
            about: (names as f64 - above / (1.0 - HIGHEST)).max(at_least as f64),
        }))
    }
}

/// What counts of small p-values are without members, by threshold.
struct Scales {
    means: Vec<f64>,
    deviations: Vec<f64>,
    /// The greatest excess of each simulated list.
    excesses: Vec<f64>,
}

impl Scales {
    fn simulate(groups: &[RankedNames<'_>], thresholds: &[f64], seed: u64) -> Self {
        let mut rng = stream("umid-detect list answer", seed, 0);
        let mut lists = vec![vec![0.0; thresholds.len()]; SIMULATED];
        for group in groups {
            let ranks: Vec<usize> =
                thresholds.iter().map(|threshold| rank_at(*threshold, group.calibration)).collect();
            for list in &mut lists {
                for (count, simulated) in list.iter_mut().zip(counts(group, &ranks, &mut rng)) {
                    *count += simulated as f64;
                }
            }
        }
        let expected = |threshold: f64| {
            let of = |group: &RankedNames<'_>| {
                let rank = rank_at(threshold, group.calibration) as f64;
                group.p_values.len() as f64 * rank / (group.calibration + 1) as f64
            };
            groups.iter().map(of).sum::<f64>()
        };
        let means: Vec<f64> = thresholds.iter().map(|threshold| expected(*threshold)).collect();
        let deviation = |at: usize| {
            let squares = lists.iter().map(|list| (list[at] - means[at]).powi(2)).sum::<f64>();
            (squares / SIMULATED as f64).sqrt()
        };
        let deviations = (0..thresholds.len()).map(deviation).collect();
        let mut scales = Self { means, deviations, excesses: Vec::new() };
        scales.excesses = lists.iter().map(|list| scales.excess(list)).collect();
        scales
    }

    /// The greatest excess of counts over their means, in deviations.
    fn excess(&self, counts: &[f64]) -> f64 {
        let of = |at: usize| match self.deviations[at] {
            deviation if deviation > 0.0 => (counts[at] - self.means[at]) / deviation,
            _ => 0.0,
        };
        (0..counts.len()).map(of).fold(f64::NEG_INFINITY, f64::max)
    }
}

/// From the smallest p-value that so many rows can give, upwards.
fn thresholds(calibration: usize) -> Vec<f64> {
    let lowest = (1.0 / (calibration + 1) as f64).min(HIGHEST);
    let step = (HIGHEST / lowest).powf(1.0 / (THRESHOLDS - 1) as f64);
    (0..THRESHOLDS).map(|at| lowest * step.powi(at as i32)).collect()
}

/// Slack for p-values that are fractions.
const SLACK: f64 = 1e-9;

fn at_most(p_value: f64, threshold: f64) -> bool {
    p_value <= threshold + SLACK
}

/// The number of p-values up to the threshold that so many rows can give.
fn rank_at(threshold: f64, calibration: usize) -> usize {
    ((threshold + SLACK) * (calibration + 1) as f64) as usize
}

/// How many names of a group without members have one of the first `ranks` p-values: the calibration
/// rows cut the line from 0 to 1 at random, and names fall between the cuts.
fn counts(group: &RankedNames<'_>, ranks: &[usize], rng: &mut impl rand::Rng) -> Vec<u64> {
    let (mut before, mut sum) = (0, 0.0);
    let mut cuts = Vec::with_capacity(ranks.len() + 1);
    for rank in ranks.iter().chain([&(group.calibration + 1)]) {
        if *rank > before {
            sum += Gamma::new((rank - before) as f64, 1.0).expect("a shape above 0").sample(rng);
        }
        cuts.push(sum);
        before = *rank;
    }
    let total = cuts.pop().expect("one more than the ranks");
    let (mut below, mut left, mut so_far) = (0.0, group.p_values.len() as u64, 0);
    let mut counts = Vec::with_capacity(ranks.len());
    for cut in cuts {
        let cut = cut / total;
        let share = ((cut - below) / (1.0 - below)).clamp(0.0, 1.0);
        let fall = Binomial::new(left, share).expect("a share").sample(rng);
        left -= fall;
        so_far += fall;
        counts.push(so_far);
        below = cut;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConformalCalibration;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// p-values of names among `calibration` others, of which the first `members` lie higher.
    fn p_values(
        rng: &mut ChaCha8Rng,
        names: usize,
        members: usize,
        calibration: usize,
    ) -> Vec<f64> {
        let scores = (0..calibration).map(|_| rng.random::<f64>()).collect();
        let calibration = ConformalCalibration::new(scores).unwrap();
        let score =
            |i: usize, uniform: f64| if i < members { 0.9 + uniform / 5.0 } else { uniform };
        (0..names).map(|i| calibration.p_value(score(i, rng.random())).unwrap()).collect()
    }

    fn answer(lists: &[(Vec<f64>, usize)]) -> ListAnswer {
        let groups: Vec<RankedNames<'_>> = lists
            .iter()
            .map(|(p_values, calibration)| RankedNames { p_values, calibration: *calibration })
            .collect();
        ListAnswer::of(&groups, 1).unwrap().unwrap()
    }

    #[test]
    fn lists_without_members_are_seldom_said_to_have_some() {
        const LISTS: usize = 300;
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut accused = 0;
        let mut bounded = 0;
        for _ in 0..LISTS {
            let two = [(p_values(&mut rng, 150, 0, 400), 400), (p_values(&mut rng, 30, 0, 40), 40)];
            let answer = answer(&two);
            accused += usize::from(answer.p_value <= 0.05);
            bounded += usize::from(answer.at_least > 0);
        }
        // 5 % of 300, and four standard errors.
        assert!((1..=30).contains(&accused), "{accused} of {LISTS}");
        assert!((1..=30).contains(&bounded), "{bounded} of {LISTS}");
    }

    #[test]
    fn members_are_counted_from_below() {
        const LISTS: usize = 100;
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let (mut too_many, mut sum, mut about) = (0, 0, 0.0);
        for _ in 0..LISTS {
            let answer = answer(&[(p_values(&mut rng, 200, 60, 400), 400)]);
            assert!(answer.p_value <= 0.001, "{answer:?}");
            about += answer.about / LISTS as f64;
            too_many += usize::from(answer.at_least > 60);
            sum += answer.at_least;
        }
        assert!(too_many <= 12, "{too_many} of {LISTS}");
        assert!((25 * LISTS..=55 * LISTS).contains(&sum), "{sum}");
        // One list's estimate has a deviation of about 15.
        assert!((54.0..=66.0).contains(&about), "{about}");
    }

    #[test]
    fn nothing_is_said_of_nobody_and_bad_p_values_are_refused() {
        assert_eq!(ListAnswer::of(&[], 0).unwrap(), None);
        for bad in [0.0, 1.1, f64::NAN] {
            let group = RankedNames { p_values: &[0.5, bad], calibration: 20 };
            assert!(matches!(
                ListAnswer::of(&[group], 0),
                Err(DetectError::NotAProbability { index: 1, .. })
            ));
        }
        let group = RankedNames { p_values: &[0.5], calibration: 0 };
        assert!(ListAnswer::of(&[group], 0).is_err());
    }

    #[test]
    fn the_answer_is_that_of_the_seed_and_a_single_name_has_one() {
        let group = RankedNames { p_values: &[1.0 / 21.0], calibration: 20 };
        let answer = ListAnswer::of(&[group], 7).unwrap();
        assert_eq!(answer, ListAnswer::of(&[group], 7).unwrap());
        assert_eq!(answer.unwrap().names, 1);
    }
}
