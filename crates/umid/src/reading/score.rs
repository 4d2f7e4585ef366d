//! The calibrated reading's score: which signals enter, with which weights.
//!
//! Signals and weights were chosen on the development targets of the suite `clip` and then frozen
//! (`docs/findings.md`). Weights are equal: fitted ones were no better there. They enter the run's
//! identity.

use umid_detect::SignalWeight;
use umid_signals::Signal;

use crate::reading::text_signals::SignalRow;

/// Signals of the default score with their weights, in the order of the rows of a test.
/// Signals that a name or run lacks are left out and the rest is calibrated without them.
pub const DEFAULT_SCORE: [(Signal, f64); 5] = [
    (Signal::ResponseNormCalibrated, 1.0),
    (Signal::ResponseInteraction, 1.0),
    (Signal::ResponseAgreementCalibrated, 1.0),
    (Signal::ResponseCoherenceCalibrated, 1.0),
    (Signal::BankCslsCalibrated, 1.0),
];

/// Signals that serve a name without two parts.
pub const ONE_PART_SCORE: [(Signal, f64); 3] =
    [(Signal::ResponseNorm, 1.0), (Signal::ResponseAgreement, 1.0), (Signal::BankCsls, 1.0)];

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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_signal_is_weighted_once_and_positively() {
        for score in [&DEFAULT_SCORE[..], &ONE_PART_SCORE[..]] {
            let names: HashSet<&str> = score.iter().map(|(signal, _)| signal.name()).collect();
            assert_eq!(names.len(), score.len());
            assert!(score.iter().all(|(_, weight)| *weight > 0.0));
            assert_eq!(weights(score).len(), score.len());
        }
    }

    #[test]
    fn values_come_in_the_order_of_the_score_and_higher_for_members() {
        let score = [(Signal::Variability, 1.0), (Signal::Interaction, 2.0), (Signal::Bank, 1.0)];
        let row = SignalRow::from([
            (Signal::Interaction, Some(0.5)),
            (Signal::Variability, Some(0.25)),
            (Signal::Bank, None),
        ]);
        // Less variability is more member-like.
        assert_eq!(oriented(&score, &row), [Some(-0.25), Some(0.5), None]);
        assert_eq!(oriented(&score, &SignalRow::new()), [None, None, None]);
        assert_eq!(weights(&score)[1], SignalWeight::new("interaction", 2.0));
    }
}
