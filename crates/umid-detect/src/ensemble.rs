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
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

#[cfg(feature = "autoencoder")]
use crate::autoencoder::AutoencoderParams;
use crate::detector::{Detector, DetectorParams, Reference};
use crate::error::{DetectError, Result, require};
use crate::isolation_forest::IsolationForestParams;
use crate::local_outlier_factor::LocalOutlierFactorParams;
use crate::one_class_svm::OneClassSvmParams;
use crate::scaler::StandardScaler;

const ALGORITHM: &str = "ensemble";
/// Votes for a member, of four detectors (TUNI's code: a tie is a non-member).
const DEFAULT_MIN_VOTES: usize = 3;

/// A scaler and detectors, fitted on one reference.
///
/// ```
/// use linfa::prelude::*;
/// use ndarray::{Array2, array};
/// use umid_detect::{Decision, Ensemble, LocalOutlierFactor, OneClassSvm};
///
/// let reference = Array2::from_shape_fn((64, 2), |(i, j)| ((i * 7 + j * 13) % 17) as f64);
/// let ensemble = Ensemble::params()
///     .detector(LocalOutlierFactor::params())
///     .detector(OneClassSvm::params().nu(0.1))
///     .min_votes(2)
///     .fit(&DatasetBase::from(reference))?;
/// let readings = ensemble.read(&array![[8.0, 8.0], [90.0, -40.0]].view())?;
/// assert_eq!(readings[0].decision, Decision::NotDetected);
/// assert_eq!(readings[1].decision, Decision::Member);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
#[derive(Debug)]
pub struct Ensemble {
    scaler: StandardScaler,
    jurors: Vec<Juror>,
    min_votes: usize,
}

/// A fitted detector with its scores of the reference in ascending order.
#[derive(Debug)]
struct Juror {
    detector: Box<dyn Detector>,
    reference: Vec<f64>,
}

/// Parameters of [`Ensemble`].
#[derive(Debug)]
pub struct EnsembleParams(EnsembleValidParams);

/// Checked parameters of [`Ensemble`].
#[derive(Debug)]
pub struct EnsembleValidParams {
    detectors: Vec<Box<dyn DetectorParams>>,
    min_votes: usize,
}

/// What an ensemble says of one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnsembleReading {
    /// One opinion per detector, in the order they were given.
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
    /// The detector's name, as [`Detector::name`] has it.
    pub detector: String,
    /// Anomaly score; higher is more anomalous.
    pub score: f64,
    /// Whether the score is beyond the detector's threshold.
    pub anomalous: bool,
}

/// The result of a vote. A text that is not called a member is not thereby shown to be none.
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
    /// given to the isolation forest and to the autoencoder, each of which draws from streams of
    /// its own.
    #[cfg(feature = "autoencoder")]
    #[must_use]
    pub fn paper(seed: u64) -> Self {
        Ensemble::params()
            .detector(IsolationForestParams::default().seed(seed))
            .detector(LocalOutlierFactorParams::default())
            .detector(OneClassSvmParams::default())
            .detector(AutoencoderParams::default().seed(seed))
    }

    /// Adds a detector.
    #[must_use]
    pub fn detector(mut self, params: impl DetectorParams + 'static) -> Self {
        self.0.detectors.push(Box::new(params));
        self
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
        let (holds, found) = ((1..=detectors.len()).contains(min_votes), *min_votes as f64);
        require(holds, ALGORITHM, "min_votes", "1 to the number of detectors", found)?;
        detectors.iter().try_for_each(|params| params.check_params())?;
        Ok(&self.0)
    }

    fn check(self) -> Result<Self::Checked> {
        self.check_ref()?;
        Ok(self.0)
    }
}

impl<T> Fit<Array2<f64>, T, DetectError> for EnsembleValidParams {
    type Object = Ensemble;

    fn fit(&self, dataset: &DatasetBase<Array2<f64>, T>) -> Result<Ensemble> {
        let scaler = StandardScaler::fit(dataset.records())?;
        let standardised = Reference::from(scaler.transform(&dataset.records().view())?);
        let jurors = self.detectors.iter().map(|params| {
            let detector = params.fit_detector(&standardised)?;
            let mut reference = detector.reference_scores().to_vec();
            reference.sort_by(f64::total_cmp);
            Ok(Juror { detector, reference })
        });
        Ok(Ensemble { jurors: jurors.collect::<Result<_>>()?, scaler, min_votes: self.min_votes })
    }
}

impl Ensemble {
    /// Parameters to fit with, as yet without a detector.
    pub fn params() -> EnsembleParams {
        EnsembleParams(EnsembleValidParams { detectors: Vec::new(), min_votes: DEFAULT_MIN_VOTES })
    }

    /// The fitted detectors in the order they were given. They score standardised rows.
    pub fn detectors(&self) -> impl Iterator<Item = &dyn Detector> {
        self.jurors.iter().map(|juror| juror.detector.as_ref())
    }

    /// Reads rows: scores, flags, votes and decision.
    ///
    /// # Shapes
    /// `[texts, signals]`, not standardised, to one reading per text.
    ///
    /// # Errors
    /// When the columns are not those of the reference, or a value is not finite.
    pub fn read(&self, records: &ArrayView2<'_, f64>) -> Result<Vec<EnsembleReading>> {
        let standardised = self.scaler.transform(records)?;
        let scores = self.detectors().map(|detector| detector.score(&standardised.view()));
        let scores = scores.collect::<Result<Vec<_>>>()?;
        let row_scores = |row: usize| scores.iter().map(move |scores| scores[row]);
        Ok((0..records.nrows()).map(|row| self.reading(row_scores(row))).collect())
    }

    /// The reading of a row by its scores, one per detector.
    fn reading(&self, scores: impl Iterator<Item = f64>) -> EnsembleReading {
        let mut ranks = 0.0;
        let judge = |(juror, score): (&Juror, f64)| {
            ranks += juror.rank(score);
            juror.opinion(score)
        };
        let opinions: Vec<Opinion> = self.jurors.iter().zip(scores).map(judge).collect();
        let votes = opinions.iter().filter(|opinion| opinion.anomalous).count();
        EnsembleReading {
            opinions,
            votes,
            decision: if votes >= self.min_votes {
                Decision::Member
            } else {
                Decision::NotDetected
            },
            vote_score: votes as f64 + ranks / self.jurors.len() as f64,
        }
    }
}

impl Juror {
    fn opinion(&self, score: f64) -> Opinion {
        Opinion {
            detector: self.detector.name().to_owned(),
            score,
            anomalous: self.detector.is_anomalous(score),
        }
    }

    /// Mid-rank of a score among the reference's, above 0 and below 1.
    fn rank(&self, score: f64) -> f64 {
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
        Ensemble::params()
            .detector(IsolationForest::params())
            .detector(LocalOutlierFactor::params())
            .detector(OneClassSvm::params().nu(0.1))
    }

    fn fit(params: &EnsembleParams, reference: Array2<f64>) -> Ensemble {
        params.fit(&DatasetBase::from(reference)).expect("valid reference")
    }

    #[cfg(feature = "autoencoder")]
    #[test]
    fn one_seed_gives_every_purpose_draws_of_its_own() {
        use crate::{autoencoder, isolation_forest, split};
        use rand::{RngExt, SeedableRng};
        let purposes = [
            split::PURPOSE,
            isolation_forest::TREE_PURPOSE,
            autoencoder::WEIGHTS_PURPOSE,
            autoencoder::EPOCH_PURPOSE,
        ];
        let draws = purposes.map(|purpose| crate::streams::stream(purpose, 3, 0).random::<u64>());
        // The plain stream of a seed belongs to none of them: other crates draw from it.
        let plain = rand_chacha::ChaCha8Rng::seed_from_u64(3).random::<u64>();
        let distinct: std::collections::BTreeSet<u64> = draws.into_iter().chain([plain]).collect();
        assert_eq!(distinct.len(), purposes.len() + 1);
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
        assert!(matches!(Ensemble::params().check_ref(), Err(DetectError::Empty { .. })));
    }

    #[test]
    fn a_bad_parameter_of_a_detector_is_refused() {
        let bad = Ensemble::params().detector(OneClassSvm::params().nu(2.0));
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
