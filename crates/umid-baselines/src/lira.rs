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

use ndarray::{ArrayView1, ArrayView2};

use crate::checks;
use crate::error::{BaselineError, Result};
use crate::gaussian::Gaussian;

const WITH: &str = "with it in";
const WITHOUT: &str = "with it out of";

/// Log likelihood ratio of each query's score under the IN and the OUT distribution; higher for
/// members.
///
/// # Shapes
/// - `target`: `[queries]`, scores under the audited model
/// - `references`: `[models, queries]`, scores under the reference models
/// - `trained_on`: `[models, queries]`, whether that model trained on that query
///
/// # Errors
/// When sizes differ, a score is not finite, a query was in the training set of no model or of
/// every one, or the scores do not vary within queries, so that no variance can be had.
///
/// ```
/// use ndarray::array;
///
/// let references = array![[0.9, 0.2], [0.1, 0.3], [0.8, 1.0], [0.2, 0.9]];
/// let trained_on = array![[true, false], [false, false], [true, true], [false, true]];
/// let scores = umid_baselines::lira_online(
///     &array![0.9, 0.2].view(), &references.view(), &trained_on.view())?;
/// assert!(scores[0] > 0.0 && scores[1] < 0.0);
/// # Ok::<(), umid_baselines::BaselineError>(())
/// ```
pub fn lira_online(
    target: &ArrayView1<'_, f64>,
    references: &ArrayView2<'_, f64>,
    trained_on: &ArrayView2<'_, bool>,
) -> Result<Vec<f64>> {
    check(target, references, trained_on)?;
    let inside = Side::new(references, trained_on, true)?;
    let outside = Side::new(references, trained_on, false)?;
    let scores = target.iter().enumerate().map(|(query, &score)| {
        inside.of(query).log_density(score) - outside.of(query).log_density(score)
    });
    finite(scores.collect())
}

/// How far each query's score lies above its OUT distribution, in deviations; higher for members.
///
/// The paper's offline score is the OUT distribution function at the target's score. This is its
/// argument: the same order, without running into 1.
///
/// # Shapes
/// As [`lira_online`]; entries of models that trained on a query are not used for it.
///
/// # Errors
/// As [`lira_online`], except that no query need be in any training set.
///
/// ```
/// use ndarray::array;
///
/// let references = array![[0.1, 0.3], [0.3, 0.5]];
/// let trained_on = array![[false, false], [false, false]];
/// let scores = umid_baselines::lira_offline(
///     &array![0.9, 0.4].view(), &references.view(), &trained_on.view())?;
/// assert!(scores[0] > 4.0 && scores[1].abs() < 1e-9);
/// # Ok::<(), umid_baselines::BaselineError>(())
/// ```
pub fn lira_offline(
    target: &ArrayView1<'_, f64>,
    references: &ArrayView2<'_, f64>,
    trained_on: &ArrayView2<'_, bool>,
) -> Result<Vec<f64>> {
    check(target, references, trained_on)?;
    let outside = Side::new(references, trained_on, false)?;
    finite(target.iter().enumerate().map(|(query, &score)| outside.of(query).z(score)).collect())
}

fn check(
    target: &ArrayView1<'_, f64>,
    references: &ArrayView2<'_, f64>,
    trained_on: &ArrayView2<'_, bool>,
) -> Result<()> {
    checks::at_least("queries", 1, target.len())?;
    checks::same_size("queries scored by reference models", target.len(), references.ncols())?;
    checks::same_size("queries with a membership", references.ncols(), trained_on.ncols())?;
    checks::same_size("reference models with memberships", references.nrows(), trained_on.nrows())?;
    checks::finite("target scores", target)?;
    checks::finite("reference scores", references)
}

/// Extreme but finite scores can still overflow a square.
fn finite(scores: Vec<f64>) -> Result<Vec<f64>> {
    checks::finite_list("likelihood ratios", &scores)?;
    Ok(scores)
}

/// Each query's mean over the models on one side, with the deviation that they share.
struct Side {
    means: Vec<f64>,
    deviation: f64,
}

impl Side {
    fn new(
        references: &ArrayView2<'_, f64>,
        trained_on: &ArrayView2<'_, bool>,
        wanted: bool,
    ) -> Result<Self> {
        let side = if wanted { WITH } else { WITHOUT };
        let mut means = Vec::with_capacity(references.ncols());
        let (mut squares, mut count) = (0.0, 0);
        for (query, (scores, trained)) in
            references.columns().into_iter().zip(trained_on.columns()).enumerate()
        {
            let own = || scores.iter().zip(trained).filter(|(_, t)| **t == wanted).map(|(s, _)| s);
            let models = own().count();
            if models == 0 {
                return Err(BaselineError::NoReference { query, side });
            }
            let mean = own().sum::<f64>() / models as f64;
            squares += own().map(|score| (score - mean).powi(2)).sum::<f64>();
            count += models;
            means.push(mean);
        }
        // One degree of freedom goes to each query's mean.
        let deviation = (squares / (count - means.len()) as f64).sqrt();
        if !(deviation > 0.0 && deviation.is_finite()) {
            let what = if wanted {
                "scores of one query under models that trained on it"
            } else {
                "scores of one query under models that did not train on it"
            };
            return Err(BaselineError::NoSpread { what });
        }
        Ok(Self { means, deviation })
    }

    fn of(&self, query: usize) -> Gaussian {
        Gaussian { mean: self.means[query], deviation: self.deviation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn the_ratio_is_that_of_the_pooled_normal_densities() {
        let references = array![[1.0, 10.0], [3.0, 14.0], [0.0, 0.0], [2.0, 2.0]];
        let trained_on = array![[true, true], [true, true], [false, false], [false, false]];
        let scores = lira_online(&array![2.0, 1.0].view(), &references.view(), &trained_on.view())
            .expect("usable");
        // IN: means 2 and 12, squares 2 + 8 on 2 degrees of freedom; OUT: means 1, squares 2 + 2.
        let (inside, outside) = (5f64, 2f64);
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
        let target = array![4.0];
        let score = |inside: f64| {
            let references = array![[inside], [0.0], [2.0]];
            lira_offline(&target.view(), &references.view(), &trained_on.view()).expect("usable")
        };
        assert_eq!(score(5.0), score(-100.0));
        assert!((score(0.0)[0] - 3.0 / 2f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn missing_models_and_flat_scores_are_refused() {
        let target = array![1.0];
        let all = Array2::from_elem((2, 1), true);
        let references = array![[1.0], [2.0]];
        let result = lira_online(&target.view(), &references.view(), &all.view());
        assert!(matches!(result, Err(BaselineError::NoReference { query: 0, .. })), "{result:?}");
        let none = Array2::from_elem((2, 1), false);
        let flat = Array2::from_elem((2, 1), 0.5);
        let result = lira_offline(&target.view(), &flat.view(), &none.view());
        assert!(matches!(result, Err(BaselineError::NoSpread { .. })), "{result:?}");
        let single = lira_offline(&target.view(), &array![[0.5]].view(), &array![[false]].view());
        assert!(matches!(single, Err(BaselineError::NoSpread { .. })), "{single:?}");
        let nan = array![f64::NAN];
        assert!(lira_offline(&nan.view(), &references.view(), &none.view()).is_err());
        let two = array![1.0, 2.0];
        let result = lira_offline(&two.view(), &references.view(), &none.view());
        assert!(matches!(result, Err(BaselineError::Size { .. })), "{result:?}");
    }
}
