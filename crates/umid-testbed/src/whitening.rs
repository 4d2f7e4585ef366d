//! Latents as a standard normal has them: mean 0, covariance 1.

use ndarray::{Array2, ArrayView2, Axis};

/// An affine map from white rows to rows as they were: `white * matrix + offset`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Whitening {
    /// Transposed Cholesky factor of the covariance, `[dim, dim]`.
    pub matrix: Array2<f32>,
    /// The mean row, `[1, dim]`.
    pub offset: Array2<f32>,
}

impl Whitening {
    /// The map whose image of white rows has the mean of these rows and their covariance plus a
    /// variance of each column (what every row is uncertain by, on average; over 0).
    ///
    /// # Shapes
    /// - rows: `[count, dim]`, with a count of at least 1
    /// - variances: `dim`
    pub(crate) fn fit(rows: ArrayView2<f32>, variances: &[f64]) -> Self {
        let rows = rows.mapv(f64::from);
        let mean = rows.mean_axis(Axis(0)).expect("at least one row");
        let centred = &rows - &mean;
        let mut covariance = centred.t().dot(&centred) / rows.nrows() as f64;
        covariance.diag_mut().iter_mut().zip(variances).for_each(|(d, v)| *d += v);
        Self {
            matrix: cholesky(&covariance).t().mapv(|v| v as f32),
            offset: mean.insert_axis(Axis(0)).mapv(|v| v as f32),
        }
    }

    /// The white rows that stand for these: `[count, dim]` to `[count, dim]`.
    pub(crate) fn apply(&self, mut rows: Array2<f32>) -> Array2<f32> {
        rows -= &self.offset;
        for mut row in rows.rows_mut() {
            // Solves white * matrix = row for an upper triangular matrix, column by column.
            for column in 0..row.len() {
                let known: f32 = (0..column).map(|i| row[i] * self.matrix[[i, column]]).sum();
                row[column] = (row[column] - known) / self.matrix[[column, column]];
            }
        }
        rows
    }
}

/// The lower triangular L with L L^T = a, for a positive definite a (Cholesky and Banachiewicz).
fn cholesky(a: &Array2<f64>) -> Array2<f64> {
    let dim = a.nrows();
    let mut factor = Array2::zeros((dim, dim));
    for row in 0..dim {
        for column in 0..=row {
            let known: f64 = (0..column).map(|i| factor[[row, i]] * factor[[column, i]]).sum();
            let rest = a[[row, column]] - known;
            factor[[row, column]] =
                if row == column { rest.sqrt() } else { rest / factor[[column, column]] };
        }
    }
    factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn white_rows_have_mean_zero_and_covariance_one_and_stand_for_the_rows() {
        let rows = array![[1.0, 2.0], [3.0, -1.0], [0.0, 0.5], [-2.0, 4.0], [5.0, 5.0]];
        let whitening = Whitening::fit(rows.view(), &[0.0, 0.0]);
        let white = whitening.apply(rows.clone());
        let mean = white.mean_axis(Axis(0)).expect("rows");
        let covariance = white.t().dot(&white) / 5.0;
        for (found, expected) in covariance.iter().zip(&[1.0, 0.0, 0.0, 1.0]) {
            assert!((found - expected).abs() < 1e-5, "{covariance}");
        }
        assert!(mean.iter().all(|m| m.abs() < 1e-6), "{mean}");
        let back = white.dot(&whitening.matrix) + &whitening.offset;
        assert!((&back - &rows).iter().all(|d| d.abs() < 1e-5));
    }

    #[test]
    fn uncertainty_widens_what_white_rows_stand_for() {
        let rows = array![[1.0], [-1.0]];
        assert_eq!(Whitening::fit(rows.view(), &[3.0]).matrix, array![[2.0]]);
    }
}
