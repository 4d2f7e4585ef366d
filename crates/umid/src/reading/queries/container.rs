//! What a list of names is packed in: which format its bytes have, and its rows where they are not text.
//!
//! | format | told by |
//! | --- | --- |
//! | gzip, Zstandard | first bytes; whatever is inside is read as if it were not packed |
//! | Parquet | `PAR1` at the start |
//! | Arrow IPC file (Feather), Arrow IPC stream | `ARROW1` at the start; a continuation marker |
//! | JSON Lines | the ending `.jsonl` or `.ndjson`, or `{` as the first character |
//! | CSV, TSV, plain text | everything else, see [`super::read`] |
//!
//! Values of every format become text before they are checked, so a list is the same list however it is
//! packed. A missing value is an empty one.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::QueriesError;
use super::read::MAX_LIST_BYTES;
use crate::shown::shown;

/// A list without its packing.
pub(super) enum Unpacked {
    /// Bytes of text: CSV, TSV or one name a line.
    Text(Vec<u8>),
    /// Rows with named columns.
    Table(Table),
}

/// Rows of a list that is not text.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) header: Vec<String>,
    /// Values by column, with the number of the line or row, from 1.
    pub(super) rows: Vec<(usize, Vec<String>)>,
    /// Columns whose values are no text, no number and no truth value, with what they are. They may be
    /// there, but nothing is read from them.
    pub(super) unreadable: BTreeMap<usize, String>,
}

/// Unpacks the bytes of a list.
pub(super) fn unpack(
    path: &Path,
    what: &'static str,
    bytes: Vec<u8>,
) -> Result<Unpacked, QueriesError> {
    let bytes = decompressed(path, what, bytes)?;
    match bytes.as_slice() {
        [b'P', b'A', b'R', b'1', ..] => parquet(path, bytes).map(Unpacked::Table),
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => {
            let reader = arrow_ipc::reader::FileReader::try_new(Cursor::new(bytes), None);
            let reader = reader.map_err(|error| damaged(path, "an Arrow file", &error))?;
            let schema = reader.schema();
            table(path, &schema, reader).map(Unpacked::Table)
        }
        // The continuation marker of a stream: no text begins like this.
        [0xff, 0xff, 0xff, 0xff, ..] => {
            let reader = arrow_ipc::reader::StreamReader::try_new(Cursor::new(bytes), None);
            let reader = reader.map_err(|error| damaged(path, "an Arrow stream", &error))?;
            let schema = reader.schema();
            table(path, &schema, reader).map(Unpacked::Table)
        }
        _ if is_json_lines(path, &bytes) => json_lines(path, &bytes).map(Unpacked::Table),
        _ => Ok(Unpacked::Text(bytes)),
    }
}

fn damaged(path: &Path, format: &'static str, error: &dyn std::fmt::Display) -> QueriesError {
    QueriesError::Damaged { path: path.to_owned(), format, reason: shown(&error.to_string()) }
}

fn decompressed(path: &Path, what: &'static str, bytes: Vec<u8>) -> Result<Vec<u8>, QueriesError> {
    let mut unpacked = Vec::new();
    let (format, read) = match bytes.as_slice() {
        [0x1f, 0x8b, ..] => {
            let decoder = flate2::read::MultiGzDecoder::new(bytes.as_slice());
            ("gzip", decoder.take(MAX_LIST_BYTES + 1).read_to_end(&mut unpacked))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = zstd::Decoder::new(bytes.as_slice());
            let decoder = decoder.map_err(|error| damaged(path, "Zstandard", &error))?;
            ("Zstandard", decoder.take(MAX_LIST_BYTES + 1).read_to_end(&mut unpacked))
        }
        _ => return Ok(bytes),
    };
    read.map_err(|error| damaged(path, format, &error))?;
    if unpacked.len() as u64 > MAX_LIST_BYTES {
        let path = path.to_owned();
        return Err(QueriesError::FileTooLarge { what, path, limit_bytes: MAX_LIST_BYTES });
    }
    Ok(unpacked)
}

fn is_json_lines(path: &Path, bytes: &[u8]) -> bool {
    let named = path.extension().is_some_and(|extension| {
        ["jsonl", "ndjson"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    });
    let body = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    named || body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

/// Columns in the order in which they are first met; an object without one leaves it empty.
fn json_lines(path: &Path, bytes: &[u8]) -> Result<Table, QueriesError> {
    let (mut table, mut nested) = (Table::default(), Vec::new());
    let body = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let refused =
            |reason: String| QueriesError::JsonLine { path: path.to_owned(), line: number, reason };
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(line).map_err(|error| refused(shown(&error.to_string())))?;
        let mut row = vec![String::new(); table.header.len()];
        for (column, value) in object {
            let value = match value {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => text.trim().to_owned(),
                serde_json::Value::Bool(flag) => flag.to_string(),
                serde_json::Value::Number(value) => value.to_string(),
                serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                    nested.push((column.clone(), number));
                    String::new()
                }
            };
            if let Some(at) = table.header.iter().position(|known| *known == column) {
                row[at] = value;
            } else {
                table.header.push(column);
                row.push(value);
            }
        }
        table.rows.push((number, row));
    }
    for (column, line) in nested {
        if let Some(at) = table.header.iter().position(|known| *known == column) {
            let what = format!("a list or an object on line {line}");
            table.unreadable.entry(at).or_insert(what);
        }
    }
    let columns = table.header.len();
    for (_, row) in &mut table.rows {
        row.resize(columns, String::new());
    }
    Ok(table)
}

fn parquet(path: &Path, bytes: Vec<u8>) -> Result<Table, QueriesError> {
    let failed = |error: &dyn std::fmt::Display| damaged(path, "a Parquet file", error);
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes));
    let reader = builder.and_then(ParquetRecordBatchReaderBuilder::build);
    let reader = reader.map_err(|error| failed(&error))?;
    let schema = arrow_array::RecordBatchReader::schema(&reader);
    table(path, &schema, reader)
}

fn table(
    path: &Path,
    schema: &Arc<Schema>,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
) -> Result<Table, QueriesError> {
    let mut table = Table {
        header: schema.fields().iter().map(|field| field.name().clone()).collect(),
        ..Table::default()
    };
    for (at, field) in schema.fields().iter().enumerate() {
        if !is_readable(field.data_type()) {
            table.unreadable.insert(at, format!("of type {}", field.data_type()));
        }
    }
    for batch in batches {
        let batch = batch.map_err(|error| damaged(path, "a columnar file", &error))?;
        let first = table.rows.len();
        let rows = (0..batch.num_rows()).map(|row| (first + row + 1, Vec::new()));
        table.rows.extend(rows);
        for (at, column) in batch.columns().iter().enumerate() {
            if table.unreadable.contains_key(&at) {
                for (_, row) in &mut table.rows[first..] {
                    row.push(String::new());
                }
                continue;
            }
            let values = texts(column).map_err(|error| damaged(path, "a columnar file", &error))?;
            for ((_, row), value) in table.rows[first..].iter_mut().zip(values) {
                row.push(value);
            }
        }
    }
    Ok(table)
}

fn is_readable(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_readable(values),
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Boolean
        | DataType::Null
        | DataType::Float32
        | DataType::Float64 => true,
        other => other.is_integer(),
    }
}

/// Values as text; a whole number in a column of fractions, as pandas writes counts some of which are
/// missing, has no point.
fn texts(column: &ArrayRef) -> Result<Vec<String>, ArrowError> {
    let number = |value: Option<f64>| match value {
        Some(value) if value.is_finite() => value.to_string(),
        _ => String::new(),
    };
    match column.data_type() {
        DataType::Float64 => Ok(column.as_primitive::<Float64Type>().iter().map(number).collect()),
        DataType::Float32 => {
            let values = column.as_primitive::<Float32Type>().iter();
            Ok(values.map(|value| number(value.map(f64::from))).collect())
        }
        _ => {
            let options = FormatOptions::default().with_null("");
            let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
            let text = |row| formatter.value(row).try_to_string();
            (0..column.len()).map(|row| Ok(text(row)?.trim().to_owned())).collect()
        }
    }
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
