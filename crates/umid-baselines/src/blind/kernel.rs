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
/// Rows up to which a matrix is inverted row by row.
const SMALL: usize = 32;

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

/// The inverse of a symmetric positive definite matrix, by halves: with blocks A, B, B', D the inverse
/// of the Schur complement `D - B' A^-1 B` is its last block, so that nearly all work is in products.
fn inverse(matrix: &ArrayView2<'_, f64>) -> Array2<f64> {
    let size = matrix.nrows();
    if size <= SMALL {
        return small_inverse(matrix);
    }
    let half = size / 2;
    let (a, b) = (matrix.slice(s![..half, ..half]), matrix.slice(s![..half, half..]));
    let a = inverse(&a);
    let ab = a.dot(&b);
    let d = inverse(&(&matrix.slice(s![half.., half..]) - &b.t().dot(&ab)).view());
    let upper = -ab.dot(&d);
    let mut whole = Array2::zeros((size, size));
    whole.slice_mut(s![..half, ..half]).assign(&(a - upper.dot(&ab.t())));
    whole.slice_mut(s![half.., ..half]).assign(&upper.t());
    whole.slice_mut(s![..half, half..]).assign(&upper);
    whole.slice_mut(s![half.., half..]).assign(&d);
    whole
}

/// Gauss-Jordan elimination, which needs no exchange of rows where the matrix is positive definite.
fn small_inverse(matrix: &ArrayView2<'_, f64>) -> Array2<f64> {
    let mut left = matrix.to_owned();
    let mut right = Array2::eye(matrix.nrows());
    for pivot in 0..left.nrows() {
        let scale = 1.0 / left[[pivot, pivot]];
        left.row_mut(pivot).mapv_inplace(|value| value * scale);
        right.row_mut(pivot).mapv_inplace(|value| value * scale);
        let (of_left, of_right) = (left.row(pivot).to_owned(), right.row(pivot).to_owned());
        for row in (0..left.nrows()).filter(|row| *row != pivot) {
            let factor = -left[[row, pivot]];
            left.row_mut(row).scaled_add(factor, &of_left);
            right.row_mut(row).scaled_add(factor, &of_right);
        }
    }
    right
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
        for size in [1, 5, 32, 33, 100] {
            let rows = rows(size, 12);
            let matrix = rows.dot(&rows.t()) + Array2::<f64>::eye(size) * 4.0;
            let product = inverse(&matrix.view()).dot(&matrix);
            let off = (&product - &Array2::<f64>::eye(size)).mapv(f64::abs);
            assert!(off.iter().all(|value| *value < 1e-10), "{size}");
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
