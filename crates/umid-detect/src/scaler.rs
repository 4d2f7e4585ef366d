//! Standardisation: each column to mean 0 and deviation 1, learnt from the reference alone.
//!
//! As scikit-learn's `StandardScaler`: the deviation is the population's (`ddof = 0`), and a column
//! that is constant up to rounding keeps scale 1, by the error bound of the two-pass variance
//! (Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance").
//!
//! TUNI's published code fits its scaler on reference and queries together, which lets the rows
//! under test move each other's numbers; here the reference alone is used.

use ndarray::{Array1, Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::error::{DetectError, Result};
use crate::records::{check_queries, check_reference};

/// Column means and scales of a reference.
///
/// ```
/// use ndarray::array;
/// use umid_detect::StandardScaler;
///
/// let scaler = StandardScaler::fit(&array![[0.0, 5.0], [2.0, 5.0]])?;
/// // The second column is constant: it is centred and keeps its scale.
/// assert_eq!(scaler.transform(&array![[2.0, 6.0]].view())?, array![[1.0, 1.0]]);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StandardScaler {
    mean: Array1<f64>,
    scale: Array1<f64>,
}

impl StandardScaler {
    /// Learns means and scales from a reference.
    ///
    /// # Shapes
    /// `[texts, signals]`.
    ///
    /// # Errors
    /// When there are fewer than two rows, no column, or a value is not finite.
    pub fn fit(reference: &Array2<f64>) -> Result<Self> {
        check_reference("standard scaler", reference)?;
        let moments = reference.columns().into_iter().map(|column| Moments::of(&column.to_vec()));
        let (mean, scale) = moments.map(|m| (m.mean, m.scale_or_one())).unzip();
        Ok(Self { mean: Array1::from_vec(mean), scale: Array1::from_vec(scale) })
    }

    /// Column means of the reference, `[signals]`.
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// Column scales, `[signals]`: the deviation, or 1 for a constant column.
    pub fn scale(&self) -> &Array1<f64> {
        &self.scale
    }

    /// Standardises rows: `(x - mean) / scale`.
    ///
    /// # Shapes
    /// `[texts, signals]` to `[texts, signals]`.
    ///
    /// # Errors
    /// When the columns are not those of the reference, or a value is not finite.
    pub fn transform(&self, records: &ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        check_queries(records, self.mean.len())?;
        Ok((records - &self.mean) / &self.scale)
    }
}

/// Mean and population deviation of a list of values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    count: usize,
    pub(crate) mean: f64,
    pub(crate) standard_deviation: f64,
}

impl Moments {
    /// Two passes over the values, with the correction term for the rounding of the mean.
    pub(crate) fn of(values: &[f64]) -> Self {
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let residual: f64 = values.iter().map(|v| v - mean).sum();
        let variance = (squares - residual * residual / count as f64) / count as f64;
        Self { count, mean, standard_deviation: variance.max(0.0).sqrt() }
    }

    /// [`Self::of`] a named signal, which must vary.
    pub(crate) fn of_varying(signal: &str, values: &[f64]) -> Result<Self> {
        let moments = Self::of(values);
        if moments.standard_deviation.is_finite() && !moments.is_constant() {
            return Ok(moments);
        }
        Err(DetectError::DegenerateSignal {
            signal: signal.to_owned(),
            present: values.len(),
            standard_deviation: moments.standard_deviation,
        })
    }

    /// True when the deviation is no larger than the rounding error of computing it.
    fn is_constant(&self) -> bool {
        let n = self.count as f64;
        let variance = self.standard_deviation.powi(2);
        let bound = n * f64::EPSILON * variance + (n * self.mean * f64::EPSILON).powi(2);
        variance <= bound
    }

    pub(crate) fn scale_or_one(&self) -> f64 {
        if self.is_constant() { 1.0 } else { self.standard_deviation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_deviation_is_the_populations() {
        let scaler = StandardScaler::fit(&array![[1.0], [3.0]]).expect("two rows");
        assert!((scaler.mean()[0] - 2.0).abs() < f64::EPSILON);
        assert!((scaler.scale()[0] - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_column_that_is_constant_up_to_rounding_keeps_scale_one() {
        // The mean of ten copies of 0.1 is not 0.1, so the naive deviation is not 0.
        let scaler = StandardScaler::fit(&Array2::from_elem((10, 1), 0.1)).expect("ten rows");
        assert!((scaler.scale()[0] - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_non_finite_reference_is_refused() {
        assert!(matches!(
            StandardScaler::fit(&array![[1.0, 0.0], [f64::NAN, 0.0]]),
            Err(DetectError::UnusableRecord { row: 1, column: 0, .. })
        ));
    }

    #[test]
    fn rows_under_test_need_the_same_columns() {
        let scaler = StandardScaler::fit(&array![[1.0], [3.0]]).expect("two rows");
        assert!(matches!(
            scaler.transform(&array![[1.0, 2.0]].view()),
            Err(DetectError::ColumnCount { .. })
        ));
    }
}
