//! Gaussian mixture as an anomaly detector: the score is the negative log-likelihood of a row
//! (Bishop, "Pattern Recognition and Machine Learning", 2006, equation 9.14), fitted by the EM of
//! linfa-clustering. Not one of the paper's detectors; an alternative for references with a shape.
//!
//! Two things are done here and not left to linfa-clustering 0.8:
//! - Its `n_runs` continues from the last run's solution and does not start afresh; ours fits
//!   `restarts` models from their own seeds and keeps the likeliest.
//! - It sums exponentials without subtracting the largest, so the density of a far row underflows;
//!   ours is computed from the fitted means and covariances in log space.

use linfa::ParamGuard;
use linfa::dataset::DatasetBase;
use linfa::traits::Fit;
use linfa_clustering::GaussianMixtureModel;
use ndarray::{Array1, Array2, ArrayBase, ArrayView1, ArrayView2, Axis, Data, Ix2};
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::contamination::{Contamination, DEFAULT_CONTAMINATION, check_share};
use crate::detector::Detector;
use crate::error::{DetectError, Result};
use crate::records::{check_queries, check_reference};

const ALGORITHM: &str = "gaussian mixture";
/// Fits from different starts; EM finds a local optimum only.
const DEFAULT_RESTARTS: usize = 5;
/// Added to the diagonal of every covariance; scikit-learn's and linfa's default.
const DEFAULT_REGULARISATION: f64 = 1e-6;
/// EM steps before a start is given up. linfa's default of 100 is too few for close components.
const MAX_EM_STEPS: u64 = 1000;

/// A fitted mixture of Gaussians with full covariances. Scores are negative log-likelihoods.
///
/// ```
/// use linfa::prelude::*;
/// use ndarray::{Array2, array};
/// use umid_detect::{Detector, GaussianMixture};
///
/// let reference = Array2::from_shape_fn((64, 2), |(i, j)| ((i * 7 + j * 13) % 17) as f64);
/// let model = GaussianMixture::params(1).fit(&DatasetBase::from(reference))?;
/// let scores = model.score(&array![[8.0, 8.0], [90.0, -40.0]].view())?;
/// assert!(scores[1] > scores[0]);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GaussianMixture {
    components: Vec<Component>,
    reference_scores: Array1<f64>,
    threshold: f64,
}

/// Parameters of [`GaussianMixture`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GaussianMixtureParams(GaussianMixtureValidParams);

/// Checked parameters of [`GaussianMixture`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GaussianMixtureValidParams {
    n_components: usize,
    restarts: usize,
    regularisation: f64,
    contamination: f64,
    seed: u64,
}

impl GaussianMixtureParams {
    /// Fits from different starts, of which the likeliest is kept; 5 unless set.
    #[must_use]
    pub fn restarts(mut self, restarts: usize) -> Self {
        self.0.restarts = restarts;
        self
    }

    /// Added to the diagonal of every covariance, above 0; 1e-6 unless set.
    #[must_use]
    pub fn regularisation(mut self, regularisation: f64) -> Self {
        self.0.regularisation = regularisation;
        self
    }

    /// Share of the reference beyond the threshold, above 0 and at most 0.5; 0.1 unless set.
    #[must_use]
    pub fn contamination(mut self, contamination: f64) -> Self {
        self.0.contamination = contamination;
        self
    }

    /// Seed of the starts; 0 unless set.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.0.seed = seed;
        self
    }
}

impl ParamGuard for GaussianMixtureParams {
    type Checked = GaussianMixtureValidParams;
    type Error = DetectError;

    fn check_ref(&self) -> Result<&Self::Checked> {
        let reject = |parameter, expected, found| {
            Err(DetectError::Hyperparameter { algorithm: ALGORITHM, parameter, expected, found })
        };
        if self.0.n_components == 0 {
            return reject("params", "at least 1 component", 0.0);
        }
        if self.0.restarts == 0 {
            return reject("restarts", "at least 1", 0.0);
        }
        let regularisation = self.0.regularisation;
        if !(regularisation > 0.0 && regularisation.is_finite()) {
            return reject("regularisation", "a finite number above 0", regularisation);
        }
        check_share(ALGORITHM, self.0.contamination)?;
        Ok(&self.0)
    }

    fn check(self) -> Result<Self::Checked> {
        self.check_ref()?;
        Ok(self.0)
    }
}

impl<D: Data<Elem = f64>, T> Fit<ArrayBase<D, Ix2>, T, DetectError> for GaussianMixtureValidParams {
    type Object = GaussianMixture;

    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<GaussianMixture> {
        let records = dataset.records().view();
        check_reference(ALGORITHM, &records)?;
        let distinct = distinct_rows(&records);
        if distinct < self.n_components {
            return Err(DetectError::TooFewRows {
                algorithm: ALGORITHM,
                needed: self.n_components,
                found: distinct,
            });
        }
        let mut best = self.fit_once(&records, 0)?;
        for restart in 1..self.restarts as u64 {
            let next = self.fit_once(&records, restart)?;
            if next.reference_scores.sum() < best.reference_scores.sum() {
                best = next;
            }
        }
        Ok(best)
    }
}

impl GaussianMixtureValidParams {
    fn fit_once(&self, records: &ArrayView2<'_, f64>, restart: u64) -> Result<GaussianMixture> {
        let rng = Xoshiro256Plus::seed_from_u64(self.seed.wrapping_add(restart));
        let mixture = GaussianMixtureModel::params(self.n_components)
            .with_rng(rng)
            .reg_covariance(self.regularisation)
            .max_n_iterations(MAX_EM_STEPS)
            .fit(&DatasetBase::from(records.view()))?;
        let mut model = GaussianMixture {
            components: Component::of(&mixture)?,
            reference_scores: Array1::zeros(0),
            threshold: 0.0,
        };
        model.reference_scores = model.score(records)?;
        model.threshold =
            Contamination::Share(self.contamination).threshold(&model.reference_scores, 0.0);
        Ok(model)
    }
}

impl GaussianMixture {
    /// Parameters to fit `n_components` components with.
    pub fn params(n_components: usize) -> GaussianMixtureParams {
        GaussianMixtureParams(GaussianMixtureValidParams {
            n_components,
            restarts: DEFAULT_RESTARTS,
            regularisation: DEFAULT_REGULARISATION,
            contamination: DEFAULT_CONTAMINATION,
            seed: 0,
        })
    }

    fn negative_log_likelihood(&self, row: ArrayView1<'_, f64>) -> f64 {
        let logs: Vec<f64> = self.components.iter().map(|c| c.log_density(row)).collect();
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        -(largest + logs.iter().map(|log| (log - largest).exp()).sum::<f64>().ln())
    }
}

impl Detector for GaussianMixture {
    fn columns(&self) -> usize {
        self.components.first().map_or(0, |component| component.mean.len())
    }

    fn reference_scores(&self) -> &Array1<f64> {
        &self.reference_scores
    }

    fn threshold(&self) -> f64 {
        self.threshold
    }

    fn score(&self, records: &ArrayView2<'_, f64>) -> Result<Array1<f64>> {
        check_queries(records, self.columns())?;
        Ok(records.axis_iter(Axis(0)).map(|row| self.negative_log_likelihood(row)).collect())
    }
}

/// One weighted Gaussian.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Component {
    mean: Array1<f64>,
    /// Lower triangular factor of the covariance.
    cholesky: Array2<f64>,
    /// Logarithm of the weight and of the normalising constant.
    log_scale: f64,
}

impl Component {
    fn of(mixture: &GaussianMixtureModel<f64>) -> Result<Vec<Self>> {
        let covariances = mixture.covariances().axis_iter(Axis(0));
        let parts = mixture.means().axis_iter(Axis(0)).zip(covariances).zip(mixture.weights());
        parts
            .enumerate()
            .map(|(component, ((mean, covariance), weight))| {
                let cholesky =
                    cholesky(&covariance).ok_or(DetectError::SingularCovariance { component })?;
                let log_determinant = 2.0 * cholesky.diag().mapv(f64::ln).sum();
                let log_circle = mean.len() as f64 * std::f64::consts::TAU.ln();
                Ok(Self {
                    mean: mean.to_owned(),
                    log_scale: weight.ln() - 0.5 * (log_circle + log_determinant),
                    cholesky,
                })
            })
            .collect()
    }

    /// Log of weight times density: forward substitution gives the whitened difference.
    fn log_density(&self, row: ArrayView1<'_, f64>) -> f64 {
        let mut whitened = Array1::zeros(row.len());
        for i in 0..row.len() {
            let known: f64 = (0..i).map(|j| self.cholesky[[i, j]] * whitened[j]).sum();
            whitened[i] = (row[i] - self.mean[i] - known) / self.cholesky[[i, i]];
        }
        self.log_scale - 0.5 * whitened.dot(&whitened)
    }
}

/// Lower triangular `L` with `L L^T` = `matrix`, or nothing when it is not positive definite.
fn cholesky(matrix: &ArrayView2<'_, f64>) -> Option<Array2<f64>> {
    let n = matrix.nrows();
    let mut lower = Array2::zeros((n, n));
    for i in 0..n {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| lower[[i, k]] * lower[[j, k]]).sum();
            let rest = matrix[[i, j]] - known;
            if i == j {
                if !(rest > 0.0 && rest.is_finite()) {
                    return None;
                }
                lower[[i, i]] = rest.sqrt();
            } else {
                lower[[i, j]] = rest / lower[[j, j]];
            }
        }
    }
    Some(lower)
}

fn distinct_rows(records: &ArrayView2<'_, f64>) -> usize {
    let mut rows: Vec<Vec<f64>> = records.axis_iter(Axis(0)).map(|row| row.to_vec()).collect();
    rows.sort_by(|a, b| a.partial_cmp(b).expect("records are finite"));
    rows.dedup();
    rows.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gaussian, outlier_is_flagged};
    use ndarray::array;

    /// Rounding of a sum of some dozens of logarithms.
    const ROUNDING: f64 = 1e-9;

    fn rejected(params: &GaussianMixtureParams) -> &'static str {
        match params.check_ref() {
            Err(DetectError::Hyperparameter { parameter, .. }) => parameter,
            other => panic!("expected a rejected parameter, got {other:?}"),
        }
    }

    #[test]
    fn zero_components_are_refused() {
        assert_eq!(rejected(&GaussianMixture::params(0)), "params");
    }

    #[test]
    fn zero_restarts_are_refused() {
        assert_eq!(rejected(&GaussianMixture::params(1).restarts(0)), "restarts");
    }

    #[test]
    fn a_regularisation_that_is_not_positive_is_refused() {
        for bad in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            assert_eq!(rejected(&GaussianMixture::params(1).regularisation(bad)), "regularisation");
        }
    }

    #[test]
    fn a_contamination_outside_its_range_is_refused() {
        for bad in [0.0, 0.51, f64::NAN] {
            assert_eq!(rejected(&GaussianMixture::params(1).contamination(bad)), "contamination");
        }
    }

    #[test]
    fn more_components_than_distinct_rows_are_refused() {
        let reference = DatasetBase::from(Array2::from_elem((9, 2), 1.0));
        assert!(matches!(
            GaussianMixture::params(2).fit(&reference),
            Err(DetectError::TooFewRows { needed: 2, found: 1, .. })
        ));
    }

    #[test]
    fn an_outlier_is_flagged_and_the_centre_is_not() {
        let model = GaussianMixture::params(2)
            .fit(&DatasetBase::from(gaussian(200, 2, 1)))
            .expect("valid reference");
        outlier_is_flagged(&model);
    }

    #[test]
    fn one_component_gives_the_normal_density() {
        let reference = array![[-1.0], [1.0], [-3.0], [3.0]];
        let model =
            GaussianMixture::params(1).fit(&DatasetBase::from(reference)).expect("four rows");
        let variance = 5.0 + DEFAULT_REGULARISATION;
        let expected = 0.5 * ((std::f64::consts::TAU * variance).ln() + 4.0 / variance);
        let score = model.score(&array![[2.0]].view()).expect("finite")[0];
        assert!((score - expected).abs() < ROUNDING, "{score} against {expected}");
    }

    #[test]
    fn a_far_row_has_a_finite_score() {
        let model = GaussianMixture::params(2)
            .fit(&DatasetBase::from(gaussian(100, 2, 4)))
            .expect("valid reference");
        assert!(model.score(&array![[1e6, -1e6]].view()).expect("finite")[0].is_finite());
    }
}
