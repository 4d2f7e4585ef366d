//! Membership lists: who is a member, as CSV with the columns id,text,member,first,last.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};
use umid_core::atomic::write_atomically;

use crate::error::Error;

/// One person of a membership list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MembershipRow {
    /// Identifier, unique in the list.
    pub id: String,
    /// The query text: the full name, without a template.
    pub text: String,
    /// Whether the target was trained on this person.
    pub member: bool,
    /// First name.
    pub first: String,
    /// Last name.
    pub last: String,
    /// How often a member of a crawl was shown; a list of another world has no such column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposures: Option<usize>,
}

/// Writes a membership list; a list that is already there is replaced as a whole.
///
/// # Errors
/// A folder that is missing or cannot be written.
///
/// # Panics
/// Never: rows of strings serialise to memory.
pub fn write_membership(path: &Path, rows: &[MembershipRow]) -> Result<(), Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).expect("rows of strings serialise");
    }
    let bytes = writer.into_inner().expect("memory takes every byte");
    write_atomically(path, &bytes).map_err(Error::writing(path))
}

/// Reads a membership list.
///
/// # Errors
/// A file that cannot be read, a row that is not id,text,member,first,last with `true` or
/// `false` under member, or an id that stands twice.
pub fn read_membership(path: &Path) -> Result<Vec<MembershipRow>, Error> {
    let file = File::open(path).map_err(Error::reading(path))?;
    let rows: Vec<MembershipRow> = csv::Reader::from_reader(file)
        .deserialize()
        .collect::<Result<_, _>>()
        .map_err(|source| Error::MembershipRow { path: path.to_owned(), source })?;
    let mut seen = HashSet::with_capacity(rows.len());
    for row in &rows {
        if !seen.insert(&row.id) {
            return Err(Error::DuplicateId { path: path.to_owned(), id: row.id.clone() });
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn row(id: &str, member: bool) -> MembershipRow {
        MembershipRow {
            id: id.to_owned(),
            text: "Ada, \"the\" Example".to_owned(),
            member,
            first: "Ada".to_owned(),
            last: "Example".to_owned(),
            exposures: None,
        }
    }

    fn read(text: &str) -> Result<Vec<MembershipRow>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.csv");
        fs::write(&path, text).unwrap();
        read_membership(&path)
    }

    #[test]
    fn lists_survive_the_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.csv");
        let rows = vec![row("p1", true), row("p2", false)];
        write_membership(&path, &rows).unwrap();
        write_membership(&path, &rows).unwrap();
        assert_eq!(read_membership(&path).unwrap(), rows);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(fs::read_to_string(&path).unwrap().starts_with("id,text,member,first,last\n"));
    }

    #[test]
    fn exposures_survive_the_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.csv");
        let rows = [4, 512].map(|count| MembershipRow {
            exposures: Some(count),
            ..row(&format!("p{count}"), true)
        });
        write_membership(&path, &rows).unwrap();
        assert_eq!(read_membership(&path).unwrap(), rows);
    }

    #[test]
    fn a_row_that_is_not_one_is_an_error_with_its_line() {
        let error = read("id,text,member,first,last\np1,A B,perhaps,A,B\n").unwrap_err();
        assert!(error.to_string().contains("line: 2"), "{error}");
        assert!(read("id,text\np1,A B\n").is_err());
    }

    #[test]
    fn a_duplicate_id_is_an_error() {
        let text = "id,text,member,first,last\np1,A B,true,A,B\np1,C D,false,C,D\n";
        assert!(matches!(read(text), Err(Error::DuplicateId { id, .. }) if id == "p1"));
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_the_path() {
        let error = write_membership(Path::new("no/such/people.csv"), &[]).unwrap_err();
        assert!(error.to_string().contains("no/such/people.csv"));
    }
}
