//! Whom a foreign target is asked for: the members of its list, and non-members.
//!
//! Non-members are those of the list, or new combinations of the list's own parts: names of nobody
//! that have the same parts and the same number of words, so that no list of other people enters
//! the comparison.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use umid::queries::{Query, QueryOptions};
use umid::reference::{ReferenceTexts, choose_reference, from_file};
use umid_signals::name_key;

use super::list::{List, Listed};
use crate::error::Error;

/// Seed of names that are drawn as non-members; no seed of a reference.
const FRESH_SEED: u64 = 0x6672;
/// Seed of names beyond these, which tell very small false-positive rates.
const STRANGER_SEED: u64 = 0x7374;
/// Names that are drawn beside the non-members, for methods with a small reference of their own.
const SPARE: usize = 600;

/// The names of a foreign target.
pub struct Groups {
    /// Those in the training data.
    pub members: Vec<Listed>,
    /// Those that are not.
    pub non_members: Vec<Listed>,
    /// Names of nobody in neither group, in no order.
    pub spare: Vec<Query>,
    /// The names of the list itself, whose parts a reference is made of.
    listed: Vec<Query>,
    /// A file of plausible names, if the list has one.
    reference: Option<PathBuf>,
}

impl Groups {
    /// Reads a list and draws what it lacks.
    pub(super) fn of(list: &List, folder: &Path) -> crate::Result<Self> {
        let (members, mut non_members): (Vec<Listed>, Vec<Listed>) =
            list.read(folder)?.into_iter().partition(|name| name.member);
        if list.fresh > 0 {
            // A few names that were never seen are no comparison for many that were.
            non_members.clear();
        }
        if members.is_empty() || (non_members.is_empty() && list.fresh == 0) {
            let (members, non_members) = (members.len(), non_members.len());
            return Err(Error::ListOneSided { list: list.name.clone(), members, non_members });
        }
        let reference = list.reference.as_ref().map(|path| folder.join(path));
        let listed = queries(members.iter().chain(&non_members));
        let spare = match (&reference, list.fresh) {
            (Some(path), 0) => from_file(path, QueryOptions::default(), &listed)?.texts,
            (_, fresh) => {
                let mut drawn = like(FRESH_SEED, &listed, fresh + SPARE)?;
                // A short list gives fewer combinations than were asked for.
                let fresh = drawn.len() * fresh / (fresh + SPARE);
                let spare = drawn.split_off(fresh);
                non_members.extend(drawn.into_iter().map(Listed::nobody));
                spare
            }
        };
        Ok(Self { members, non_members, spare, listed, reference })
    }

    /// More names of nobody like those of the list, none of them a non-member under test.
    ///
    /// # Errors
    /// When the list gives no new names.
    pub fn strangers(&self, count: usize) -> crate::Result<Vec<Query>> {
        let tested = self.tested();
        let mut names = like(STRANGER_SEED, &self.listed, count)?;
        names.retain(|name| !tested.contains(&name_key(&name.text)));
        Ok(names)
    }

    /// The reference of a calibrated reading: the list's file, or as many names of each form as
    /// `umid audit` would draw, none of them a non-member under test.
    ///
    /// # Errors
    /// When the file cannot be read, or when the names give no reference.
    pub fn reference(&self, seed: u64, names: usize) -> crate::Result<ReferenceTexts> {
        if let Some(path) = &self.reference {
            return Ok(from_file(path, QueryOptions::default(), &self.listed)?);
        }
        let mut reference = choose_reference(seed, names, &self.listed)?;
        let tested = self.tested();
        reference.texts.retain(|name| !tested.contains(&name_key(&name.text)));
        Ok(reference)
    }

    fn tested(&self) -> HashSet<String> {
        self.non_members.iter().map(|name| name_key(&name.query.text)).collect()
    }
}

fn queries<'a>(names: impl Iterator<Item = &'a Listed>) -> Vec<Query> {
    names.map(|name| name.query.clone()).collect()
}

/// New combinations of the parts of `asked`, with as many names of each number of words as there
/// are among these, in an order that follows from the names alone.
fn like(seed: u64, asked: &[Query], count: usize) -> crate::Result<Vec<Query>> {
    let drawn = choose_reference(seed, count, asked)?.texts;
    let words = |query: &Query| {
        let of = |text: &str| text.split_whitespace().count();
        match &query.parts {
            Some((first, last)) => (of(first), of(last)),
            None => (of(&query.text), 0),
        }
    };
    let mut share: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for query in asked {
        *share.entry(words(query)).or_default() += 1;
    }
    let mut left: BTreeMap<(usize, usize), usize> = share
        .into_iter()
        .map(|(form, names)| (form, (count * names).div_ceil(asked.len())))
        .collect();
    let mut kept: Vec<Query> = drawn
        .into_iter()
        .filter(|query| match left.get_mut(&words(query)) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        })
        .collect();
    kept.sort_by_cached_key(|query| *blake3::hash(query.text.as_bytes()).as_bytes());
    for (i, query) in kept.iter_mut().enumerate() {
        query.id = format!("f{:06}", i + 1);
    }
    Ok(kept)
}
