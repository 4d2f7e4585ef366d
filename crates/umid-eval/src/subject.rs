//! A target as methods see it: its model, its people by group, and what several methods share.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use umid::queries::Query;
use umid::reference::gibberish;
use umid::templates::Templates;
use umid_models::{Input, Modality, Model, parse_device};
use umid_testbed::{Card, Identity, NameLists, World};

use crate::error::Error;
use crate::record::Group;
use crate::suites::{Suite, Target};
use crate::zoo;

/// Strings of gibberish under test. Their seed is no seed of a reference.
const GIBBERISH: usize = 200;
const GIBBERISH_SEED: u64 = 0x6762;
/// Where a string of gibberish is cut in two words.
const CUT: usize = 5;
/// Names of other origins under test.
const OTHER_ORIGIN: usize = 200;

/// A target, loaded.
pub struct Subject {
    /// What is known of it.
    pub card: Card,
    /// The people it was trained on and those it was not.
    pub world: World,
    /// The model.
    pub model: Model,
    groups: BTreeMap<Group, Vec<Query>>,
    fresh: Vec<Query>,
    shadows: Vec<Target>,
    shared: RefCell<BTreeMap<String, Rc<dyn std::any::Any>>>,
}

impl Subject {
    /// Loads a target; one that is not there is trained first.
    pub fn load(target: &Target, suite: &Suite) -> crate::Result<Self> {
        zoo::ensure_made(target)?;
        let folder = target.folder();
        let card = Card::read(&folder)?;
        let recipe = target.recipe();
        if card.training != recipe.training || card.world.seed != recipe.world.seed {
            return Err(Error::Recipe { folder, target: target.name.clone() });
        }
        let model = Model::load(&folder, &parse_device("cpu")?)?;
        if model.source.digest != card.digest {
            return Err(Error::Digest { folder, digest: model.source.digest.clone() });
        }
        let world = World::draw(recipe.world.clone(), &NameLists::bundled())?;
        let (members, non_members) = world.groups();
        let mispaired: Vec<&Identity> =
            members.iter().filter(|person| world.is_mispaired(person)).collect();
        let paired = members.iter().filter(|person| !world.is_mispaired(person));
        let mut groups = BTreeMap::from([
            (Group::Member, paired.map(query_of).collect()),
            (Group::NonMember, non_members.iter().map(query_of).collect::<Vec<_>>()),
            (Group::Gibberish, gibberish(GIBBERISH_SEED, GIBBERISH)?.texts),
            (Group::GibberishPair, in_two_words(gibberish(GIBBERISH_SEED, GIBBERISH)?.texts)),
            (Group::OtherOrigin, other_origin(OTHER_ORIGIN)),
        ]);
        if !mispaired.is_empty() {
            groups.insert(Group::Mispaired, mispaired.into_iter().map(query_of).collect());
        }
        let fresh = world
            .fresh_names(recipe.world.reference_names)?
            .iter()
            .enumerate()
            .map(|(i, name)| query(format!("f{i:05}"), &name.to_string(), name.parts()))
            .collect();
        Ok(Self {
            card,
            world,
            model,
            groups,
            fresh,
            shadows: suite.shadows(target),
            shared: RefCell::default(),
        })
    }

    /// Templates by name, or those of the target's training where none are given.
    pub fn templates(&self, given: &[String]) -> crate::Result<Templates> {
        let templates = if given.is_empty() { &self.card.name_templates } else { given };
        Ok(Templates::new(templates.to_vec())?)
    }

    /// The texts of each group.
    pub fn groups(&self) -> &BTreeMap<Group, Vec<Query>> {
        &self.groups
    }

    /// Refuses a target of the other medium, for a method that makes sense of one.
    pub fn ensure_reads(&self, modality: Modality, method: &'static str) -> crate::Result<()> {
        let found = self.model.modality();
        if found != modality {
            return Err(Error::Modality { method, expected: modality, found });
        }
        Ok(())
    }

    /// Names of nobody, drawn as the people's are.
    pub fn fresh(&self) -> &[Query] {
        &self.fresh
    }

    /// More names of nobody from the draw of the people, none of which is among [`Self::fresh`].
    pub fn strangers(&self, count: usize) -> crate::Result<Vec<Query>> {
        let names = self.world.draw_strangers(&NameLists::bundled(), count)?;
        let named = names.iter().enumerate();
        Ok(named
            .map(|(i, name)| query(format!("s{i:05}"), &name.to_string(), name.parts()))
            .collect())
    }

    /// The people behind a group of names, in its order; nobody behind other texts.
    pub fn people(&self, group: Group) -> Vec<&Identity> {
        let (members, non_members) = self.world.groups();
        let mispaired = |person: &&Identity| self.world.is_mispaired(person);
        match group {
            Group::Member => members.iter().filter(|person| !mispaired(person)).collect(),
            Group::Mispaired => members.iter().filter(mispaired).collect(),
            Group::NonMember => non_members.iter().collect(),
            Group::Gibberish | Group::GibberishPair | Group::OtherOrigin | Group::Stranger => {
                Vec::new()
            }
        }
    }

    /// A photo or clip of each person as the model takes it, the same number for everyone: one
    /// that the target was trained on, or, of a non-member, would have been.
    pub fn training_inputs(
        &self,
        people: &[&Identity],
        number: usize,
    ) -> crate::Result<Vec<Input>> {
        let input = |person: &&Identity| {
            let recording = self.world.training_recording(person, number)?;
            Ok(recording.input(&self.model.front_end)?)
        };
        people.iter().map(input).collect()
    }

    /// Reference models of this target with whom each was trained on; one that is not there is
    /// trained.
    pub fn shadows(&self) -> crate::Result<Vec<(Model, World)>> {
        let load = |shadow: &Target| {
            zoo::ensure_made(shadow)?;
            let world = World::draw(shadow.recipe().world, &NameLists::bundled())?;
            Ok((Model::load(&shadow.folder(), &parse_device("cpu")?)?, world))
        };
        self.shadows.iter().map(load).collect()
    }

    /// A value that several methods use, computed once. The key names it with its settings.
    pub fn shared<T: 'static>(
        &self,
        key: String,
        compute: impl FnOnce() -> crate::Result<T>,
    ) -> crate::Result<Rc<T>> {
        let found = self.shared.borrow().get(&key).cloned();
        if let Some(found) = found {
            return Ok(found.downcast().expect("a key is used for one type alone"));
        }
        let value = Rc::new(compute()?);
        let kept: Rc<dyn std::any::Any> = Rc::clone(&value) as _;
        self.shared.borrow_mut().insert(key, kept);
        Ok(value)
    }
}

fn query_of(person: &Identity) -> Query {
    query(format!("p{:05}", person.index), &person.name.to_string(), person.name.parts())
}

fn query(id: String, text: &str, (first, last): (String, String)) -> Query {
    let parts = (!last.is_empty()).then_some((first, last));
    Query { id, text: text.to_owned(), parts }
}

fn in_two_words(mut texts: Vec<Query>) -> Vec<Query> {
    for text in &mut texts {
        let (first, last) = text.text.split_at(CUT);
        let parts = (first.to_owned(), last.to_owned());
        text.text = format!("{first} {last}");
        text.parts = Some(parts);
    }
    texts
}

/// Names of nobody of origins that the lists of the targets do not have.
fn other_origin(count: usize) -> Vec<Query> {
    let list = |text: &str| text.lines().map(str::to_owned).collect::<Vec<String>>();
    let first = list(include_str!("../../../datasets/names/other_first.txt"));
    let last = list(include_str!("../../../datasets/names/other_last.txt"));
    // Consecutive pairs of two lists whose lengths have no common factor are all different.
    (0..count)
        .map(|i| {
            let parts = (first[i % first.len()].clone(), last[i % last.len()].clone());
            query(format!("o{i:05}"), &format!("{} {}", parts.0, parts.1), parts)
        })
        .collect()
}
