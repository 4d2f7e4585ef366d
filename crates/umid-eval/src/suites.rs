//! Which targets there are: `datasets/suites/NAME.toml`, a list of targets with what they are
//! for. A field that a target leaves out has the default of `umid-testbed`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use umid_models::Precision;
use umid_testbed::{
    Architecture, CARD, CrawlParams, LabelAssignment, Merges, ModelShape, NameForm, Pairing,
    Recipe, ResnetShape, TokenizerFamily, TokenizerParams, TrainParams, WorldParams,
};

use crate::error::Error;
use crate::plan::Run;
use crate::public::Manifest;

/// People of a bank. They cost nothing until they are rendered.
const BANK: usize = 12_000;

/// A suite as its file has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// What it is for.
    pub about: String,
    /// What the targets of each panel are, in plain words.
    #[serde(default)]
    pub panels: BTreeMap<String, String>,
    /// Its targets, in the order in which tables list them.
    #[serde(rename = "target", default)]
    pub targets: Vec<Target>,
    /// What is run on them.
    #[serde(rename = "run", default)]
    pub runs: Vec<Run>,
    /// Targets that others published, in a suite of such.
    #[serde(rename = "manifest", default)]
    pub manifests: Vec<Manifest>,
}

/// What a target is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The bundled target of `umid demo`.
    Demo,
    /// Settings, signals and weights were chosen on it.
    Development,
    /// Scored with what was chosen elsewhere.
    Test,
    /// Trained on neither group: no method may find anything.
    Null,
    /// Trained in a way that separates one explanation of a score from another.
    Control,
    /// A reference model for attacks that need some: trained on a random half of another
    /// target's people.
    Shadow,
}

/// One target of a suite.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Name, and that of its folder.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The panel of the effectiveness table in which it has a column; see `summary::effectiveness`.
    #[serde(default)]
    pub panel: String,
    /// The column of the paper family's tables for which it stands, such as `RN50, few`; see
    /// `summary::paper`.
    #[serde(default)]
    pub column: Option<String>,
    /// Whether it is part of the repository; others are trained when they are asked for.
    #[serde(default)]
    pub committed: bool,
    /// Seed of the world and of the training.
    pub seed: u64,
    /// Seed of the training, where it is not that of the world.
    #[serde(default)]
    training_seed: Option<u64>,
    #[serde(default)]
    members: Option<usize>,
    #[serde(default)]
    non_members: Option<usize>,
    #[serde(default)]
    images_per_person: Option<usize>,
    #[serde(default)]
    bank: Option<usize>,
    #[serde(default)]
    label: LabelAssignment,
    #[serde(default)]
    pairing: Pairing,
    #[serde(default)]
    names: NameForm,
    #[serde(default)]
    steps: Option<usize>,
    #[serde(default)]
    stop_after: Option<usize>,
    /// Which input tower, and with it whether it is a CLIP or a CLAP.
    #[serde(default)]
    tower: Tower,
    /// Shape of a vision transformer.
    #[serde(default)]
    shape: ModelShape,
    /// Of a residual network.
    #[serde(default)]
    resnet: ResnetShape,
    /// What makes the target's world like a web crawl.
    #[serde(default)]
    crawl: Option<CrawlParams>,
}

/// Sizes of a world like a web crawl, and of its tokenizer.
mod crawl {
    /// People who were never shown.
    pub(super) const NON_MEMBERS: usize = 1_200;
    /// Unnamed people, and recordings of each.
    pub(super) const PUBLIC: usize = 4_000;
    pub(super) const RECORDINGS: usize = 4;
    /// Tokens that captions are cut to.
    pub(super) const CONTEXT: usize = 77;
    /// Merges of a vocabulary that is learned.
    pub(super) const MERGES: usize = 3_000;
}

/// An input tower.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tower {
    #[default]
    Vit,
    Resnet,
    Htsat,
    Cnn14,
}

impl Suite {
    /// Reads `datasets/suites/NAME.toml`.
    ///
    /// # Errors
    /// When there is no such file, or it is not a suite.
    pub fn load(name: &str) -> crate::Result<Self> {
        let folder = workspace_root().join("datasets/suites");
        let path = folder.join(format!("{name}.toml"));
        let text = fs::read_to_string(&path).map_err(|source| {
            let (name, path, known) = (name.to_owned(), path.clone(), all(&folder));
            Error::NoSuite { name, path, known, source }
        })?;
        let suite: Self = toml::from_str(&text).map_err(|source| Error::SuiteFormat {
            path: path.clone(),
            source: Box::new(source),
        })?;
        for (i, target) in suite.targets.iter().enumerate() {
            let repeated = suite.targets[..i].iter().any(|other| other.name == target.name);
            if repeated {
                return Err(Error::RepeatedTarget { path, target: target.name.clone() });
            }
        }
        Ok(suite)
    }

    /// The reference models of a target: its shadows that were trained as long.
    pub fn shadows(&self, target: &Target) -> Vec<Target> {
        let like = |other: &&Target| {
            let (ours, theirs) = (target.recipe().training, other.recipe().training);
            other.role == Role::Shadow
                && other.seed == target.seed
                && target.label == LabelAssignment::Plain
                && !target.has_mispaired()
                && (ours.steps, ours.stop_after) == (theirs.steps, theirs.stop_after)
        };
        self.targets.iter().filter(like).cloned().collect()
    }

    /// Keeps the targets of one name.
    ///
    /// # Errors
    /// When there is none.
    pub fn retain_target(&mut self, name: &str) -> crate::Result<()> {
        let names: Vec<String> = self.targets.iter().map(|target| target.name.clone()).collect();
        self.targets.retain(|target| target.name == name);
        if self.targets.is_empty() {
            return Err(Error::NoTarget { name: name.to_owned(), known: names.join(", ") });
        }
        Ok(())
    }
}

impl Target {
    /// Whether some members were trained under photos of others.
    pub fn has_mispaired(&self) -> bool {
        self.pairing != Pairing::Own
    }

    /// Everything that determines the target.
    pub fn recipe(&self) -> Recipe {
        let (world, training) = (WorldParams::default(), TrainParams::default());
        let seed = self.seed;
        let (world, training) = match &self.crawl {
            None => (world, training),
            Some(crawl) => (
                WorldParams {
                    members: crawl.members(),
                    non_members: crawl::NON_MEMBERS,
                    public: crawl::PUBLIC,
                    images_per_person: crawl::RECORDINGS,
                    crawl: Some(crawl.clone()),
                    ..world
                },
                TrainParams {
                    steps: crawl.steps(training.names_per_batch + training.generic_per_batch),
                    ..training
                },
            ),
        };
        let architecture = match self.tower {
            Tower::Vit => Architecture::Vit(self.shape),
            Tower::Resnet => Architecture::Resnet(self.resnet),
            Tower::Htsat => Architecture::Htsat,
            Tower::Cnn14 => Architecture::Cnn14,
        };
        Recipe {
            name: self.name.clone(),
            world: WorldParams {
                seed,
                members: self.members.unwrap_or(world.members),
                non_members: self.non_members.unwrap_or(world.non_members),
                bank: self.bank.unwrap_or(BANK),
                images_per_person: self.images_per_person.unwrap_or(world.images_per_person),
                label: self.label,
                pairing: self.pairing,
                names: self.names,
                medium: architecture.medium(),
                ..world
            },
            tokenizer: self.tokenizer(architecture.tokenizer_family()),
            architecture,
            training: TrainParams {
                seed: self.training_seed.unwrap_or(seed),
                steps: self.steps.unwrap_or(training.steps),
                stop_after: self.stop_after,
                ..training
            },
            precision: Precision::F16,
        }
    }

    fn tokenizer(&self, family: TokenizerFamily) -> TokenizerParams {
        if self.crawl.is_none() {
            return TokenizerParams::of(family);
        }
        let merges = match family {
            TokenizerFamily::Clip => Merges::OfClip,
            TokenizerFamily::Roberta => Merges::Learned(crawl::MERGES),
        };
        TokenizerParams { merges, context_length: crawl::CONTEXT, family }
    }

    /// The target's folder, whether it exists or not.
    pub fn folder(&self) -> PathBuf {
        let zoo = if self.committed { "datasets/zoo" } else { "target/zoo" };
        workspace_root().join(zoo).join(&self.name)
    }

    /// Whether it has been trained.
    pub fn is_made(&self) -> bool {
        self.folder().join(CARD).exists()
    }

    /// Where its unfinished training is kept. Targets that are stops of one training share it,
    /// so that a later stop goes on from an earlier one.
    pub fn work(&self) -> PathBuf {
        let recipe = self.recipe();
        let training = TrainParams { stop_after: None, ..recipe.training };
        let what = format!("{:?}{:?}{training:?}", recipe.world, recipe.architecture);
        let key = &blake3::hash(what.as_bytes()).to_hex()[..16];
        workspace_root().join("target/zoo-work").join(key)
    }
}

/// Names of the suites in a folder.
fn all(folder: &Path) -> String {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names.join(", ")
}

/// The folder of the workspace.
///
/// # Panics
/// Never: a crate of this workspace lies two folders below it.
pub fn workspace_root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).expect("the crate lies in crates/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_reads_and_every_recipe_is_valid() {
        for name in ["demo", "smoke", "clip", "clap", "crawl", "tuni", "real"] {
            let suite = Suite::load(name).unwrap();
            for target in &suite.targets {
                let recipe = target.recipe();
                recipe.world.check().unwrap();
                assert!(recipe.training.steps_taken() <= recipe.training.steps, "{}", target.name);
            }
        }
    }

    /// Neither crate may depend on the other.
    #[test]
    fn an_audit_asks_in_the_captions_that_the_testbed_trains_on() {
        assert_eq!(umid::templates::PHOTO_TEMPLATES, umid_testbed::caption::NAME_TEMPLATES);
        assert_eq!(umid::templates::SOUND_TEMPLATES, umid_testbed::VOICE_NAME_TEMPLATES);
    }

    #[test]
    fn stops_of_one_training_share_their_work_and_other_trainings_do_not() {
        let suite = Suite::load("clip").unwrap();
        let work = |name: &str| suite.targets.iter().find(|t| t.name == name).unwrap().work();
        assert_eq!(work("alpha-15"), work("alpha-100"));
        assert_ne!(work("alpha-100"), work("alpha-swapped"));
        assert_ne!(work("beta-100"), work("beta-mispaired-100"));
        assert_ne!(work("alpha-100"), work("beta-100"));
    }

    #[test]
    fn a_suite_that_is_not_there_names_those_that_are() {
        let error = Suite::load("nope").unwrap_err().to_string();
        assert!(error.contains("clip") && error.contains("demo"), "{error}");
    }
}
