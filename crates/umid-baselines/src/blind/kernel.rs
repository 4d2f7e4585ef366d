//! L2-penalised logistic regression for many labellings of the same rows at once.
//!
//! An L2-penalised linear model sees its rows only through their inner products, the kernel K: its
//! weights are a combination `X' a` of the training rows. Where the same rows are fitted to many
//! labellings, as under permutation, all of them are solved together.
//!
//! The method is Newton's with the curvature p (1 - p) of every row replaced by its bound 1/4 (Böhning
//! and Lindsay 1988, "Monotonicity of quadratic-approximation algorithms"): it never raises the loss
//! and needs one inverse, of `K + 4 penalty I`, for all labellings and steps. A step fits a ridge
//! regression with a free intercept to the working response `z - 4 (p - y)`. The optimum is that of
//! [`Logistic`](crate::logistic::Logistic).

use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, s};

use crate::error::{BaselineError, Result};

/// A step that moves no log odds by more than this is the last.
const LAST_STEP: f64 = 1e-9;
/// Steps until the fit is given up; text features need 20 to 60.
const MAX_STEPS: usize = 2_000;
/// Rows of a block of the factorisation.
const BLOCK: usize = 32;

/// Training rows, ready for any labels.
#[derive(Debug)]
pub(crate) struct KernelLogistic {
    penalty: f64,
    /// Of `K + 4 penalty I`: `[rows, rows]`.
    inverse: Array2<f64>,
    /// Its row sums and their sum.
    of_ones: Array1<f64>,
    total: f64,
}

/// Fits of several labellings.
#[derive(Debug)]
pub(crate) struct Fitted {
    /// What each training row contributes: `[rows, labellings]`.
    duals: Array2<f64>,
    /// `[labellings]`.
    intercepts: Array1<f64>,
}

impl KernelLogistic {
    /// # Shapes
    /// `kernel` `[rows, rows]`, the inner products of the training rows.
    pub(crate) fn new(kernel: &ArrayView2<'_, f64>, inverse_penalty: f64) -> Self {
        let penalty = 1.0 / inverse_penalty;
        let mut ridge = kernel.to_owned();
        ridge.diag_mut().mapv_inplace(|value| value + 4.0 * penalty);
        let inverse = inverse(&ridge.view());
        let of_ones = inverse.sum_axis(Axis(1));
        let total = of_ones.sum();
        Self { penalty, inverse, of_ones, total }
    }

    /// Fits each column of labels, 1 for a member and 0 for another row.
    ///
    /// # Shapes
    /// `labels` `[rows, labellings]`.
    ///
    /// # Errors
    /// When the fit does not converge, as with a column of one class.
    pub(crate) fn fit(&self, labels: &ArrayView2<'_, f64>) -> Result<Fitted> {
        let mut log_odds = Array2::<f64>::zeros(labels.raw_dim());
        for _ in 0..MAX_STEPS {
            let mut response = log_odds.clone();
            Zip::from(&mut response).and(labels).for_each(|z, &label| {
                *z -= 4.0 * (1.0 / (1.0 + (-*z).exp()) - label);
            });
            let mut duals = self.inverse.dot(&response);
            let intercepts = duals.sum_axis(Axis(0)) / self.total;
            for (mut row, of_one) in duals.outer_iter_mut().zip(&self.of_ones) {
                row.scaled_add(-of_one, &intercepts);
            }
            // What the ridge regression predicts: the response less its residual.
            response.scaled_add(-4.0 * self.penalty, &duals);
            let furthest = |far: f64, a: f64, b: f64| {
                let step = (a - b).abs();
                if step <= far { far } else { step }
            };
            let step =
                Zip::from(&response).and(&log_odds).fold(0.0, |far, &a, &b| furthest(far, a, b));
            log_odds = response;
            if step <= LAST_STEP {
                return Ok(Fitted { duals, intercepts });
            }
        }
        Err(BaselineError::StepsExhausted { steps: MAX_STEPS })
    }
}

impl Fitted {
    /// Log odds of being a member, `[tested, labellings]`.
    ///
    /// # Shapes
    /// `kernel` `[tested, rows]`, the inner products with the training rows.
    pub(crate) fn decide(&self, kernel: &ArrayView2<'_, f64>) -> Array2<f64> {
        kernel.dot(&self.duals) + &self.intercepts
    }
}

/// The inverse of a symmetric positive definite matrix M: by blocks, Cholesky's factor L of M = L L',
/// its inverse X by forward substitution, and X' X. Nearly all work is in products.
fn inverse(matrix: &ArrayView2<'_, f64>) -> Array2<f64> {
    let size = matrix.nrows();
    let mut factor = Array2::<f64>::zeros((size, size));
    let mut inverse = Array2::<f64>::zeros((size, size));
    for start in (0..size).step_by(BLOCK) {
        let (block, below) = (start..(start + BLOCK).min(size), (start + BLOCK).min(size)..);
        let known = factor.slice(s![block.clone(), ..start]).to_owned();
        let corner = &matrix.slice(s![block.clone(), block.clone()]) - &known.dot(&known.t());
        let corner = cholesky(corner);
        let undo = lower_inverse(&corner.view());
        let panel = &matrix.slice(s![below.clone(), block.clone()])
            - &factor.slice(s![below.clone(), ..start]).dot(&known.t());
        factor.slice_mut(s![below, block.clone()]).assign(&panel.dot(&undo.t()));
        factor.slice_mut(s![block.clone(), block.clone()]).assign(&corner);
        let earlier = known.dot(&inverse.slice(s![..start, ..start]));
        inverse.slice_mut(s![block.clone(), ..start]).assign(&-undo.dot(&earlier));
        inverse.slice_mut(s![block.clone(), block]).assign(&undo);
    }
    inverse.t().dot(&inverse)
}

/// Cholesky's factor of a few rows.
fn cholesky(mut matrix: Array2<f64>) -> Array2<f64> {
    for column in 0..matrix.nrows() {
        for row in column..matrix.nrows() {
            let known = matrix.slice(s![row, ..column]).dot(&matrix.slice(s![column, ..column]));
            let left = matrix[[row, column]] - known;
            let length = matrix[[column, column]];
            matrix[[row, column]] = if row == column { left.sqrt() } else { left / length };
        }
        matrix.slice_mut(s![column, column + 1..]).fill(0.0);
    }
    matrix
}

/// The inverse of a lower triangular matrix of a few rows.
fn lower_inverse(factor: &ArrayView2<'_, f64>) -> Array2<f64> {
    let mut inverse = Array2::<f64>::eye(factor.nrows());
    for row in 0..factor.nrows() {
        let known = factor.slice(s![row, ..row]).dot(&inverse.slice(s![..row, ..]));
        let solved = (&inverse.row(row) - &known) / factor[[row, row]];
        inverse.row_mut(row).assign(&solved);
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logistic::Logistic;

    fn rows(count: usize, columns: usize) -> Array2<f64> {
        let value =
            |(i, j): (usize, usize)| ((i * 31 + j * 17 + i * j * 7) % 23) as f64 / 11.0 - 1.0;
        Array2::from_shape_fn((count, columns), value)
    }

    #[test]
    fn an_inverse_undoes_its_matrix() {
        for size in [1, 5, 32, 33, 200] {
            // Ten large eigenvalues, up to about 1e5, and otherwise 4.
            let rows = rows(size, 10) * 20.0;
            let matrix = rows.dot(&rows.t()) + Array2::<f64>::eye(size) * 4.0;
            let product = inverse(&matrix.view()).dot(&matrix);
            let off = (&product - &Array2::<f64>::eye(size)).mapv(f64::abs);
            assert!(off.iter().all(|value| *value < 1e-8), "{size}");
        }
    }

    #[test]
    fn every_labelling_is_fitted_as_alone() {
        let (train, test) = (rows(50, 6), rows(70, 6).slice(s![50.., ..]).to_owned());
        let labels = Array2::from_shape_fn((50, 3), |(i, j)| f64::from((i * (j + 2)) % 5 < 2));
        for inverse_penalty in [0.1, 1.0, 10.0] {
            let kernel = train.dot(&train.t());
            let fitted = KernelLogistic::new(&kernel.view(), inverse_penalty);
            let fitted = fitted.fit(&labels.view()).expect("converges");
            let decided = fitted.decide(&test.dot(&train.t()).view());
            for (column, labels) in labels.columns().into_iter().enumerate() {
                let members: Vec<bool> = labels.iter().map(|label| *label > 0.5).collect();
                let alone = Logistic::fit(&train.view(), &members, inverse_penalty);
                let alone = alone.expect("converges");
                for (i, row) in test.outer_iter().enumerate() {
                    let (found, expected) = (decided[[i, column]], alone.decide(&row));
                    assert!((found - expected).abs() < 1e-5, "{found} {expected}");
                }
            }
        }
    }

    #[test]
    fn one_class_does_not_converge() {
        let kernel = Array2::eye(3);
        let model = KernelLogistic::new(&kernel.view(), 1.0);
        let labels = Array2::ones((3, 1));
        let fitted = model.fit(&labels.view());
        assert!(matches!(fitted, Err(BaselineError::StepsExhausted { .. })), "{fitted:?}");
    }
}
