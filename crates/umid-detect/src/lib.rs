//! Anomaly detectors, the paper's vote and calibrated p-values, on plain rows of numbers.
//!
//! Rows are texts and columns are signals; this crate knows nothing of models. Two readings of a
//! row are offered:
//!
//! - **the paper's**: an [`Ensemble`] of detectors fitted on a reference of non-members votes
//!   (UMID, arXiv 2603.14222);
//! - **the calibrated one**: a [`CalibratedTest`] turns a signed score, or one that is fitted on known
//!   members ([`AnchoredScore`]), into a conformal p-value, and [`adaptive_benjamini_hochberg`]
//!   controls the false discovery rate over a run; [`ListAnswer`] speaks of a list as a whole.
//!
//! # Invariants
//! - Every score is higher for rows that are more member-like; for a detector, that is more
//!   anomalous relative to the reference. (The one exception says so in its name:
//!   [`OneClassSvm::decision_values`], for comparison with other implementations.)
//! - Nothing is fitted, scaled, ranked or thresholded on rows under test.
//! - Everything random is seeded, and every purpose has a stream of its own under a seed. A fitted
//!   detector or test can be saved with serde and gives identical numbers when it is read back; with
//!   `serde_json`, enable its `float_roundtrip` feature. An ensemble is not saved: it is fitted again
//!   from its reference.
//!
//! # Data
//! A reference is a matrix `[texts, signals]`, an owned `Array2<f64>` in a dataset without targets
//! ([`Reference`]); rows under test are an `ArrayView2<f64>` of the same columns; scores are lists of
//! `f64`. A row in which signals may be missing is a slice of `Option<f64>`.
//!
//! # Form
//! Detectors have the form of [linfa](https://docs.rs/linfa): `Params`, checked by
//! [`linfa::ParamGuard`] into `ValidParams`, fitted through [`linfa::traits::Fit`] into a model that
//! implements [`Detector`]. An [`Ensemble`] takes any detector of this form.

mod adaptive;
mod anchored;
#[cfg(feature = "autoencoder")]
mod autoencoder;
mod calibrated;
mod conformal;
mod contamination;
mod detector;
mod ensemble;
mod error;
mod isolation_forest;
mod list;
mod local_outlier_factor;
mod metrics;
mod one_class_svm;
mod parameters;
mod quantile;
mod records;
mod scaler;
mod signed_z;
mod split;
mod streams;
mod tail;
#[cfg(test)]
mod testing;

pub use adaptive::{
    AdaptiveDiscovery, MIN_NAMES_FOR_A_SHARE, adaptive_benjamini_hochberg, non_member_share,
};
pub use anchored::{AnchoredAuc, AnchoredScore, MIN_ANCHORED_AUC, MIN_KNOWN_MEMBERS, anchored_auc};
#[cfg(feature = "autoencoder")]
pub use autoencoder::{Autoencoder, AutoencoderParams, AutoencoderValidParams};
pub use calibrated::{CalibratedScore, CalibratedTest, MIN_CALIBRATION_ROWS};
pub use conformal::{ConformalCalibration, FalseDiscovery, benjamini_hochberg};
pub use contamination::Contamination;
pub use detector::{Detector, DetectorParams, Reference};
pub use ensemble::{
    Decision, Ensemble, EnsembleParams, EnsembleReading, EnsembleValidParams, Opinion,
};
pub use error::{DetectError, Result};
pub use isolation_forest::{
    IsolationForest, IsolationForestParams, IsolationForestValidParams, average_path_length,
};
pub use list::{ListAnswer, RankedNames};
pub use local_outlier_factor::{
    LocalOutlierFactor, LocalOutlierFactorParams, LocalOutlierFactorValidParams,
};
pub use metrics::{
    Bootstrap, ClassScores, Dose, HalfDetected, Interval, RocPoint, accuracy, auc,
    balanced_accuracy, f1, monotone_rates, precision, realised_false_positive_rate, recall,
    roc_curve, share_interval, spearman, tpr_at_fpr,
};
pub use one_class_svm::{Gamma, OneClassSvm, OneClassSvmParams, OneClassSvmValidParams};
pub use quantile::quantile;
pub use scaler::StandardScaler;
pub use signed_z::{SignalWeight, SignedScore, SignedZ};
pub use split::{DEFAULT_FIT_FRACTION, Split};
