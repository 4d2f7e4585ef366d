//! Public names to form siblings with: the parts that stand in for a query's own in the
//! part-interaction residual.

mod error;

use std::collections::HashSet;
use std::path::Path;

use crate::names::NameList;
use crate::queries::{PartRule, QueryOptions, name_key, read_names};

pub use error::SiblingError;

/// Siblings of each kind where none are given. More are better and cost proportionally.
pub const DEFAULT_SIBLINGS: usize = 16;

/// The residual needs two siblings of each kind besides the query's own part, which may be
/// among them.
const MIN_SIBLINGS: usize = 3;

/// First and last names, the same for every query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Siblings {
    /// First parts.
    pub first: Vec<String>,
    /// Last parts.
    pub last: Vec<String>,
}

impl Siblings {
    /// The first `count` of each bundled list.
    ///
    /// # Errors
    ///
    /// [`SiblingError::SiblingCount`] where `count` is below 3 or above the lists' length.
    pub fn bundled(count: usize) -> Result<Self, SiblingError> {
        let take = |list: NameList| -> Result<Vec<String>, SiblingError> {
            let names = list.names();
            if !(MIN_SIBLINGS..=names.len()).contains(&count) {
                return Err(SiblingError::SiblingCount { found: count, most: names.len() });
            }
            Ok(names.into_iter().take(count).collect())
        };
        Ok(Self { first: take(NameList::SiblingFirst)?, last: take(NameList::SiblingLast)? })
    }

    /// Number and digest of the names, such as `16 x 16, 0f3a...`.
    pub fn describe(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("umid 2026 siblings");
        for names in [&self.first, &self.last] {
            hasher.update(&(names.len() as u64).to_le_bytes());
            for name in names {
                hasher.update(&(name.len() as u64).to_le_bytes());
                hasher.update(name.as_bytes());
            }
        }
        let digest = hasher.finalize().to_hex();
        format!("{} x {}, {}", self.first.len(), self.last.len(), &digest[..16])
    }

    /// Siblings from two files, one name a line. Names that differ in case or white space
    /// alone are one.
    ///
    /// # Errors
    ///
    /// What [`crate::queries::read_queries`] refuses, and [`SiblingError::TooFewSiblings`] for
    /// fewer than 3 names.
    pub fn from_files(first: &Path, last: &Path) -> Result<Self, SiblingError> {
        const WHAT: &str = "list of siblings";
        let read = |path: &Path| -> Result<Vec<String>, SiblingError> {
            let file = read_names(
                path,
                &QueryOptions { parts: PartRule::None, ..QueryOptions::default() },
                WHAT,
            )?;
            let mut seen = HashSet::with_capacity(file.queries.len());
            let mut names: Vec<String> = file.queries.into_iter().map(|query| query.text).collect();
            names.retain(|name| seen.insert(name_key(name)));
            if names.len() < MIN_SIBLINGS {
                let (path, found) = (path.to_owned(), names.len());
                return Err(SiblingError::TooFewSiblings { what: WHAT, path, found });
            }
            Ok(names)
        };
        Ok(Self { first: read(first)?, last: read(last)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_lists(first: &str, last: &str) -> Result<Siblings, SiblingError> {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["first.txt", "last.txt"].map(|name| dir.path().join(name));
        std::fs::write(&paths[0], first).unwrap();
        std::fs::write(&paths[1], last).unwrap();
        Siblings::from_files(&paths[0], &paths[1])
    }

    #[test]
    fn bundled_siblings_of_a_larger_count_start_with_the_smaller() {
        let (few, many) = (Siblings::bundled(3).unwrap(), Siblings::bundled(16).unwrap());
        assert_eq!((few.first.len(), many.last.len()), (3, DEFAULT_SIBLINGS));
        assert_eq!(few.first, many.first[..3]);
        assert_eq!(few.last, many.last[..3]);
    }

    #[test]
    fn sibling_count_error() {
        for bad in [0, 2, usize::MAX] {
            let error = Siblings::bundled(bad).unwrap_err();
            assert!(matches!(error, SiblingError::SiblingCount { found, .. } if found == bad));
        }
    }

    #[test]
    fn names_that_differ_in_case_alone_are_one_sibling() {
        let siblings = from_lists("Ann\nBo\nann\nCy\n", "Ash\nASH\nBly\n Cox\n").unwrap();
        assert_eq!(siblings.first, ["Ann", "Bo", "Cy"]);
        assert_eq!(siblings.last, ["Ash", "Bly", "Cox"]);
    }

    #[test]
    fn too_few_siblings_error_names_the_file() {
        let error = from_lists("Ann\nBo\nCy\n", "Ash\nash\nBly\n").unwrap_err();
        let SiblingError::TooFewSiblings { ref path, found, .. } = error else { panic!("{error}") };
        assert!(path.ends_with("last.txt"));
        assert_eq!(found, 2);
        let missing = Siblings::from_files(Path::new("absent"), Path::new("absent")).unwrap_err();
        assert!(missing.to_string().contains("list of siblings"), "{missing}");
    }

    #[test]
    fn the_description_sees_every_name_and_the_side_it_is_on() {
        let lists = [
            ("Ann\nBo\nCy", "Ash\nBly\nCox"),
            ("Ash\nBly\nCox", "Ann\nBo\nCy"),
            ("Ann\nBo\nDi", "Ash\nBly\nCox"),
            ("AnnB\no\nCy", "Ash\nBly\nCox"),
        ];
        let mut described: Vec<String> =
            lists.iter().map(|(f, l)| from_lists(f, l).unwrap().describe()).collect();
        assert!(described[0].starts_with("3 x 3, "));
        described.sort_unstable();
        described.dedup();
        assert_eq!(described.len(), lists.len());
    }
}
