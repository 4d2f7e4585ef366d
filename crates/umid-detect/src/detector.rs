//! What all detectors have in common: parameters that are fitted on a reference, and a model that
//! scores rows.
//!
//! A detector is one file: parameters in linfa's form, a model, and [`Detector`] for the model. It
//! needs no entry in any list; [`crate::Ensemble`] takes any detector, also of another crate.

use std::fmt::Debug;

use linfa::ParamGuard;
use linfa::dataset::DatasetBase;
use linfa::traits::Fit;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use crate::error::{DetectError, Result};
use crate::records::{check_finite_scores, check_queries};

/// A reference of non-members: a matrix `[texts, signals]` without targets.
pub type Reference = DatasetBase<Array2<f64>, Array1<()>>;

/// A fitted anomaly detector. Scores are higher for rows that are less like the reference of
/// non-members, hence more member-like.
pub trait Detector: Debug + Send + Sync {
    /// The detector's name in reports.
    fn name(&self) -> &'static str;

    /// Number of columns that the model was fitted on.
    fn columns(&self) -> usize;

    /// Anomaly scores of the reference's own rows, one per text, as the algorithm defines them for
    /// rows that it was fitted on.
    fn reference_scores(&self) -> &[f64];

    /// The score at which rows start to be flagged, learnt from the reference.
    fn threshold(&self) -> f64;

    /// Anomaly score of one row, higher is more anomalous. It depends on this row and on the model
    /// alone. [`Detector::score`] has checked that the row has as many values as the reference has
    /// columns, and that they are usable.
    fn score_row(&self, row: ArrayView1<'_, f64>) -> f64;

    /// Anomaly scores, higher is more anomalous.
    ///
    /// # Shapes
    /// `[texts, signals]` to one score per text.
    ///
    /// # Errors
    /// When the columns are not those of the reference, or a value or a score is not finite.
    fn score(&self, records: &ArrayView2<'_, f64>) -> Result<Vec<f64>> {
        check_queries(records, self.columns())?;
        let scores: Vec<f64> = records.rows().into_iter().map(|row| self.score_row(row)).collect();
        check_finite_scores(self.name(), &scores)?;
        Ok(scores)
    }

    /// Whether a score is beyond the threshold.
    fn is_anomalous(&self, score: f64) -> bool {
        score > self.threshold()
    }

    /// Which rows are flagged as anomalous.
    ///
    /// # Shapes
    /// `[texts, signals]` to one flag per text.
    ///
    /// # Errors
    /// As [`Detector::score`].
    fn flags(&self, records: &ArrayView2<'_, f64>) -> Result<Vec<bool>> {
        let scores = self.score(records)?;
        Ok(scores.into_iter().map(|score| self.is_anomalous(score)).collect())
    }
}

/// Parameters of any detector, as an ensemble takes them. Every linfa parameter set whose model is a
/// [`Detector`] implements this.
pub trait DetectorParams: Debug + Send + Sync {
    /// Checks the parameters.
    ///
    /// # Errors
    /// When one is outside its range.
    fn check_params(&self) -> Result<()>;

    /// Fits the detector on rows as they are; an [`Ensemble`](crate::Ensemble) standardises them
    /// first.
    ///
    /// # Errors
    /// When a parameter is outside its range, or the detector cannot be fitted to the reference.
    fn fit_detector(&self, reference: &Reference) -> Result<Box<dyn Detector>>;
}

impl<P> DetectorParams for P
where
    P: ParamGuard<Error = DetectError> + Debug + Send + Sync,
    P::Checked: Fit<Array2<f64>, Array1<()>, DetectError>,
    <P::Checked as Fit<Array2<f64>, Array1<()>, DetectError>>::Object: Detector + 'static,
{
    fn check_params(&self) -> Result<()> {
        self.check_ref().map(drop)
    }

    fn fit_detector(&self, reference: &Reference) -> Result<Box<dyn Detector>> {
        Ok(Box::new(self.check_ref()?.fit(reference)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Broken;

    impl Detector for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }

        fn columns(&self) -> usize {
            1
        }

        fn reference_scores(&self) -> &[f64] {
            &[]
        }

        fn threshold(&self) -> f64 {
            0.0
        }

        fn score_row(&self, _: ArrayView1<'_, f64>) -> f64 {
            f64::NAN
        }
    }

    #[test]
    fn a_score_that_is_nan_is_an_error_and_not_a_row_that_is_not_flagged() {
        let result = Broken.flags(&Array2::zeros((1, 1)).view());
        let expected = matches!(result, Err(DetectError::NonFiniteScore { list: "broken", .. }));
        assert!(expected, "{result:?}");
    }
}
