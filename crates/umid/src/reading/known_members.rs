//! Known members: names that are known to be in the training data, such as public figures for a
//! model of the web. The calibrated reading's score can be fitted on them ([`umid_detect::AnchoredScore`])
//! against the part of the reference that sets scales; the rest of the reference gives the
//! p-values, as it does without them.

use std::collections::HashSet;
use std::path::Path;

use crate::queries::{QueriesError, Query, QueryOptions, name_key, names_digest, read_names};
use crate::reading::form::Form;

/// Names that are known members, each once, in an order that is their own: how a file lists them
/// decides nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownMembers {
    names: Vec<Query>,
    keys: HashSet<String>,
    warnings: Vec<String>,
}

impl KnownMembers {
    /// Known members from a file, read as queries are.
    ///
    /// # Errors
    /// What [`crate::queries::read_queries`] refuses.
    pub fn from_file(path: &Path, options: &QueryOptions) -> Result<Self, QueriesError> {
        // The file's own warnings are of names that are tested, and repeats count once here.
        Ok(Self::new(read_names(path, options, "file of known members")?.queries))
    }

    /// Known members; names that differ in case or white space alone are one.
    pub fn new(mut names: Vec<Query>) -> Self {
        names.sort_by_cached_key(|name| {
            (name_key(&name.text), name.text.clone(), name.parts.clone())
        });
        let given = names.len();
        let mut keys = HashSet::with_capacity(given);
        names.retain(|name| keys.insert(name_key(&name.text)));
        let mut warnings = Vec::new();
        if names.len() < given {
            warnings.push(format!(
                "{} of the known members repeat another one and count once",
                given - names.len()
            ));
        }
        Self { names, keys, warnings }
    }

    /// The names.
    pub fn names(&self) -> &[Query] {
        &self.names
    }

    /// What the user should know about the list; no warning repeats a name.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// BLAKE3 digest, in hex, of texts and parts in order.
    pub fn digest(&self) -> String {
        names_digest(&self.names)
    }

    /// Whether a name is one of them, however it is spaced and capitalised.
    pub fn contains(&self, name: &Query) -> bool {
        self.keys.contains(&name_key(&name.text))
    }

    /// How many of these names are among them.
    pub(crate) fn among(&self, names: &[Query]) -> usize {
        names.iter().filter(|name| self.contains(name)).count()
    }

    /// Places of the names that the score of names of this form is fitted on: those of the same
    /// form, as it is with names of the reference.
    pub(crate) fn of_form(&self, form: Form) -> Vec<usize> {
        let own = |(_, name): &(usize, &Query)| form.is_ranked_among(Form::of(name));
        self.names.iter().enumerate().filter(own).map(|(place, _)| place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queries::PartRule;

    fn name(id: &str, text: &str) -> Query {
        Query { id: id.into(), text: text.into(), parts: PartRule::FirstWord.split(text) }
    }

    #[test]
    fn the_order_of_the_list_and_repeats_decide_nothing() {
        let list = [name("1", "Cy Cox"), name("2", "Ann Lee"), name("3", "Bo van Day")];
        let known = KnownMembers::new(list.to_vec());
        assert!(known.warnings().is_empty());
        let mut again: Vec<Query> = list.iter().rev().cloned().collect();
        again.push(name("9", "ANN  lee"));
        let again = KnownMembers::new(again);
        assert_eq!(again.names().len(), 3);
        assert_eq!(again.warnings().len(), 1);
        // Of two spellings the first in the names' own order is kept.
        assert!(again.contains(&name("7", "Ann Lee")) && !again.contains(&name("7", "Ann Le")));
        let texts = |known: &KnownMembers| -> Vec<String> {
            known.names().iter().map(|name| name_key(&name.text)).collect()
        };
        assert_eq!(texts(&known), texts(&again));
        let reversed = KnownMembers::new(list.iter().rev().cloned().collect());
        assert_eq!(known.digest(), reversed.digest());
        assert_ne!(known.digest(), KnownMembers::new(list[..2].to_vec()).digest());
    }

    #[test]
    fn known_members_are_told_apart_by_their_form() {
        let known = KnownMembers::new(vec![
            name("1", "Ann Lee"),
            name("2", "Bo van Day"),
            name("3", "Cher"),
            name("4", "Dan Poe"),
        ]);
        assert_eq!(known.of_form(Form::TWO_WORDS), [0, 3]);
        assert_eq!(known.of_form(Form::TWO_WORDS.without_parts()), [0, 3]);
        assert_eq!(known.of_form(Form::of(&name("5", "Eve van Fox"))), [1]);
        assert_eq!(known.of_form(Form::of(&name("5", "Plato"))), [2]);
    }
}
