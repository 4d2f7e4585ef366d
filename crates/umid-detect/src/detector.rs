//! What all detectors have in common once fitted, and an enum over them that can be saved.

use ndarray::{Array1, ArrayView2};
use serde::{Deserialize, Serialize};

#[cfg(feature = "autoencoder")]
use crate::autoencoder::Autoencoder;
use crate::error::Result;
use crate::gaussian_mixture::GaussianMixture;
use crate::isolation_forest::IsolationForest;
use crate::local_outlier_factor::LocalOutlierFactor;
use crate::one_class_svm::OneClassSvm;

/// A fitted anomaly detector. Scores are higher for rows that are less like the reference of
/// non-members, hence more member-like.
///
/// A row's score depends on that row and on the model alone, never on the rows scored with it.
pub trait Detector {
    /// Number of columns that the model was fitted on.
    fn columns(&self) -> usize;

    /// Anomaly scores of the reference's own rows, `[reference texts]`, as the algorithm defines
    /// them for rows that it was fitted on.
    fn reference_scores(&self) -> &Array1<f64>;

    /// The score at which rows start to be flagged, learnt from the reference.
    fn threshold(&self) -> f64;

    /// Anomaly scores, higher is more anomalous.
    ///
    /// # Shapes
    /// `[texts, signals]` to `[texts]`.
    ///
    /// # Errors
    /// When the columns are not those of the reference, or a value is not finite.
    fn score(&self, records: &ArrayView2<'_, f64>) -> Result<Array1<f64>>;

    /// Whether a score is beyond the threshold.
    fn is_anomalous(&self, score: f64) -> bool {
        score > self.threshold()
    }

    /// Which rows are flagged as anomalous.
    ///
    /// # Shapes
    /// `[texts, signals]` to one flag a text.
    ///
    /// # Errors
    /// As [`Detector::score`].
    fn flags(&self, records: &ArrayView2<'_, f64>) -> Result<Vec<bool>> {
        let scores = self.score(records)?;
        Ok(scores.iter().map(|&score| self.is_anomalous(score)).collect())
    }
}

/// Any fitted detector: what an ensemble holds and a run saves.
///
/// A saved model is this crate's own output and is trusted when it is read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "detector", rename_all = "snake_case")]
pub enum FittedDetector {
    /// See [`IsolationForest`].
    IsolationForest(IsolationForest),
    /// See [`LocalOutlierFactor`].
    LocalOutlierFactor(LocalOutlierFactor),
    /// See [`OneClassSvm`].
    OneClassSvm(OneClassSvm),
    /// See [`Autoencoder`].
    #[cfg(feature = "autoencoder")]
    Autoencoder(Autoencoder),
    /// See [`GaussianMixture`].
    GaussianMixture(GaussianMixture),
}

impl FittedDetector {
    /// The detector's name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::IsolationForest(_) => "isolation_forest",
            Self::LocalOutlierFactor(_) => "local_outlier_factor",
            Self::OneClassSvm(_) => "one_class_svm",
            #[cfg(feature = "autoencoder")]
            Self::Autoencoder(_) => "autoencoder",
            Self::GaussianMixture(_) => "gaussian_mixture",
        }
    }

    fn model(&self) -> &dyn Detector {
        match self {
            Self::IsolationForest(model) => model,
            Self::LocalOutlierFactor(model) => model,
            Self::OneClassSvm(model) => model,
            #[cfg(feature = "autoencoder")]
            Self::Autoencoder(model) => model,
            Self::GaussianMixture(model) => model,
        }
    }
}

impl Detector for FittedDetector {
    fn columns(&self) -> usize {
        self.model().columns()
    }

    fn reference_scores(&self) -> &Array1<f64> {
        self.model().reference_scores()
    }

    fn threshold(&self) -> f64 {
        self.model().threshold()
    }

    fn score(&self, records: &ArrayView2<'_, f64>) -> Result<Array1<f64>> {
        self.model().score(records)
    }

    fn is_anomalous(&self, score: f64) -> bool {
        self.model().is_anomalous(score)
    }
}
