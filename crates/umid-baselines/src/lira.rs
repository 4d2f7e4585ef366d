//! LiRA, the likelihood-ratio attack with reference ("shadow") models: Carlini, Chien, Nasr, Song,
//! Terzis and Tramèr, "Membership Inference Attacks From First Principles", IEEE S&P 2022.
//!
//! How high does the queried pair score under models that trained on it, and under models that did
//! not? Each query's IN and OUT scores are taken as normal around their own means. With a handful
//! of models a query's own variance cannot be estimated, so one variance over all queries is used
//! for IN and one for OUT, as the paper advises. It is pooled **within** queries:
//! the spread between queries, which the IN and OUT means already account for, does not enter.
//!
//! Scores should be near normal: cosines, or log odds of a loss, rather than probabilities.
//!
//! **Needs** reference models trained on known random subsets of a pool that holds the queries
//! (online), or on none of them (offline); and whatever the score itself needs. **Costs** one score
//! under the target and one under each reference model, and the training of those models.

use crate::checks;
use crate::error::{BaselineError, Result};
use crate::gaussian::Gaussian;
use crate::reference_models::{Points, Side};

/// Log likelihood ratio of each query's score under the IN and the OUT distribution; higher for
/// members.
///
/// # Errors
/// When sizes differ, a score is not finite, a query was in the training set of no model or of
/// every one, or the scores do not vary within queries, so that no variance can be had.
///
/// ```
/// use ndarray::array;
/// use umid_baselines::{Points, lira_online};
///
/// let target = array![0.9, 0.2];
/// let references = array![[0.9, 0.2], [0.1, 0.3], [0.8, 1.0], [0.2, 0.9]];
/// let trained_on = array![[true, false], [false, false], [true, true], [false, true]];
/// let scores = lira_online(&Points {
///     target: target.view(),
///     references: references.view(),
///     trained_on: trained_on.view(),
/// })?;
/// assert!(scores[0] > 0.0 && scores[1] < 0.0);
/// # Ok::<(), umid_baselines::BaselineError>(())
/// ```
pub fn lira_online(queries: &Points<'_>) -> Result<Vec<f64>> {
    queries.check("scores")?;
    let (inside, outside) = (Pooled::of(queries, Side::In)?, Pooled::of(queries, Side::Out)?);
    let scores = queries.target.iter().enumerate().map(|(query, &score)| {
        inside.of_query(query).log_density(score) - outside.of_query(query).log_density(score)
    });
    finite(scores.collect())
}

/// How far each query's score lies above its OUT distribution, in deviations; higher for members.
///
/// The paper's offline score is the OUT distribution function at the target's score. This is its
/// argument: the same order, without running into 1. Scores under models that trained on a query
/// are not used for it.
///
/// # Errors
/// As [`lira_online`], except that no query need be in any training set.
///
/// ```
/// use ndarray::array;
/// use umid_baselines::{Points, lira_offline};
///
/// let (target, references) = (array![0.9, 0.4], array![[0.1, 0.3], [0.3, 0.5]]);
/// let trained_on = array![[false, false], [false, false]];
/// let scores = lira_offline(&Points {
///     target: target.view(),
///     references: references.view(),
///     trained_on: trained_on.view(),
/// })?;
/// assert!(scores[0] > 4.0 && scores[1].abs() < 1e-9);
/// # Ok::<(), umid_baselines::BaselineError>(())
/// ```
pub fn lira_offline(queries: &Points<'_>) -> Result<Vec<f64>> {
    queries.check("scores")?;
    let outside = Pooled::of(queries, Side::Out)?;
    let scores = queries.target.iter().enumerate();
    finite(scores.map(|(query, &score)| outside.of_query(query).z(score)).collect())
}

/// Extreme but finite scores can still overflow a square.
fn finite(scores: Vec<f64>) -> Result<Vec<f64>> {
    checks::finite_list("likelihood ratios", &scores)?;
    Ok(scores)
}

/// Each query's mean over the models on one side, with the deviation that they share.
struct Pooled {
    means: Vec<f64>,
    deviation: f64,
}

impl Pooled {
    fn of(queries: &Points<'_>, side: Side) -> Result<Self> {
        let mut means = Vec::with_capacity(queries.target.len());
        let (mut squares, mut count) = (0.0, 0);
        for query in 0..queries.target.len() {
            let own = queries.under(side, query);
            if own.is_empty() {
                return Err(side.missing(query));
            }
            let mean = own.iter().sum::<f64>() / own.len() as f64;
            squares += own.iter().map(|score| (score - mean).powi(2)).sum::<f64>();
            count += own.len();
            means.push(mean);
        }
        // One degree of freedom goes to each query's mean.
        let deviation = (squares / (count - means.len()) as f64).sqrt();
        if !(deviation > 0.0 && deviation.is_finite()) {
            let what = match side {
                Side::In => "scores of one query under models that trained on it",
                Side::Out => "scores of one query under models that did not train on it",
            };
            return Err(BaselineError::NoSpread { what });
        }
        Ok(Self { means, deviation })
    }

    fn of_query(&self, query: usize) -> Gaussian {
        Gaussian { mean: self.means[query], deviation: self.deviation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2, array};

    fn online(
        target: &Array1<f64>,
        references: &Array2<f64>,
        trained_on: &Array2<bool>,
    ) -> Result<Vec<f64>> {
        let (references, trained_on) = (references.view(), trained_on.view());
        lira_online(&Points { target: target.view(), references, trained_on })
    }

    fn offline(
        target: &Array1<f64>,
        references: &Array2<f64>,
        trained_on: &Array2<bool>,
    ) -> Result<Vec<f64>> {
        let (references, trained_on) = (references.view(), trained_on.view());
        lira_offline(&Points { target: target.view(), references, trained_on })
    }

    #[test]
    fn the_ratio_is_that_of_the_pooled_normal_densities() {
        let references = array![[1.0, 10.0], [3.0, 14.0], [0.0, 0.0], [2.0, 2.0]];
        let trained_on = array![[true, true], [true, true], [false, false], [false, false]];
        let scores = online(&array![2.0, 1.0], &references, &trained_on).expect("usable");
        // IN: means 2 and 12, squares 2 + 8 on 2 degrees of freedom; OUT: means 1, squares 2 + 2.
        let (inside, outside) = (5f64, 2f64);
        assert_eq!(scores.len(), 2);
        for (found, (score, mean)) in scores.iter().zip([(2.0, 2.0f64), (1.0, 12.0)]) {
            let log = |mean: f64, variance: f64| {
                -0.5 * (score - mean).powi(2) / variance - 0.5 * variance.ln()
            };
            assert!((found - (log(mean, inside) - log(1.0, outside))).abs() < 1e-12);
        }
    }

    #[test]
    fn offline_uses_only_models_without_the_query() {
        let trained_on = array![[true], [false], [false]];
        let score = |inside: f64| {
            offline(&array![4.0], &array![[inside], [0.0], [2.0]], &trained_on).expect("usable")
        };
        assert_eq!(score(5.0), score(-100.0));
        assert!((score(0.0)[0] - 3.0 / 2f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn missing_models_and_flat_scores_are_refused() {
        let target = array![1.0];
        let (all, none) = (Array2::from_elem((2, 1), true), Array2::from_elem((2, 1), false));
        let references = array![[1.0], [2.0]];
        let result = online(&target, &references, &all);
        assert!(matches!(result, Err(BaselineError::NoReference { query: 0, .. })), "{result:?}");
        let result = offline(&target, &Array2::from_elem((2, 1), 0.5), &none);
        assert!(matches!(result, Err(BaselineError::NoSpread { .. })), "{result:?}");
        let single = offline(&target, &array![[0.5]], &array![[false]]);
        assert!(matches!(single, Err(BaselineError::NoSpread { .. })), "{single:?}");
        assert!(offline(&array![f64::NAN], &references, &none).is_err());
        let result = offline(&array![1.0, 2.0], &references, &none);
        assert!(matches!(result, Err(BaselineError::Size { .. })), "{result:?}");
    }
}
