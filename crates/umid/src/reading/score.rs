//! The calibrated reading's score: the signals of [`umid_signals::score`] as the calibrated test
//! wants them. They enter the run's identity.

use umid_detect::SignalWeight;
use umid_signals::Signal;

pub use umid_signals::score::{DEFAULT_SCORE, ONE_PART_SCORE};

/// The signals of a score with their weights.
pub(crate) fn weights(score: &[(Signal, f64)]) -> Vec<SignalWeight> {
    score.iter().map(|(signal, weight)| SignalWeight::new(signal.name(), *weight)).collect()
}
