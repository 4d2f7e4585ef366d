//! One-class support vector machine: Schölkopf, Platt, Shawe-Taylor, Smola and Williamson,
//! "Estimating the Support of a High-Dimensional Distribution", Neural Computation 13, 2001
//! (section 3), with the kernel `exp(-gamma |x - y|^2)`.
//!
//! The dual problem is solved by linfa-svm. It is scaled as in libsvm, hence scikit-learn: each
//! coefficient lies in `0..=1` and they sum to `nu n` (Schölkopf et al. divide both by `nu n`), so
//! decision values agree with `OneClassSVM.decision_function`.
//!
//! Three things are done here and not left to linfa-svm 0.8:
//! - Its model keeps its support vectors and exit reason private; ours keeps the support vectors,
//!   and convergence is checked by recomputing what is left of the optimality violation.
//! - Its offset is infinite when no coefficient can grow (`nu` = 1); ours is then the largest
//!   gradient, which is the finite end of the interval of valid offsets.
//! - With `shrinking(true)` it undoes the reordering of its variables the wrong way round, which
//!   matters once two were swapped; it is off.

use linfa::dataset::{DatasetBase, Pr};
use linfa::traits::Fit;
use linfa_svm::Svm;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::detector::Detector;
use crate::error::{DetectError, Result, above_zero, require};
use crate::parameters::parameters;
use crate::records::check_reference;

const ALGORITHM: &str = "one-class SVM";
/// scikit-learn's default, which TUNI's code leaves as it is: up to half of the reference may lie
/// outside.
const DEFAULT_NU: f64 = 0.5;
/// Optimality violation at which the solver stops. libsvm's default of 1e-3 leaves decision values
/// up to 4e-3 away from the optimum (measured on 60 to 80 rows) in a way that depends on the order
/// of the rows; here the order must not matter.
const DEFAULT_TOLERANCE: f64 = 1e-6;
/// Rounding of a gradient that was updated step by step, for each reference row.
const GRADIENT_ROUNDING: f64 = 1e-9;

/// Width of the kernel `exp(-gamma |x - y|^2)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Gamma {
    /// `1 / columns`, as TUNI's code has it.
    Auto,
    /// `1 / (columns * variance)` with the variance of all values of the reference together, or 1
    /// where they are all equal; scikit-learn's `scale`.
    Scale,
    /// This value, above 0.
    Value(f64),
}

impl Gamma {
    fn resolve(self, records: &Array2<f64>) -> f64 {
        let columns = records.ncols() as f64;
        match self {
            Self::Auto => 1.0 / columns,
            Self::Scale => match records.var(0.0) {
                variance if variance > 0.0 => 1.0 / (columns * variance),
                _ => 1.0,
            },
            Self::Value(gamma) => gamma,
        }
    }
}

/// A fitted one-class SVM. The score is the negated decision value: above 0 outside the support.
///
/// ```
/// use linfa::prelude::*;
/// use ndarray::{Array2, array};
/// use umid_detect::{Detector, OneClassSvm};
///
/// let reference = Array2::from_shape_fn((64, 2), |(i, j)| ((i * 7 + j * 13) % 17) as f64 / 8.0);
/// let model = OneClassSvm::params().nu(0.1).fit(&DatasetBase::from(reference))?;
/// let scores = model.score(&array![[1.0, 1.0], [9.0, -4.0]].view())?;
/// assert!(scores[0] < 0.0 && scores[1] > 0.0);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OneClassSvm {
    support_vectors: Array2<f64>,
    coefficients: Vec<f64>,
    offset: f64,
    gamma: f64,
    reference_scores: Vec<f64>,
}

parameters!(
    OneClassSvm,
    OneClassSvmParams,
    OneClassSvmValidParams {
        /// Largest share of the reference outside the support and smallest share of support vectors,
        /// above 0 and at most 1; 0.5 unless set.
        nu: f64 = DEFAULT_NU,
        /// Kernel width; `1 / columns` unless set.
        gamma: Gamma = Gamma::Auto,
        /// Optimality violation at which the solver stops, above 0; 1e-6 unless set.
        tolerance: f64 = DEFAULT_TOLERANCE,
    }
);

impl OneClassSvmValidParams {
    fn check_values(&self) -> Result<()> {
        let share = self.nu > 0.0 && self.nu <= 1.0;
        require(share, ALGORITHM, "nu", "a share above 0 and at most 1", self.nu)?;
        if let Gamma::Value(gamma) = self.gamma {
            above_zero(ALGORITHM, "gamma", gamma)?;
        }
        above_zero(ALGORITHM, "tolerance", self.tolerance)
    }
}

impl<T> Fit<Array2<f64>, T, DetectError> for OneClassSvmValidParams {
    type Object = OneClassSvm;

    fn fit(&self, dataset: &DatasetBase<Array2<f64>, T>) -> Result<OneClassSvm> {
        let records = dataset.records();
        check_reference(ALGORITHM, records)?;
        let gamma = self.gamma.resolve(records);
        let solution = self.solve(records, gamma)?;
        let support: Vec<usize> =
            (0..records.nrows()).filter(|&i| solution.alpha[i] > 0.0).collect();
        let mut model = OneClassSvm {
            support_vectors: records.select(Axis(0), &support),
            coefficients: support.iter().map(|&i| solution.alpha[i]).collect(),
            offset: 0.0,
            gamma,
            reference_scores: Vec::new(),
        };
        let gradient: Vec<f64> =
            records.rows().into_iter().map(|row| model.kernel_sum(row)).collect();
        self.check_converged(&solution.alpha, &gradient)?;
        model.offset = if solution.rho.is_finite() {
            solution.rho
        } else {
            gradient.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        };
        model.reference_scores = gradient.iter().map(|g| model.offset - g).collect();
        Ok(model)
    }
}

impl OneClassSvmValidParams {
    fn solve(&self, records: &Array2<f64>, gamma: f64) -> Result<Svm<f64, bool>> {
        let targets = Array1::from_elem(records.nrows(), ());
        let dataset = DatasetBase::new(records.clone(), targets);
        // linfa's Gaussian kernel divides by its parameter.
        let solver = Svm::<f64, Pr>::params()
            .nu_weight(self.nu)
            .gaussian_kernel(1.0 / gamma)
            .eps(self.tolerance);
        Ok(solver.fit(&dataset)?)
    }

    /// The stopping rule of libsvm (Fan, Chen and Lin, JMLR 6, 2005): no coefficient that can
    /// grow has a gradient below that of one that can shrink, by more than the tolerance.
    fn check_converged(&self, alpha: &[f64], gradient: &[f64]) -> Result<()> {
        let can_grow = alpha.iter().zip(gradient).filter(|(a, _)| **a < 1.0).map(|(_, g)| *g);
        let can_shrink = alpha.iter().zip(gradient).filter(|(a, _)| **a > 0.0).map(|(_, g)| *g);
        let violation =
            can_shrink.fold(f64::NEG_INFINITY, f64::max) - can_grow.fold(f64::INFINITY, f64::min);
        // Extremes ignore NaN, so it has to be looked for.
        let numbers = alpha.iter().chain(gradient).all(|value| value.is_finite());
        let violation = if numbers { violation } else { f64::NAN };
        if violation <= self.tolerance + GRADIENT_ROUNDING * alpha.len() as f64 {
            return Ok(());
        }
        Err(DetectError::NotConverged {
            algorithm: ALGORITHM,
            tolerance: self.tolerance,
            violation,
        })
    }
}

impl OneClassSvm {
    /// Decision values, **lower is more anomalous**: positive inside the support. The negated
    /// [`Detector::score`], for comparison with other implementations.
    ///
    /// # Shapes
    /// `[texts, signals]` to one value per text.
    ///
    /// # Errors
    /// As [`Detector::score`].
    pub fn decision_values(&self, records: &ArrayView2<'_, f64>) -> Result<Vec<f64>> {
        Ok(self.score(records)?.into_iter().map(|score| -score).collect())
    }

    /// `sum_i alpha_i exp(-gamma |x_i - row|^2)` over the support vectors.
    fn kernel_sum(&self, row: ArrayView1<'_, f64>) -> f64 {
        let terms = self.support_vectors.axis_iter(Axis(0)).zip(&self.coefficients);
        terms
            .map(|(vector, coefficient)| {
                let squared: f64 = vector.iter().zip(row).map(|(a, b)| (a - b).powi(2)).sum();
                coefficient * (-self.gamma * squared).exp()
            })
            .sum()
    }
}

impl Detector for OneClassSvm {
    fn name(&self) -> &'static str {
        "one_class_svm"
    }

    fn columns(&self) -> usize {
        self.support_vectors.ncols()
    }

    fn reference_scores(&self) -> &[f64] {
        &self.reference_scores
    }

    fn threshold(&self) -> f64 {
        0.0
    }

    fn score_row(&self, row: ArrayView1<'_, f64>) -> f64 {
        self.offset - self.kernel_sum(row)
    }

    /// As in libsvm, a decision value of exactly 0 is outside.
    fn is_anomalous(&self, score: f64) -> bool {
        score >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{behaves_as_a_detector, gaussian, outlier_is_flagged};
    use linfa::ParamGuard;

    fn rejected(params: &OneClassSvmParams) -> &'static str {
        match params.check_ref() {
            Err(DetectError::Hyperparameter { parameter, .. }) => parameter,
            other => panic!("expected a rejected parameter, got {other:?}"),
        }
    }

    fn fit(params: &OneClassSvmParams, rows: usize) -> OneClassSvm {
        params.fit(&DatasetBase::from(gaussian(rows, 2, 1))).expect("valid reference")
    }

    #[test]
    fn a_nu_outside_its_range_is_refused() {
        for bad in [0.0, -0.1, 1.1, f64::NAN] {
            assert_eq!(rejected(&OneClassSvm::params().nu(bad)), "nu");
        }
    }

    #[test]
    fn a_gamma_that_is_not_positive_is_refused() {
        for bad in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            assert_eq!(rejected(&OneClassSvm::params().gamma(Gamma::Value(bad))), "gamma");
        }
    }

    #[test]
    fn a_tolerance_that_is_not_positive_is_refused() {
        for bad in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            assert_eq!(rejected(&OneClassSvm::params().tolerance(bad)), "tolerance");
        }
    }

    #[test]
    fn it_behaves_as_a_detector() {
        behaves_as_a_detector(|reference| {
            OneClassSvm::params().fit(reference).expect("valid reference")
        });
    }

    #[test]
    fn a_solution_with_a_nan_has_not_converged() {
        let OneClassSvmParams(params) = OneClassSvm::params();
        assert!(params.check_converged(&[0.5, 0.5], &[1.0, 1.0]).is_ok());
        for (alpha, gradient) in
            [([0.5, 0.5], [1.0, f64::NAN]), ([f64::NAN; 2], [0.0; 2]), ([0.5; 2], [f64::NAN; 2])]
        {
            let result = params.check_converged(&alpha, &gradient);
            assert!(
                matches!(result, Err(DetectError::NotConverged { .. })),
                "{alpha:?} {gradient:?}"
            );
        }
    }

    #[test]
    fn an_outlier_is_flagged_and_the_centre_is_not() {
        outlier_is_flagged(&fit(&OneClassSvm::params().nu(0.1), 200));
    }

    #[test]
    fn nu_bounds_the_share_of_the_reference_outside() {
        for nu in [0.05, 0.2, 0.5] {
            let model = fit(&OneClassSvm::params().nu(nu), 200);
            // Rows on the boundary are within the solver's tolerance of 0 on either side.
            let outside = model.reference_scores().iter().filter(|&&s| s > 1e-4).count();
            assert!(outside as f64 <= nu * 200.0, "nu {nu}: {outside} of 200 outside");
            assert!(model.coefficients.len() as f64 >= nu * 200.0);
        }
    }

    #[test]
    fn the_coefficients_sum_to_nu_n() {
        let model = fit(&OneClassSvm::params().nu(0.3), 50);
        assert!((model.coefficients.iter().sum::<f64>() - 15.0).abs() < 1e-9);
    }

    #[test]
    fn nu_of_one_has_a_finite_offset() {
        let model = fit(&OneClassSvm::params().nu(1.0), 20);
        assert!(model.reference_scores().iter().all(|s| s.is_finite() && *s >= 0.0));
    }
}
