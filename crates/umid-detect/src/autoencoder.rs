//! Autoencoder: reconstruction error as an anomaly score (Hawkins, He, Williams and Baxter,
//! "Outlier Detection Using Replicator Neural Networks", DaWaK 2002), in the shape of TUNI
//! (arXiv 2405.14517): `d-16-8-4-8-16-d`, ReLU, Adam at 1e-3, 1,000 epochs, batches of 32.
//!
//! Two differences from TUNI's published code, both on purpose:
//! - The output is linear. TUNI's sigmoid cannot reconstruct standardised values, most of which lie
//!   outside `0..=1`.
//! - The threshold is a quantile of the *reference's* errors. TUNI takes the 75th percentile of the
//!   rows under test, so that about a quarter of them is flagged whatever they are.
//!
//! With four signals or fewer the narrowest layer does not compress, and the network learns the
//! identity where the reference lies; what the error then tells is how far a row lies outside.
//!
//! Inputs should be standardised. Initial weights and the order of the rows come from streams of
//! the seed and of nothing else; burn's global generator is never used. Training is in single
//! precision and may round differently on another kind of processor: to have the same numbers
//! there, save the fitted model. Scoring is plain `f64` arithmetic, row by row.

mod network;
mod training;

use linfa::dataset::DatasetBase;
use linfa::traits::Fit;
use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use crate::contamination::{DEFAULT_CONTAMINATION, check_share, share_threshold};
use crate::detector::Detector;
use crate::error::{DetectError, Result, above_zero, at_least_one};
use crate::parameters::parameters;
use crate::records::check_reference;
use crate::streams::stream;
use network::Network;
use training::train;

const ALGORITHM: &str = "autoencoder";
pub(crate) const WEIGHTS_PURPOSE: &str = "umid 2026 autoencoder initial weights";
pub(crate) const EPOCH_PURPOSE: &str = "umid 2026 autoencoder order of an epoch";
/// TUNI's code.
const DEFAULT_EPOCHS: usize = 1000;
/// TUNI's code. On 100 rows, 1,000 epochs take 0.6 s on one core; with all rows in one batch 0.15 s,
/// at a quarter of the updates.
const DEFAULT_BATCH_SIZE: usize = 32;
/// TUNI's code, and the default of Kingma and Ba 2015.
const DEFAULT_LEARNING_RATE: f64 = 1e-3;

/// A fitted autoencoder. Scores are mean squared reconstruction errors.
///
/// ```
/// use linfa::prelude::*;
/// use ndarray::{Array2, array};
/// use umid_detect::{Autoencoder, Detector};
///
/// let reference = Array2::from_shape_fn((40, 2), |(i, j)| ((i * 7 + j * 13) % 17) as f64 / 8.0 - 1.0);
/// let model = Autoencoder::params().epochs(30).seed(7).fit(&DatasetBase::from(reference))?;
/// let scores = model.score(&array![[0.0, 0.0], [9.0, -9.0]].view())?;
/// assert!(scores[1] > scores[0]);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Autoencoder {
    network: Network,
    reference_scores: Vec<f64>,
    threshold: f64,
}

parameters!(
    Autoencoder,
    AutoencoderParams,
    AutoencoderValidParams {
        /// Passes over the reference; 1,000 unless set.
        epochs: usize = DEFAULT_EPOCHS,
        /// Rows of one update; 32 unless set.
        batch_size: usize = DEFAULT_BATCH_SIZE,
        /// Adam's step size, above 0; 1e-3 unless set.
        learning_rate: f64 = DEFAULT_LEARNING_RATE,
        /// Share of the reference beyond the threshold, above 0 and at most 0.5; 0.1 unless set.
        contamination: f64 = DEFAULT_CONTAMINATION,
        /// Seed of the initial weights and of the order of the rows; 0 unless set.
        seed: u64 = 0,
    }
);

impl AutoencoderValidParams {
    fn check_values(&self) -> Result<()> {
        at_least_one(ALGORITHM, "epochs", self.epochs)?;
        at_least_one(ALGORITHM, "batch_size", self.batch_size)?;
        above_zero(ALGORITHM, "learning_rate", self.learning_rate)?;
        check_share(ALGORITHM, self.contamination)
    }
}

impl<T> Fit<Array2<f64>, T, DetectError> for AutoencoderValidParams {
    type Object = Autoencoder;

    fn fit(&self, dataset: &DatasetBase<Array2<f64>, T>) -> Result<Autoencoder> {
        let records = dataset.records();
        check_reference(ALGORITHM, records)?;
        let initial = Network::initial(records.ncols(), &mut stream(WEIGHTS_PURPOSE, self.seed, 0));
        let network = train(&initial, records, self);
        let reference_scores: Vec<f64> =
            records.rows().into_iter().map(|row| network.reconstruction_error(row)).collect();
        // Weights can be finite and still be so large that what they give is not.
        if !network.is_finite() || !reference_scores.iter().all(|score| score.is_finite()) {
            return Err(DetectError::Diverged { epochs: self.epochs });
        }
        let threshold = share_threshold(&reference_scores, self.contamination);
        Ok(Autoencoder { network, reference_scores, threshold })
    }
}

impl Detector for Autoencoder {
    fn name(&self) -> &'static str {
        "autoencoder"
    }

    fn columns(&self) -> usize {
        self.network.columns()
    }

    fn reference_scores(&self) -> &[f64] {
        &self.reference_scores
    }

    fn threshold(&self) -> f64 {
        self.threshold
    }

    fn score_row(&self, row: ArrayView1<'_, f64>) -> f64 {
        self.network.reconstruction_error(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{behaves_as_a_detector, gaussian, outlier_is_flagged};
    use linfa::ParamGuard;

    fn rejected(params: &AutoencoderParams) -> &'static str {
        match params.check_ref() {
            Err(DetectError::Hyperparameter { parameter, .. }) => parameter,
            other => panic!("expected a rejected parameter, got {other:?}"),
        }
    }

    #[test]
    fn zero_epochs_are_refused() {
        assert_eq!(rejected(&Autoencoder::params().epochs(0)), "epochs");
    }

    #[test]
    fn an_empty_batch_is_refused() {
        assert_eq!(rejected(&Autoencoder::params().batch_size(0)), "batch_size");
    }

    #[test]
    fn a_learning_rate_that_is_not_positive_is_refused() {
        for bad in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            assert_eq!(rejected(&Autoencoder::params().learning_rate(bad)), "learning_rate");
        }
    }

    #[test]
    fn a_contamination_outside_its_range_is_refused() {
        for bad in [0.0, 0.51, f64::NAN] {
            assert_eq!(rejected(&Autoencoder::params().contamination(bad)), "contamination");
        }
    }

    #[test]
    fn it_behaves_as_a_detector() {
        behaves_as_a_detector(|reference| {
            Autoencoder::params().epochs(20).seed(3).fit(reference).expect("valid reference")
        });
    }

    #[test]
    fn an_outlier_is_flagged_and_the_centre_is_not() {
        let model = Autoencoder::params()
            .epochs(100)
            .fit(&DatasetBase::from(gaussian(100, 2, 1)))
            .expect("valid reference");
        outlier_is_flagged(&model);
    }

    #[test]
    fn training_lowers_the_error_of_the_reference() {
        let reference = DatasetBase::from(gaussian(60, 3, 2));
        let mean_error = |epochs| {
            let model = Autoencoder::params().epochs(epochs).fit(&reference).expect("valid");
            model.reference_scores().iter().sum::<f64>() / 60.0
        };
        assert!(mean_error(100) < 0.8 * mean_error(1));
    }

    #[test]
    fn the_seed_alone_decides() {
        let reference = DatasetBase::from(gaussian(40, 2, 3));
        let fit = |seed| Autoencoder::params().epochs(5).seed(seed).fit(&reference).expect("valid");
        let first = fit(1);
        // A draw from burn's own generator in between must not matter.
        burn::tensor::Device::flex().seed(99);
        assert_eq!(first, fit(1));
        assert_ne!(first, fit(2));
    }

    #[test]
    fn a_step_that_is_far_too_large_is_an_error() {
        let reference = DatasetBase::from(gaussian(40, 2, 3));
        let result = Autoencoder::params().epochs(20).learning_rate(1e30).fit(&reference);
        assert!(matches!(result, Err(DetectError::Diverged { epochs: 20 })), "{result:?}");
    }

    #[test]
    fn finite_weights_that_give_infinite_errors_are_an_error() {
        let reference = DatasetBase::from(gaussian(40, 2, 3));
        // A single step: the weights are about 1e37, their products through six layers overflow.
        let params = Autoencoder::params().epochs(1).batch_size(40).learning_rate(1e37);
        let result = params.fit(&reference);
        assert!(matches!(result, Err(DetectError::Diverged { epochs: 1 })), "{result:?}");
    }
}
