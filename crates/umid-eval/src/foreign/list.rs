//! A list of names whose membership is known, as its publisher wrote it: which file says what.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use umid::queries::{MAX_NAME_BYTES, PartRule, Query};
use umid_signals::name_key;

use super::Needed;
use super::rows::{Row, read_rows};
use crate::error::Error;

/// Column of a name, of membership and of exposures, unless the suite says otherwise.
const NAME: [&str; 2] = ["name", "text"];
const MEMBER: &str = "member";
const EXPOSURES: &str = "exposures";
/// Column of the part of the list that a name belongs to, such as SALMUBench's `forget`.
const GROUP: &str = "group";

/// A list of names, as a suite describes it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Its name in the suite.
    pub name: String,
    /// Who published the list and its models, and where.
    pub published: String,
    /// The section of `datasets/public/fetch.md` that says how to get the files.
    pub guide: String,
    /// The files of names, below the folder of public files.
    pub files: Vec<ListFile>,
    /// Column that says who is a member; `member` if absent.
    #[serde(default)]
    member: Option<String>,
    /// Column that says how often a name occurs in the training data; `exposures` if absent.
    #[serde(default)]
    exposures: Option<String>,
    /// A file with more columns about the same names (`group` and numbers), by `id` or by name.
    #[serde(default)]
    pub details: Option<PathBuf>,
    /// A file of plausible names to rank against; without one they are drawn as `umid audit` does.
    #[serde(default)]
    pub reference: Option<PathBuf>,
    /// How many new names are drawn as non-members; 0 if the list has non-members of its own.
    #[serde(default)]
    pub fresh: usize,
    /// Templates; empty for those of `umid audit`.
    #[serde(default)]
    pub templates: Vec<String>,
    /// How names are taken apart.
    #[serde(default)]
    parts: Parts,
}

/// A file of a list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListFile {
    /// Below the folder of public files.
    pub path: PathBuf,
    /// Whether all its names are members, if the file itself does not say it.
    #[serde(default)]
    member: Option<bool>,
}

/// How names are taken apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Parts {
    /// The first word and the rest, as `umid audit` does.
    #[default]
    FirstWord,
    /// Not at all: the texts are captions.
    None,
}

/// A name of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The name.
    pub query: Query,
    /// Whether it is in the training data.
    pub member: bool,
    /// How often.
    pub exposures: Option<u64>,
    /// The part of the list that it belongs to.
    pub group: Option<String>,
    /// Numbers that the publisher gives for it, by column.
    pub numbers: BTreeMap<String, f64>,
}

impl Listed {
    /// A name that nobody bears, of which the publisher says nothing.
    pub(super) fn nobody(query: Query) -> Self {
        Self { query, member: false, exposures: None, group: None, numbers: BTreeMap::new() }
    }
}

impl List {
    /// Reads all files of the list.
    ///
    /// # Errors
    /// A file that is missing or malformed, that lacks the name or the membership of a row, or that
    /// repeats a name.
    pub fn read(&self, folder: &Path) -> crate::Result<Vec<Listed>> {
        let mut listed: Vec<Listed> = Vec::new();
        let mut seen: HashMap<String, String> = HashMap::new();
        for file in &self.files {
            let path = folder.join(&file.path);
            let rows = read_rows(&path)?;
            self.check_columns(&path, file, &rows)?;
            for row in rows {
                let name = self.name(&path, &row, listed.len(), file)?;
                let place = format!("{}, {}", file.path.display(), row.place);
                if let Some(first) = seen.insert(name_key(&name.query.text), place) {
                    return Err(Error::ListRepeats { path, place: row.place, first });
                }
                listed.push(name);
            }
        }
        if listed.is_empty() {
            return Err(Error::ListEmpty { list: self.name.clone() });
        }
        if let Some(details) = &self.details {
            let path = folder.join(details);
            if path.is_file() {
                self.add_details(&path, &mut listed)?;
            }
        }
        Ok(listed)
    }

    /// Everything but the words for people, and the files' contents.
    pub(super) fn settings(&self) -> String {
        let Self { files, member, exposures, details, reference, fresh, templates, parts, .. } =
            self;
        format!(
            "{files:?} {member:?} {exposures:?} {details:?} {reference:?} {fresh} {templates:?} \
             {parts:?}"
        )
    }

    /// The list's files, in the order in which they are read.
    pub(super) fn needed(&self, folder: &Path) -> Vec<Needed> {
        let file = |what, path: &PathBuf, optional| {
            let path = folder.join(path);
            Needed { what, found: path.is_file(), path, optional }
        };
        let names = self.files.iter().map(|list| file("names", &list.path, false));
        let reference =
            self.reference.iter().map(|path| file("names of the reference", path, false));
        let details = self.details.iter().map(|path| file("more about the names", path, true));
        names.chain(reference).chain(details).collect()
    }

    fn member_column(&self) -> &str {
        self.member.as_deref().unwrap_or(MEMBER)
    }

    fn exposures_column(&self) -> &str {
        self.exposures.as_deref().unwrap_or(EXPOSURES)
    }

    /// Refuses a file that has no column of names, or that nowhere says who is a member.
    fn check_columns(&self, path: &Path, file: &ListFile, rows: &[Row]) -> crate::Result<()> {
        let columns: BTreeSet<&str> =
            rows.iter().flat_map(|row| row.fields.keys()).map(String::as_str).collect();
        let found = || columns.iter().copied().collect::<Vec<_>>().join(", ");
        let has = |column: &str| columns.contains(column);
        if rows.is_empty() {
            return Err(Error::ListEmpty { list: path.display().to_string() });
        }
        if !NAME.into_iter().any(has) {
            return Err(Error::ListNames { path: path.to_owned(), found: found() });
        }
        let (member, exposures) = (self.member_column(), self.exposures_column());
        if file.member.is_none() && !has(member) && !has(exposures) {
            return Err(Error::ListMembership {
                path: path.to_owned(),
                member: member.to_owned(),
                exposures: exposures.to_owned(),
                found: found(),
            });
        }
        Ok(())
    }

    fn name(
        &self,
        path: &Path,
        row: &Row,
        number: usize,
        file: &ListFile,
    ) -> crate::Result<Listed> {
        let value = |column: &'static str, found: &str, expected: &'static str| Error::ListValue {
            path: path.to_owned(),
            place: row.place.clone(),
            column: column.to_owned(),
            found: found.chars().take(40).collect(),
            expected,
        };
        let text = NAME.iter().find_map(|column| row.fields.get(*column));
        let text = text.ok_or_else(|| value("name", "nothing", "a name"))?;
        // Publishers that name files by people write an underscore for a space.
        let text =
            if text.contains(char::is_whitespace) { text.clone() } else { text.replace('_', " ") };
        if text.len() > MAX_NAME_BYTES || text.chars().any(char::is_control) {
            return Err(value("name", &text, "at most 1,024 printable bytes"));
        }
        let exposures =
            match row.fields.get(self.exposures_column()) {
                None => None,
                Some(found) => Some(found.parse::<u64>().map_err(|_| {
                    value("exposures", found, "a whole number that is not negative")
                })?),
            };
        let said = match row.fields.get(self.member_column()).map(|said| said.to_lowercase()) {
            None => None,
            Some(said) => Some(match said.as_str() {
                "true" | "1" | "yes" | "member" => true,
                "false" | "0" | "no" | "non_member" | "non-member" => false,
                _ => return Err(value("member", &said, "`true` or `false`")),
            }),
        };
        let member = file.member.or(said).or_else(|| exposures.map(|count| count > 0));
        let member = member.ok_or_else(|| {
            value("member", "nothing", "`true` or `false`, or a number of exposures")
        })?;
        let parts = match self.parts {
            Parts::FirstWord => PartRule::FirstWord.split(&text),
            Parts::None => None,
        };
        Ok(Listed {
            query: Query {
                id: row.id.clone().unwrap_or_else(|| format!("n{:06}", number + 1)),
                text,
                parts,
            },
            member,
            exposures,
            group: row.fields.get(GROUP).cloned(),
            numbers: numbers(row),
        })
    }

    /// Adds the columns of another file to the names that it holds too.
    fn add_details(&self, path: &Path, listed: &mut [Listed]) -> crate::Result<()> {
        let mut known: HashMap<String, usize> = HashMap::new();
        for (i, name) in listed.iter().enumerate() {
            known.insert(format!("id {}", name.query.id), i);
            known.insert(name_key(&name.query.text), i);
        }
        let mut met = 0;
        for row in read_rows(path)? {
            let id = row.id.as_ref().map(|id| format!("id {id}"));
            let name = NAME.iter().find_map(|column| row.fields.get(*column));
            let keys = [id, name.map(|name| name_key(&name.replace('_', " ")))];
            let Some(&i) = keys.iter().flatten().find_map(|key| known.get(key)) else { continue };
            met += 1;
            let exposures = row.fields.get(self.exposures_column());
            listed[i].exposures =
                exposures.and_then(|count| count.parse().ok()).or(listed[i].exposures);
            if let Some(group) = row.fields.get(GROUP) {
                listed[i].group = Some(group.clone());
            }
            listed[i].numbers.extend(numbers(&row));
        }
        if met == 0 {
            return Err(Error::ListDetails { path: path.to_owned(), list: self.name.clone() });
        }
        Ok(())
    }
}

/// The columns of a row that are numbers.
fn numbers(row: &Row) -> BTreeMap<String, f64> {
    let number = |(column, value): (&String, &String)| {
        let value: f64 = value.parse().ok()?;
        (value.is_finite() && !column.is_empty()).then(|| (column.clone(), value))
    };
    row.fields.iter().filter_map(number).collect()
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
