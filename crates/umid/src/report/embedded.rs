//! The data that the page carries: the rows of its table, in a form that is small for many
//! rows and still useful when it is downloaded.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Report;
use super::markup::count;
use super::table::{Table, Vote};
use crate::known_answers::KnownAnswers;
use crate::overview::signals_by_weight;
use crate::record::RunInfo;

/// Columns for signals in the table; a row's details show all of them.
const KEY_SIGNALS: usize = 4;

/// The signals of the paper, in the table whenever they were measured.
const PAPER_SIGNALS: [&str; 2] = ["similarity", "variability"];

/// What the script reads, and what "download JSON" saves.
#[derive(Debug, Serialize)]
pub(super) struct Embedded<'a> {
    /// `run.json` without the references' signals.
    run: Value,
    /// Names of the signals, in the order of each row's `signals`.
    signals: Vec<&'a str>,
    /// Positions in `signals` of those that get a column.
    key_signals: Vec<usize>,
    /// Names of the detectors, in the order of each row's `votes`.
    detectors: Vec<&'a str>,
    has_q_values: bool,
    has_paper: bool,
    has_truth: bool,
    /// Queries with a record; more than there are rows in a very large run.
    total: usize,
    rows: Rows<'a>,
}

/// The table's rows, made one at a time as they are written.
#[derive(Debug)]
struct Rows<'a> {
    table: &'a Table,
    q_values: &'a [Option<f64>],
    answers: &'a KnownAnswers,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'a str,
    text: &'a str,
    p: Option<f64>,
    q: Option<f64>,
    score: Option<f64>,
    detected: bool,
    signals: &'a [Option<f64>],
    used: &'a [usize],
    paper: Option<&'a Vote>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    truth: Option<bool>,
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.table.rows.iter().map(|row| Row {
            id: &row.id,
            text: &row.text,
            p: row.p,
            q: self.q_values.get(row.position).copied().flatten(),
            score: row.score,
            detected: row.detected,
            signals: &row.signals,
            used: &row.used,
            paper: row.paper.as_ref(),
            warnings: &row.warnings,
            truth: self.answers.member(&row.id),
        }))
    }
}

impl<'a> Embedded<'a> {
    /// What the page carries of a report.
    pub(super) fn new(report: &Report<'a>) -> Self {
        let Report { run, overview, table, q_values, answers, .. } = *report;
        let signals: Vec<&str> = overview.signals().iter().map(String::as_str).collect();
        Self {
            run: run_without_reference_signals(run),
            key_signals: key_signals(run, &signals),
            detectors: overview.detectors().iter().map(String::as_str).collect(),
            has_q_values: !q_values.is_empty(),
            has_paper: overview.votes().is_some(),
            has_truth: report.has_truth(),
            total: overview.names(),
            rows: Rows { table, q_values, answers },
            signals,
        }
    }

    /// What the table leaves out, if anything.
    pub(super) fn note(&self) -> String {
        let shown = self.rows.table.rows.len();
        if shown == self.total {
            return String::new();
        }
        format!(
            "<p class=\"note\">The table holds the {} names with the smallest p-values of {}. \
             Counts and charts are over all of them; <code>results.csv</code> lists every \
             one.</p>\n",
            count(shown as u64),
            count(self.total as u64),
        )
    }
}

/// The signals that get a column: the paper's two where measured, and the heaviest of the
/// calibrated score.
fn key_signals(run: &RunInfo, signals: &[&str]) -> Vec<usize> {
    let paper = positions(signals, PAPER_SIGNALS.iter());
    let by_weight = signals_by_weight(run);
    let mut key = positions(signals, by_weight.iter().map(|(name, _)| name));
    key.retain(|position| !paper.contains(position));
    key.truncate(KEY_SIGNALS - paper.len());
    key.extend(paper);
    key
}

fn positions<S: AsRef<str>>(signals: &[&str], names: impl Iterator<Item = S>) -> Vec<usize> {
    names.filter_map(|name| signals.iter().position(|s| *s == name.as_ref())).collect()
}

fn run_without_reference_signals(run: &RunInfo) -> Value {
    let mut run = serde_json::to_value(run).expect("run information serialises");
    for reference in ["paper_reference", "calibrated_reference"] {
        if let Some(reference) = run.get_mut(reference).and_then(Value::as_object_mut) {
            reference.remove("signals");
        }
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::report::table::MAX_ROWS;

    #[test]
    fn a_very_large_run_keeps_the_smallest_p_values_and_says_so() {
        let run = fixture::run(40);
        let mut records = fixture::records(1, 1);
        let record = records.pop().expect("one record");
        let records: Vec<_> = (0..=MAX_ROWS)
            .map(|i| {
                let mut record = record.clone();
                record.id = i.to_string();
                let calibrated = record.calibrated.as_mut().unwrap();
                calibrated.p_value = 1.0 / (i as f64 + 1.0);
                calibrated.detected = calibrated.p_value <= 0.05;
                record
            })
            .collect();
        let drawn = fixture::Drawn::of(&run, &records);
        let report = drawn.report(&run, &[]);
        let embedded = Embedded::new(&report);
        let rows = &drawn.table.rows;
        assert_eq!(rows.len(), MAX_ROWS);
        assert_eq!(rows[0].id, MAX_ROWS.to_string());
        assert!(rows.iter().all(|row| row.id != "0"), "the largest p-value is left out");
        assert!(embedded.note().contains("20,000 names"));
        // Counts are over all: p = 1/20 and below.
        let outcome = crate::report::findings::Findings::of(&report);
        assert_eq!((embedded.total, outcome.names), (MAX_ROWS + 1, MAX_ROWS + 1));
        assert_eq!(outcome.detected_at_level, MAX_ROWS + 1 - 19);
        assert!(crate::report::p_values::figure(&run, &drawn.overview).contains("of 20,001 names"));
    }

    #[test]
    fn columns_are_the_heaviest_signals_and_the_papers() {
        let run = fixture::run(40);
        let names = ["part_interaction", "similarity", "text_norm", "unweighted", "variability"];
        assert_eq!(key_signals(&run, &names), [0, 2, 1, 4]);
        assert!(key_signals(&run, &[]).is_empty());
    }
}
