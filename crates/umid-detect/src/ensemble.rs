//! The paper's decision: detectors fitted on a reference of non-members vote, and a text is called
//! a member when enough of them call it anomalous (UMID, arXiv 2603.14222; TUNI, arXiv 2405.14517:
//! isolation forest, local outlier factor, one-class SVM and autoencoder, three votes of four).
//!
//! The scaler is fitted on the reference alone, where TUNI's published code fits it on reference and
//! queries together. No number of a row depends on the rows that it is read with: ranks, too, are
//! taken against the reference.
//!
//! The vote is undirected: it asks whether a row is unlike the reference, not whether it is unlike
//! it in the direction of membership. See [`crate::SignedZ`] for the score that does.

use linfa::ParamGuard;
use linfa::dataset::DatasetBase;
use linfa::traits::Fit;
use ndarray::{Array1, ArrayBase, ArrayView2, Data, Ix2};
use serde::{Deserialize, Serialize};

#[cfg(feature = "autoencoder")]
use crate::autoencoder::AutoencoderParams;
use crate::detector::{Detector, FittedDetector};
use crate::error::{DetectError, Result};
use crate::gaussian_mixture::GaussianMixtureParams;
use crate::isolation_forest::IsolationForestParams;
use crate::local_outlier_factor::LocalOutlierFactorParams;
use crate::one_class_svm::OneClassSvmParams;
use crate::records::check_reference;
use crate::scaler::StandardScaler;

const ALGORITHM: &str = "ensemble";
/// Votes for a member, of four detectors (TUNI's code: a tie is a non-member).
const DEFAULT_MIN_VOTES: usize = 3;

/// A scaler and detectors, fitted on one reference.
///
/// ```
/// use linfa::prelude::*;
/// use ndarray::{Array2, array};
/// use umid_detect::{Decision, DetectorParams, Ensemble, LocalOutlierFactor, OneClassSvm};
///
/// let reference = Array2::from_shape_fn((64, 2), |(i, j)| ((i * 7 + j * 13) % 17) as f64);
/// let ensemble = Ensemble::params(vec![
///     DetectorParams::LocalOutlierFactor(LocalOutlierFactor::params()),
///     DetectorParams::OneClassSvm(OneClassSvm::params().nu(0.1)),
/// ])
/// .min_votes(2)
/// .fit(&DatasetBase::from(reference))?;
/// let readings = ensemble.read(&array![[8.0, 8.0], [90.0, -40.0]].view())?;
/// assert_eq!(readings[0].decision, Decision::NotDetected);
/// assert_eq!(readings[1].decision, Decision::Member);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ensemble {
    scaler: StandardScaler,
    detectors: Vec<FittedDetector>,
    min_votes: usize,
}

/// Unfitted detectors, as an ensemble takes them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "detector", rename_all = "snake_case")]
pub enum DetectorParams {
    /// See [`crate::IsolationForest`].
    IsolationForest(IsolationForestParams),
    /// See [`crate::LocalOutlierFactor`].
    LocalOutlierFactor(LocalOutlierFactorParams),
    /// See [`crate::OneClassSvm`].
    OneClassSvm(OneClassSvmParams),
    /// See [`crate::Autoencoder`].
    #[cfg(feature = "autoencoder")]
    Autoencoder(AutoencoderParams),
    /// See [`crate::GaussianMixture`].
    GaussianMixture(GaussianMixtureParams),
}

/// Parameters of [`Ensemble`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EnsembleParams(EnsembleValidParams);

/// Checked parameters of [`Ensemble`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EnsembleValidParams {
    detectors: Vec<DetectorParams>,
    min_votes: usize,
}

/// What an ensemble says of one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnsembleReading {
    /// One opinion a detector, in the order they were given.
    pub opinions: Vec<Opinion>,
    /// Detectors that call the row anomalous.
    pub votes: usize,
    /// Whether the votes are enough.
    pub decision: Decision,
    /// Votes plus the mean rank of the detectors' scores among the reference's scores, which is
    /// above 0 and below 1: orders rows by votes first. Higher is more member-like.
    pub vote_score: f64,
}

/// What one detector says of one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opinion {
    /// The detector's name, as [`FittedDetector::name`] has it.
    pub detector: String,
    /// Anomaly score; higher is more anomalous.
    pub score: f64,
    /// Whether the score is beyond the detector's threshold.
    pub anomalous: bool,
}

/// The outcome of a vote. A text that is not called a member is not thereby shown to be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Enough detectors call the row anomalous.
    Member,
    /// Too few do.
    NotDetected,
}

impl EnsembleParams {
    /// The paper's four detectors as TUNI's code sets them, three votes for a member. The seed is
    /// that of the isolation forest and of the autoencoder.
    #[cfg(feature = "autoencoder")]
    pub fn paper(seed: u64) -> Self {
        Ensemble::params(vec![
            DetectorParams::IsolationForest(IsolationForestParams::default().seed(seed)),
            DetectorParams::LocalOutlierFactor(LocalOutlierFactorParams::default()),
            DetectorParams::OneClassSvm(OneClassSvmParams::default()),
            DetectorParams::Autoencoder(AutoencoderParams::default().seed(seed)),
        ])
    }

    /// Detectors that must call a row anomalous, from 1 to all of them; 3 unless set.
    #[must_use]
    pub fn min_votes(mut self, min_votes: usize) -> Self {
        self.0.min_votes = min_votes;
        self
    }
}

impl ParamGuard for EnsembleParams {
    type Checked = EnsembleValidParams;
    type Error = DetectError;

    fn check_ref(&self) -> Result<&Self::Checked> {
        let Self(EnsembleValidParams { detectors, min_votes }) = self;
        if detectors.is_empty() {
            return Err(DetectError::Empty { list: "detectors" });
        }
        if !(1..=detectors.len()).contains(min_votes) {
            return Err(DetectError::Hyperparameter {
                algorithm: ALGORITHM,
                parameter: "min_votes",
                expected: "1 to the number of detectors",
                found: *min_votes as f64,
            });
        }
        detectors.iter().try_for_each(DetectorParams::check)?;
        Ok(&self.0)
    }

    fn check(self) -> Result<Self::Checked> {
        self.check_ref()?;
        Ok(self.0)
    }
}

impl<D: Data<Elem = f64>, T> Fit<ArrayBase<D, Ix2>, T, DetectError> for EnsembleValidParams {
    type Object = Ensemble;

    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<Ensemble> {
        check_reference(ALGORITHM, dataset.records())?;
        let records = dataset.records().view();
        let scaler = StandardScaler::params().fit(&DatasetBase::from(records))?;
        let standardised = DatasetBase::from(scaler.transform(&records)?);
        let fitted = self.detectors.iter().map(|params| params.fit(&standardised));
        Ok(Ensemble {
            detectors: fitted.collect::<Result<_>>()?,
            scaler,
            min_votes: self.min_votes,
        })
    }
}

impl DetectorParams {
    fn check(&self) -> Result<()> {
        match self {
            Self::IsolationForest(params) => params.check_ref().map(drop),
            Self::LocalOutlierFactor(params) => params.check_ref().map(drop),
            Self::OneClassSvm(params) => params.check_ref().map(drop),
            #[cfg(feature = "autoencoder")]
            Self::Autoencoder(params) => params.check_ref().map(drop),
            Self::GaussianMixture(params) => params.check_ref().map(drop),
        }
    }

    /// Fits the detector on rows as they are; an [`Ensemble`] standardises them first.
    ///
    /// # Shapes
    /// The dataset's records are `[texts, signals]`.
    ///
    /// # Errors
    /// When a parameter is outside its range, or the detector cannot be fitted to the reference.
    pub fn fit<D: Data<Elem = f64>, T>(
        &self,
        dataset: &DatasetBase<ArrayBase<D, Ix2>, T>,
    ) -> Result<FittedDetector> {
        Ok(match self {
            Self::IsolationForest(params) => FittedDetector::IsolationForest(params.fit(dataset)?),
            Self::LocalOutlierFactor(params) => {
                FittedDetector::LocalOutlierFactor(params.fit(dataset)?)
            }
            Self::OneClassSvm(params) => FittedDetector::OneClassSvm(params.fit(dataset)?),
            #[cfg(feature = "autoencoder")]
            Self::Autoencoder(params) => FittedDetector::Autoencoder(params.fit(dataset)?),
            Self::GaussianMixture(params) => FittedDetector::GaussianMixture(params.fit(dataset)?),
        })
    }
}

impl Ensemble {
    /// Parameters to fit these detectors with.
    pub fn params(detectors: Vec<DetectorParams>) -> EnsembleParams {
        EnsembleParams(EnsembleValidParams { detectors, min_votes: DEFAULT_MIN_VOTES })
    }

    /// The fitted detectors. They score rows that [`Ensemble::scaler`] has standardised.
    pub fn detectors(&self) -> &[FittedDetector] {
        &self.detectors
    }

    /// The scaler, fitted on the reference.
    pub fn scaler(&self) -> &StandardScaler {
        &self.scaler
    }

    /// Reads rows: scores, flags, votes and decision.
    ///
    /// # Shapes
    /// `[texts, signals]`, not standardised, to one reading a text.
    ///
    /// # Errors
    /// When the columns are not those of the reference, or a value is not finite.
    pub fn read(&self, records: &ArrayView2<'_, f64>) -> Result<Vec<EnsembleReading>> {
        let standardised = self.scaler.transform(records)?;
        let judges = self
            .detectors
            .iter()
            .map(|detector| Judge::new(detector, &standardised.view()))
            .collect::<Result<Vec<_>>>()?;
        Ok((0..records.nrows()).map(|row| self.reading(&judges, row)).collect())
    }

    fn reading(&self, judges: &[Judge<'_>], row: usize) -> EnsembleReading {
        let opinions: Vec<Opinion> = judges.iter().map(|judge| judge.opinion(row)).collect();
        let votes = opinions.iter().filter(|opinion| opinion.anomalous).count();
        let ranks: f64 = judges.iter().map(|judge| judge.rank(row)).sum();
        EnsembleReading {
            opinions,
            votes,
            decision: if votes >= self.min_votes {
                Decision::Member
            } else {
                Decision::NotDetected
            },
            vote_score: votes as f64 + ranks / judges.len() as f64,
        }
    }
}

/// A detector with its scores of the rows under test.
struct Judge<'a> {
    detector: &'a FittedDetector,
    scores: Array1<f64>,
    /// The detector's scores of the reference, sorted upwards.
    reference: Vec<f64>,
}

impl<'a> Judge<'a> {
    fn new(detector: &'a FittedDetector, standardised: &ArrayView2<'_, f64>) -> Result<Self> {
        let mut reference = detector.reference_scores().to_vec();
        reference.sort_by(f64::total_cmp);
        Ok(Self { detector, scores: detector.score(standardised)?, reference })
    }

    fn opinion(&self, row: usize) -> Opinion {
        let score = self.scores[row];
        Opinion {
            detector: self.detector.name().to_owned(),
            score,
            anomalous: self.detector.is_anomalous(score),
        }
    }

    /// Mid-rank of a row among the reference, above 0 and below 1.
    fn rank(&self, row: usize) -> f64 {
        let score = self.scores[row];
        let below = self.reference.partition_point(|&reference| reference < score);
        let not_above = self.reference.partition_point(|&reference| reference <= score);
        (f64::midpoint(below as f64, not_above as f64) + 0.5) / (self.reference.len() + 1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gaussian;
    use crate::{IsolationForest, LocalOutlierFactor, OneClassSvm};
    use ndarray::{Array2, array};

    fn three() -> EnsembleParams {
        Ensemble::params(vec![
            DetectorParams::IsolationForest(IsolationForest::params()),
            DetectorParams::LocalOutlierFactor(LocalOutlierFactor::params()),
            DetectorParams::OneClassSvm(OneClassSvm::params().nu(0.1)),
        ])
    }

    fn fit(params: &EnsembleParams, reference: Array2<f64>) -> Ensemble {
        params.fit(&DatasetBase::from(reference)).expect("valid reference")
    }

    #[test]
    fn votes_outside_their_range_are_refused() {
        for bad in [0, 4] {
            assert!(matches!(
                three().min_votes(bad).check_ref(),
                Err(DetectError::Hyperparameter { parameter: "min_votes", .. })
            ));
        }
    }

    #[test]
    fn no_detectors_are_refused() {
        assert!(matches!(Ensemble::params(vec![]).check_ref(), Err(DetectError::Empty { .. })));
    }

    #[test]
    fn a_bad_parameter_of_a_detector_is_refused() {
        let bad =
            Ensemble::params(vec![DetectorParams::OneClassSvm(OneClassSvm::params().nu(2.0))]);
        assert!(matches!(
            bad.min_votes(1).check_ref(),
            Err(DetectError::Hyperparameter { parameter: "nu", .. })
        ));
    }

    #[test]
    fn the_decision_follows_the_votes() {
        let queries = array![[0.0, 0.0], [6.0, -6.0], [1.9, 0.0]];
        let strict = fit(&three(), gaussian(200, 2, 1));
        let lenient = fit(&three().min_votes(1), gaussian(200, 2, 1));
        let readings = strict.read(&queries.view()).expect("finite");
        assert_eq!(readings[0].decision, Decision::NotDetected);
        assert_eq!((readings[1].votes, readings[1].decision), (3, Decision::Member));
        for (strict, lenient) in readings.iter().zip(lenient.read(&queries.view()).expect("finite"))
        {
            assert_eq!(strict.votes, lenient.votes);
            assert_eq!(lenient.decision == Decision::Member, lenient.votes >= 1);
        }
    }

    #[test]
    fn the_vote_score_orders_by_votes_first() {
        let ensemble = fit(&three(), gaussian(100, 2, 1));
        for reading in ensemble.read(&(gaussian(100, 2, 9) * 2.0).view()).expect("finite") {
            let rank = reading.vote_score - reading.votes as f64;
            assert!(rank > 0.0 && rank < 1.0, "{reading:?}");
        }
    }

    #[test]
    fn the_scale_of_a_column_does_not_matter() {
        let wide = |m: Array2<f64>| m * &array![1.0, 1024.0];
        let queries = gaussian(20, 2, 3) * 2.0;
        let plain = fit(&three(), gaussian(100, 2, 1)).read(&queries.view()).expect("finite");
        let scaled = fit(&three(), wide(gaussian(100, 2, 1))).read(&wide(queries).view());
        let decisions = |readings: &[EnsembleReading]| {
            readings.iter().map(|r| (r.votes, r.decision)).collect::<Vec<_>>()
        };
        assert_eq!(decisions(&plain), decisions(&scaled.expect("finite")));
    }
}
