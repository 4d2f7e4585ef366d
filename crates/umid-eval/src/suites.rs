//! Which targets there are: `datasets/suites/NAME.toml`, a list of targets with what they are
//! for. A field that a target leaves out has the default of `umid-testbed`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use umid_models::Precision;
use umid_testbed::{
    Architecture, CARD, CrawlParams, LabelAssignment, Merges, ModelShape, NameForm, Pairing,
    Recipe, ResnetShape, TokenizerFamily, TokenizerParams, TrainParams, WorldParams,
};

use crate::error::Error;
use crate::foreign::{Foreign, List, default_folder, listing};
use crate::plan::Run;

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
    /// Lists of names that others published, for foreign targets.
    #[serde(rename = "list", default)]
    lists: Vec<List>,
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
    /// A checkpoint that the testbed did not train. All that follows is about targets that it did.
    #[serde(default)]
    pub foreign: Option<Foreign>,
    /// Seed of the world and of the training; only a foreign target has none.
    #[serde(default)]
    seed: Option<u64>,
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
        Self::parse(&text, path)
    }

    /// Reads the text of a suite's file.
    pub(crate) fn parse(text: &str, path: PathBuf) -> crate::Result<Self> {
        let mut suite: Self = toml::from_str(text).map_err(|source| Error::SuiteFormat {
            path: path.clone(),
            source: Box::new(source),
        })?;
        for (i, target) in suite.targets.iter().enumerate() {
            let repeated = suite.targets[..i].iter().any(|other| other.name == target.name);
            if repeated {
                return Err(Error::RepeatedTarget { path, target: target.name.clone() });
            }
            if target.seed.is_some() == target.foreign.is_some() {
                return Err(Error::TargetOrigin { path, target: target.name.clone() });
            }
        }
        suite.link()?;
        suite.read_public(&default_folder());
        Ok(suite)
    }

    /// Gives foreign targets their lists, and checks their controls.
    fn link(&mut self) -> crate::Result<()> {
        let lists: Vec<Arc<List>> = self.lists.iter().cloned().map(Arc::new).collect();
        let asked: BTreeMap<String, String> = self
            .targets
            .iter()
            .filter_map(|target| Some((target.name.clone(), target.foreign.as_ref()?.list.clone())))
            .collect();
        for target in &mut self.targets {
            let Some(foreign) = &mut target.foreign else { continue };
            let found = lists.iter().find(|list| list.name == foreign.list);
            foreign.names = found.cloned().ok_or_else(|| Error::NoList {
                target: target.name.clone(),
                list: foreign.list.clone(),
                known: lists.iter().map(|list| list.name.as_str()).collect::<Vec<_>>().join(", "),
            })?;
            if let Some(control) = &foreign.control
                && asked.get(control) != Some(&foreign.list)
            {
                return Err(Error::Control {
                    target: target.name.clone(),
                    control: control.clone(),
                    list: foreign.list.clone(),
                });
            }
        }
        Ok(())
    }

    /// Looks for the files of foreign targets in a folder.
    pub fn read_public(&mut self, folder: &Path) {
        for foreign in self.targets.iter_mut().filter_map(|target| target.foreign.as_mut()) {
            folder.clone_into(&mut foreign.folder);
        }
    }

    /// Of each list with a target that is asked for and is not at hand: what is there of it, where
    /// the rest is expected, and how to get it.
    pub fn missing(&self, asked: impl Fn(&Target) -> bool) -> Vec<String> {
        let missing = |list: &List| {
            let targets = self.targets.iter().filter(|target| asked(target));
            let of_list: Vec<(&str, &Foreign)> = targets
                .filter_map(|target| Some((target.name.as_str(), target.foreign.as_ref()?)))
                .filter(|(_, foreign)| foreign.list == list.name)
                .collect();
            let complete = of_list.iter().all(|(_, foreign)| foreign.is_at_hand());
            (!complete).then(|| listing(list, &of_list))
        };
        self.lists.iter().filter_map(missing).collect()
    }

    /// The reference models of a target: its shadows that were trained as long.
    pub fn shadows(&self, target: &Target) -> Vec<Target> {
        let like = |other: &&Target| {
            let recipes = target.recipe().zip(other.recipe());
            let Some((ours, theirs)) = recipes.map(|(a, b)| (a.training, b.training)) else {
                return false;
            };
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

    /// Everything that determines a target which the testbed trains; absent for a foreign one.
    pub fn recipe(&self) -> Option<Recipe> {
        let (world, training) = (WorldParams::default(), TrainParams::default());
        let seed = self.seed?;
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
        Some(Recipe {
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
        })
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

    /// Whether it need not be trained: it has been, or others did.
    pub fn is_made(&self) -> bool {
        self.foreign.is_some() || self.folder().join(CARD).exists()
    }

    /// Whether it can be scored: it is trained here, or its files are there.
    pub fn is_at_hand(&self) -> bool {
        self.foreign.as_ref().is_none_or(Foreign::is_at_hand)
    }

    /// Where its unfinished training is kept; absent for a foreign target. Targets that are stops of
    /// one training share it, so that a later stop goes on from an earlier one.
    pub fn work(&self) -> Option<PathBuf> {
        let recipe = self.recipe()?;
        let training = TrainParams { stop_after: None, ..recipe.training };
        let what = format!("{:?}{:?}{training:?}", recipe.world, recipe.architecture);
        let key = &blake3::hash(what.as_bytes()).to_hex()[..16];
        Some(workspace_root().join("target/zoo-work").join(key))
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
        for name in ["demo", "smoke", "clip", "clap", "crawl", "tuni", "real", "other"] {
            let suite = Suite::load(name).unwrap();
            for recipe in suite.targets.iter().filter_map(Target::recipe) {
                recipe.world.check().unwrap();
                assert!(recipe.training.steps_taken() <= recipe.training.steps, "{}", recipe.name);
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

    /// A suite with a foreign target.
    const FOREIGN: &str = "about = \"\"\n[[list]]\nname = \"people\"\nguide = \"g\"\n\
                           published = \"p\"\nfiles = []\n[[target]]\nname = \"clean\"\n\
                           role = \"control\"\nforeign = { model = \"m\", list = \"people\" }\n";

    fn refused(more: &str, words: [&str; 2]) {
        let text = format!("{FOREIGN}{more}");
        let error = Suite::parse(&text, "s.toml".into()).expect_err("an error").to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }

    #[test]
    fn what_is_wrong_with_a_foreign_target_is_told_when_the_suite_is_read() {
        let target = "[[target]]\nname = \"a\"\nrole = \"test\"\n";
        refused(target, ["`seed`", "`foreign`"]);
        let both = "seed = 1\nforeign = { model = \"m\", list = \"people\" }\n";
        refused(&format!("{target}{both}"), ["a needs either", "`foreign`"]);
        let unknown = "foreign = { model = \"m\", list = \"nobody\" }\n";
        refused(&format!("{target}{unknown}"), ["\"nobody\"", "people"]);
        let control = "foreign = { model = \"m\", list = \"people\", control = \"dirty\" }\n";
        refused(&format!("{target}{control}"), ["\"dirty\"", "the same names"]);
    }

    #[test]
    fn a_control_is_asked_for_the_same_list() {
        let with = |list: &str| {
            format!(
                "{FOREIGN}[[list]]\nname = \"others\"\nguide = \"g\"\npublished = \"p\"\nfiles = []\n\
                 [[target]]\nname = \"a\"\nrole = \"test\"\n\
                 foreign = {{ model = \"n\", list = \"{list}\", control = \"clean\" }}\n"
            )
        };
        assert!(Suite::parse(&with("people"), "s.toml".into()).is_ok());
        let error = Suite::parse(&with("others"), "s.toml".into()).expect_err("an error");
        assert!(error.to_string().contains("asked for the list \"others\""), "{error}");
    }

    #[test]
    fn a_foreign_target_is_never_trained() {
        let suite = Suite::parse(FOREIGN, "s.toml".into()).unwrap();
        assert!(suite.targets[0].is_made() && suite.targets[0].recipe().is_none());
        let order = crate::zoo::Order { steps: None, out: None };
        let error = crate::zoo::train(&[&suite.targets[0]], &order).unwrap_err();
        assert!(crate::error::chain(&error).contains("published by others"), "{error:?}");
    }

    #[test]
    fn a_suite_that_is_not_there_names_those_that_are() {
        let error = Suite::load("nope").unwrap_err().to_string();
        assert!(error.contains("clip") && error.contains("demo"), "{error}");
    }
}
