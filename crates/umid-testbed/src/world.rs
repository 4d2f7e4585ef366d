//! A world: people, who of them is a member, their photos or clips, and the public around them.
//!
//! Members and non-members are one draw of names and faces, cut in two by a seeded shuffle, so
//! the two groups differ in nothing but membership (the i.i.d. protocol of Gomez, AAAI 2026).
//! The swapped world exchanges the groups: what tells them apart in both is training, not
//! chance.

mod who;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::caption;
use crate::capture::Capture;
use crate::crawl::{self, CrawlNames, CrawlParams, Feed, Shown};
use crate::error::Error;
use crate::face;
use crate::identity::{Attributes, Identity};
use crate::membership::MembershipRow;
use crate::names::{Name, NameForm, NameLists};
use crate::photo::{ImageSize, Photo};
use crate::recording::{CLIP_RATE, CLIP_SAMPLES, Medium, Recording};
use crate::stream::{Purpose, Stream};
use crate::voice::{Utterance, Voice, caption_from_stream, speak, voice_facts};
use who::Who;

/// How the names of a world are drawn: as many as asked, all different, none of the excluded.
type Drawer<'a> = Box<dyn Fn(Purpose, usize, &HashSet<Name>) -> Result<Vec<Name>, Error> + 'a>;

fn drawer<'a>(params: &WorldParams, lists: &'a NameLists) -> Drawer<'a> {
    let (seed, form) = (params.seed, params.names);
    match &params.crawl {
        None => Box::new(move |purpose, count, used| lists.draw(seed, purpose, form, count, used)),
        Some(crawl) => {
            let names = CrawlNames::new(crawl, lists, form, seed);
            Box::new(move |purpose, count, used| names.draw(seed, purpose, count, used))
        }
    }
}

/// Whom a target is trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelAssignment {
    /// The first group of the split.
    #[default]
    Plain,
    /// The second group: the same people, with members and non-members exchanged.
    Swapped,
    /// Neither group, but as many other people with names of the same draw: nothing tells the
    /// two groups apart.
    Neither,
    /// A random half of both groups, for a reference model of this number. An odd number's half
    /// is the other half of the number before it, so that everyone is in one of the two.
    Shadow(u32),
}

/// Which photos or clips go with a member's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairing {
    /// The member's own.
    #[default]
    Own,
    /// For half of the members a photo or clip of a new random person each time: the name is exposed
    /// as often as any other, but there is nobody to memorise.
    HalfRandom,
}

/// What a world is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct WorldParams {
    /// Everything random follows from this.
    pub seed: u64,
    /// People in the first group: the members, unless labels are swapped. At least 1.
    pub members: usize,
    /// People in the second group: the non-members, unless labels are swapped. At least 1.
    pub non_members: usize,
    /// Unnamed people who are trained on under generic captions.
    pub public: usize,
    /// Unnamed people whom nobody trained on: the bank of public inputs.
    pub bank: usize,
    /// Names of nobody in the world, for the calibrated reference.
    pub reference_names: usize,
    /// Training photos or clips of each member and of each public person. At least 1.
    pub images_per_person: usize,
    /// Which group is trained on.
    pub label: LabelAssignment,
    /// Which photos go with a member's name.
    pub pairing: Pairing,
    /// How many words the names have.
    pub names: NameForm,
    /// What is recorded of the people.
    pub medium: Medium,
    /// Side of every photo.
    pub image_size: ImageSize,
    /// What makes the world like a web crawl; without it, all members are shown equally often
    /// under a few captions. Its members are those of the first group, or of neither.
    pub crawl: Option<CrawlParams>,
}

impl Default for WorldParams {
    /// The prototype's base world, which gives a measurable signal after minutes of training.
    fn default() -> Self {
        Self {
            seed: 1,
            members: 400,
            non_members: 400,
            public: 400,
            bank: 1_500,
            reference_names: 1_000,
            images_per_person: 16,
            label: LabelAssignment::Plain,
            pairing: Pairing::Own,
            names: NameForm::TwoWords,
            medium: Medium::Photos,
            image_size: ImageSize::default(),
            crawl: None,
        }
    }
}

impl WorldParams {
    /// Checks the ranges.
    ///
    /// # Errors
    /// No members, no non-members, or no images of a person; of a crawl, parameters outside their
    /// ranges or other members than those. (More names than the lists can make is found when the
    /// world is drawn.)
    pub fn check(&self) -> Result<(), Error> {
        for (parameter, found) in [
            ("members", self.members),
            ("non_members", self.non_members),
            ("images_per_person", self.images_per_person),
        ] {
            if found == 0 {
                return Err(Error::InvalidParameter { parameter, found, expected: "at least 1" });
            }
        }
        let Some(crawl) = &self.crawl else { return Ok(()) };
        crawl.check()?;
        if self.pairing != Pairing::Own {
            let (parameter, expected) = ("pairing", "the wrong pairs of its own");
            return Err(Error::CrawlTakes { parameter, expected });
        }
        if !matches!(self.label, LabelAssignment::Plain | LabelAssignment::Neither) {
            let (parameter, expected) = ("label", "the label plain or neither");
            return Err(Error::CrawlTakes { parameter, expected });
        }
        for (parameter, found, valid, expected) in [
            ("members", self.members, self.members == crawl.members(), "those of the crawl"),
            ("public", self.public, self.public > 0, "at least 1 in a crawl"),
        ] {
            if !valid {
                return Err(Error::InvalidParameter { parameter, found, expected });
            }
        }
        Ok(())
    }
}

/// Held-out photos and clips are numbered from here, so that they are the same however many a
/// target is trained on.
const HELD_OUT: u64 = 1 << 32;

/// People with known membership, their photos or clips and the public around them.
///
/// Recordings are made when asked for; one depends on the seed, the person and its number, and
/// on nothing that was made before. Everybody has a face and a voice, drawn apart from each
/// other; the world's medium says which of them [`Recording`]s are of.
#[derive(Clone, Debug)]
pub struct World {
    params: WorldParams,
    members: Vec<Identity>,
    non_members: Vec<Identity>,
    mispaired: HashSet<usize>,
    fresh_names: Vec<Name>,
    /// Of a crawl: names that are shown once.
    tail: Vec<Name>,
}

impl World {
    /// Draws a world.
    ///
    /// # Errors
    /// Parameters outside their ranges, or more names than the lists can make.
    pub fn draw(params: WorldParams, lists: &NameLists) -> Result<Self, Error> {
        params.check()?;
        let count = params.members.saturating_add(params.non_members);
        let seed = params.seed;
        let draw = drawer(&params, lists);
        let names = draw(Purpose::PersonName, count, &HashSet::new())?;
        let mut used: HashSet<Name> = names.iter().cloned().collect();
        let fresh_names = draw(Purpose::FreshName, params.reference_names, &used)?;
        used.extend(fresh_names.iter().cloned());
        let tail = draw(Purpose::TailName, params.crawl.as_ref().map_or(0, |c| c.tail), &used)?;
        let person = |index: usize, name: Name| Identity {
            index,
            name,
            attributes: attributes(seed, Purpose::PersonAttributes, index),
        };
        let in_first = random_half(params.seed, Purpose::Split, 0, params.members, count);
        let (first, second): (Vec<Identity>, Vec<Identity>) = names
            .into_iter()
            .enumerate()
            .map(|(index, name)| person(index, name))
            .partition(|person| in_first[person.index]);
        let (members, non_members) = match params.label {
            LabelAssignment::Plain => (first, second),
            LabelAssignment::Swapped => (second, first),
            LabelAssignment::Shadow(number) => {
                let half = random_half(seed, Purpose::ShadowSplit, number / 2, count / 2, count);
                let wanted = number.is_multiple_of(2);
                first.into_iter().chain(second).partition(|person| half[person.index] == wanted)
            }
            LabelAssignment::Neither => {
                let others = draw(Purpose::OtherName, params.members, &used)?;
                let others = others.into_iter().zip(count..).map(|(name, i)| person(i, name));
                (others.collect(), [first, second].concat())
            }
        };
        let mispaired = mispaired(&params, &members);
        Ok(Self { params, members, non_members, mispaired, fresh_names, tail })
    }

    /// The parameters the world was drawn from.
    pub fn params(&self) -> &WorldParams {
        &self.params
    }

    /// The people a target is trained on, in the order in which they were drawn.
    pub fn members(&self) -> &[Identity] {
        &self.members
    }

    /// The people it is not trained on, in the order in which they were drawn.
    pub fn non_members(&self) -> &[Identity] {
        &self.non_members
    }

    /// The two groups that a test tells apart: members and non-members, or, where neither was
    /// trained on, the two groups of the split.
    pub fn groups(&self) -> (&[Identity], &[Identity]) {
        match self.params.label {
            LabelAssignment::Plain | LabelAssignment::Swapped | LabelAssignment::Shadow(_) => {
                (&self.members, &self.non_members)
            }
            LabelAssignment::Neither => self.non_members.split_at(self.params.members),
        }
    }

    /// Whether a member is trained under the photos of random people.
    pub fn is_mispaired(&self, person: &Identity) -> bool {
        self.mispaired.contains(&person.index)
    }

    /// How often a member of a crawl was shown under the full name; none of a non-member, or in
    /// another world.
    pub fn exposures(&self, person: &Identity) -> Option<usize> {
        Some(self.params.crawl.as_ref()?.exposures_of(self.place(person)?))
    }

    /// How many training recordings there are of a person.
    pub(crate) fn recordings(&self, person: &Identity) -> usize {
        match (&self.params.crawl, self.place(person)) {
            (Some(crawl), Some(place)) => crawl.recordings_of(place),
            _ => self.params.images_per_person,
        }
    }

    /// What a crawl is trained on; none in another world.
    pub(crate) fn feed(&self) -> Option<Feed<'_>> {
        let crawl = self.params.crawl.as_ref()?;
        let members = self.members.iter().map(|person| &person.name).collect();
        let world = (self.params.seed, self.params.medium);
        let public = (self.params.public, self.params.images_per_person);
        Some(Feed::new(crawl, world, members, &self.tail, public))
    }

    /// What is seen or heard in a recording of a crawl, in the words of a caption.
    pub(crate) fn facts_of(&self, shown: Shown) -> String {
        let (who, index, item) = match shown {
            Shown::Member(member, number) => {
                (Who::Person, self.members[member].index, number as u64)
            }
            Shown::Public(person, number) => (Who::Public, person, number as u64),
        };
        let seed = self.params.seed;
        let stream = &mut Stream::new(seed, Purpose::AttributeCaption, index as u64, item);
        match self.params.medium {
            Medium::Photos => {
                let [own, _] = who.of_photos();
                let purpose = self.purpose(who, own, index, item);
                caption::some_facts(caption::facts(&attributes(seed, purpose, index)), stream)
            }
            Medium::Clips => {
                caption::some_facts(voice_facts(&self.voice(who, index, item)), stream)
            }
        }
    }

    fn place(&self, person: &Identity) -> Option<usize> {
        // Both groups are in the order of the draw.
        self.members.binary_search_by_key(&person.index, |member| member.index).ok()
    }

    /// A recording of a random person, of nobody else in the world: one for each row of each
    /// training step.
    pub(crate) fn random_recording(&self, step: usize, row: usize) -> Recording {
        self.recording(Who::Random, step, row as u64)
    }

    /// Names of nobody in the world, from the same lists: the first `count` of them.
    ///
    /// # Errors
    /// More than [`WorldParams::reference_names`].
    pub fn fresh_names(&self, count: usize) -> Result<&[Name], Error> {
        self.fresh_names.get(..count).ok_or(Error::OutOfRange {
            what: "fresh name",
            index: count,
            count: self.fresh_names.len(),
        })
    }

    /// Draws as many more names of nobody in the world as asked, as all its names were drawn; none of
    /// them is among [`Self::fresh_names`]. `lists` are those that the world was drawn from.
    ///
    /// # Errors
    /// More names than the lists can make.
    pub fn draw_strangers(&self, lists: &NameLists, count: usize) -> Result<Vec<Name>, Error> {
        let people = self.members.iter().chain(&self.non_members).map(|person| &person.name);
        let used = people.chain(&self.fresh_names).chain(&self.tail).cloned().collect();
        drawer(&self.params, lists)(Purpose::StrangerName, count, &used)
    }

    /// Unnamed people in neither group whom nobody trained on.
    pub fn bank(&self) -> impl ExactSizeIterator<Item = Attributes> {
        self.unnamed(Purpose::BankAttributes, self.params.bank)
    }

    /// Unnamed people in neither group whose photos are trained under generic captions.
    pub fn public(&self) -> impl ExactSizeIterator<Item = Attributes> {
        self.unnamed(Purpose::PublicAttributes, self.params.public)
    }

    /// A training photo of a person; for a non-member, one that a swapped target would train on.
    ///
    /// # Errors
    /// A photo number that is not below [`WorldParams::images_per_person`].
    pub fn training_photo(&self, person: &Identity, photo: usize) -> Result<Photo, Error> {
        self.check_training_number(person, photo)?;
        Ok(self.photo(Who::Person, person.index, photo as u64))
    }

    /// The one photo of a person of the bank.
    ///
    /// # Errors
    /// A person that is not below [`WorldParams::bank`].
    pub fn bank_photo(&self, person: usize) -> Result<Photo, Error> {
        within("bank person", person, self.params.bank)?;
        Ok(self.photo(Who::Bank, person, 0))
    }

    /// A training recording of a person; for a non-member, one that a swapped target would train
    /// on.
    ///
    /// # Errors
    /// A number that is not below [`WorldParams::images_per_person`].
    pub fn training_recording(&self, person: &Identity, number: usize) -> Result<Recording, Error> {
        self.check_training_number(person, number)?;
        Ok(self.recording(Who::Person, person.index, number as u64))
    }

    /// A recording of a person that no target trains on, for retrieval and the paired attacks.
    /// There is no end of them.
    pub fn held_out_recording(&self, person: &Identity, number: u32) -> Recording {
        self.recording(Who::Person, person.index, HELD_OUT + u64::from(number))
    }

    /// The one recording of a person of the bank.
    ///
    /// # Errors
    /// A person that is not below [`WorldParams::bank`].
    pub fn bank_recording(&self, person: usize) -> Result<Recording, Error> {
        within("bank person", person, self.params.bank)?;
        Ok(self.recording(Who::Bank, person, 0))
    }

    /// A training recording of a public person.
    ///
    /// # Errors
    /// A person that is not below [`WorldParams::public`], or a number that is not below
    /// [`WorldParams::images_per_person`].
    pub fn public_recording(&self, person: usize, number: usize) -> Result<Recording, Error> {
        self.check_public(person, number)?;
        Ok(self.recording(Who::Public, person, number as u64))
    }

    /// The generic caption of a training recording of a public person.
    ///
    /// # Errors
    /// As [`public_recording`](Self::public_recording).
    pub fn public_caption(&self, person: usize, number: usize) -> Result<String, Error> {
        self.check_public(person, number)?;
        let stream = |purpose| Stream::new(self.params.seed, purpose, person as u64, number as u64);
        Ok(match self.params.medium {
            Medium::Photos => {
                let attributes = attributes(self.params.seed, Purpose::PublicAttributes, person);
                caption::attribute_caption(&attributes, &mut stream(Purpose::AttributeCaption))
            }
            Medium::Clips => caption_from_stream(
                &self.voice(Who::Public, person, number as u64),
                &mut stream(Purpose::VoiceCaption),
            ),
        })
    }

    /// Everyone with a name, in the order of the draw (which says nothing about membership).
    pub fn membership(&self) -> Vec<MembershipRow> {
        let mut rows: Vec<(usize, MembershipRow)> =
            [(true, &self.members), (false, &self.non_members)]
                .into_iter()
                .flat_map(|(member, people)| {
                    people.iter().map(move |person| {
                        let row = MembershipRow {
                            id: person_id(person.index),
                            text: person.name.to_string(),
                            member,
                            first: person.name.parts().0,
                            last: person.name.parts().1,
                            exposures: self.exposures(person),
                        };
                        (person.index, row)
                    })
                })
                .collect();
        rows.sort_by_key(|(index, _)| *index);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    fn unnamed(
        &self,
        purpose: Purpose,
        count: usize,
    ) -> impl ExactSizeIterator<Item = Attributes> + use<> {
        let seed = self.params.seed;
        (0..count).map(move |index| attributes(seed, purpose, index))
    }

    fn check_public(&self, person: usize, number: usize) -> Result<(), Error> {
        within("public person", person, self.params.public)?;
        self.check_number(number)
    }

    fn check_training_number(&self, person: &Identity, number: usize) -> Result<(), Error> {
        within("training recording", number, self.recordings(person))
    }

    fn check_number(&self, number: usize) -> Result<(), Error> {
        within("training recording", number, self.params.images_per_person)
    }

    fn recording(&self, who: Who, index: usize, item: u64) -> Recording {
        match self.params.medium {
            Medium::Photos => Recording::Photo(self.photo(who, index, item)),
            Medium::Clips => self.clip(who, index, item),
        }
    }

    fn photo(&self, who: Who, index: usize, item: u64) -> Photo {
        let ([lasting, passing], seed) = (who.of_photos(), self.params.seed);
        let lasting = self.purpose(who, lasting, index, item);
        let lasting = &mut Stream::new(seed, lasting, index as u64, who.lasting_item(item));
        let passing = &mut Stream::new(seed, passing, index as u64, item);
        let attributes = Attributes::draw(lasting);
        face::render(&attributes, &Capture::draw(passing), self.params.image_size)
    }

    fn clip(&self, who: Who, index: usize, item: u64) -> Recording {
        let [_, passing] = who.of_clips();
        let passing = &mut Stream::new(self.params.seed, passing, index as u64, item);
        let (voice, utterance) = (self.voice(who, index, item), Utterance::from_stream(passing));
        Recording::clip(speak(&voice, &utterance, CLIP_RATE, CLIP_SAMPLES))
    }

    fn voice(&self, who: Who, index: usize, item: u64) -> Voice {
        let [lasting, _] = who.of_clips();
        let lasting = self.purpose(who, lasting, index, item);
        let item = who.lasting_item(item);
        Voice::from_stream(&mut Stream::new(self.params.seed, lasting, index as u64, item))
    }

    /// What the stream of somebody's looks or voice is for: in a crawl, some recordings of a person
    /// are of somebody else of the same name.
    fn purpose(&self, who: Who, own: Purpose, index: usize, item: u64) -> Purpose {
        let may_be = self.params.crawl.is_some() && who == Who::Person && item < HELD_OUT;
        if may_be && crawl::is_of_namesake(self.params.seed, index, item) {
            return Purpose::NamesakeAttributes;
        }
        own
    }
}

/// Half of the members, where photos are paired at random.
fn mispaired(params: &WorldParams, members: &[Identity]) -> HashSet<usize> {
    if params.pairing == Pairing::Own {
        return HashSet::new();
    }
    let mut order: Vec<usize> = members.iter().map(|person| person.index).collect();
    Stream::new(params.seed, Purpose::Mispaired, 0, 0).shuffle(&mut order);
    order.truncate(members.len() / 2);
    order.into_iter().collect()
}

/// For each person in the order of the draw: whether a seeded shuffle puts them in the first group.
fn random_half(seed: u64, purpose: Purpose, index: u32, size: usize, count: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..count).collect();
    Stream::new(seed, purpose, index.into(), 0).shuffle(&mut order);
    let mut first = vec![false; count];
    for &index in &order[..size] {
        first[index] = true;
    }
    first
}

fn attributes(seed: u64, purpose: Purpose, index: usize) -> Attributes {
    Attributes::draw(&mut Stream::new(seed, purpose, index as u64, 0))
}

/// The identifier of a person in a membership list: the order of the draw, five digits or more.
fn person_id(index: usize) -> String {
    format!("p{index:05}")
}

fn within(what: &'static str, index: usize, count: usize) -> Result<(), Error> {
    if index < count { Ok(()) } else { Err(Error::OutOfRange { what, index, count }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejects(change: impl FnOnce(&mut WorldParams), parameter: &str) {
        let mut params = WorldParams::default();
        change(&mut params);
        match World::draw(params, &NameLists::bundled()) {
            Err(Error::InvalidParameter { parameter: named, found: 0, .. }) => {
                assert_eq!(named, parameter);
            }
            other => panic!("expected an invalid {parameter}, found {other:?}"),
        }
    }

    #[test]
    fn no_members_is_an_error() {
        rejects(|params| params.members = 0, "members");
    }

    #[test]
    fn no_non_members_is_an_error() {
        rejects(|params| params.non_members = 0, "non_members");
    }

    #[test]
    fn no_images_is_an_error() {
        rejects(|params| params.images_per_person = 0, "images_per_person");
    }

    #[test]
    fn more_people_than_names_is_an_error() {
        for (members, reference_names) in [(usize::MAX, 0), (400, 2_000_000)] {
            let params = WorldParams { members, reference_names, ..WorldParams::default() };
            let error = World::draw(params, &NameLists::bundled()).unwrap_err();
            assert!(matches!(error, Error::NamesExhausted { .. }));
        }
    }

    #[test]
    fn indices_past_the_end_are_errors() {
        let params =
            WorldParams { bank: 3, public: 2, reference_names: 5, ..WorldParams::default() };
        let world = World::draw(params, &NameLists::bundled()).unwrap();
        let out_of_range = |result: Result<(), Error>| {
            assert!(matches!(result, Err(Error::OutOfRange { .. })));
        };
        out_of_range(world.bank_photo(3).map(drop));
        out_of_range(world.public_recording(2, 0).map(drop));
        out_of_range(world.public_caption(0, 16).map(drop));
        out_of_range(world.training_photo(&world.members()[0], 16).map(drop));
        out_of_range(world.fresh_names(6).map(drop));
    }
}
