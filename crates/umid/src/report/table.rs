//! The rows of the report's table: of a very large run only those with the smallest p-values,
//! each without the names of what it holds, which all rows share.

use crate::error::AuditError;
use crate::overview::Overview;
use crate::record::{PaperReading, QueryRecord};

/// Rows that the table holds at most. With some 300 bytes a row the page stays near 6 MB.
pub const MAX_ROWS: usize = 20_000;

/// The rows of the report's table, by p-value, smallest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub(super) rows: Vec<Row>,
    /// Records that the rows were chosen from.
    pub(super) total: usize,
}

/// What a row shows of its record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// Position of the record in the overview.
    pub position: usize,
    pub id: String,
    pub text: String,
    pub p: Option<f64>,
    pub score: Option<f64>,
    pub detected: bool,
    /// In the order of the overview's signals.
    pub signals: Box<[Option<f64>]>,
    /// Positions of the signals that entered the score.
    pub used: Box<[usize]>,
    pub paper: Option<Vote>,
    pub warnings: Vec<String>,
}

/// One record's votes, in the order of the overview's detectors.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(super) struct Vote {
    member: bool,
    votes: usize,
    of: usize,
    flags: Vec<Option<bool>>,
    scores: Vec<Option<f64>>,
}

impl Table {
    /// Reads all records again, in the order of the overview's, and keeps the [`MAX_ROWS`] with
    /// the smallest p-values.
    ///
    /// # Errors
    /// The first error of `records`; `ReportError::OtherRecords` where they are not those of the
    /// overview.
    pub fn read(
        overview: &Overview,
        records: impl IntoIterator<Item = Result<QueryRecord, AuditError>>,
    ) -> Result<Self, AuditError> {
        let total = overview.names();
        let mut order = overview.by_p_value();
        order.truncate(MAX_ROWS);
        let mut rank = vec![None; total];
        for (place, &position) in order.iter().enumerate() {
            rank[position] = Some(place);
        }
        let mut rows = Vec::with_capacity(order.len());
        for (position, record) in overview.checked(records).enumerate() {
            let record = record?;
            if let Some(place) = rank[position] {
                rows.push((place, Row::of(position, record, overview)));
            }
        }
        rows.sort_unstable_by_key(|(place, _)| *place);
        Ok(Self { rows: rows.into_iter().map(|(_, row)| row).collect(), total })
    }

    /// Whether the rows are those of this overview's records.
    pub(super) fn is_of(&self, overview: &Overview) -> bool {
        self.total == overview.names()
            && self.rows.iter().all(|row| overview.id(row.position) == row.id)
    }
}

impl Row {
    fn of(position: usize, record: QueryRecord, overview: &Overview) -> Self {
        let signals = overview.signals();
        let place = |name: &String| signals.iter().position(|signal| signal == name);
        let calibrated = record.calibrated.as_ref();
        let value = |name: &String| record.signals.get(name).copied().flatten();
        Self {
            position,
            p: calibrated.map(|c| c.p_value),
            score: calibrated.map(|c| c.score),
            detected: calibrated.is_some_and(|c| c.detected),
            signals: signals.iter().map(value).collect(),
            used: calibrated.iter().flat_map(|c| &c.signals_used).filter_map(place).collect(),
            paper: record.paper.as_ref().map(|paper| Vote::of(paper, overview)),
            id: record.id,
            text: record.text,
            warnings: record.warnings,
        }
    }
}

impl Vote {
    fn of(paper: &PaperReading, overview: &Overview) -> Self {
        let detectors = overview.detectors();
        Self {
            member: paper.member,
            votes: paper.votes,
            of: paper.flags.len(),
            flags: detectors.iter().map(|name| paper.flags.get(name).copied()).collect(),
            scores: detectors.iter().map(|name| paper.scores.get(name).copied()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{ReportError, fixture};

    fn read(overview: &Overview, records: &[QueryRecord]) -> Result<Table, AuditError> {
        Table::read(overview, records.iter().cloned().map(Ok))
    }

    #[test]
    fn rows_are_the_records_by_p_value() {
        let mut records = fixture::records(30, 3);
        records[4].signals.remove("text_norm");
        records[4].calibrated.as_mut().unwrap().signals_used = vec!["text_norm".to_owned()];
        let read = fixture::Drawn::of(&fixture::run(40), &records);
        let order = read.overview.by_p_value();
        assert!(read.table.rows.iter().map(|row| row.position).eq(order));
        for row in &read.table.rows {
            let record = &records[row.position];
            assert_eq!((&row.id, &row.text), (&record.id, &record.text));
            for (name, value) in read.overview.signals().iter().zip(&row.signals) {
                assert_eq!(*value, record.signals.get(name).copied().flatten());
            }
            let used: Vec<&String> =
                row.used.iter().filter_map(|&i| read.overview.signals().iter().nth(i)).collect();
            assert!(used.into_iter().eq(&record.calibrated.as_ref().unwrap().signals_used));
            let (vote, paper) = (row.paper.as_ref().unwrap(), record.paper.as_ref().unwrap());
            assert!(vote.flags.iter().copied().flatten().eq(paper.flags.values().copied()));
        }
    }

    #[test]
    fn other_records_error_wherever_they_are_not_the_overviews() {
        let records = fixture::records(5, 2);
        let overview = fixture::Drawn::of(&fixture::run(40), &records).overview;
        let mut changed = records.clone();
        changed[3].calibrated.as_mut().unwrap().score += 1.0;
        let longer = [&records[..], &records[..1]].concat();
        for (other, at) in [(&records[..4], 4), (&longer, 5), (&changed, 3)] {
            let error = read(&overview, other).unwrap_err();
            let AuditError::Report(ReportError::OtherRecords { position }) = error else {
                panic!("{error}")
            };
            assert_eq!(position, at);
        }
    }
}
