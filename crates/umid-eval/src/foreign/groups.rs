//! Whom a foreign target is asked for: the members of its list, and non-members.
//!
//! Non-members are those of the list, or new combinations of the list's own parts: names of nobody
//! that have the same parts and the same number of words, so that no list of other people enters
//! the comparison.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use umid::queries::{Query, QueryOptions};
use umid::reference::{ReferenceSize, ReferenceTexts, choose_reference, from_file};
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
        let one_sided = |non_members: usize| Error::ListOneSided {
            list: list.name.clone(),
            members: members.len(),
            non_members,
        };
        if members.is_empty() || (non_members.is_empty() && list.fresh == 0) {
            return Err(one_sided(non_members.len()));
        }
        let reference = list.reference.as_ref().map(|path| folder.join(path));
        let listed = queries(members.iter().chain(&non_members));
        let spare = match (&reference, list.fresh) {
            (Some(path), 0) => from_file(path, &QueryOptions::default(), &listed)?.texts,
            (_, fresh) => {
                let mut drawn = like(FRESH_SEED, &listed, fresh + SPARE)?;
                // A short list gives fewer combinations than were asked for.
                let fresh = drawn.len() * fresh / (fresh + SPARE);
                let spare = drawn.split_off(fresh);
                non_members.extend(drawn.into_iter().map(Listed::nobody));
                spare
            }
        };
        if non_members.is_empty() {
            // The list's names are too few, or have no parts.
            return Err(one_sided(0));
        }
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
            return Ok(from_file(path, &QueryOptions::default(), &self.listed)?);
        }
        let mut reference = choose_reference(seed, ReferenceSize::exactly(names), &self.listed)?;
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

/// New combinations of the parts of `asked`, at most `count`, with names of each number of words in
/// the proportions of these, in an order that follows from the names alone. Names of a form that is
/// too rare to be recombined have no counterpart.
fn like(seed: u64, asked: &[Query], count: usize) -> crate::Result<Vec<Query>> {
    let drawn = by_form(choose_reference(seed, ReferenceSize::exactly(count), asked)?.texts);
    let mut forms = by_form(asked.to_vec());
    forms.retain(|form, _| drawn.contains_key(form));
    let names: usize = forms.values().map(Vec::len).sum();
    // The form of which the fewest can be drawn limits the others.
    let most = forms.iter().map(|(form, asked)| drawn[form].len() * names / asked.len()).min();
    let most = most.unwrap_or(0).min(count);
    let mut kept: Vec<Query> = drawn
        .into_iter()
        .flat_map(|(form, drawn)| {
            let share = forms.get(&form).map_or(0, Vec::len);
            drawn.into_iter().take((most * share).div_ceil(names.max(1)))
        })
        .collect();
    kept.sort_by_cached_key(|query| *blake3::hash(query.text.as_bytes()).as_bytes());
    for (i, query) in kept.iter_mut().enumerate() {
        query.id = format!("f{:06}", i + 1);
    }
    Ok(kept)
}

/// Names by how many words their parts have.
fn by_form(names: Vec<Query>) -> BTreeMap<(usize, usize), Vec<Query>> {
    let words = |text: &str| text.split_whitespace().count();
    let mut forms: BTreeMap<_, Vec<Query>> = BTreeMap::new();
    for name in names {
        let form = match &name.parts {
            Some((first, last)) => (words(first), words(last)),
            None => (words(&name.text), 0),
        };
        forms.entry(form).or_default().push(name);
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thirty names of two words and fifteen of three, all of them members or not.
    fn groups(more: &str, member: &str) -> crate::Result<Groups> {
        let folder = tempfile::tempdir().unwrap();
        let two = (0..30).map(|i| format!("F{i} L{i},{member}\n"));
        let three = (0..15).map(|i| format!("G{i} van K{i},{member}\n"));
        let rows: String = two.chain(three).collect();
        std::fs::write(folder.path().join("people.csv"), format!("name,member\n{rows}")).unwrap();
        let list = format!(
            "name = \"people\"\nguide = \"g\"\npublished = \"p\"\nfiles = [{{ path = \"people.csv\" }}]\n{more}"
        );
        Groups::of(&toml::from_str(&list).unwrap(), folder.path())
    }

    #[test]
    fn names_that_are_drawn_are_new_and_of_the_forms_of_the_list() {
        let groups = groups("fresh = 600", "true").unwrap();
        let words = |count: usize| {
            let of = |name: &&Listed| name.query.text.split_whitespace().count() == count;
            groups.non_members.iter().filter(of).count()
        };
        assert!(words(2) + words(3) == groups.non_members.len() && words(3) > 0);
        assert!(
            (1.4..2.8).contains(&(words(2) as f64 / words(3) as f64)),
            "{} {}",
            words(2),
            words(3)
        );
        let keys = |names: &[Listed]| -> HashSet<String> {
            names.iter().map(|name| name_key(&name.query.text)).collect()
        };
        let (members, others) = (keys(&groups.members), keys(&groups.non_members));
        assert!(members.is_disjoint(&others) && !groups.spare.is_empty());
        let reference = groups.reference(0, 200).unwrap();
        let reference: HashSet<String> =
            reference.texts.iter().map(|name| name_key(&name.text)).collect();
        assert!(reference.len() > 100 && reference.is_disjoint(&others));
        assert!(reference.is_disjoint(&members));
    }

    #[test]
    fn a_list_of_one_side_is_refused_with_a_remedy() {
        let error = groups("", "true").err().expect("an error").to_string();
        assert!(error.contains("45 members and 0 non-members"), "{error}");
        assert!(error.contains("`fresh = 2000`"), "{error}");
        // Non-members can be drawn, members cannot.
        assert!(groups("fresh = 60", "false").is_err());
    }
}
