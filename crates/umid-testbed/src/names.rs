//! Names of people: combinations of a first and a last name.
//!
//! The bundled lists are in `datasets/names`; they were made for this project. A name is drawn
//! uniformly over first x last, so members, non-members and fresh reference names come from one
//! distribution and nothing in the text itself tells them apart.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::stream::{Purpose, Stream};

/// Shortest list that is accepted: below this, every part is shared by so many people that a
/// person is hardly more than the sum of two parts.
const MINIMUM_LIST: usize = 16;

/// A person's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// First name: one word, or two in names of four words.
    pub first: String,
    /// Last name: one word, two in names of three and four words, empty in names of one.
    pub last: String,
}

/// How many words the names of a world have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameForm {
    /// A first and a last name.
    #[default]
    TwoWords,
    /// One to four words, equally often: a first name alone, first and last, first and two last
    /// names, two first and two last names.
    OneToFourWords,
}

impl NameForm {
    /// A name of words that are drawn for its two parts.
    pub(crate) fn compose(
        self,
        stream: &mut Stream,
        draw_first: impl Fn(&mut Stream) -> String,
        draw_last: impl Fn(&mut Stream) -> String,
    ) -> Name {
        let mut first = draw_first(stream);
        let mut last = draw_last(stream);
        if self == Self::OneToFourWords {
            let words = 1 + stream.below(4);
            if words == 1 {
                last.clear();
            }
            if words >= 3 {
                last = format!("{last} {}", draw_last(stream));
            }
            if words == 4 {
                first = format!("{first} {}", draw_first(stream));
            }
        }
        Name { first, last }
    }
}

impl Name {
    /// First and last part as a list of queries takes them: both empty for a name of one word.
    pub fn parts(&self) -> (String, String) {
        if self.last.is_empty() {
            return (String::new(), String::new());
        }
        (self.first.clone(), self.last.clone())
    }
}

impl fmt::Display for Name {
    /// First and last name with one space between, or the first name alone.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.last.is_empty() {
            return formatter.write_str(&self.first);
        }
        write!(formatter, "{} {}", self.first, self.last)
    }
}

/// First and last names, each without duplicates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameLists {
    first: Vec<String>,
    last: Vec<String>,
}

impl NameLists {
    /// The lists in `datasets/names`: 980 first and 1,301 last names.
    ///
    /// # Panics
    /// Never: a test reads the bundled lists.
    pub fn bundled() -> Self {
        Self::parse(
            include_str!("../../../datasets/names/first.txt"),
            "the bundled first names",
            include_str!("../../../datasets/names/last.txt"),
            "the bundled last names",
        )
        .expect("the bundled lists are well formed")
    }

    /// Names of other scripts and of Latin letters with accents: 68 first and 68 last names.
    ///
    /// # Panics
    /// Never: a test reads the bundled lists.
    pub(crate) fn of_other_scripts() -> Self {
        Self::parse(
            include_str!("../../../datasets/names/script_first.txt"),
            "the bundled first names of other scripts",
            include_str!("../../../datasets/names/script_last.txt"),
            "the bundled last names of other scripts",
        )
        .expect("the bundled lists are well formed")
    }

    /// Lists from two files, one name a line; blank lines are skipped.
    ///
    /// # Errors
    /// A file that cannot be read, an empty or too short list (fewer than 16 names), a duplicate,
    /// or a name of more than one word.
    pub fn from_files(first: &Path, last: &Path) -> Result<Self, Error> {
        let first_text = fs::read_to_string(first).map_err(Error::reading(first))?;
        let last_text = fs::read_to_string(last).map_err(Error::reading(last))?;
        Self::parse(
            &first_text,
            &first.display().to_string(),
            &last_text,
            &last.display().to_string(),
        )
    }

    /// First names, in the order of the list.
    pub fn first(&self) -> &[String] {
        &self.first
    }

    /// Last names, in the order of the list.
    pub fn last(&self) -> &[String] {
        &self.last
    }

    /// How many different names the lists can make.
    pub fn combinations(&self) -> usize {
        self.first.len() * self.last.len()
    }

    /// Draws `count` names of a form, i.i.d. uniform over first x last, leaving out repetitions and
    /// the names in `exclude`. A shorter draw with the same seed is a prefix of a longer one.
    ///
    /// # Errors
    /// More names than there are combinations left.
    pub(crate) fn draw(
        &self,
        seed: u64,
        purpose: Purpose,
        form: NameForm,
        count: usize,
        exclude: &HashSet<Name>,
    ) -> Result<Vec<Name>, Error> {
        let excluded = exclude.iter().filter(|name| self.can_make(name)).count();
        let available = self.combinations() - excluded;
        if count > available {
            return Err(Error::NamesExhausted { requested: count, available });
        }
        let one = |list: &[String], stream: &mut Stream| list[stream.below(list.len())].clone();
        Ok(distinct(u64::MAX, count, exclude, |attempt| {
            let stream = &mut Stream::new(seed, purpose, attempt, 0);
            form.compose(
                stream,
                |stream| one(&self.first, stream),
                |stream| one(&self.last, stream),
            )
        }))
    }

    fn can_make(&self, name: &Name) -> bool {
        self.first.contains(&name.first) && self.last.contains(&name.last)
    }

    fn parse(
        first: &str,
        first_origin: &str,
        last: &str,
        last_origin: &str,
    ) -> Result<Self, Error> {
        Ok(Self {
            first: parse_list("first", first, first_origin)?,
            last: parse_list("last", last, last_origin)?,
        })
    }
}

/// The first `count` different names of these attempts that are not excluded; fewer, where the
/// attempts do not give as many.
pub(crate) fn distinct(
    attempts: u64,
    count: usize,
    exclude: &HashSet<Name>,
    draw: impl Fn(u64) -> Name,
) -> Vec<Name> {
    let mut taken = HashSet::with_capacity(count);
    let new = |name: &Name| !exclude.contains(name) && taken.insert(name.clone());
    (0..attempts).map(draw).filter(new).take(count).collect()
}

fn parse_list(part: &'static str, text: &str, origin: &str) -> Result<Vec<String>, Error> {
    let mut seen = HashSet::new();
    let mut names = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let name = line.trim();
        if name.is_empty() {
            continue;
        }
        if name.split_whitespace().nth(1).is_some() {
            return Err(Error::NotOneWord {
                name: name.to_owned(),
                origin: origin.to_owned(),
                line: index + 1,
            });
        }
        // The tokenizer lower-cases: names that differ in case alone are one name to a model.
        if !seen.insert(name.to_lowercase()) {
            return Err(Error::DuplicateName {
                name: name.to_owned(),
                origin: origin.to_owned(),
                line: index + 1,
            });
        }
        names.push(name.to_owned());
    }
    if names.len() < MINIMUM_LIST {
        return Err(Error::TooFewNames {
            part,
            origin: origin.to_owned(),
            found: names.len(),
            needed: MINIMUM_LIST,
        });
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(count: usize) -> String {
        let names: Vec<String> = (0..count).map(|i| format!("Name{i}")).collect();
        names.join("\n") + "\n"
    }

    fn parse(first: &str) -> Result<NameLists, Error> {
        NameLists::parse(first, "first.txt", &list(MINIMUM_LIST), "last.txt")
    }

    #[test]
    fn bundled_lists_are_long_sorted_ascii_and_share_no_word() {
        let lists = NameLists::bundled();
        assert_eq!((lists.first().len(), lists.last().len()), (980, 1301));
        for names in [lists.first(), lists.last()] {
            assert!(names.is_sorted());
            assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_alphabetic())));
        }
        let first: HashSet<_> = lists.first().iter().collect();
        assert!(lists.last().iter().all(|name| !first.contains(name)));
    }

    #[test]
    fn bundled_names_of_other_scripts_are_no_ascii() {
        let lists = NameLists::of_other_scripts();
        assert_eq!((lists.first().len(), lists.last().len()), (68, 68));
        assert!(lists.first().iter().chain(lists.last()).all(|name| !name.is_ascii()));
    }

    #[test]
    fn bundled_siblings_are_parts_of_the_bundled_lists() {
        let path =
            |file| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/names").join(file);
        let (first, last) = (path("sibling_first.txt"), path("sibling_last.txt"));
        let siblings = NameLists::from_files(&first, &last).unwrap();
        let lists = NameLists::bundled();
        assert_eq!((siblings.first().len(), siblings.last().len()), (96, 96));
        assert!(siblings.first().iter().all(|name| lists.first().contains(name)));
        assert!(siblings.last().iter().all(|name| lists.last().contains(name)));
    }

    fn draw(
        lists: &NameLists,
        seed: u64,
        count: usize,
        exclude: &HashSet<Name>,
    ) -> Result<Vec<Name>, Error> {
        lists.draw(seed, Purpose::PersonName, NameForm::TwoWords, count, exclude)
    }

    #[test]
    fn drawn_names_are_distinct_and_avoid_the_excluded() {
        let lists = NameLists::bundled();
        let first = draw(&lists, 1, 500, &HashSet::new()).unwrap();
        let exclude: HashSet<Name> = first.iter().cloned().collect();
        assert_eq!(exclude.len(), 500);
        let others = draw(&lists, 1, 500, &exclude).unwrap();
        assert!(others.iter().all(|name| !exclude.contains(name)));
    }

    #[test]
    fn shorter_draw_is_a_prefix() {
        let lists = NameLists::bundled();
        let long = draw(&lists, 9, 200, &HashSet::new()).unwrap();
        let short = draw(&lists, 9, 50, &HashSet::new()).unwrap();
        assert_eq!(short, long[..50]);
    }

    #[test]
    fn every_combination_can_be_drawn_and_one_more_is_an_error() {
        let lists = parse(&list(MINIMUM_LIST)).unwrap();
        let all = MINIMUM_LIST * MINIMUM_LIST;
        let names = draw(&lists, 3, all, &HashSet::new()).unwrap();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), all);
        let exclude = HashSet::from([names[0].clone()]);
        let error = draw(&lists, 3, all, &exclude).unwrap_err();
        assert!(matches!(
            error,
            Error::NamesExhausted { requested, available } if requested == all && available == all - 1
        ));
    }

    #[test]
    fn empty_list_is_an_error() {
        assert!(matches!(parse("\n \n"), Err(Error::TooFewNames { part: "first", found: 0, .. })));
    }

    #[test]
    fn short_list_is_an_error() {
        let error = parse(&list(MINIMUM_LIST - 1)).unwrap_err();
        assert!(matches!(error, Error::TooFewNames { found: 15, needed: 16, .. }));
    }

    #[test]
    fn duplicate_is_an_error_that_names_its_line() {
        let error = parse(&(list(MINIMUM_LIST) + "\nname3\n")).unwrap_err();
        assert!(matches!(error, Error::DuplicateName { line: 18, .. }));
    }

    #[test]
    fn name_of_two_words_is_an_error() {
        let error = parse(&(list(MINIMUM_LIST) + "De Luca\n")).unwrap_err();
        assert!(matches!(error, Error::NotOneWord { line: 17, .. }));
    }

    #[test]
    fn missing_file_is_an_error_that_names_it() {
        let path = Path::new("no/such/list.txt");
        let error = NameLists::from_files(path, path).unwrap_err();
        assert!(error.to_string().contains("no/such/list.txt"));
    }
}
