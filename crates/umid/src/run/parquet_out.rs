//! `results.parquet`: the columns of `results.csv` with their types, for data frames. A missing value is
//! null.
//!
//! Rows are written in groups as records come, so that no table is held in memory.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::record::{CalibratedReading, PaperReading, QueryRecord};

/// Rows that are held before they are written.
const GROUP: usize = 8192;

/// Writes the table as Parquet.
pub(crate) struct ParquetWriter<'a, W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: Arc<Schema>,
    signals: &'a BTreeSet<String>,
    rows: Vec<(QueryRecord, Option<f64>)>,
}

impl<'a, W: Write + Send> ParquetWriter<'a, W> {
    /// Begins a table whose rows have these signals.
    pub(crate) fn new(out: W, signals: &'a BTreeSet<String>) -> io::Result<Self> {
        let fields: Vec<Field> = columns(&[], signals)
            .into_iter()
            .map(|(name, values)| Field::new(name, values.data_type().clone(), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))?;
        Ok(Self { writer, schema, signals, rows: Vec::with_capacity(GROUP) })
    }

    /// Takes one row.
    pub(crate) fn write(&mut self, record: QueryRecord, q_value: Option<f64>) -> io::Result<()> {
        self.rows.push((record, q_value));
        if self.rows.len() == GROUP { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let columns = columns(&self.rows, self.signals);
        let columns = columns.into_iter().map(|(_, values)| values).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        self.writer.write(&batch.map_err(io::Error::other)?)?;
        self.writer.flush()?;
        self.rows.clear();
        Ok(())
    }

    /// Writes what is still held, and the end of the file.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if !self.rows.is_empty() {
            self.flush()?;
        }
        self.writer.close()?;
        Ok(())
    }
}

fn columns(
    rows: &[(QueryRecord, Option<f64>)],
    signals: &BTreeSet<String>,
) -> Vec<(String, ArrayRef)> {
    let text = |of: &dyn Fn(&QueryRecord) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(|(record, _)| of(record)).collect::<StringArray>())
    };
    let number = |of: &dyn Fn(&QueryRecord) -> Option<f64>| -> ArrayRef {
        Arc::new(rows.iter().map(|(record, _)| of(record)).collect::<Float64Array>())
    };
    let flag = |of: &dyn Fn(&QueryRecord) -> Option<bool>| -> ArrayRef {
        Arc::new(rows.iter().map(|(record, _)| of(record)).collect::<BooleanArray>())
    };
    let part = |at: usize| text(&|record| record.parts.as_ref().map(|parts| parts[at].clone()));
    let calibrated = |of: fn(&CalibratedReading) -> Option<f64>| {
        number(&|record: &QueryRecord| record.calibrated.as_ref().and_then(of))
    };
    let paper = |record: &QueryRecord, of: fn(&PaperReading) -> f64| record.paper.as_ref().map(of);
    let votes = rows.iter().map(|(record, _)| Some(record.paper.as_ref()?.votes as i64));
    let fixed: Vec<(&str, ArrayRef)> = vec![
        ("id", text(&|record| Some(record.id.clone()))),
        ("text", text(&|record| Some(record.text.clone()))),
        ("first", part(0)),
        ("last", part(1)),
        ("detected", flag(&|record| record.calibrated.as_ref().map(|c| c.detected))),
        ("p_value", calibrated(|c| Some(c.p_value))),
        ("tail_p_value", calibrated(|c| c.tail_p_value)),
        ("q_value", Arc::new(rows.iter().map(|(_, q)| *q).collect::<Float64Array>())),
        ("score", calibrated(|c| Some(c.score))),
        (
            "signals_used",
            text(&|record| record.calibrated.as_ref().map(|c| c.signals_used.join(" "))),
        ),
        ("paper_member", flag(&|record| record.paper.as_ref().map(|paper| paper.member))),
        ("paper_votes", Arc::new(votes.collect::<Int64Array>())),
        ("paper_vote_score", number(&|record| paper(record, |paper| paper.vote_score))),
    ];
    let mut columns: Vec<(String, ArrayRef)> =
        fixed.into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
    columns.extend(signals.iter().map(|name| {
        let values = number(&|record| record.signals.get(name).copied().flatten());
        (format!("signal.{name}"), values)
    }));
    columns.push(("warnings".to_owned(), text(&|record| Some(record.warnings.join("; ")))));
    columns
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::csv_out::TableWriter;
    use crate::store::tests::record;

    #[test]
    fn the_table_has_the_columns_of_the_csv_file_and_its_values() {
        let mut records = vec![record("1", "Ann Lee"), record("2", "Bo Day")];
        records[1].calibrated = None;
        let signals: BTreeSet<String> =
            records.iter().flat_map(|record| record.signals.keys().cloned()).collect();
        let (mut csv, mut parquet) = (Vec::new(), Vec::new());
        let mut table = TableWriter::new(&mut csv, &signals).unwrap();
        let mut columns = ParquetWriter::new(&mut parquet, &signals).unwrap();
        for record in &records {
            table.write(record, Some(0.125)).unwrap();
            columns.write(record.clone(), Some(0.125)).unwrap();
        }
        table.finish().unwrap();
        columns.finish().unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(parquet)).unwrap();
        let names: Vec<String> =
            reader.schema().fields().iter().map(|field| field.name().clone()).collect();
        let header = String::from_utf8(csv).unwrap().lines().next().unwrap().to_owned();
        assert_eq!(names.join(","), header);
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap();
        assert_eq!(column("text").as_string::<i32>().value(1), "Bo Day");
        assert!(column("p_value").is_null(1) && !column("p_value").is_null(0));
        assert!((column("q_value").as_primitive::<Float64Type>().value(0) - 0.125).abs() < 1e-12);
        assert_eq!(column("detected").data_type(), &arrow_schema::DataType::Boolean);
    }
}
