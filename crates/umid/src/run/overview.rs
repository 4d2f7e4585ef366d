//! What the whole run is counted and drawn from: the few numbers of every record that counts,
//! charts and q-values need, column by column in some fifty bytes a query, where a record takes
//! kilobytes. One pass over the records fills it.

use std::collections::{BTreeMap, BTreeSet};

use umid_detect::{DetectError, ListAnswer, RankedNames, adaptive_benjamini_hochberg};
use umid_signals::inversion::{SIMILARITY, VARIABILITY};

use crate::error::AuditError;
use crate::record::{QueryRecord, RunInfo, WholeList};
use crate::report::ReportError;

/// A run's records in columns, in the order in which they were read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overview {
    ids: Ids,
    p_values: Column,
    tail_p_values: Column,
    ranked_among: Vec<usize>,
    scores: Column,
    detected: Vec<bool>,
    voted_member: Vec<Option<bool>>,
    vote_scores: Column,
    similarity: Column,
    variability: Column,
    main_signal: Option<String>,
    main: Column,
    signals: BTreeSet<String>,
    detectors: BTreeSet<String>,
    most_detectors: usize,
    warnings: BTreeMap<String, usize>,
    with_warnings: usize,
}

/// What is detected over the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Discoveries {
    /// q-values of all records; `None` for one without a p-value.
    pub q_values: Vec<Option<f64>>,
    /// What the list says as a whole; `None` where no record has a p-value.
    pub whole_list: Option<WholeList>,
}

/// The counts of the paper's reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Votes {
    /// Names that were put to the vote.
    pub voted_on: usize,
    /// Names that were voted members.
    pub members: usize,
    /// Names that were voted members and are detected at the calibrated test's level.
    pub members_detected: usize,
    /// Detectors in the ensemble.
    pub detectors: usize,
}

impl Overview {
    /// Reads all records of the run. `run` says which signal is the main one, so it must hold
    /// the calibrated reference's signals.
    ///
    /// # Errors
    /// The first error of `records`.
    pub fn read(
        run: &RunInfo,
        records: impl IntoIterator<Item = Result<QueryRecord, AuditError>>,
    ) -> Result<Self, AuditError> {
        let main_signal = main_signal(run).map(str::to_owned);
        let mut overview = Self { main_signal, ..Self::default() };
        for record in records {
            overview.add(&record?);
        }
        Ok(overview)
    }

    fn add(&mut self, record: &QueryRecord) {
        let value = |name: &str| record.signals.get(name).copied().flatten();
        self.ids.push(&record.id);
        let calibrated = record.calibrated.as_ref();
        self.p_values.push(calibrated.map(|c| c.p_value));
        self.tail_p_values.push(calibrated.and_then(|c| c.tail_p_value));
        self.ranked_among.push(calibrated.map_or(0, |c| c.ranked_among));
        self.scores.push(calibrated.map(|c| c.score));
        self.detected.push(calibrated.is_some_and(|c| c.detected));
        self.voted_member.push(record.paper.as_ref().map(|paper| paper.member));
        self.vote_scores.push(record.paper.as_ref().map(|paper| paper.vote_score));
        self.similarity.push(value(SIMILARITY.card().name));
        self.variability.push(value(VARIABILITY.card().name));
        self.main.push(self.main_signal.as_deref().and_then(value));
        add_new(&mut self.signals, record.signals.keys());
        if let Some(paper) = &record.paper {
            add_new(&mut self.detectors, paper.flags.keys());
            self.most_detectors = self.most_detectors.max(paper.flags.len());
        }
        for warning in &record.warnings {
            match self.warnings.get_mut(warning) {
                Some(count) => *count += 1,
                None => _ = self.warnings.insert(warning.clone(), 1),
            }
        }
        self.with_warnings += usize::from(!record.warnings.is_empty());
    }

    /// Number of records.
    pub fn names(&self) -> usize {
        self.detected.len()
    }

    /// Id of record number `index`.
    ///
    /// # Panics
    /// When there is no such record, here and in the methods below.
    pub fn id(&self, index: usize) -> &str {
        self.ids.get(index)
    }

    /// The p-value of the calibrated reading; `None` for a record without one.
    pub fn p_value(&self, index: usize) -> Option<f64> {
        self.p_values.get(index)
    }

    /// The score of the calibrated reading; `None` for a record without one.
    pub fn score(&self, index: usize) -> Option<f64> {
        self.scores.get(index)
    }

    /// The p-values that there are.
    pub fn p_values(&self) -> impl Iterator<Item = f64> {
        self.p_values.values()
    }

    /// Records with a p-value.
    pub fn tested(&self) -> usize {
        self.p_values().count()
    }

    /// q-values over the records with a p-value ([`adaptive_benjamini_hochberg`]), for all records,
    /// and what these say together. A record above the whole reference counts by its p-value in the tail.
    ///
    /// # Errors
    /// Those of [`adaptive_benjamini_hochberg`] and of [`ListAnswer::of`].
    pub fn discoveries(&self, rate: f64, seed: u64) -> Result<Discoveries, DetectError> {
        let tested = || (0..self.names()).filter_map(|i| Some((i, self.p_value(i)?)));
        let p_values: Vec<f64> =
            tested().map(|(i, p)| self.tail_p_values.get(i).unwrap_or(p)).collect();
        let discovery = adaptive_benjamini_hochberg(&p_values, rate)?;
        let mut q_values = vec![None; self.names()];
        for ((i, _), q) in tested().zip(discovery.found.q_values) {
            q_values[i] = Some(q);
        }
        let mut groups: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for (i, p) in tested().filter(|(i, _)| self.ranked_among[*i] > 0) {
            groups.entry(self.ranked_among[i]).or_default().push(p);
        }
        let groups: Vec<RankedNames<'_>> = groups
            .iter()
            .map(|(calibration, p_values)| RankedNames { p_values, calibration: *calibration })
            .collect();
        let non_member_share = discovery.non_members;
        let whole_list =
            ListAnswer::of(&groups, seed)?.map(|answer| WholeList { non_member_share, answer });
        Ok(Discoveries { q_values, whole_list })
    }

    /// Whether a record is detected at the level of the calibrated test; one without a p-value is
    /// not.
    pub fn is_detected(&self, index: usize) -> bool {
        self.detected[index]
    }

    /// Whether a record was voted a member in the paper's reading; `None` where it has none.
    pub fn is_voted_member(&self, index: usize) -> Option<bool> {
        self.voted_member[index]
    }

    /// How member-like a record is by the paper's vote; `None` where it has none.
    pub fn vote_score(&self, index: usize) -> Option<f64> {
        self.vote_scores.get(index)
    }

    /// The signal `similarity`; `None` where it is missing or not finite, here and below.
    pub fn similarity(&self, index: usize) -> Option<f64> {
        self.similarity.get(index)
    }

    /// The signal `variability`.
    pub fn variability(&self, index: usize) -> Option<f64> {
        self.variability.get(index)
    }

    /// Name of the score's main signal; `None` when the reference was not measured on one.
    pub fn main_signal(&self) -> Option<&str> {
        self.main_signal.as_deref()
    }

    /// The score's main signal.
    pub fn main(&self, index: usize) -> Option<f64> {
        self.main.get(index)
    }

    /// Names of the signals that some record has.
    pub fn signals(&self) -> &BTreeSet<String> {
        &self.signals
    }

    /// Names of the detectors that voted on some record.
    pub fn detectors(&self) -> &BTreeSet<String> {
        &self.detectors
    }

    /// How many records carry each warning.
    pub fn warnings(&self) -> &BTreeMap<String, usize> {
        &self.warnings
    }

    /// Records with at least one warning.
    pub fn with_warnings(&self) -> usize {
        self.with_warnings
    }

    /// Records that are detected at the level of the calibrated test.
    pub fn detected(&self) -> usize {
        self.detected.iter().filter(|detected| **detected).count()
    }

    /// The paper's reading; `None` when no record has one.
    pub fn votes(&self) -> Option<Votes> {
        let verdicts = self.voted_member.iter().zip(&self.detected);
        let members = verdicts.filter(|(member, _)| **member == Some(true));
        let voted_on = self.voted_member.iter().flatten().count();
        (voted_on > 0).then(|| Votes {
            voted_on,
            members: members.clone().count(),
            members_detected: members.filter(|(_, detected)| **detected).count(),
            detectors: self.most_detectors,
        })
    }

    /// Mean of the signal `similarity` over the records that have it; `None` without any.
    pub fn mean_similarity(&self) -> Option<f64> {
        let values = || self.similarity.values();
        let count = values().count();
        (count > 0).then(|| values().sum::<f64>() / count as f64)
    }

    /// Positions of the records by p-value, smallest first; equal p-values by score, highest
    /// first, then by id. A p-value that is not a number comes last.
    pub fn by_p_value(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.names()).collect();
        order.sort_by(|&a, &b| {
            let (p, q) = (self.p_values.0[a], self.p_values.0[b]);
            (p.is_nan().cmp(&q.is_nan()))
                .then(p.total_cmp(&q))
                .then(self.scores.0[b].total_cmp(&self.scores.0[a]))
                .then_with(|| self.id(a).cmp(self.id(b)))
        });
        order
    }

    /// Passes on `records`, which are read again in the same order; an error where they are not
    /// those of the first reading, after which nothing comes.
    pub(crate) fn checked(
        &self,
        records: impl IntoIterator<Item = Result<QueryRecord, AuditError>>,
    ) -> impl Iterator<Item = Result<QueryRecord, AuditError>> {
        let mut records = records.into_iter();
        let mut next = Some(0);
        std::iter::from_fn(move || {
            let position = next.take()?;
            match records.next() {
                None if position == self.names() => None,
                Some(Ok(record)) if self.agrees_with(position, &record) => {
                    next = Some(position + 1);
                    Some(Ok(record))
                }
                Some(Err(error)) => Some(Err(error)),
                _ => Some(Err(ReportError::OtherRecords { position }.into())),
            }
        })
    }

    /// Whether `record` is the one that was read at this position.
    fn agrees_with(&self, index: usize, record: &QueryRecord) -> bool {
        let calibrated = record.calibrated.as_ref();
        index < self.names()
            && self.id(index) == record.id
            && self.p_values.holds(index, calibrated.map(|c| c.p_value))
            && self.tail_p_values.holds(index, calibrated.and_then(|c| c.tail_p_value))
            && self.scores.holds(index, calibrated.map(|c| c.score))
            && record.signals.keys().all(|name| self.signals.contains(name))
    }
}

/// Signals by the magnitude of their weight in the calibrated score, largest first.
pub(crate) fn signals_by_weight(run: &RunInfo) -> Vec<(&str, f64)> {
    let weights = &run.parameters.calibrated_signals;
    let mut weights: Vec<_> = weights.iter().map(|(name, &w)| (name.as_str(), w)).collect();
    weights.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then_with(|| a.0.cmp(b.0)));
    weights
}

/// The main signal of the calibrated score that the reference was measured on.
pub(crate) fn main_signal(run: &RunInfo) -> Option<&str> {
    let reference = &run.calibrated_reference.signals;
    let measured = |name: &str| reference.get(name).is_some_and(|v| v.iter().any(Option::is_some));
    signals_by_weight(run).into_iter().map(|(name, _)| name).find(|name| measured(name))
}

/// Names are the same from record to record, and are copied once.
fn add_new<'a>(known: &mut BTreeSet<String>, names: impl Iterator<Item = &'a String>) {
    for name in names {
        if !known.contains(name) {
            known.insert(name.clone());
        }
    }
}

/// Values of a signal; NaN stands for a missing one and never leaves.
#[derive(Debug, Clone, Default)]
struct Column(Vec<f64>);

impl Column {
    fn push(&mut self, value: Option<f64>) {
        self.0.push(value.unwrap_or(f64::NAN));
    }

    fn get(&self, index: usize) -> Option<f64> {
        Some(self.0[index]).filter(|value| value.is_finite())
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.0.iter().copied().filter(|value| value.is_finite())
    }

    /// Whether the value at `index` is this one, bit by bit.
    fn holds(&self, index: usize, value: Option<f64>) -> bool {
        self.0[index].to_bits() == value.unwrap_or(f64::NAN).to_bits()
    }
}

impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|v| v.to_bits()).eq(other.0.iter().map(|v| v.to_bits()))
    }
}

/// Ids in one piece of text: a string each would take twice as much.
#[derive(Debug, Clone, Default, PartialEq)]
struct Ids {
    text: String,
    ends: Vec<usize>,
}

impl Ids {
    fn push(&mut self, id: &str) {
        self.text.push_str(id);
        self.ends.push(self.text.len());
    }

    fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[index]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn overview(records: &[QueryRecord]) -> Overview {
        Overview::read(&fixture::run(40), records.iter().cloned().map(Ok)).unwrap()
    }

    #[test]
    fn every_column_is_the_records() {
        let mut records = fixture::records(50, 4);
        records[3].paper = None;
        records[5].signals.insert("similarity".to_owned(), None);
        records[6].signals.insert("variability".to_owned(), Some(f64::INFINITY));
        records[7].id = String::new();
        records[9].warnings = vec!["one".to_owned(), "two".to_owned()];
        records[12].warnings = vec!["one".to_owned()];
        records[13].calibrated = None;
        let overview = overview(&records);
        assert_eq!(overview.names(), records.len());
        assert_eq!(overview.main_signal(), Some("part_interaction"));
        for (i, record) in records.iter().enumerate() {
            let value =
                |name| record.signals.get(name).copied().flatten().filter(|v: &f64| v.is_finite());
            assert_eq!(overview.id(i), record.id);
            let calibrated = record.calibrated.as_ref();
            assert_eq!(overview.p_value(i), calibrated.map(|c| c.p_value));
            assert_eq!(overview.is_detected(i), calibrated.is_some_and(|c| c.detected));
            assert_eq!(overview.is_voted_member(i), record.paper.as_ref().map(|p| p.member));
            assert_eq!(overview.similarity(i), value("similarity"));
            assert_eq!(overview.variability(i), value("variability"));
            assert_eq!(overview.main(i), value("part_interaction"));
            assert!(overview.agrees_with(i, record));
        }
        let voted: Vec<_> = records.iter().filter(|r| r.paper.is_some()).collect();
        let members = |r: &&&QueryRecord| r.paper.as_ref().is_some_and(|p| p.member);
        let votes = overview.votes().unwrap();
        assert_eq!((votes.voted_on, votes.detectors), (49, 4));
        assert_eq!(votes.members, voted.iter().filter(members).count());
        let detected = |r: &&&QueryRecord| r.calibrated.as_ref().is_some_and(|c| c.detected);
        assert_eq!(overview.tested(), 49);
        assert_eq!(votes.members_detected, voted.iter().filter(members).filter(detected).count());
        assert_eq!(overview.with_warnings(), 2);
        assert_eq!(overview.warnings(), &[("one".to_owned(), 2), ("two".to_owned(), 1)].into());
        assert_eq!(overview.signals().len(), 5);
    }

    #[test]
    fn an_error_of_the_records_is_passed_on() {
        let records = fixture::records(3, 1).into_iter().map(Ok);
        let records = records.chain([Err(AuditError::OneRestart)]);
        assert!(Overview::read(&fixture::run(40), records).is_err());
    }

    #[test]
    fn nothing_is_counted_in_an_empty_run() {
        let overview = overview(&[]);
        assert_eq!((overview.names(), overview.detected(), overview.votes()), (0, 0, None));
        assert_eq!(overview.mean_similarity(), None);
    }

    #[test]
    fn records_come_by_p_value_and_undefined_ones_last() {
        let mut records = fixture::records(4, 1);
        let p_and_score = [Some((0.5, 0.0)), None, Some((0.01, 0.0)), Some((0.5, 1.0))];
        for (record, calibrated) in records.iter_mut().zip(p_and_score) {
            let Some((p_value, score)) = calibrated else {
                record.calibrated = None;
                continue;
            };
            let reading = record.calibrated.as_mut().unwrap();
            (reading.p_value, reading.score) = (p_value, score);
        }
        let overview = overview(&records);
        assert_eq!(overview.by_p_value(), [2, 3, 0, 1]);
        // A record without a p-value is left out of the false discovery rate.
        let q_values = overview.discoveries(0.05, 0).unwrap().q_values;
        assert_eq!(q_values, [Some(0.5), None, Some(0.03), Some(0.5)]);
    }

    #[test]
    fn a_record_beyond_the_reference_counts_by_the_tail_and_the_list_by_ranks() {
        let mut records = fixture::records(30, 1);
        for (i, record) in records.iter_mut().enumerate() {
            let reading = record.calibrated.as_mut().unwrap();
            reading.p_value = if i == 0 { 1.0 / 401.0 } else { (i + 1) as f64 / 31.0 };
            reading.tail_p_value = (i == 0).then_some(1e-5);
            reading.ranked_among = 400;
        }
        let found = overview(&records).discoveries(0.05, 0).unwrap();
        let q = found.q_values[0].unwrap();
        assert!((q - 30.0 * 1e-5).abs() < 1e-12, "{q}");
        let list = found.whole_list.unwrap();
        assert_eq!((list.answer.names, list.answer.at_least), (30, 0));
        assert!((list.non_member_share - 1.0).abs() < 1e-12);
    }

    #[test]
    fn another_record_does_not_agree() {
        let records = fixture::records(2, 1);
        let overview = overview(&records);
        let mut other = records[0].clone();
        other.calibrated.as_mut().unwrap().p_value /= 2.0;
        let mut more = records[0].clone();
        more.signals.insert("another".to_owned(), None);
        for (i, record) in [(0, &other), (0, &more), (1, &records[0]), (2, &records[0])] {
            assert!(!overview.agrees_with(i, record));
        }
    }
}
