//! The run in a few counts and one sentence.

use super::Report;
use super::markup::{count, names, percent, trimmed};
use crate::overview::Votes;

/// What the run found, counted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Findings {
    /// Queries with a record.
    pub names: usize,
    /// Those with a p-value.
    pub tested: usize,
    /// Names with a p-value at most `alpha`.
    pub detected_at_level: usize,
    /// Names with a q-value at most the false discovery rate; `None` without q-values.
    pub detected_at_fdr: Option<usize>,
    /// Names that would reach `alpha` if none had been seen in training.
    pub expected_at_level: f64,
    /// The paper's reading; `None` when no record has one.
    pub paper: Option<Votes>,
    /// The smallest p-value that the reference can give, 1 / (n + 1).
    pub smallest_p: f64,
    /// The least number of names that can pass the false discovery rate, all of them at the
    /// smallest p-value.
    pub names_needed_for_fdr: usize,
    alpha: f64,
    false_discovery_rate: f64,
}

impl Findings {
    /// Counts what a report is of.
    pub(super) fn of(report: &Report<'_>) -> Self {
        let Report { run, overview, q_values, .. } = *report;
        let parameters = &run.parameters;
        let smallest_p = 1.0 / (run.calibrated_reference.ranked as f64 + 1.0);
        let tested = overview.tested();
        let detected = |q: &&f64| **q <= parameters.false_discovery_rate;
        Self {
            names: overview.names(),
            tested,
            detected_at_level: overview.detected(),
            detected_at_fdr: (!q_values.is_empty())
                .then(|| q_values.iter().flatten().filter(detected).count()),
            expected_at_level: parameters.alpha * tested as f64,
            paper: overview.votes(),
            smallest_p,
            names_needed_for_fdr: names_needed(smallest_p, tested, parameters.false_discovery_rate),
            alpha: parameters.alpha,
            false_discovery_rate: parameters.false_discovery_rate,
        }
    }

    /// The outcome in one sentence.
    pub(super) fn sentence(&self) -> String {
        if self.names == 0 {
            return "No name has been answered yet.".to_owned();
        }
        if self.tested == 0 {
            return "No name has a calibrated verdict; see the warnings.".to_owned();
        }
        let level = percent(self.alpha);
        let by_chance = format!(
            "where about {} would be expected by chance alone",
            expected(self.expected_at_level)
        );
        match self.detected_at_fdr {
            Some(detected) => format!(
                "{} of {} detected at a false discovery rate of {}; {} at level {level} a name, \
                 {by_chance}.",
                or_none(detected),
                names(self.tested),
                percent(self.false_discovery_rate),
                or_none(self.detected_at_level).to_lowercase(),
            ),
            None => format!(
                "{} of {} detected at level {level} a name, {by_chance}; no false discovery rate \
                 was computed.",
                or_none(self.detected_at_level),
                names(self.tested),
            ),
        }
    }
}

/// The least k with `smallest_p <= k / names * rate`, the condition of Benjamini and Hochberg
/// for the k-th smallest p-value.
fn names_needed(smallest_p: f64, names: usize, rate: f64) -> usize {
    // Slack for the rounding of products such as 0.001 * 100 / 0.05.
    const SLACK: f64 = 1e-9;
    let needed = smallest_p * names as f64 / rate;
    ((needed - SLACK).ceil() as usize).max(1)
}

/// An expected count: whole from ten on, with one decimal below.
pub(super) fn expected(n: f64) -> String {
    if n >= 9.95 { count(n.round() as u64) } else { trimmed(n, 1) }
}

fn or_none(n: usize) -> String {
    if n == 0 { "None".to_owned() } else { count(n as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Findings {
        Findings {
            names: 121,
            tested: 120,
            detected_at_level: 5,
            detected_at_fdr: Some(3),
            expected_at_level: 6.0,
            paper: None,
            smallest_p: 0.001,
            names_needed_for_fdr: 3,
            alpha: 0.05,
            false_discovery_rate: 0.05,
        }
    }

    #[test]
    fn the_sentence_gives_both_error_rates_and_chance() {
        assert_eq!(
            outcome().sentence().replace('\u{a0}', " "),
            "3 of 120 names detected at a false discovery rate of 5 %; 5 at level 5 % a name, \
             where about 6 would be expected by chance alone."
        );
    }

    #[test]
    fn nothing_detected_is_said_as_such() {
        let none = Findings { detected_at_level: 0, detected_at_fdr: Some(0), ..outcome() };
        assert!(none.sentence().starts_with("None of 120 names detected"));
        assert!(none.sentence().contains("; none at level"));
    }

    #[test]
    fn a_run_without_q_values_says_so() {
        let sentence = Findings { detected_at_fdr: None, ..outcome() }.sentence();
        assert!(sentence.starts_with("5 of 120 names detected at level"));
        assert!(sentence.ends_with("no false discovery rate was computed."));
    }

    #[test]
    fn names_needed_follows_benjamini_hochberg() {
        assert_eq!(names_needed(0.001, 100, 0.05), 2);
        assert_eq!(names_needed(0.001, 120, 0.05), 3);
        assert_eq!(names_needed(0.001, 10, 0.05), 1);
        assert_eq!(names_needed(0.5, 10, 0.05), 100);
    }
}
