//! The card of a target: how it was made and how well it knows its members, for programs
//! (`card.json`) and for people (`README.md`).

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use umid_core::atomic::write_atomically;
use umid_models::Precision;
use umid_models::config::ModelConfig;

use crate::crawl::CrawlParams;
use crate::error::Error;
use crate::names::NameForm;
use crate::recording::Medium;
use crate::retrieval::Retrieval;
use crate::train::TrainParams;
use crate::world::{LabelAssignment, Pairing, World};

/// File name of the card.
pub const CARD: &str = "card.json";
const README: &str = "README.md";

/// What is known of a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Name of the target, such as `demo`.
    pub name: String,
    /// Digest of the model as it lies on disk, as `umid inspect` gives it.
    pub digest: String,
    /// The people.
    pub world: CardWorld,
    /// The recipe.
    pub training: TrainParams,
    /// How often each member was shown, on average.
    pub exposures_per_name: f64,
    /// Mean loss of the last steps, in nats.
    pub final_loss: f32,
    /// Accuracy of finding a recording's name among all members'.
    pub retrieval: Retrieval,
    /// The captions that name people.
    pub name_templates: Vec<String>,
    /// The captions that do not.
    pub attribute_templates: Vec<String>,
    /// Shape of the model.
    pub model: ModelConfig,
    /// Type of the model's stored weights.
    pub precision: Precision,
    /// Number of weights.
    pub parameter_count: u64,
}

/// What a card says of the world that a target was trained in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CardWorld {
    /// Everything random about the people follows from this.
    pub seed: u64,
    /// People whom the target was trained on.
    pub members: usize,
    /// People of the same draw whom it was not trained on.
    pub non_members: usize,
    /// Unnamed people who were trained on under generic captions.
    pub public: usize,
    /// Unnamed people of the bank, on whom nothing was trained.
    pub bank: usize,
    /// Training photos or clips of each member.
    pub images_per_person: usize,
    /// Whom the target was trained on.
    pub label: LabelAssignment,
    /// Which of them went with a member's name.
    pub pairing: Pairing,
    /// How many words the names have.
    pub names: NameForm,
    /// What was recorded of the people.
    #[serde(default)]
    pub medium: Medium,
    /// What made the world like a web crawl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crawl: Option<CrawlParams>,
}

impl CardWorld {
    /// The facts of a world.
    pub fn of(world: &World) -> Self {
        let params = world.params();
        Self {
            seed: params.seed,
            members: world.members().len(),
            non_members: world.non_members().len(),
            public: params.public,
            bank: params.bank,
            images_per_person: params.images_per_person,
            label: params.label,
            pairing: params.pairing,
            names: params.names,
            medium: params.medium,
            crawl: params.crawl.clone(),
        }
    }
}

impl Card {
    /// Reads the `card.json` of a target's folder.
    ///
    /// # Errors
    /// A file that cannot be read, or that is no card.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(CARD);
        let json = fs::read(&path).map_err(Error::reading(&path))?;
        serde_json::from_slice(&json).map_err(|source| Error::Card { path, source })
    }

    /// Writes `card.json` and `README.md` into a target's folder.
    ///
    /// # Errors
    /// A folder that cannot be written.
    ///
    /// # Panics
    /// Never: a card serialises.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let mut json = serde_json::to_vec_pretty(self).expect("a card serialises");
        json.push(b'\n');
        for (file, content) in [(CARD, json), (README, self.readme().into_bytes())] {
            let path = folder.join(file);
            write_atomically(&path, &content).map_err(Error::writing(path))?;
        }
        Ok(())
    }

    fn readme(&self) -> String {
        let Self { world, training, retrieval, .. } = self;
        let templates = self.name_templates.join("`\n- `");
        let chance = 100.0 / world.members as f64;
        let [kind, drawn, recording, look] = match world.medium {
            Medium::Photos => ["CLIP", "drawn people", "photo", "look"],
            Medium::Clips => ["CLAP", "synthetic voices", "clip", "sound"],
        };
        format!(
            "# Target `{name}`\n\n\
             A small {kind} trained on {drawn} with random names, to try audits on: who is a \
             member is known. It stands for nobody real and is of no other use.\n\n\
             | | |\n| --- | --- |\n\
             | trained on | {members} people (`members.csv`), {images} {recording}s each{pairing} |\n\
             | not trained on | {non_members} people of the same draw (`non_members.csv`) |\n\
             | also trained on | {public} unnamed people under captions of what they {look} like |\n\
             | recipe | {taken} of {steps} steps of {names} names and {generic} generic captions; AdamW, \
             learning rate {rate}, weight decay {decay} |\n\
             | each name shown | {exposures:.0} times on average |\n\
             | loss at the end | {loss:.3} |\n\
             | finds the name of a training {recording} | {train:.1} % |\n\
             | finds the name of another {recording} | {held_out:.1} % (chance {chance:.2} %) |\n\
             | seeds | world {world_seed}{label}, training {seed} |\n\
             | weights | {weights}, {precision:?} |\n\
             | digest | `{digest}` |\n\n\
             Captions that name people:\n\n- `{templates}`\n\n\
             `fresh_names.csv` lists names of the same draw that nobody in this world has: a \
             reference for audits. `card.json` says all of this to programs. The target is made \
             afresh by `cargo xtask zoo --only {name}` with the suite that lists it; weights may differ in the last digits \
             from one kind of processor to another.\n",
            name = self.name,
            members = world.members,
            images = world.images_per_person,
            non_members = world.non_members,
            public = world.public,
            taken = training.steps_taken(),
            steps = training.steps,
            names = training.names_per_batch,
            generic = training.generic_per_batch,
            rate = training.learning_rate,
            decay = training.weight_decay,
            exposures = self.exposures_per_name,
            loss = self.final_loss,
            train = 100.0 * retrieval.train,
            held_out = 100.0 * retrieval.held_out,
            world_seed = world.seed,
            label = match world.label {
                LabelAssignment::Plain => "",
                LabelAssignment::Swapped => " (groups exchanged)",
                LabelAssignment::Neither => " (trained on a third group)",
                LabelAssignment::Shadow(_) => " (trained on a random half of both groups)",
            },
            pairing = match world.pairing {
                Pairing::Own => "",
                Pairing::HalfRandom => {
                    ", half of them (`mispaired.csv`) under those of random people"
                }
            },
            seed = training.seed,
            weights = self.parameter_count,
            precision = self.precision,
            digest = self.digest,
        )
    }
}
