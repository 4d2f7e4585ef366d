//! Whether a name's score changed more than those of names that neither model saw.
//!
//! A score is set in deviations of the scores of those reference names that set scales, under each
//! model: `(score - median) / (1.4826 * median distance from it)`. Ranks would serve different
//! architectures as well, but they are at their end for a name that stands out, so that no rank tells
//! a name that stands out less. The change is the difference of the two. Its p-value is conformal, among the
//! changes of the reference names that calibrate: centre and deviation are fixed before any of these is
//! looked at, so a name that is exchangeable with them has p <= alpha with a probability of at most
//! alpha, for every alpha that ranks can reach. A change beyond all of theirs has a smaller p-value by their
//! tail ([`ConformalCalibration::tail_p_value`]), which is extrapolated.
//!
//! What is tested is "changed as a name that neither model saw", not "changed by nothing": two
//! trainings on the same data leave a member's score at different heights too.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use umid_detect::{ConformalCalibration, quantile};

use crate::audit::AuditSummary;
use crate::error::AuditError;
use crate::reading::calibrated_reader::ReferenceScores;
use crate::reading::form::Form;

/// Turns a median distance into a deviation for a normal distribution.
const DEVIATIONS_A_MEDIAN_DISTANCE: f64 = 1.4826;

/// Fewest reference names of a form among which a change is ranked.
const FEWEST_RANKED: usize = 20;

/// Which changes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Falls: something was to be forgotten.
    Less,
    /// Rises.
    More,
    /// Either; half of the level goes to each.
    Both,
}

impl FromStr for Direction {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "less" => Ok(Self::Less),
            "more" => Ok(Self::More),
            "both" => Ok(Self::Both),
            other => Err(format!("`{other}` is none of less, more, both")),
        }
    }
}

/// A model's scores in deviations of its own reference.
pub(super) struct Standardised {
    forms: BTreeMap<Form, Scale>,
}

struct Scale {
    centre: f64,
    deviation: f64,
    /// Of the reference names that calibrate, in deviations.
    calibration: Vec<Option<f64>>,
}

impl Standardised {
    pub(super) fn of(audit: &AuditSummary) -> Self {
        let scales = audit.reference_scores.iter();
        Self { forms: scales.filter_map(|(form, s)| Some((*form, Scale::of(s)?))).collect() }
    }

    /// A score of a name of this form; `None` where the reference has no such names.
    pub(super) fn score(&self, form: Form, score: f64) -> Option<f64> {
        Some(self.forms.get(&form)?.of_score(score))
    }
}

impl Scale {
    /// `None` where the names that set scales have no spread.
    fn of(scores: &ReferenceScores) -> Option<Self> {
        let fit: Vec<f64> = scores.fit.iter().copied().flatten().collect();
        if fit.is_empty() {
            return None;
        }
        let centre = quantile(fit.iter().copied(), 0.5);
        let distance = quantile(fit.iter().map(|score| (score - centre).abs()), 0.5);
        let deviation = DEVIATIONS_A_MEDIAN_DISTANCE * distance;
        let mut scale = Self { centre, deviation, calibration: Vec::new() };
        let of = |score: &Option<f64>| score.map(|score| scale.of_score(score));
        scale.calibration = scores.calibration.iter().map(of).collect();
        (deviation > 0.0).then_some(scale)
    }

    fn of_score(&self, score: f64) -> f64 {
        (score - self.centre) / self.deviation
    }
}

/// The changes of reference names, by form.
pub(super) struct Changes {
    forms: BTreeMap<Form, Ranked>,
}

struct Ranked {
    /// The calibrating names' scores before and after.
    scores: Vec<[f64; 2]>,
    rises: ConformalCalibration,
    falls: ConformalCalibration,
}

impl Changes {
    /// Of those of these forms that both models have enough names of.
    pub(super) fn of(
        [before, after]: &[Standardised; 2],
        asked: &BTreeSet<Form>,
    ) -> Result<Self, AuditError> {
        let mut forms = BTreeMap::new();
        for (form, first) in before.forms.iter().filter(|(form, _)| asked.contains(form)) {
            let Some(second) = after.forms.get(form) else { continue };
            let both = first.calibration.iter().zip(&second.calibration);
            let scores: Vec<[f64; 2]> = both.filter_map(|(a, b)| Some([(*a)?, (*b)?])).collect();
            if scores.len() < FEWEST_RANKED {
                continue;
            }
            let changes = |sign: f64| scores.iter().map(|[a, b]| sign * (b - a)).collect();
            let rises = ConformalCalibration::new(changes(1.0))?;
            let falls = ConformalCalibration::new(changes(-1.0))?;
            forms.insert(*form, Ranked { scores, rises, falls });
        }
        Ok(Self { forms })
    }

    /// The p-value of a change of score; `None` for a form that is not ranked.
    pub(super) fn p_value(
        &self,
        form: Form,
        change: f64,
        direction: Direction,
    ) -> Result<Option<f64>, AuditError> {
        let Some(ranked) = self.forms.get(&form) else { return Ok(None) };
        let tail = |calibration: &ConformalCalibration, change: f64| {
            let by_rank = calibration.p_value(change)?;
            Ok::<_, AuditError>(calibration.tail_p_value(change)?.unwrap_or(by_rank))
        };
        let p_value = match direction {
            Direction::More => tail(&ranked.rises, change)?,
            Direction::Less => tail(&ranked.falls, -change)?,
            Direction::Both => {
                let (rise, fall) = (tail(&ranked.rises, change)?, tail(&ranked.falls, -change)?);
                (2.0 * rise.min(fall)).min(1.0)
            }
        };
        Ok(Some(p_value))
    }

    pub(super) fn most_ranked(&self) -> usize {
        self.forms.values().map(|ranked| ranked.scores.len()).max().unwrap_or(0)
    }

    /// Scores of all ranked reference names, before and after.
    pub(super) fn reference(&self) -> impl Iterator<Item = [f64; 2]> {
        self.forms.values().flat_map(|ranked| ranked.scores.iter().copied())
    }

    /// Pearson's correlation of the reference names' scores under the two models, by form.
    pub(super) fn correlations(&self) -> BTreeMap<String, f64> {
        let of = |(form, ranked): (&Form, &Ranked)| (form.to_string(), correlation(&ranked.scores));
        self.forms.iter().map(of).collect()
    }
}

fn correlation(pairs: &[[f64; 2]]) -> f64 {
    let count = pairs.len() as f64;
    let mean = |side: usize| pairs.iter().map(|pair| pair[side]).sum::<f64>() / count;
    let means = [mean(0), mean(1)];
    let product = |a: usize, b: usize| {
        pairs.iter().map(|pair| (pair[a] - means[a]) * (pair[b] - means[b])).sum::<f64>()
    };
    product(0, 1) / (product(0, 0) * product(1, 1)).sqrt()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn bell(rng: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
    }

    /// Scores of 60 and 120 names under two models that agree as far as `shared`.
    fn models(rng: &mut ChaCha8Rng, shared: f64) -> [ReferenceScores; 2] {
        let mut draw = |count: usize| -> Vec<[Option<f64>; 2]> {
            let pair = |rng: &mut ChaCha8Rng| {
                let common = bell(rng);
                [1.0, 3.0]
                    .map(|scale| Some(scale * (shared * common + (1.0 - shared) * bell(rng)) + 5.0))
            };
            (0..count).map(|_| pair(rng)).collect()
        };
        let (fit, calibration) = (draw(60), draw(120));
        [0, 1].map(|side| ReferenceScores {
            fit: fit.iter().map(|pair| pair[side]).collect(),
            calibration: calibration.iter().map(|pair| pair[side]).collect(),
        })
    }

    fn standardised(scores: &ReferenceScores) -> Standardised {
        let scale = Scale::of(scores).expect("scores with a spread");
        Standardised { forms: BTreeMap::from([(Form::TWO_WORDS, scale)]) }
    }

    fn two_words() -> BTreeSet<Form> {
        BTreeSet::from([Form::TWO_WORDS])
    }

    #[test]
    fn a_name_that_neither_model_saw_seldom_changes() {
        const WORLDS: usize = 3_000;
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let mut counts = [0; 3];
        for world in 0..WORLDS {
            let shared = [0.0, 0.5, 0.9][world % 3];
            let mut scores = models(&mut rng, shared);
            // The last calibrating name is the one that is asked about.
            let asked = scores.each_mut().map(|s| s.calibration.pop().flatten().unwrap());
            let sides = scores.each_ref().map(standardised);
            let changes = Changes::of(&sides, &two_words()).unwrap();
            let [before, after] =
                [0, 1].map(|side| sides[side].score(Form::TWO_WORDS, asked[side]).unwrap());
            for (count, direction) in
                counts.iter_mut().zip([Direction::Less, Direction::More, Direction::Both])
            {
                let p = changes.p_value(Form::TWO_WORDS, after - before, direction);
                *count += usize::from(p.unwrap().unwrap() <= 0.1);
            }
        }
        // Four standard errors of 10 % of 3,000.
        for count in counts {
            let share = count as f64 / WORLDS as f64;
            assert!((0.07..=0.122).contains(&share), "{share}");
        }
    }

    #[test]
    fn a_name_that_fell_is_told_in_its_direction_alone() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let sides = models(&mut rng, 0.8).each_ref().map(standardised);
        let changes = Changes::of(&sides, &two_words()).unwrap();
        let p = |direction| changes.p_value(Form::TWO_WORDS, -6.0, direction).unwrap().unwrap();
        assert!(p(Direction::Less) <= 1.0 / 121.0);
        assert!(p(Direction::Both) <= 2.0 / 121.0);
        assert!(p(Direction::More) > 0.99);
        assert!(changes.correlations()[&Form::TWO_WORDS.to_string()] > 0.7);
        assert_eq!(changes.most_ranked(), 120);
        assert!(
            changes
                .p_value(Form::TWO_WORDS.without_parts(), 0.0, Direction::Both)
                .unwrap()
                .is_none()
        );
        assert!(changes.p_value(Form::TWO_WORDS, f64::NAN, Direction::Both).is_err());
    }

    #[test]
    fn a_form_without_spread_or_with_few_names_is_not_ranked() {
        let same = ReferenceScores { fit: vec![Some(1.0); 30], calibration: vec![Some(1.0); 60] };
        assert!(Scale::of(&same).is_none());
        let mut rng = ChaCha8Rng::seed_from_u64(10);
        let mut few = models(&mut rng, 0.5);
        for scores in &mut few {
            scores.calibration.truncate(FEWEST_RANKED - 1);
        }
        let changes = Changes::of(&few.each_ref().map(standardised), &two_words()).unwrap();
        assert_eq!(changes.most_ranked(), 0);
    }
}
