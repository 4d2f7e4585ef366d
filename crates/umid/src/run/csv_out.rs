//! `results.csv`: the run as a table, one row per query in the order of the queries, for a
//! spreadsheet or a data frame. It repeats `results.jsonl` and adds the one column that needs
//! the whole run, `q_value`. A missing value is an empty cell.
//!
//! Rows are written as records come, so that no table is held in memory.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::record::QueryRecord;

/// The columns before the signals.
const FIXED_COLUMNS: [&str; 13] = [
    "id",
    "text",
    "first",
    "last",
    "detected",
    "p_value",
    "tail_p_value",
    "q_value",
    "score",
    "signals_used",
    "paper_member",
    "paper_votes",
    "paper_vote_score",
];

/// Writes the table as CSV: the fixed columns, `signal.NAME` for every signal that some record
/// has, and `warnings`.
#[derive(Debug)]
pub struct TableWriter<'a, W: Write> {
    writer: csv::Writer<W>,
    signals: &'a BTreeSet<String>,
}

impl<'a, W: Write> TableWriter<'a, W> {
    /// Writes the header. `signals` are the names of all signals that the rows will have.
    ///
    /// # Errors
    /// A failed write.
    pub fn new(out: W, signals: &'a BTreeSet<String>) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        let signal_columns = signals.iter().map(|name| format!("signal.{name}"));
        let header = FIXED_COLUMNS.iter().map(|&name| name.to_owned()).chain(signal_columns);
        writer.write_record(header.chain(["warnings".to_owned()]))?;
        Ok(Self { writer, signals })
    }

    /// Writes one row.
    ///
    /// # Errors
    /// A failed write, or a record with a signal that has no column
    /// ([`io::ErrorKind::InvalidInput`]).
    pub fn write(&mut self, record: &QueryRecord, q_value: Option<f64>) -> io::Result<()> {
        if let Some(name) = record.signals.keys().find(|name| !self.signals.contains(*name)) {
            let message = format!("the signal `{name}` has no column; name it in the header");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(self.writer.write_record(row(record, q_value, self.signals))?)
    }

    /// Hands what is still held to the underlying writer.
    ///
    /// # Errors
    /// A failed write.
    pub fn finish(mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn row(record: &QueryRecord, q_value: Option<f64>, signals: &BTreeSet<String>) -> Vec<String> {
    let [first, last] = record.parts.clone().unwrap_or_default();
    let calibrated = record.calibrated.as_ref();
    let paper = record.paper.as_ref();
    let mut row = vec![
        record.id.clone(),
        record.text.clone(),
        first,
        last,
        cell(calibrated.map(|calibrated| calibrated.detected)),
        cell(calibrated.map(|calibrated| calibrated.p_value)),
        cell(calibrated.and_then(|calibrated| calibrated.tail_p_value)),
        cell(q_value),
        cell(calibrated.map(|calibrated| calibrated.score)),
        cell(calibrated.map(|calibrated| calibrated.signals_used.join(" "))),
        cell(paper.map(|paper| paper.member)),
        cell(paper.map(|paper| paper.votes)),
        cell(paper.map(|paper| paper.vote_score)),
    ];
    row.extend(signals.iter().map(|name| cell(record.signals.get(name).copied().flatten())));
    row.push(record.warnings.join("; "));
    row
}

fn cell<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::record;

    fn results_csv(records: &[QueryRecord], q_values: &[f64]) -> Vec<u8> {
        let signals = records.iter().flat_map(|record| record.signals.keys().cloned()).collect();
        let mut table = Vec::new();
        let mut writer = TableWriter::new(&mut table, &signals).unwrap();
        for (record, q_value) in records.iter().zip(q_values) {
            writer.write(record, Some(*q_value)).unwrap();
        }
        writer.finish().unwrap();
        table
    }

    #[test]
    fn rows_follow_the_records_and_missing_values_are_empty() {
        let mut plain = record("a", "Roe, \"Jane\"");
        plain.parts = None;
        plain.paper = None;
        plain.signals.insert("extra".into(), Some(0.1 + 0.2));
        plain.warnings = vec!["one".into(), "two".into()];
        let other = record("b", "Ann Lee");
        let table = results_csv(&[plain, other], &[0.5, 1.0]);
        let mut reader = csv::Reader::from_reader(table.as_slice());
        let header = reader.headers().unwrap().clone();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let get = |row: usize, name: &str| {
            let column = header.iter().position(|found| found == name).unwrap();
            rows[row][column].to_owned()
        };
        assert_eq!(rows.len(), 2);
        assert_eq!(get(0, "text"), "Roe, \"Jane\"");
        assert_eq!(get(0, "first"), "");
        assert_eq!(get(0, "paper_votes"), "");
        assert_eq!(get(0, "signal.extra").parse::<f64>().unwrap().to_bits(), 0.3_f64.to_bits() + 1);
        assert_eq!(get(0, "q_value"), "0.5");
        assert_eq!(get(0, "warnings"), "one; two");
        assert_eq!(get(1, "first"), "Ann");
        assert_eq!(get(1, "signal.extra"), "");
        assert_eq!(get(1, "paper_votes"), "3");
        assert_eq!(get(1, "signal.missing"), "");
    }

    #[test]
    fn no_records_give_a_header_alone() {
        let table = results_csv(&[], &[]);
        assert_eq!(table.split(|&byte| byte == b'\n').count(), 2);
    }

    #[test]
    fn a_signal_without_a_column_is_refused_and_not_dropped() {
        let signals = BTreeSet::from(["similarity".to_owned()]);
        let mut writer = TableWriter::new(Vec::new(), &signals).unwrap();
        let error = writer.write(&record("a", "Ann Lee"), Some(1.0)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("`missing`"), "{error}");
    }
}
