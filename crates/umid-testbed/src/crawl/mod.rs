//! Worlds like a web crawl: one model holds names of every exposure, parts of names are as
//! frequent as in Zipf's law, captions say other things beside the name, and most name nobody.
//!
//! A crawl is a fixed list of pairs of a caption and a recording, shuffled anew for each epoch. Who
//! is a member follows from a shuffle of one draw of names, so members of any exposure and
//! non-members differ in nothing else.

mod grammar;
mod names;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::names::Name;
use crate::recording::Medium;
use crate::stream::{Purpose, Stream};
pub use grammar::CaptionStyle;
pub(crate) use names::CrawlNames;

/// What makes a world like a web crawl.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrawlParams {
    /// How often members are shown in the whole training, under their full name: as many groups of
    /// members as numbers, each a multiple of `epochs`.
    pub exposures: Vec<usize>,
    /// Members of each number of exposures. At least 1.
    pub people_per_level: usize,
    /// Other names that are shown once in an epoch, each with a recording of somebody else: they
    /// share parts with everybody.
    pub tail: usize,
    /// Share of the pairs that name nobody, in 0..1.
    pub nobody: f32,
    /// Exponent of Zipf's law of how often a part of a name occurs; 0 makes all equally frequent.
    pub zipf: f32,
    /// Share of names with parts of other scripts and of Latin letters with accents.
    pub other_scripts: f32,
    /// How much captions say.
    pub captions: CaptionStyle,
    /// How often the list of pairs is gone through. At least 1.
    pub epochs: usize,
}

impl Default for CrawlParams {
    fn default() -> Self {
        Self {
            exposures: vec![4, 8, 16, 32, 64, 128, 256, 512],
            people_per_level: 50,
            tail: 10_000,
            nobody: 0.65,
            zipf: 0.9,
            other_scripts: 0.1,
            captions: CaptionStyle::Varied,
            epochs: 1,
        }
    }
}

/// Beside each time that a full name is shown, how often the person is shown under a caption with
/// the name misspelt, with its last word alone, and without a name.
const MISSPELT: f32 = 0.04;
const LAST_ALONE: f32 = 0.06;
const UNNAMED: f32 = 0.10;
/// Share of captions with a full name that go with a recording of a random person.
const WRONG_PAIR: f32 = 0.05;
/// Share of members whose name another person has too: every other recording is of that person.
const NAMESAKES: f32 = 0.04;
/// A person shown n times has n to this power different recordings, so some occur again and again.
const RECORDINGS_POWER: f32 = 0.75;
/// What is added to a part's rank in Zipf's law: the most frequent names are not that frequent.
pub(crate) const ZIPF_OFFSET: f32 = 4.0;

/// Whom a pair of a crawl is about, and what its caption says of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pair {
    /// A member, by its place among the members.
    Member(usize, Saying),
    /// A name of the tail, by its place there.
    Tail(usize),
    /// Nobody with a name.
    Nobody,
}

/// What a caption says of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saying {
    FullName,
    Misspelt,
    LastWord,
    NoName,
}

/// The recording of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Of a member, by its place among the members, and which of theirs.
    Member(usize, usize),
    /// Of an unnamed person, and which of theirs.
    Public(usize, usize),
}

impl CrawlParams {
    /// Members in all.
    pub fn members(&self) -> usize {
        self.exposures.len() * self.people_per_level
    }

    /// Optimiser steps of the whole training, at this many pairs in a batch; the last pairs of an
    /// epoch that fill no batch begin the next one, or are left out at the end.
    pub fn steps(&self, batch: usize) -> usize {
        self.pairs().len() * self.epochs / batch
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a count, [`Error::InvalidRate`] for any other number.
    pub fn check(&self) -> Result<(), Error> {
        for (parameter, found) in [
            ("exposures", self.exposures.len()),
            ("people_per_level", self.people_per_level),
            ("epochs", self.epochs),
            // A second person in a caption is one of the tail.
            ("tail", self.tail),
        ] {
            if found == 0 {
                return Err(Error::InvalidParameter { parameter, found, expected: "at least 1" });
            }
        }
        let uneven = |count: &&usize| **count == 0 || !count.is_multiple_of(self.epochs);
        if let Some(&found) = self.exposures.iter().find(uneven) {
            let expected = "a multiple of the epochs";
            return Err(Error::InvalidParameter { parameter: "exposures", found, expected });
        }
        for (parameter, found, valid, expected) in [
            ("nobody", self.nobody, (0.0..1.0).contains(&self.nobody), "in 0..1"),
            ("zipf", self.zipf, (0.0..=4.0).contains(&self.zipf), "0 to 4"),
            (
                "other_scripts",
                self.other_scripts,
                (0.0..=1.0).contains(&self.other_scripts),
                "0 to 1",
            ),
        ] {
            if !valid {
                return Err(Error::InvalidRate { parameter, found: found.into(), expected });
            }
        }
        Ok(())
    }

    /// How often a member is shown, by its place in the order in which members were drawn.
    pub(crate) fn exposures_of(&self, member: usize) -> usize {
        self.exposures[member % self.exposures.len()]
    }

    /// How many different recordings a member has.
    pub(crate) fn recordings_of(&self, member: usize) -> usize {
        (self.exposures_of(member) as f32).powf(RECORDINGS_POWER).ceil() as usize
    }

    /// The pairs of an epoch, in order.
    pub(crate) fn pairs(&self) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for member in 0..self.members() {
            let shown = self.exposures_of(member) / self.epochs;
            let beside = |share: f32| (share * shown as f32).round() as usize;
            for (saying, count) in [
                (Saying::FullName, shown),
                (Saying::Misspelt, beside(MISSPELT)),
                (Saying::LastWord, beside(LAST_ALONE)),
                (Saying::NoName, beside(UNNAMED)),
            ] {
                pairs.extend(std::iter::repeat_n(Pair::Member(member, saying), count));
            }
        }
        pairs.extend((0..self.tail).map(Pair::Tail));
        let named = pairs.len() as f32;
        let nobody = (named * self.nobody / (1.0 - self.nobody)) as usize;
        pairs.extend(std::iter::repeat_n(Pair::Nobody, nobody));
        pairs
    }
}

/// The pairs of a crawl in the order in which a training takes them.
pub(crate) struct Feed<'a> {
    params: &'a CrawlParams,
    seed: u64,
    medium: Medium,
    members: Vec<&'a Name>,
    tail: &'a [Name],
    /// Unnamed people, and recordings of each.
    public: (usize, usize),
    pairs: Vec<Pair>,
}

impl<'a> Feed<'a> {
    pub(crate) fn new(
        params: &'a CrawlParams,
        (seed, medium): (u64, Medium),
        members: Vec<&'a Name>,
        tail: &'a [Name],
        public: (usize, usize),
    ) -> Self {
        let pairs = params.pairs();
        Self { params, seed, medium, members, tail, public, pairs }
    }

    /// Pairs in an epoch.
    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// The order of an epoch's pairs.
    pub(crate) fn order(&self, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.pairs.len()).collect();
        Stream::new(self.seed, Purpose::CrawlOrder, epoch as u64, 0).shuffle(&mut order);
        order
    }

    /// Captions of the first epoch that do not speak of members.
    pub(crate) fn captions_of_others(&self, facts: impl Fn(Shown) -> String) -> Vec<String> {
        let others = self
            .pairs
            .iter()
            .enumerate()
            .filter(|(_, pair)| matches!(pair, Pair::Tail(_) | Pair::Nobody));
        others.map(|(index, _)| self.pair(index, 0, &facts).1).collect()
    }

    /// The recording and the caption of a pair in an epoch. `facts` says what is seen or heard of
    /// an unnamed person.
    pub(crate) fn pair(
        &self,
        index: usize,
        epoch: usize,
        facts: impl Fn(Shown) -> String,
    ) -> (Shown, String) {
        let stream = &mut Stream::new(self.seed, Purpose::CrawlPair, index as u64, epoch as u64);
        let public = |stream: &mut Stream| {
            Shown::Public(stream.below(self.public.0), stream.below(self.public.1))
        };
        let somebody = |stream: &mut Stream| self.tail[stream.below(self.tail.len())].to_string();
        let style = self.params.captions;
        let named = |name: &str, stream: &mut Stream| {
            let other = &somebody(stream);
            grammar::named(style, self.medium, &grammar::Subject { name, other }, stream)
        };
        match self.pairs[index] {
            Pair::Nobody => {
                let shown = public(stream);
                (shown, grammar::nameless(style, &facts(shown), stream))
            }
            Pair::Tail(name) => {
                let shown = public(stream);
                (shown, named(&self.tail[name].to_string(), stream))
            }
            Pair::Member(member, saying) => {
                let name = self.members[member].to_string();
                let number = stream.below(self.params.recordings_of(member));
                let wrong = saying == Saying::FullName && stream.chance(WRONG_PAIR);
                let shown = if wrong { public(stream) } else { Shown::Member(member, number) };
                let caption = match saying {
                    Saying::FullName => named(&name, stream),
                    Saying::Misspelt => named(&grammar::misspelt(&name, stream), stream),
                    Saying::LastWord => named(name.rsplit(' ').next().unwrap_or(&name), stream),
                    Saying::NoName => grammar::nameless(style, &facts(shown), stream),
                };
                (shown, caption)
            }
        }
    }
}

/// Whether a recording of a member with this index in the draw is of the other person of the name.
pub(crate) fn is_of_namesake(seed: u64, person: usize, number: u64) -> bool {
    let has_one = Stream::new(seed, Purpose::CrawlNamesake, person as u64, 0).chance(NAMESAKES);
    has_one && number % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> CrawlParams {
        CrawlParams {
            exposures: vec![4, 100],
            people_per_level: 3,
            tail: 50,
            ..CrawlParams::default()
        }
    }

    #[test]
    fn members_are_shown_as_often_as_is_said() {
        let params = params();
        let pairs = params.pairs();
        for member in 0..params.members() {
            let shown = pairs.iter().filter(|p| **p == Pair::Member(member, Saying::FullName));
            assert_eq!(shown.count(), params.exposures_of(member));
        }
        let nobody = pairs.iter().filter(|pair| **pair == Pair::Nobody).count();
        let share = nobody as f32 / pairs.len() as f32;
        assert!((share - params.nobody).abs() < 0.01, "{share}");
    }

    #[test]
    fn an_epoch_is_a_permutation_that_differs_from_the_next() {
        let (params, name) = (params(), Name { first: "Ada".to_owned(), last: "B".to_owned() });
        let tail = vec![name.clone(); params.tail];
        let members = vec![&name; params.members()];
        let feed = Feed::new(&params, (1, Medium::Photos), members, &tail, (10, 2));
        let (first, second) = (feed.order(0), feed.order(1));
        assert_ne!(first, second);
        for mut order in [first, second] {
            order.sort_unstable();
            assert!(order.into_iter().eq(0..feed.len()));
        }
    }

    #[test]
    fn parameters_outside_their_ranges_are_errors() {
        let changes: [fn(&mut CrawlParams); 9] = [
            |params| params.exposures.clear(),
            |params| params.people_per_level = 0,
            |params| params.tail = 0,
            |params| params.epochs = 0,
            |params| params.epochs = 3,
            |params| params.nobody = 1.0,
            |params| params.nobody = f32::NAN,
            |params| params.zipf = -0.1,
            |params| params.other_scripts = f32::NAN,
        ];
        for change in changes {
            let mut params = params();
            params.check().expect("valid");
            change(&mut params);
            assert!(params.check().is_err(), "{params:?}");
        }
    }
}
