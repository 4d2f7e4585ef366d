//! The rows of a publisher's list as text by column, from CSV or JSON.
//!
//! JSON is an object of objects, whose keys are the identifiers (as SALMUBench's
//! `identities_metadata.json`), or an array of objects.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;
use umid::queries::MAX_LIST_BYTES;

use crate::error::Error;

/// A row of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it stands, for messages: `line 5` or `entry "12"`.
    pub place: String,
    /// Its identifier, if the list has them.
    pub id: Option<String>,
    /// Its values by column. Lists and objects inside an entry are left out.
    pub fields: BTreeMap<String, String>,
}

/// Reads the rows of a list: JSON if the file is called so, otherwise CSV.
///
/// # Errors
/// When the file cannot be read, is too large, or is not what its name says.
pub fn read_rows(path: &Path) -> crate::Result<Vec<Row>> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Error::file(path))?;
    file.take(MAX_LIST_BYTES + 1).read_to_end(&mut bytes).map_err(Error::file(path))?;
    if bytes.len() as u64 > MAX_LIST_BYTES {
        return Err(Error::ListTooLarge { path: path.to_owned(), limit_bytes: MAX_LIST_BYTES });
    }
    let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    if is_json { json(path, &bytes) } else { csv(path, &bytes) }
}

fn csv(path: &Path, bytes: &[u8]) -> crate::Result<Vec<Row>> {
    let failed = |source| Error::ListCsv { path: path.to_owned(), source };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let header = reader.headers().map_err(failed)?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(failed)?;
        let fields: BTreeMap<String, String> = header
            .iter()
            .zip(&record)
            .filter(|(_, value)| !value.is_empty())
            .map(|(column, value)| (column.to_owned(), value.to_owned()))
            .collect();
        let line = record.position().map_or(0, csv::Position::line);
        rows.push(Row { place: format!("line {line}"), id: fields.get("id").cloned(), fields });
    }
    Ok(rows)
}

fn json(path: &Path, bytes: &[u8]) -> crate::Result<Vec<Row>> {
    let failed = |source| Error::ListJson { path: path.to_owned(), source };
    let entries: Vec<(Option<String>, Value)> =
        match serde_json::from_slice(bytes).map_err(failed)? {
            Value::Object(entries) => {
                entries.into_iter().map(|(id, value)| (Some(id), value)).collect()
            }
            Value::Array(entries) => entries.into_iter().map(|value| (None, value)).collect(),
            _ => return Err(Error::ListShape { path: path.to_owned(), place: "the file".into() }),
        };
    let row = |(number, (key, value)): (usize, (Option<String>, Value))| {
        let place =
            key.as_ref().map_or(format!("entry {}", number + 1), |key| format!("entry {key:?}"));
        let Value::Object(values) = value else {
            return Err(Error::ListShape { path: path.to_owned(), place });
        };
        let text = |value: Value| match value {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        let fields: BTreeMap<String, String> =
            values.into_iter().filter_map(|(column, value)| Some((column, text(value)?))).collect();
        Ok(Row { place, id: key.or_else(|| fields.get("id").cloned()), fields })
    };
    entries.into_iter().enumerate().map(row).collect()
}
