//! The data that the page carries: the rows of its table, in a form that is small for many
//! rows and still useful when it is downloaded.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::Report;
use super::markup::{count, words};
use crate::record::{QueryRecord, RunInfo};

/// Rows that the table holds at most. With some 300 bytes a row the page stays near 6 MB.
pub(super) const MAX_ROWS: usize = 20_000;

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
    /// By p-value, smallest first.
    rows: Vec<Row<'a>>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'a str,
    text: &'a str,
    p: f64,
    q: Option<f64>,
    score: f64,
    detected: bool,
    signals: Vec<Option<f64>>,
    /// Positions of the signals that entered the score.
    used: Vec<usize>,
    paper: Option<Vote>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    truth: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Vote {
    member: bool,
    votes: usize,
    of: usize,
    flags: Vec<Option<bool>>,
    scores: Vec<Option<f64>>,
}

impl<'a> Embedded<'a> {
    /// Gathers the first [`MAX_ROWS`] records of `order`.
    pub(super) fn new(report: &Report<'a>, order: &[usize]) -> Self {
        let Report { run, records, q_values, ground_truth, .. } = *report;
        let signals = names_in(records.iter().map(|r| r.signals.keys()));
        let detectors =
            names_in(records.iter().filter_map(|r| r.paper.as_ref()).map(|p| p.flags.keys()));
        let rows = order.iter().take(MAX_ROWS).map(|&i| {
            let record = &records[i];
            Row {
                id: &record.id,
                text: &record.text,
                p: record.calibrated.p_value,
                q: q_values.get(i).copied(),
                score: record.calibrated.score,
                detected: record.calibrated.detected,
                signals: signals
                    .iter()
                    .map(|&name| record.signals.get(name).copied().flatten())
                    .collect(),
                used: positions(&signals, record.calibrated.signals_used.iter()),
                paper: record.paper.as_ref().map(|paper| Vote {
                    member: paper.member,
                    votes: paper.votes,
                    of: paper.flags.len(),
                    flags: detectors.iter().map(|&name| paper.flags.get(name).copied()).collect(),
                    scores: detectors.iter().map(|&name| paper.scores.get(name).copied()).collect(),
                }),
                warnings: &record.warnings,
                truth: ground_truth.map(|members| members.contains(&record.id)),
            }
        });
        Self {
            run: run_without_reference_signals(run),
            key_signals: key_signals(run, &signals),
            has_q_values: !q_values.is_empty(),
            has_paper: records.iter().any(|r| r.paper.is_some()),
            has_truth: ground_truth.is_some(),
            total: records.len(),
            rows: rows.collect(),
            signals,
            detectors,
        }
    }

    /// What the table leaves out, if anything.
    pub(super) fn note(&self) -> String {
        if self.rows.len() == self.total {
            return String::new();
        }
        format!(
            "<p class=\"note\">The table holds the {} names with the smallest p-values of {}. \
             Counts and charts are over all of them; <code>results.csv</code> lists every \
             one.</p>\n",
            count(self.rows.len() as u64),
            count(self.total as u64),
        )
    }
}

/// Positions of the records by p-value, smallest first; equal p-values by score, highest
/// first, then by id. A p-value that is not a number comes last.
pub(super) fn by_p_value(records: &[QueryRecord]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..records.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&records[a], &records[b]);
        let (p, q) = (a.calibrated.p_value, b.calibrated.p_value);
        (p.is_nan().cmp(&q.is_nan()))
            .then(p.total_cmp(&q))
            .then(b.calibrated.score.total_cmp(&a.calibrated.score))
            .then_with(|| a.id.cmp(&b.id))
    });
    order
}

/// Signals by the magnitude of their weight in the calibrated score, largest first.
pub(super) fn signals_by_weight(run: &RunInfo) -> Vec<(&str, f64)> {
    let weights = &run.parameters.calibrated_signals;
    let mut weights: Vec<_> = weights.iter().map(|(name, &w)| (name.as_str(), w)).collect();
    weights.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then_with(|| a.0.cmp(b.0)));
    weights
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

fn names_in<'a, I>(keys: impl Iterator<Item = I>) -> Vec<&'a str>
where
    I: Iterator<Item = &'a String>,
{
    keys.flatten().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect()
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

/// The main signal of the calibrated score that the reference was measured on, in words.
pub(super) fn main_signal(run: &RunInfo) -> Option<(&str, String)> {
    let reference = &run.calibrated_reference.signals;
    signals_by_weight(run)
        .into_iter()
        .map(|(name, _)| name)
        .find(|name| reference.get(*name).is_some_and(|v| v.iter().any(Option::is_some)))
        .map(|name| (name, words(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn rows_come_by_p_value_and_undefined_ones_last() {
        let mut records = fixture::records(4, 1);
        for (record, p) in records.iter_mut().zip([0.5, f64::NAN, 0.01, 0.5]) {
            record.calibrated.p_value = p;
        }
        records[0].calibrated.score = 0.0;
        records[3].calibrated.score = 1.0;
        assert_eq!(by_p_value(&records), [2, 3, 0, 1]);
    }

    #[test]
    fn a_very_large_run_keeps_the_smallest_p_values_and_says_so() {
        let run = fixture::run(40);
        let mut records = fixture::records(1, 1);
        let record = records.pop().expect("one record");
        let records: Vec<_> = (0..=MAX_ROWS)
            .map(|i| {
                let mut record = record.clone();
                record.id = i.to_string();
                record.calibrated.p_value = 1.0 / (i as f64 + 1.0);
                record
            })
            .collect();
        let report = fixture::report(&run, &records, &[]);
        let embedded = Embedded::new(&report, &by_p_value(&records));
        assert_eq!(embedded.rows.len(), MAX_ROWS);
        assert_eq!(embedded.rows[0].id, MAX_ROWS.to_string());
        assert!(embedded.rows.iter().all(|row| row.id != "0"), "the largest p-value is left out");
        assert!(embedded.note().contains("20,000 names"));
    }

    #[test]
    fn columns_are_the_heaviest_signals_and_the_papers() {
        let run = fixture::run(40);
        let names = ["part_interaction", "similarity", "text_norm", "unweighted", "variability"];
        assert_eq!(key_signals(&run, &names), [0, 2, 1, 4]);
        assert!(key_signals(&run, &[]).is_empty());
    }
}
