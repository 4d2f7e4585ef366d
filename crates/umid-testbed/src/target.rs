//! A target from beginning to end: a world, a tokenizer, initial weights, training, and a
//! folder in a published layout with everything that an audit can be checked against.

use std::collections::HashSet;
use std::path::Path;

use umid_models::Precision;
use umid_models::save::save;
use umid_models::{LoadOptions, Model, parse_device};

use crate::architecture::Architecture;
use crate::card::{Card, CardWorld};
use crate::error::Error;
use crate::init::{InputStatistics, initial_weights};
use crate::membership::{MembershipRow, write_membership};
use crate::names::NameLists;
use crate::retrieval::Retrieval;
use crate::tokenizer::{CaptionTokenizer, TokenizerParams, tokenizer_corpus};
use crate::train::{Progress, TrainParams, train};
use crate::world::{Pairing, World, WorldParams};

/// People trained on, in a target's folder.
pub const MEMBERS: &str = "members.csv";
/// People of the same draw who were not.
pub const NON_MEMBERS: &str = "non_members.csv";
/// Members who were trained under recordings of random people; only where there are such.
pub const MISPAIRED: &str = "mispaired.csv";
/// Names of nobody in the world.
pub const FRESH_NAMES: &str = "fresh_names.csv";

/// Everything a target follows from.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Name of the target, such as `demo`.
    pub name: String,
    /// The people. What is recorded of them is what the towers take.
    pub world: WorldParams,
    /// The tokenizer, of the towers' family.
    pub tokenizer: TokenizerParams,
    /// The towers.
    pub architecture: Architecture,
    /// The training; its seed is also that of the initial weights.
    pub training: TrainParams,
    /// Type of the target's stored weights.
    pub precision: Precision,
}

/// Makes a target and writes it to a folder; what is there is replaced.
///
/// While it trains, `work` holds the initial model and checkpoints; a target that was
/// interrupted goes on from them when it is made again.
///
/// # Errors
/// Parameters outside their ranges, a training that goes astray, or a folder that cannot be
/// written.
pub fn make_target(
    recipe: &Recipe,
    folder: &Path,
    work: &Path,
    progress: impl FnMut(Progress),
) -> Result<Card, Error> {
    let lists = NameLists::bundled();
    let world = World::draw(recipe.world.clone(), &lists)?;
    let tokenizer = train_tokenizer(&world, &lists, recipe.tokenizer)?;
    let config = recipe.architecture.config(&tokenizer, world.params().image_size);
    let front_end = recipe.architecture.front_end(world.params().image_size);
    let device = parse_device("cpu")?;

    let initial = work.join("initial");
    let statistics = InputStatistics::measure(&world, &front_end)?;
    let weights = initial_weights(&config, &statistics, recipe.training.seed)?;
    save(&initial, &config, &front_end, &weights, Precision::F32)?;
    tokenizer.save(&initial)?;
    let model = Model::load(&initial, LoadOptions::on(&device).trainable())?;

    let checkpoints = work.join("checkpoints");
    let trained =
        train(&model, &world, &tokenizer, &recipe.training, Some(&checkpoints), progress)?;

    save(folder, &config, &front_end, &trained.tensors, recipe.precision)?;
    tokenizer.save(folder)?;
    write_lists(&world, folder)?;
    // What is measured is what lies on disk, in its precision.
    let model = Model::load(folder, &device)?;
    let medium = world.params().medium;
    let owned = |templates: &[&str]| templates.iter().map(|t| (*t).to_owned()).collect();
    let card = Card {
        name: recipe.name.clone(),
        digest: model.source.digest.clone(),
        world: CardWorld::of(&world),
        exposures_per_name: exposures_per_name(&world, &recipe.training),
        training: recipe.training.clone(),
        final_loss: trained.final_loss,
        retrieval: Retrieval::measure(&model, &world)?,
        name_templates: owned(medium.name_templates()),
        attribute_templates: owned(medium.attribute_templates()),
        model: config,
        precision: recipe.precision,
        parameter_count: model.source.parameter_count,
    };
    card.write(folder)?;
    Ok(card)
}

/// The tokenizer of a world: of all its possible names and of the words of generic captions.
fn train_tokenizer(
    world: &World,
    lists: &NameLists,
    params: TokenizerParams,
) -> Result<CaptionTokenizer, Error> {
    let generic = (0..world.params().public)
        .map(|person| world.public_caption(person, 0))
        .collect::<Result<Vec<_>, _>>()?;
    let medium = world.params().medium;
    let (named, unnamed) = (medium.name_templates(), medium.attribute_templates());
    let mut corpus = tokenizer_corpus(lists, named, unnamed, &generic);
    if let Some(feed) = world.feed() {
        corpus.extend(feed.captions_of_others(|shown| world.facts_of(shown)));
    }
    CaptionTokenizer::train(params, &corpus)
}

/// How often a member was shown, on average.
fn exposures_per_name(world: &World, training: &TrainParams) -> f64 {
    let members = world.members();
    let shown: Option<usize> = members.iter().map(|person| world.exposures(person)).sum();
    shown.map_or_else(
        || training.exposures_per_name(members.len()),
        |shown| shown as f64 / members.len() as f64,
    )
}

/// Writes who is a member, who is not, and names of nobody.
fn write_lists(world: &World, folder: &Path) -> Result<(), Error> {
    let (members, non_members): (Vec<_>, Vec<_>) =
        world.membership().into_iter().partition(|row| row.member);
    write_membership(&folder.join(MEMBERS), &members)?;
    write_membership(&folder.join(NON_MEMBERS), &non_members)?;
    if world.params().pairing != Pairing::Own {
        let people = world.members().iter().filter(|person| world.is_mispaired(person));
        let mispaired: HashSet<String> = people.map(|person| person.name.to_string()).collect();
        let rows: Vec<MembershipRow> =
            members.into_iter().filter(|row| mispaired.contains(&row.text)).collect();
        write_membership(&folder.join(MISPAIRED), &rows)?;
    }
    let fresh: Vec<MembershipRow> = world
        .fresh_names(world.params().reference_names)?
        .iter()
        .enumerate()
        .map(|(index, name)| MembershipRow {
            id: format!("f{index:05}"),
            text: name.to_string(),
            member: false,
            first: name.parts().0,
            last: name.parts().1,
            exposures: None,
        })
        .collect();
    write_membership(&folder.join(FRESH_NAMES), &fresh)
}
