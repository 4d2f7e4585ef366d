//! What a run writes of a query beside its results, made from the query when it is needed: a
//! second list of all names, kept for the whole run, would be as large as the first.

use std::borrow::Cow;

use crate::queries::Query;
use crate::record::QueryRecord;
use crate::redact::RedactionKey;

/// The queries of a run as it writes them.
#[derive(Debug)]
pub(super) struct WrittenQueries<'a> {
    queries: &'a [Query],
    key: Option<RedactionKey>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrittenQuery<'a> {
    pub id: &'a str,
    /// The name, or its hash in a redacted run.
    pub text: Cow<'a, str>,
    /// None in a redacted run.
    pub parts: Option<[&'a str; 2]>,
}

impl<'a> WrittenQueries<'a> {
    pub fn new(queries: &'a [Query], key: Option<RedactionKey>) -> Self {
        Self { queries, key }
    }

    pub fn len(&self) -> usize {
        self.queries.len()
    }

    pub fn are_redacted(&self) -> bool {
        self.key.is_some()
    }

    pub fn ids(&self) -> impl Iterator<Item = &'a str> {
        self.queries.iter().map(|query| query.id.as_str())
    }

    /// Query number `index`; `None` after the last.
    pub fn get(&self, index: usize) -> Option<WrittenQuery<'a>> {
        let query = self.queries.get(index)?;
        let id = query.id.as_str();
        Some(match &self.key {
            Some(key) => WrittenQuery { id, text: key.redacted(&query.text).into(), parts: None },
            None => WrittenQuery {
                id,
                text: query.text.as_str().into(),
                parts: query.parts.as_ref().map(|(first, last)| [first.as_str(), last.as_str()]),
            },
        })
    }
}

impl WrittenQuery<'_> {
    /// Whether a record with this query's id says what the run writes of it.
    pub fn agrees_with(&self, record: &QueryRecord) -> bool {
        let parts = record.parts.as_ref().map(|[first, last]| [first.as_str(), last.as_str()]);
        self.text == record.text && self.parts == parts
    }
}
