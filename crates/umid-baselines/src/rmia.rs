//! RMIA, the robust membership inference attack: Zarifzadeh, Liu and Shokri, "Low-Cost High-Power
//! Membership Inference Attacks", ICML 2024.
//!
//! A member should gain more from the model than others of the population do. With
//! `Pr(x | model) / Pr(x)` as the gain of x, where `Pr(x)` comes from reference models, the score
//! is the share of population points z that x beats by a factor of gamma:
//! `Pr_z[(Pr(x | model) / Pr(x)) / (Pr(z | model) / Pr(z)) >= gamma]`.
//!
//! Scores are given as **log probabilities**, so at most 0: of the true text among candidates, say
//! (minus a contrastive loss is one). They are kept as logarithms throughout.
//!
//! **Needs** one or more reference models, population points that are in no training set under
//! test, and whatever the score itself needs. **Costs** one score of each query and population
//! point under the target and each reference model.

use crate::error::{BaselineError, Result};
use crate::reference_models::{Points, Side};

/// Where `Pr(x)` comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ReferenceSide {
    /// Half the mean over models that trained on x and half that over models that did not. Every
    /// query needs both.
    Online,
    /// From models that did not train on x alone: `((1 + a) Pr_out(x) + (1 - a)) / 2`, a line
    /// through (1, 1) that stands in for the missing half.
    Offline {
        /// Between 0 and 1; the paper tunes it between two reference models.
        a: f64,
    },
}

/// The attack's settings.
///
/// ```
/// use ndarray::{Array2, array};
/// use umid_baselines::{Points, ReferenceSide, Rmia};
///
/// let out = Array2::from_elem((1, 2), false);
/// // Under the target the first query is likelier than under the reference model, the second is not.
/// let (target, reference) = (array![-0.1, -1.0], array![[-1.0, -1.0]]);
/// let queries = Points { target: target.view(), references: reference.view(), trained_on: out.view() };
/// let (z_target, z_reference) = (array![-1.0, -0.9], array![[-0.9, -1.0]]);
/// let population = Points { target: z_target.view(), references: z_reference.view(), trained_on: out.view() };
/// let attack = Rmia { gamma: 1.0, side: ReferenceSide::Offline { a: 1.0 } };
/// assert_eq!(attack.score(&queries, &population)?, [1.0, 0.5]);
/// # Ok::<(), umid_baselines::BaselineError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rmia {
    /// Factor by which x must beat z, at least 1. With few population points a large one leaves
    /// many queries tied at 0.
    pub gamma: f64,
    /// Where `Pr(x)` comes from.
    pub side: ReferenceSide,
}

impl Default for Rmia {
    /// Offline with a = 0.3 and gamma = 1: 1 leaves the fewest ties. Both are starting points, to be
    /// tuned between two reference models as the paper does.
    fn default() -> Self {
        Self { gamma: 1.0, side: ReferenceSide::Offline { a: 0.3 } }
    }
}

impl Rmia {
    /// Share of the population that each query beats; higher for members.
    ///
    /// Online, a population point that no reference model trained on takes the mean over all models
    /// as its `Pr(z)`, since it is a non-member by definition.
    ///
    /// # Errors
    /// When a setting is outside its range, sizes differ, there is no query or population point, a
    /// log probability is above 0 or not finite, or a query lacks a reference model that it needs.
    pub fn score(&self, queries: &Points<'_>, population: &Points<'_>) -> Result<Vec<f64>> {
        self.check()?;
        let gains = self.log_gains(queries, "query", Lacking::Refused)?;
        let mut others = self.log_gains(population, "population", Lacking::MeanOfTheRest)?;
        others.sort_by(f64::total_cmp);
        let log_gamma = self.gamma.ln();
        let beaten = |gain: &f64| others.partition_point(|other| gain - other >= log_gamma);
        Ok(gains.iter().map(|gain| beaten(gain) as f64 / others.len() as f64).collect())
    }

    fn check(&self) -> Result<()> {
        if !(self.gamma >= 1.0 && self.gamma.is_finite()) {
            let (argument, expected) = ("gamma", "a finite number of at least 1");
            return Err(BaselineError::Argument { argument, expected, found: self.gamma });
        }
        match self.side {
            ReferenceSide::Offline { a } if !(0.0..=1.0).contains(&a) => {
                Err(BaselineError::Argument { argument: "a", expected: "0 to 1", found: a })
            }
            _ => Ok(()),
        }
    }

    /// `ln(Pr(x | model) / Pr(x))` of every point.
    fn log_gains(
        &self,
        points: &Points<'_>,
        array: &'static str,
        lacking: Lacking,
    ) -> Result<Vec<f64>> {
        check(points, array)?;
        (0..points.target.len())
            .map(|point| Ok(points.target[point] - self.log_prior(points, point, lacking)?))
            .collect()
    }

    fn log_prior(&self, points: &Points<'_>, point: usize, lacking: Lacking) -> Result<f64> {
        let mean = |side| log_mean(points, side, point);
        let outside = mean(Side::Out).ok_or_else(|| Side::Out.missing(point))?;
        match self.side {
            ReferenceSide::Offline { a } => {
                let scaled = f64::midpoint(1.0, a).ln() + outside;
                Ok(log_add(scaled, f64::midpoint(1.0, -a).ln()))
            }
            ReferenceSide::Online => match (mean(Side::In), lacking) {
                (Some(inside), _) => Ok(log_add(inside, outside) - 2f64.ln()),
                (None, Lacking::MeanOfTheRest) => Ok(outside),
                (None, Lacking::Refused) => Err(Side::In.missing(point)),
            },
        }
    }
}

/// What happens online to a point that no reference model trained on.
#[derive(Debug, Clone, Copy)]
enum Lacking {
    Refused,
    MeanOfTheRest,
}

/// Checks points whose scores are log probabilities.
fn check(points: &Points<'_>, array: &'static str) -> Result<()> {
    points.check(array)?;
    let mut scores = points.target.iter().chain(points.references.iter()).copied();
    match scores.find(|&value| value > 0.0) {
        None => Ok(()),
        Some(found) => Err(BaselineError::Argument {
            argument: "log probability",
            expected: "at most 0",
            found,
        }),
    }
}

/// Logarithm of the mean probability over the models on one side; `None` where there is none.
fn log_mean(points: &Points<'_>, side: Side, point: usize) -> Option<f64> {
    let own = points.under(side, point);
    let sum = own.iter().copied().reduce(log_add)?;
    Some(sum - (own.len() as f64).ln())
}

/// `ln(exp(a) + exp(b))`; one of them may be minus infinity.
fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    high + (low - high).exp().ln_1p()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2, array};

    struct Owned(Array1<f64>, Array2<f64>, Array2<bool>);

    impl Owned {
        fn view(&self) -> Points<'_> {
            Points { target: self.0.view(), references: self.1.view(), trained_on: self.2.view() }
        }
    }

    /// Points in probabilities, for reading.
    fn points(target: &[f64], references: &Array2<f64>, trained_on: Array2<bool>) -> Owned {
        Owned(target.iter().map(|p| p.ln()).collect(), references.mapv(f64::ln), trained_on)
    }

    #[test]
    fn offline_follows_the_formula() {
        let out = |n| Array2::from_elem((2, n), false);
        let queries = points(&[0.8, 0.1], &array![[0.4, 0.5], [0.2, 0.3]], out(2));
        let z = [0.3, 0.3, 0.6, 0.5];
        let z_out = array![[0.1, 0.2, 0.5, 0.9], [0.3, 0.4, 0.7, 0.7]];
        let population = points(&z, &z_out, out(4));
        for a in [0.0, 0.3, 1.0] {
            let gain = |p: f64, mean: f64| p / (0.5 * ((1.0 + a) * mean + 1.0 - a));
            let others = [(0.3, 0.2), (0.3, 0.3), (0.6, 0.6), (0.5, 0.8)];
            for gamma in [1.0, 1.9] {
                let attack = Rmia { gamma, side: ReferenceSide::Offline { a } };
                let found = attack.score(&queries.view(), &population.view()).expect("usable");
                assert_eq!(found.len(), 2);
                for (found, own) in found.iter().zip([gain(0.8, 0.3), gain(0.1, 0.4)]) {
                    let beaten =
                        others.iter().filter(|(p, mean)| own / gain(*p, *mean) >= gamma).count();
                    assert_eq!(*found, beaten as f64 / 4.0, "a {a}, gamma {gamma}");
                }
            }
        }
    }

    #[test]
    fn online_averages_both_sides() {
        let memberships = array![[true], [false]];
        let queries = points(&[0.5], &array![[0.6], [0.2]], memberships);
        let attack = Rmia { gamma: 1.0, side: ReferenceSide::Online };
        let prior = attack.log_prior(&queries.view(), 0, Lacking::Refused).expect("both sides");
        assert!((prior - 0.4f64.ln()).abs() < 1e-12);
        let no_model = points(&[0.5], &array![[0.6], [0.2]], array![[false], [false]]);
        let result = attack.score(&no_model.view(), &queries.view());
        assert!(matches!(result, Err(BaselineError::NoReference { query: 0, .. })));
        // The same point is accepted in the population.
        assert!(attack.score(&queries.view(), &no_model.view()).is_ok());
    }

    #[test]
    fn tiny_probabilities_do_not_underflow() {
        let far = Owned(array![-2000.0], array![[-3000.0]], array![[false]]);
        let near = Owned(array![-3000.0], array![[-2000.0]], array![[false]]);
        let attack = Rmia { gamma: 2.0, side: ReferenceSide::Offline { a: 1.0 } };
        assert_eq!(attack.score(&far.view(), &near.view()).expect("usable"), [1.0]);
        assert_eq!(attack.score(&near.view(), &far.view()).expect("usable"), [0.0]);
    }

    #[test]
    fn bad_settings_and_scores_are_refused() {
        let good = points(&[0.5], &array![[0.5]], array![[false]]);
        for (name, attack) in [
            ("gamma", Rmia { gamma: 0.5, ..Rmia::default() }),
            ("gamma", Rmia { gamma: f64::NAN, ..Rmia::default() }),
            ("a", Rmia { gamma: 1.0, side: ReferenceSide::Offline { a: f64::NAN } }),
            ("a", Rmia { gamma: 1.0, side: ReferenceSide::Offline { a: 1.1 } }),
        ] {
            match attack.score(&good.view(), &good.view()) {
                Err(BaselineError::Argument { argument, .. }) => assert_eq!(argument, name),
                other => panic!("{name}: {other:?}"),
            }
        }
        let positive = Owned(array![0.1], array![[-1.0]], array![[false]]);
        let result = Rmia::default().score(&positive.view(), &good.view());
        assert!(matches!(result, Err(BaselineError::Argument { .. })), "{result:?}");
        let nan = Owned(array![f64::NAN], array![[-1.0]], array![[false]]);
        let result = Rmia::default().score(&good.view(), &nan.view());
        assert!(matches!(result, Err(BaselineError::NonFinite { .. })), "{result:?}");
    }
}
