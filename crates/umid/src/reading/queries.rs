//! The queries of a run: the names that are asked about, as the user's file gives them.
//! [`read_queries`] (in `queries/read.rs`) reads and checks the file; the same reader serves
//! a reference file of plausible names.

mod columns;
mod container;
mod error;
mod read;

use serde::{Deserialize, Serialize};

pub use columns::ColumnNames;
pub use error::QueriesError;
pub(crate) use read::read_names;
pub use read::{MAX_LIST_BYTES, NameFile, QueryOptions, read_queries};
pub(crate) use umid_signals::name_key;

/// Longest name or id that is accepted. CLIP's context is 77 tokens, some 300 bytes of text;
/// anything near this limit is a file of another kind.
pub const MAX_NAME_BYTES: usize = 1024;

/// One name that is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Identifier, unique in the run.
    pub id: String,
    /// The name as it is put into a template.
    pub text: String,
    /// First and last part, if the name has two. `text` is then the two, with white space
    /// between.
    pub parts: Option<(String, String)>,
}

/// How a name without `first` and `last` columns is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PartRule {
    /// The first word is the first part, and the other words are the last part; a name of one
    /// word has no parts. Measured on names of three and four words, this detects more members
    /// than to take the last word apart from those before it (`docs/findings.md`).
    #[default]
    FirstWord,
    /// No name is taken apart.
    None,
}

impl PartRule {
    /// The parts of `text` by this rule.
    pub fn split(self, text: &str) -> Option<(String, String)> {
        match self {
            Self::None => None,
            Self::FirstWord => {
                let mut words = text.split_whitespace();
                let first = words.next()?;
                let rest: Vec<&str> = words.collect();
                (!rest.is_empty()).then(|| (first.to_owned(), rest.join(" ")))
            }
        }
    }
}

/// BLAKE3 digest, in hex, of ids, texts and parts in order. Every field is preceded by its
/// length, so that no two lists share an encoding.
pub fn queries_digest(queries: &[Query]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("umid 2026 queries");
    for query in queries {
        hash_field(&mut hasher, &query.id);
        hash_name(&mut hasher, query);
    }
    hasher.finalize().to_hex().to_string()
}

/// BLAKE3 digest, in hex, of texts and parts in order, without the ids.
pub fn names_digest(names: &[Query]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("umid 2026 names");
    for name in names {
        hash_name(&mut hasher, name);
    }
    hasher.finalize().to_hex().to_string()
}

fn hash_name(hasher: &mut blake3::Hasher, name: &Query) {
    hash_field(hasher, &name.text);
    match &name.parts {
        None => {
            hasher.update(&[0]);
        }
        Some((first, last)) => {
            hasher.update(&[1]);
            hash_field(hasher, first);
            hash_field(hasher, last);
        }
    }
}

fn hash_field(hasher: &mut blake3::Hasher, field: &str) {
    hasher.update(&(field.len() as u64).to_le_bytes());
    hasher.update(field.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(id: &str, text: &str) -> Query {
        Query { id: id.into(), text: text.into(), parts: PartRule::FirstWord.split(text) }
    }

    #[test]
    fn the_first_word_is_one_part_and_the_rest_the_other() {
        let split = |text| PartRule::FirstWord.split(text);
        assert_eq!(split("Jane Roe"), Some(("Jane".into(), "Roe".into())));
        assert_eq!(split("Jane \u{a0} Roe"), Some(("Jane".into(), "Roe".into())));
        assert_eq!(split("Jane van  Roe"), Some(("Jane".into(), "van Roe".into())));
        assert_eq!(split("Cher"), None);
        assert_eq!(split(""), None);
        assert_eq!(PartRule::None.split("Jane Roe"), None);
    }

    #[test]
    fn digest_sees_every_field_boundary_and_the_order() {
        let base = vec![query("1", "Jane Roe"), query("2", "Ann Lee")];
        let digest = queries_digest(&base);
        assert_eq!(digest.len(), 64);
        assert_eq!(digest, queries_digest(&base));

        let mut moved = base.clone();
        moved[0] = query("1J", "ane Roe");
        let reversed: Vec<_> = base.iter().rev().cloned().collect();
        let mut unsplit = base.clone();
        unsplit[1].parts = None;
        for other in [&moved, &reversed, &unsplit] {
            assert_ne!(digest, queries_digest(other));
        }
        assert_ne!(queries_digest(&base[..1]), digest);
    }

    #[test]
    fn names_digest_ignores_ids_only() {
        assert_eq!(
            names_digest(&[query("1", "Jane Roe")]),
            names_digest(&[query("9", "Jane Roe")])
        );
        assert_ne!(
            names_digest(&[query("1", "Jane Roe")]),
            names_digest(&[query("1", "Jane Row")])
        );
    }
}
