//! Which columns of a list hold names, ids and what is known of them, and where its records are.

use std::path::Path;

use csv::StringRecord;

use super::QueriesError;
use super::read::count_newlines;
use crate::shown::shown;

/// What may separate columns. Spreadsheets write semicolons where the comma is in numbers.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// Names of columns that hold what others hold by default; a column that is named here must be there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColumnNames {
    /// In the place of `text` or `name`.
    pub text: Option<String>,
    /// In the place of `id`.
    pub id: Option<String>,
    /// In the place of `first`.
    pub first: Option<String>,
    /// In the place of `last`.
    pub last: Option<String>,
    /// In the place of `member`.
    pub member: Option<String>,
    /// In the place of `exposures`.
    pub exposures: Option<String>,
}

impl ColumnNames {
    /// A column that was asked for, where the first line of a list is no header that has all of them.
    pub(super) fn missing(&self, line: &str) -> Option<&str> {
        let all = [&self.text, &self.id, &self.first, &self.last, &self.member, &self.exposures];
        let given = || all.into_iter().flatten().map(String::as_str);
        given().find(|column| !line.contains(column)).or_else(|| given().next())
    }
}

/// Where the columns of a CSV file are.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) separator: u8,
    pub(super) header: StringRecord,
    pub(super) id: Option<usize>,
    pub(super) name: NameColumns,
    pub(super) member: Option<usize>,
    pub(super) exposures: Option<usize>,
}

/// Which columns a name is in.
#[derive(Debug, Clone, Copy)]
pub(super) enum NameColumns {
    Text(usize),
    Parts {
        first: usize,
        last: usize,
    },
    /// The text, and its parts where it has two.
    TextAndParts {
        text: usize,
        first: usize,
        last: usize,
    },
}

impl Columns {
    /// The columns of `body` when it is CSV; `None` when it is plain text.
    pub(super) fn of_file(
        path: &Path,
        body: &str,
        names: &ColumnNames,
    ) -> Result<Option<Self>, QueriesError> {
        let Some(line) = body.lines().find(|line| !line.trim().is_empty()) else {
            return Ok(None);
        };
        for separator in SEPARATORS {
            let record = records(line, separator).next();
            let header = record.map_or_else(StringRecord::new, |(_, record)| record);
            if let Some(columns) = Self::of_header(path, separator, header, names)? {
                return Ok(Some(columns));
            }
        }
        if let Some(column) = names.missing(line) {
            return Err(QueriesError::NoSuchColumn {
                path: path.to_owned(),
                column: shown(column),
                header: shown(line.trim()),
            });
        }
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) {
            return Err(QueriesError::UnknownHeader {
                path: path.to_owned(),
                header: shown(line.trim()),
                separated: line.bytes().any(|byte| SEPARATORS.contains(&byte)),
            });
        }
        Ok(None)
    }

    /// `None` for a header without the columns of a name.
    pub(super) fn of_header(
        path: &Path,
        separator: u8,
        header: StringRecord,
        names: &ColumnNames,
    ) -> Result<Option<Self>, QueriesError> {
        let all = |given: &Option<String>, names: &[&str]| -> Vec<usize> {
            let matches = |name: &str| match given {
                Some(given) => name == given,
                None => names.iter().any(|known| name.eq_ignore_ascii_case(known)),
            };
            header.iter().enumerate().filter(|(_, name)| matches(name)).map(|(i, _)| i).collect()
        };
        let text = all(&names.text, &["text", "name"]);
        let (first, last) = (all(&names.first, &["first"]), all(&names.last, &["last"]));
        if text.is_empty() && (first.is_empty() || last.is_empty()) {
            return Ok(None);
        }
        let one = |role, found: Vec<usize>| match found.as_slice() {
            [] => Ok(None),
            [index] => Ok(Some(*index)),
            several => {
                let columns: Vec<&str> = several.iter().map(|&i| &header[i]).collect();
                let (path, columns) = (path.to_owned(), shown(&columns.join(", ")));
                Err(QueriesError::AmbiguousHeader { path, role, columns })
            }
        };
        let id = one("id", all(&names.id, &["id"]))?;
        let member = one("member", all(&names.member, &["member"]))?;
        let exposures = one("exposures", all(&names.exposures, &["exposures"]))?;
        for (given, found) in [
            (&names.text, !text.is_empty()),
            (&names.id, id.is_some()),
            (&names.first, !first.is_empty()),
            (&names.last, !last.is_empty()),
            (&names.member, member.is_some()),
            (&names.exposures, exposures.is_some()),
        ] {
            if let Some(column) = given.as_ref().filter(|_| !found) {
                let header: Vec<&str> = header.iter().collect();
                return Err(QueriesError::NoSuchColumn {
                    path: path.to_owned(),
                    column: shown(column),
                    header: shown(&header.join(", ")),
                });
            }
        }
        let text = one("text", text)?;
        let parts = one("first", first)?.zip(one("last", last)?);
        let name = match (text, parts) {
            (None, None) => return Ok(None),
            (Some(text), None) => NameColumns::Text(text),
            (None, Some((first, last))) => NameColumns::Parts { first, last },
            (Some(text), Some((first, last))) => NameColumns::TextAndParts { text, first, last },
        };
        Ok(Some(Self { separator, header, id, name, member, exposures }))
    }

    /// Columns that something is read from.
    pub(super) fn used(&self) -> [Option<usize>; 6] {
        let [a, b, c] = match self.name {
            NameColumns::Text(text) => [Some(text), None, None],
            NameColumns::Parts { first, last } => [Some(first), Some(last), None],
            NameColumns::TextAndParts { text, first, last } => {
                [Some(text), Some(first), Some(last)]
            }
        };
        [self.id, self.member, self.exposures, a, b, c]
    }

    pub(super) fn ignored(&self) -> Vec<String> {
        let used = self.used();
        let unused = |(i, _): &(usize, &str)| !used.contains(&Some(*i));
        self.header.iter().enumerate().filter(unused).map(|(_, name)| shown(name)).collect()
    }
}

/// The records of CSV text with the number of the line on which each starts, fields trimmed,
/// records of blanks alone left out.
pub(super) fn records(body: &str, separator: u8) -> impl Iterator<Item = (usize, StringRecord)> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(body.as_bytes());
    let bytes = body.as_bytes();
    let (mut counted, mut line) = (0, 1);
    std::iter::from_fn(move || {
        loop {
            let mut record = StringRecord::new();
            let more = reader
                .read_record(&mut record)
                .expect("flexible records of valid UTF-8 in memory have no way to fail");
            if !more {
                return None;
            }
            // The parser's position is before any blank lines that it skips.
            let start = record.position().map_or(0, |position| position.byte() as usize);
            let blank = |byte: &&u8| matches!(byte, b'\n' | b'\r');
            let start = start + bytes[start..].iter().take_while(blank).count();
            line += count_newlines(&bytes[counted..start]);
            counted = start;
            if record.iter().any(|field| !field.is_empty()) {
                return Some((line, record));
            }
        }
    })
}
