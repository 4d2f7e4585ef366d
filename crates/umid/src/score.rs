//! The calibrated reading's score: which signals enter, with which weights.
//!
//! The weights were chosen on targets of other worlds than the bundled one
//! (`docs/method.md`); they are fixed here and enter the run's identity.

use umid_detect::SignalWeight;
use umid_signals::Signal;

use crate::text_signals::SignalRow;

/// Signals of the default score with their weights, in the order of the rows of a test.
/// Signals that a name or run lacks are left out and the rest is calibrated without them.
pub const DEFAULT_SCORE: [(Signal, f64); 5] = [
    (Signal::Interaction, 1.0),
    (Signal::InteractionCoherence, 0.5),
    (Signal::TextNormCalibrated, 0.25),
    (Signal::TemplateAgreementCalibrated, 0.25),
    (Signal::BankCslsCalibrated, 1.0),
];

/// Signals that serve a name without two parts.
pub const ONE_PART_SCORE: [(Signal, f64); 3] =
    [(Signal::TextNorm, 1.0), (Signal::TemplateAgreement, 1.0), (Signal::BankCsls, 2.0)];

/// The signals of a score as the calibrated test wants them.
pub(crate) fn weights(score: &[(Signal, f64)]) -> Vec<SignalWeight> {
    score.iter().map(|(signal, weight)| SignalWeight::new(signal.name(), *weight)).collect()
}

/// The oriented values of a score's signals; higher is more member-like.
pub(crate) fn oriented(score: &[(Signal, f64)], row: &SignalRow) -> Vec<Option<f64>> {
    score
        .iter()
        .map(|(signal, _)| row.get(signal).copied().flatten().map(|raw| signal.oriented(raw)))
        .collect()
}
