//! A target as methods see it: its model, its people by group, and what several methods share.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use umid::queries::Query;
use umid::reference::{ReferenceTexts, gibberish};
use umid::templates::Templates;
use umid_models::{Input, Modality, Model, parse_device};
use umid_testbed::{Card, Identity, NameLists, Recipe, World};

use crate::error::Error;
use crate::foreign::{Foreign, Groups, Listed};
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
    /// The model.
    pub model: Model,
    name: String,
    origin: Origin,
    templates: Vec<String>,
    groups: BTreeMap<Group, Vec<Query>>,
    fresh: Vec<Query>,
    shared: RefCell<BTreeMap<String, Rc<dyn std::any::Any>>>,
}

/// What is known of a target besides its model and names.
enum Origin {
    /// It was trained here: its people, and the targets that were trained like it.
    Trained { world: Box<World>, shadows: Vec<Target> },
    /// Others published it, with a list of names.
    Foreign(Groups),
}

impl Subject {
    /// Loads a target; one of the testbed's that is not there is trained first.
    pub fn load(target: &Target, suite: &Suite) -> crate::Result<Self> {
        match (&target.foreign, target.recipe()) {
            (Some(foreign), _) => Self::foreign(target, foreign),
            (None, Some(recipe)) => Self::trained(target, recipe, suite),
            (None, None) => Err(Error::NotTrainedHere { target: target.name.clone() }),
        }
    }

    fn foreign(target: &Target, foreign: &Foreign) -> crate::Result<Self> {
        let listed = foreign.groups()?;
        let queries = |names: &[Listed]| names.iter().map(|name| name.query.clone()).collect();
        let mut groups = strangers()?;
        groups.insert(Group::Member, queries(&listed.members));
        groups.insert(Group::NonMember, queries(&listed.non_members));
        let model = foreign.load()?;
        let mut templates = foreign.names.templates.clone();
        if templates.is_empty() {
            templates = Templates::of(model.modality()).as_slice().to_vec();
        }
        Ok(Self {
            model,
            name: target.name.clone(),
            templates,
            groups,
            fresh: listed.spare.clone(),
            origin: Origin::Foreign(listed),
            shared: RefCell::default(),
        })
    }

    fn trained(target: &Target, recipe: Recipe, suite: &Suite) -> crate::Result<Self> {
        zoo::ensure_made(target)?;
        let folder = target.folder();
        let card = Card::read(&folder)?;
        if card.training != recipe.training || card.world.seed != recipe.world.seed {
            return Err(Error::Recipe { folder, target: target.name.clone() });
        }
        let model = Model::load(&folder, &parse_device("cpu")?)?;
        if model.source.digest != card.digest {
            return Err(Error::Digest { folder, digest: model.source.digest.clone() });
        }
        let count = recipe.world.reference_names;
        let world = World::draw(recipe.world, &NameLists::bundled())?;
        let (members, non_members) = world.groups();
        let mispaired: Vec<&Identity> =
            members.iter().filter(|person| world.is_mispaired(person)).collect();
        let paired = members.iter().filter(|person| !world.is_mispaired(person));
        let mut groups = strangers()?;
        groups.insert(Group::Member, paired.map(query_of).collect());
        groups.insert(Group::NonMember, non_members.iter().map(query_of).collect());
        if !mispaired.is_empty() {
            groups.insert(Group::Mispaired, mispaired.into_iter().map(query_of).collect());
        }
        let fresh = world
            .fresh_names(count)?
            .iter()
            .enumerate()
            .map(|(i, name)| query(format!("f{i:05}"), &name.to_string(), name.parts()))
            .collect();
        Ok(Self {
            model,
            name: target.name.clone(),
            templates: card.name_templates,
            groups,
            fresh,
            origin: Origin::Trained { world: Box::new(world), shadows: suite.shadows(target) },
            shared: RefCell::default(),
        })
    }

    /// Templates by name, or those of the target's training if none are given; of a foreign target,
    /// those of its list.
    pub fn templates(&self, given: &[String]) -> crate::Result<Templates> {
        let templates = if given.is_empty() { &self.templates } else { given };
        Ok(Templates::new(templates.to_vec())?)
    }

    /// The first of its templates.
    pub fn first_template(&self) -> &str {
        &self.templates[0]
    }

    /// The people that it was trained on and those that it was not.
    ///
    /// # Errors
    /// Of a foreign target no people are known. Such cells are refused before anything runs.
    pub fn world(&self) -> crate::Result<&World> {
        match &self.origin {
            Origin::Trained { world, .. } => Ok(world),
            Origin::Foreign(_) => {
                Err(Error::NamesAlone { method: "the method", target: self.name.clone() })
            }
        }
    }

    /// The reference of a calibrated reading: of a foreign target what its list says, otherwise the
    /// first names of nobody.
    pub fn reference(&self, seed: u64, names: usize) -> crate::Result<ReferenceTexts> {
        match &self.origin {
            Origin::Foreign(groups) => groups.reference(seed, names),
            Origin::Trained { .. } => Ok(ReferenceTexts {
                texts: self.fresh.iter().take(names).cloned().collect(),
                description: "names of nobody from the draw of the people".to_owned(),
                warnings: Vec::new(),
            }),
        }
    }

    /// How often each member was shown, as far as it is known, in the order of their names.
    pub fn exposures(&self) -> crate::Result<Vec<Option<usize>>> {
        match &self.origin {
            Origin::Trained { world, .. } => {
                let people = self.people(Group::Member)?;
                Ok(people.into_iter().map(|person| world.exposures(person)).collect())
            }
            Origin::Foreign(groups) => {
                let count = |name: &Listed| name.exposures.and_then(|n| usize::try_from(n).ok());
                Ok(groups.members.iter().map(count).collect())
            }
        }
    }

    /// Members and non-members as the publisher lists them.
    ///
    /// # Errors
    /// A target that was trained here has no publisher.
    pub fn listed(&self) -> crate::Result<[(Group, &[Listed]); 2]> {
        match &self.origin {
            Origin::Foreign(groups) => {
                Ok([(Group::Member, &groups.members), (Group::NonMember, &groups.non_members)])
            }
            Origin::Trained { .. } => Err(Error::NotListed { target: self.name.clone() }),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
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

    /// More names of nobody from the draw of the people, none of which is among [`Self::fresh`]; of a
    /// foreign target, new combinations of its list's parts.
    pub fn strangers(&self, count: usize) -> crate::Result<Vec<Query>> {
        let world = match &self.origin {
            Origin::Foreign(groups) => return groups.strangers(count),
            Origin::Trained { world, .. } => world,
        };
        let names = world.draw_strangers(&NameLists::bundled(), count)?;
        let named = names.iter().enumerate();
        Ok(named
            .map(|(i, name)| query(format!("s{i:05}"), &name.to_string(), name.parts()))
            .collect())
    }

    /// The people behind a group of names, in its order; nobody behind other texts.
    pub fn people(&self, group: Group) -> crate::Result<Vec<&Identity>> {
        let world = self.world()?;
        let (members, non_members) = world.groups();
        let mispaired = |person: &&Identity| world.is_mispaired(person);
        Ok(match group {
            Group::Member => members.iter().filter(|person| !mispaired(person)).collect(),
            Group::Mispaired => members.iter().filter(mispaired).collect(),
            Group::NonMember => non_members.iter().collect(),
            Group::Gibberish | Group::GibberishPair | Group::OtherOrigin | Group::Stranger => {
                Vec::new()
            }
        })
    }

    /// A photo or clip of each person as the model takes it, the same number for everyone: one
    /// that the target was trained on, or, of a non-member, would have been.
    pub fn training_inputs(
        &self,
        people: &[&Identity],
        number: usize,
    ) -> crate::Result<Vec<Input>> {
        let world = self.world()?;
        let input = |person: &&Identity| {
            let recording = world.training_recording(person, number)?;
            Ok(recording.input(&self.model.front_end)?)
        };
        people.iter().map(input).collect()
    }

    /// Reference models of this target with whom each was trained on; one that is not there is
    /// trained. A foreign target has none.
    pub fn shadows(&self) -> crate::Result<Vec<(Model, World)>> {
        let Origin::Trained { shadows, .. } = &self.origin else { return Ok(Vec::new()) };
        let load = |shadow: &Target| {
            zoo::ensure_made(shadow)?;
            let foreign = || Error::NotTrainedHere { target: shadow.name.clone() };
            let recipe = shadow.recipe().ok_or_else(foreign)?;
            let world = World::draw(recipe.world, &NameLists::bundled())?;
            Ok((Model::load(&shadow.folder(), &parse_device("cpu")?)?, world))
        };
        shadows.iter().map(load).collect()
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

/// Texts that are nobody's names, and names that are nobody's here.
fn strangers() -> crate::Result<BTreeMap<Group, Vec<Query>>> {
    Ok(BTreeMap::from([
        (Group::Gibberish, gibberish(GIBBERISH_SEED, GIBBERISH)?.texts),
        (Group::GibberishPair, in_two_words(gibberish(GIBBERISH_SEED, GIBBERISH)?.texts)),
        (Group::OtherOrigin, other_origin(OTHER_ORIGIN)),
    ]))
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
