//! The calibrated score: which signals enter, with which weights.
//!
//! Signals and weights were chosen on development targets and then frozen (`docs/findings.md`).

use crate::text::{
    BANK_CSLS, BANK_CSLS_EXCESS, CONTEXT_AGREEMENT, RESPONSE_AGREEMENT,
    RESPONSE_AGREEMENT_CALIBRATED, RESPONSE_COHERENCE_CALIBRATED, RESPONSE_INTERACTION,
    RESPONSE_NORM, RESPONSE_NORM_CALIBRATED, context_agreement,
};
use crate::{Signal, SignalRow};

/// Signals of the default score with their weights. Signals that a name or run lacks are left out
/// and the rest is calibrated without them.
pub static DEFAULT_SCORE: [(Signal, f64); 6] = [
    (RESPONSE_NORM_CALIBRATED.signal(), 2.0),
    (RESPONSE_AGREEMENT_CALIBRATED.signal(), 1.0),
    (RESPONSE_INTERACTION.signal(), 1.0),
    (RESPONSE_COHERENCE_CALIBRATED.signal(), 1.0),
    (CONTEXT_AGREEMENT.signal(), 1.0),
    (BANK_CSLS_EXCESS.signal(), 1.0),
];

/// Signals that serve a name without two parts.
pub static ONE_PART_SCORE: [(Signal, f64); 4] = [
    (RESPONSE_NORM.signal(), 1.0),
    (RESPONSE_AGREEMENT.signal(), 1.0),
    (CONTEXT_AGREEMENT.signal(), 1.0),
    (BANK_CSLS.signal(), 1.0),
];

/// The weights that a score takes on a model, from rows of names that cannot be members: those that
/// set its scales.
///
/// Contexts count by the square of what these names agree to over them ([`context_agreement`]). A
/// model that was not trained on captions of that kind does not know what they say beside the name,
/// and its answers there are noise. What no row has, and what counts nothing, is left out.
pub fn weights_on(score: &[(Signal, f64)], rows: &[&SignalRow]) -> Vec<(Signal, f64)> {
    let agreement = context_agreement(rows.iter().copied());
    let known = agreement.map_or(0.0, |agreement| agreement.max(0.0));
    let weighted = score.iter().map(|(signal, weight)| {
        let is_context = *signal == CONTEXT_AGREEMENT.signal();
        (*signal, if is_context { weight * known.powi(2) } else { *weight })
    });
    let is_present =
        |signal: &Signal| rows.iter().any(|row| matches!(row.get(signal), Some(Some(_))));
    weighted.filter(|(signal, weight)| *weight > 0.0 && is_present(signal)).collect()
}

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

    /// Rows in which names agree to 1 - e^-v over contexts.
    fn rows(log_agreements: &[f64]) -> Vec<SignalRow> {
        let row = |value: &f64| {
            SignalRow::from([
                (CONTEXT_AGREEMENT.signal(), Some(*value)),
                (RESPONSE_NORM.signal(), Some(1.0)),
                (RESPONSE_INTERACTION.signal(), None),
            ])
        };
        log_agreements.iter().map(row).collect()
    }

    #[test]
    fn contexts_count_by_what_the_model_makes_of_them_and_what_no_name_has_is_left_out() {
        let weight = |rows: &[SignalRow]| {
            let weights = weights_on(&ONE_PART_SCORE, &rows.iter().collect::<Vec<_>>());
            assert_eq!(weights[0], (RESPONSE_NORM.signal(), 1.0));
            assert!(weights.len() <= 2, "{weights:?}");
            weights.get(1).map(|(signal, weight)| {
                assert_eq!(*signal, CONTEXT_AGREEMENT.signal());
                *weight
            })
        };
        // Agreements of .9 and .7.
        let known = weight(&rows(&[10f64.ln(), -(0.3f64.ln())])).unwrap();
        assert!((known - 0.64).abs() < 1e-12, "{known}");
        // Agreements of 0 and below: captions that the model does not know.
        assert_eq!(weight(&rows(&[0.0, -0.1])), None);
        let one = rows(&[1.0]);
        let weights = weights_on(&DEFAULT_SCORE, &[&one[0]]);
        assert!(weights.iter().all(|(signal, _)| *signal == CONTEXT_AGREEMENT.signal()));
        assert_eq!(weights.len(), 1);
        assert_eq!(weights_on(&DEFAULT_SCORE, &[]), []);
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
