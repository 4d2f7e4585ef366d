//! A control: what a number that the publisher gives for each name says without any model, such as
//! how often the name occurs in another data set. If it tells members from non-members, then so
//! does any score that follows fame.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Method, Needs, settings};
use crate::error::Error;
use crate::record::{Column, Cost, Reading, Sees};
use crate::subject::Subject;

/// The control of listed numbers.
pub static METHOD: Method = Method {
    needs: |_| Needs::Names,
    check: Some(|table| settings::<Settings>(table).map(drop)),
    ..Method::new("listed", "the list's publisher", 1.0, measure)
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The column.
    column: String,
    /// What the column holds, in a word or two, for tables.
    what: String,
}

fn measure(subject: &Subject, table: &toml::Table) -> crate::Result<Vec<Reading>> {
    let Settings { column, what } = settings(table)?;
    let listed = subject.listed()?;
    let groups = listed.map(|(group, names)| {
        (group, Column::of(names.iter().map(|name| name.numbers.get(&column).copied()).collect()))
    });
    if groups.iter().all(|(_, scores)| scores.present().is_empty()) {
        let columns = listed.iter().flat_map(|(_, names)| *names);
        let known: BTreeSet<&str> =
            columns.flat_map(|name| name.numbers.keys()).map(String::as_str).collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Error::ListColumn { target: subject.name().to_owned(), column, known });
    }
    let cost = Cost::default();
    Ok(vec![Reading::new(what, Sees::NamesOnly, groups.into(), cost).headline()])
}
