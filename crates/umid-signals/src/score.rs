//! The calibrated score: which signals enter, with which weights.
//!
//! Signals and weights were chosen on development targets and then frozen (`docs/findings.md`).
//! Weights are equal: fitted ones were no better there.

use crate::text::{
    BANK_CSLS, BANK_CSLS_CALIBRATED, RESPONSE_AGREEMENT, RESPONSE_AGREEMENT_CALIBRATED,
    RESPONSE_COHERENCE_CALIBRATED, RESPONSE_INTERACTION, RESPONSE_NORM, RESPONSE_NORM_CALIBRATED,
};
use crate::{Signal, SignalRow};

/// Signals of the default score with their weights. Signals that a name or run lacks are left out
/// and the rest is calibrated without them.
pub static DEFAULT_SCORE: [(Signal, f64); 5] = [
    (RESPONSE_NORM_CALIBRATED.signal(), 1.0),
    (RESPONSE_INTERACTION.signal(), 1.0),
    (RESPONSE_AGREEMENT_CALIBRATED.signal(), 1.0),
    (RESPONSE_COHERENCE_CALIBRATED.signal(), 1.0),
    (BANK_CSLS_CALIBRATED.signal(), 1.0),
];

/// Signals that serve a name without two parts.
pub static ONE_PART_SCORE: [(Signal, f64); 3] =
    [(RESPONSE_NORM.signal(), 1.0), (RESPONSE_AGREEMENT.signal(), 1.0), (BANK_CSLS.signal(), 1.0)];

/// The values of a score's signals in the score's order; higher is more member-like.
pub fn oriented(score: &[(Signal, f64)], row: &SignalRow) -> Vec<Option<f64>> {
    score
        .iter()
        .map(|(signal, _)| row.get(signal).copied().flatten().map(|raw| signal.oriented(raw)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::inversion::VARIABILITY;
    use crate::text::{BANK, INTERACTION};

    #[test]
    fn each_signal_is_weighted_once_and_positively() {
        for score in [&DEFAULT_SCORE[..], &ONE_PART_SCORE[..]] {
            let names: HashSet<&str> = score.iter().map(|(signal, _)| signal.name()).collect();
            assert_eq!(names.len(), score.len());
            assert!(score.iter().all(|(_, weight)| *weight > 0.0));
        }
    }

    #[test]
    fn values_come_in_the_order_of_the_score_and_higher_for_members() {
        let signals = [VARIABILITY.signal(), INTERACTION.signal(), BANK.signal()];
        let score = signals.map(|signal| (signal, 1.0));
        let row: SignalRow = signals.into_iter().zip([Some(0.25), Some(0.5), None]).collect();
        // Less variability is more member-like.
        assert_eq!(oriented(&score, &row), [Some(-0.25), Some(0.5), None]);
        assert_eq!(oriented(&score, &SignalRow::new()), [None, None, None]);
    }
}
