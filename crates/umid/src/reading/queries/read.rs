//! Reads a list of names from a file, and checks all of it before anything is computed.
//!
//! A file may be packed, and be of other formats than text: see [`super::container`]. Text
//! is **CSV** when its first line that is not blank is a header with a column `text`
//! (or `name`), or with the two columns `first` and `last`; case does not matter. Anything
//! else is **plain text**, one name a line. A file called `.csv` without such a header is an
//! error, since its header would otherwise be taken for a name. Columns are separated by commas,
//! semicolons or tabs, whichever makes the first line such a header. A CSV file may have a column
//! `id`; where there is none, and in plain text, a query's id is the number of its line. Columns
//! `member` (true or false, 1 or 0, yes or no) and `exposures` (a count) say what is known of a name;
//! an empty field is unknown.
//!
//! UTF-8 only, with or without a byte-order mark; `\n` or `\r\n`; blank lines are skipped;
//! white space around a value is dropped.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use csv::StringRecord;

use super::columns::{ColumnNames, Columns, NameColumns, records};
use super::container::{Table, Unpacked, unpack};
use super::{MAX_NAME_BYTES, PartRule, QueriesError, Query, name_key};
use crate::known_answers::{Answer, KnownAnswers};
use crate::reading::invisible::first_invisible;
use crate::shown::shown;

/// Largest list that is read: millions of names, and a refusal for a weights file given by
/// mistake.
pub const MAX_LIST_BYTES: u64 = 256 << 20;

/// How a list of names is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryOptions {
    /// How a name without `first` and `last` columns is taken apart.
    pub parts: PartRule,
    /// Which columns hold what.
    pub columns: ColumnNames,
}

/// A list of names that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFile {
    /// The names in the order of the file; at least one.
    pub queries: Vec<Query>,
    /// What the list says of its names: whether they are members, how often training saw them. It
    /// enters no score.
    pub answers: KnownAnswers,
    /// What the user should know about the list. No warning repeats a name.
    pub warnings: Vec<String>,
}

/// Reads the queries of a run from `path`; `-` is the standard input.
///
/// # Errors
/// A file that cannot be read, is too large or not UTF-8; a `.csv` file without a known
/// header; a malformed row; an empty, overlong or unprintable name or id; two equal ids; no
/// names at all.
pub fn read_queries(path: &Path, options: &QueryOptions) -> Result<NameFile, QueriesError> {
    read_names(path, options, "queries file")
}

/// [`read_queries`] for a list with another purpose, which messages call `what`.
pub(crate) fn read_names(
    path: &Path,
    options: &QueryOptions,
    what: &'static str,
) -> Result<NameFile, QueriesError> {
    let list = match unpack(path, what, read_bytes(path, what)?)? {
        Unpacked::Text(bytes) => {
            let content = text_of(path, bytes)?;
            // Not trimmed away as a character: a byte-order mark inside a name is to be seen.
            let body = content.strip_prefix('\u{feff}').unwrap_or(&content);
            check_line_ends(path, body)?;
            match Columns::of_file(path, body, &options.columns)? {
                Some(columns) => {
                    let rows = records(body, columns.separator).skip(1);
                    read_rows(path, rows, &columns, options)?
                }
                None => read_plain(path, body, options)?,
            }
        }
        Unpacked::Table(table) => read_table(path, what, table, options)?,
    };
    if list.names.is_empty() {
        return Err(QueriesError::NoNames { what, path: path.to_owned() });
    }
    list.check_ids(path)?;
    Ok(list.into_file())
}

/// What stands for the standard input.
const STANDARD_INPUT: &str = "-";

fn read_bytes(path: &Path, what: &'static str) -> Result<Vec<u8>, QueriesError> {
    let failed = |source| QueriesError::ReadFile { what, path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let input: Box<dyn Read> = if path == Path::new(STANDARD_INPUT) {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    // One byte more than allowed tells a file at the limit from one beyond it; a pipe has no
    // length to ask for.
    input.take(MAX_LIST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_LIST_BYTES {
        let path = path.to_owned();
        return Err(QueriesError::FileTooLarge { what, path, limit_bytes: MAX_LIST_BYTES });
    }
    Ok(bytes)
}

fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String, QueriesError> {
    if let Some(encoding) = utf16(&bytes) {
        return Err(QueriesError::Utf16 { path: path.to_owned(), encoding });
    }
    String::from_utf8(bytes).map_err(|error| {
        let byte_offset = error.utf8_error().valid_up_to();
        let before = &error.as_bytes()[..byte_offset];
        QueriesError::NotUtf8 {
            path: path.to_owned(),
            line: 1 + count_newlines(before),
            byte_offset,
        }
    })
}

/// Which UTF-16 it is, by a byte-order mark or by a zero in one of the first two bytes.
fn utf16(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [0, second, ..] if *second != 0 => Some("UTF-16BE"),
        [first, 0, ..] if *first != 0 => Some("UTF-16LE"),
        _ => None,
    }
}

/// A carriage return alone ends a line for some readers and not for others; it is refused
/// before the lines are counted.
fn check_line_ends(path: &Path, body: &str) -> Result<(), QueriesError> {
    let lone = |(at, _): &(usize, &str)| !body[at + 1..].starts_with('\n');
    match body.match_indices('\r').find(lone) {
        None => Ok(()),
        Some((at, _)) => Err(QueriesError::InvisibleCharacter {
            path: path.to_owned(),
            line: 1 + count_newlines(&body.as_bytes()[..at]),
            column: "list".to_owned(),
            code: u32::from('\r'),
        }),
    }
}

pub(super) fn count_newlines(bytes: &[u8]) -> usize {
    bytes.split(|&byte| byte == b'\n').count() - 1
}

fn read_table(
    path: &Path,
    what: &'static str,
    table: Table,
    options: &QueryOptions,
) -> Result<NameList, QueriesError> {
    if table.rows.is_empty() {
        return Err(QueriesError::NoNames { what, path: path.to_owned() });
    }
    let header = StringRecord::from(table.header);
    let names = shown(&header.iter().collect::<Vec<_>>().join(", "));
    let columns = Columns::of_header(path, b',', header, &options.columns)?;
    let Some(columns) = columns else {
        if let Some(column) = options.columns.missing(&names) {
            let (path, column) = (path.to_owned(), shown(column));
            return Err(QueriesError::NoSuchColumn { path, column, header: names });
        }
        let (path, separated) = (path.to_owned(), true);
        return Err(QueriesError::UnknownHeader { path, header: names, separated });
    };
    for column in columns.used().into_iter().flatten() {
        if let Some(found) = table.unreadable.get(&column) {
            return Err(QueriesError::ColumnType {
                path: path.to_owned(),
                column: shown(&columns.header[column]),
                found: found.clone(),
            });
        }
    }
    let rows = table.rows.into_iter().map(|(number, row)| (number, StringRecord::from(row)));
    read_rows(path, rows, &columns, options)
}

fn read_rows(
    path: &Path,
    rows: impl Iterator<Item = (usize, StringRecord)>,
    columns: &Columns,
    options: &QueryOptions,
) -> Result<NameList, QueriesError> {
    let mut list = NameList::default();
    let ignored = columns.ignored();
    if !ignored.is_empty() {
        list.warnings.push(format!(
            "these columns of the list are not read: {}; names are in `text` or `name`, or \
             in `first` and `last`, and what is known of them in `member` and `exposures`",
            ignored.join(", ")
        ));
    }
    for (line, record) in rows {
        if record.len() != columns.header.len() {
            return Err(QueriesError::RowLength {
                path: path.to_owned(),
                line,
                expected: columns.header.len(),
                found: record.len(),
            });
        }
        let row = Row { path, line, columns, record: &record };
        let id = match columns.id {
            Some(index) => row.value(index)?.to_owned(),
            None => line.to_string(),
        };
        let (text, parts) = row.name(options)?;
        list.answers.push((id.clone(), row.answer()?));
        list.names.push((line, Query { id, text, parts }));
    }
    Ok(list)
}

/// One record of a CSV file, with what its errors need to say.
struct Row<'a> {
    path: &'a Path,
    line: usize,
    columns: &'a Columns,
    record: &'a StringRecord,
}

impl Row<'_> {
    fn value(&self, index: usize) -> Result<&str, QueriesError> {
        let (value, column) = (&self.record[index], &self.columns.header[index]);
        if value.is_empty() {
            return Err(QueriesError::EmptyField {
                path: self.path.to_owned(),
                line: self.line,
                column: shown(column),
            });
        }
        check_value(self.path, self.line, column, value)
    }

    /// What the row says of its name.
    fn answer(&self) -> Result<Answer, QueriesError> {
        let given = |index: Option<usize>| {
            let index = index?;
            let value = &self.record[index];
            (!value.is_empty()).then_some((index, value))
        };
        let refused = |index: usize, expected| QueriesError::Answer {
            path: self.path.to_owned(),
            line: self.line,
            column: shown(&self.columns.header[index]),
            found: shown(&self.record[index]),
            expected,
        };
        let member = given(self.columns.member).map(|(index, value)| {
            member(value).ok_or_else(|| refused(index, "true or false, 1 or 0, yes or no"))
        });
        let exposures = given(self.columns.exposures).map(|(index, value)| {
            value.parse().map_err(|_| refused(index, "a count of 0 or more"))
        });
        let (member, exposures) = (member.transpose()?, exposures.transpose()?);
        Answer::of(member, exposures).ok_or_else(|| QueriesError::Contradiction {
            path: self.path.to_owned(),
            line: self.line,
            member: member == Some(true),
            exposures: exposures.unwrap_or_default(),
        })
    }

    fn name(
        &self,
        options: &QueryOptions,
    ) -> Result<(String, Option<(String, String)>), QueriesError> {
        match self.columns.name {
            NameColumns::Text(text) => {
                let text = self.value(text)?;
                Ok((text.to_owned(), options.parts.split(text)))
            }
            NameColumns::Parts { first, last } => {
                let (first, last) = (self.value(first)?, self.value(last)?);
                Ok((format!("{first} {last}"), Some((first.to_owned(), last.to_owned()))))
            }
            NameColumns::TextAndParts { text, first, last } => {
                let text = self.value(text)?;
                // A name that has no two parts leaves both columns empty.
                if self.record[first].is_empty() && self.record[last].is_empty() {
                    return Ok((text.to_owned(), None));
                }
                let (first, last) = (self.value(first)?, self.value(last)?);
                let joined = format!("{first} {last}");
                if name_key(text) != name_key(&joined) {
                    return Err(QueriesError::PartsMismatch {
                        path: self.path.to_owned(),
                        line: self.line,
                        text: shown(text),
                        joined: shown(&joined),
                    });
                }
                Ok((text.to_owned(), Some((first.to_owned(), last.to_owned()))))
            }
        }
    }
}

fn member(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

fn read_plain(path: &Path, body: &str, options: &QueryOptions) -> Result<NameList, QueriesError> {
    let mut list = NameList::default();
    for (index, line) in body.lines().enumerate() {
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        let number = index + 1;
        let text = check_value(path, number, "name", text)?;
        if is_row(text) {
            let (path, text) = (path.to_owned(), shown(text));
            return Err(QueriesError::SeparatedLine { path, line: number, text });
        }
        let parts = options.parts.split(text);
        list.names.push((number, Query { id: number.to_string(), text: text.to_owned(), parts }));
    }
    Ok(list)
}

/// Whether a line of a plain list has columns: no name holds a semicolon or a vertical bar, or
/// begins with a number and a comma.
fn is_row(line: &str) -> bool {
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == '"');
    line.contains([';', '|']) || (number.len() < line.len() && number.trim_start().starts_with(','))
}

fn check_value<'a>(
    path: &Path,
    line: usize,
    column: &str,
    value: &'a str,
) -> Result<&'a str, QueriesError> {
    if value.len() > MAX_NAME_BYTES {
        return Err(QueriesError::TextTooLong {
            path: path.to_owned(),
            line,
            column: shown(column),
            bytes: value.len(),
            limit: MAX_NAME_BYTES,
        });
    }
    if let Some(character) = first_invisible(value) {
        return Err(QueriesError::InvisibleCharacter {
            path: path.to_owned(),
            line,
            column: shown(column),
            code: u32::from(character),
        });
    }
    Ok(value)
}

/// Names with the lines that they start on, before the checks that need all of them.
#[derive(Default)]
struct NameList {
    names: Vec<(usize, Query)>,
    answers: Vec<(String, Answer)>,
    warnings: Vec<String>,
}

impl NameList {
    fn check_ids(&self, path: &Path) -> Result<(), QueriesError> {
        let mut lines = HashMap::with_capacity(self.names.len());
        for (line, query) in &self.names {
            if let Some(first_line) = lines.insert(query.id.as_str(), *line) {
                return Err(QueriesError::DuplicateId {
                    path: path.to_owned(),
                    id: shown(&query.id),
                    first_line,
                    second_line: *line,
                });
            }
        }
        Ok(())
    }

    fn into_file(mut self) -> NameFile {
        let mut lines = HashMap::with_capacity(self.names.len());
        let mut repeats = self.names.iter().filter_map(|(line, query)| {
            let first = *lines.entry(name_key(&query.text)).or_insert(*line);
            (first != *line).then_some((first, *line))
        });
        if let Some((first, again)) = repeats.next() {
            self.warnings.push(format!(
                "{} names repeat an earlier one (the first on lines {first} and {again}); each \
                 is tested and counted on its own, so remove the repeats if they are not meant",
                1 + repeats.count()
            ));
        }
        let queries = self.names.into_iter().map(|(_, query)| query).collect();
        let answers = self.answers.into_iter().collect();
        NameFile { queries, answers, warnings: self.warnings }
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
