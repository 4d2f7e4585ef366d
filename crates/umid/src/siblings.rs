//! Public names to form siblings with: the parts that stand in for a query's own in the
//! part-interaction residual.

use std::collections::HashSet;
use std::path::Path;

use crate::error::AuditError;
use crate::names::NameList;
use crate::queries::{PartRule, QueryOptions, name_key, read_names};

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
    /// [`AuditError::SiblingCount`] where `count` is below 3 or above the lists' length.
    pub fn bundled(count: usize) -> Result<Self, AuditError> {
        let take = |list: NameList| -> Result<Vec<String>, AuditError> {
            let names = list.names();
            if !(MIN_SIBLINGS..=names.len()).contains(&count) {
                return Err(AuditError::SiblingCount { found: count, most: names.len() });
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
    /// What [`crate::queries::read_queries`] refuses, and [`AuditError::TooFewSiblings`] for
    /// fewer than 3 names.
    pub fn from_files(first: &Path, last: &Path) -> Result<Self, AuditError> {
        const WHAT: &str = "list of siblings";
        let read = |path: &Path| -> Result<Vec<String>, AuditError> {
            let file = read_names(path, QueryOptions { parts: PartRule::None }, WHAT)?;
            let mut seen = HashSet::with_capacity(file.queries.len());
            let mut names: Vec<String> = file.queries.into_iter().map(|query| query.text).collect();
            names.retain(|name| seen.insert(name_key(name)));
            if names.len() < MIN_SIBLINGS {
                let (path, found) = (path.to_owned(), names.len());
                return Err(AuditError::TooFewSiblings { what: WHAT, path, found });
            }
            Ok(names)
        };
        Ok(Self { first: read(first)?, last: read(last)? })
    }
}
