//! How well scores and decisions separate members from non-members: the ROC curve, its area and its
//! height at a small false positive rate (Carlini et al. 2022, "Membership Inference Attacks From
//! First Principles"), rates of decisions, and 95 % intervals.
//!
//! Scores are higher for members. Nothing here is ever NaN: an empty class is an error, and a rate
//! that the sample cannot resolve is `None`.

mod binomial;
mod bootstrap;
mod correlation;
mod decisions;
mod dose_response;
mod interval;
mod ranked;
mod roc;

pub use binomial::{realised_false_positive_rate, share_interval};
pub use bootstrap::{Bootstrap, ClassScores};
pub use correlation::spearman;
pub use decisions::{accuracy, balanced_accuracy, f1, precision, recall};
pub use dose_response::{Dose, HalfDetected, monotone_rates};
pub use interval::Interval;
pub use roc::{RocPoint, auc, roc_curve, tpr_at_fpr};
