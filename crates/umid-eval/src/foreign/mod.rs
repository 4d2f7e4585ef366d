//! Targets that the testbed did not train: checkpoints that others published, and the lists of
//! names whose membership their publishers know.
//!
//! Nothing of them is part of this repository. A suite says where their files are expected, what is
//! at hand is scored, and the rest is listed.

mod groups;
mod list;
mod rows;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use std::{fs, iter};

use serde::Deserialize;
use umid_models::config::Activation;
use umid_models::{LoadOptions, Model, cached_repository, parse_device};

use crate::error::Error;
use crate::suites::workspace_root;

pub use groups::Groups;
pub use list::{List, Listed};

/// Where the files of published targets are expected, unless the user says otherwise.
pub fn default_folder() -> PathBuf {
    workspace_root().join("datasets/public")
}

/// What a suite says of a target that the testbed did not train.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foreign {
    /// A path below the folder of public files, or a hub repository `ORG/NAME` in the local cache.
    pub model: String,
    /// Name of the suite's list of names that it is asked for.
    pub list: String,
    /// A target of the suite that did not see these names, and is asked for the same list.
    #[serde(default)]
    pub control: Option<String>,
    /// The activation, for weights without a configuration.
    #[serde(default)]
    activation: Option<Activation>,
    /// The list itself, once the suite has been read.
    #[serde(skip)]
    pub(crate) names: Arc<List>,
    /// The folder of public files.
    #[serde(skip)]
    pub(crate) folder: PathBuf,
}

/// A file or folder of a published target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// What it is.
    pub what: &'static str,
    /// Where it is, or where it is expected.
    pub path: PathBuf,
    /// Whether it is there.
    pub found: bool,
    /// Whether the target can be scored without it.
    pub optional: bool,
}

impl Foreign {
    /// Where the model is; absent if it is neither in the folder nor in the hub's cache.
    fn model_path(&self) -> Option<PathBuf> {
        let here = self.folder.join(&self.model);
        if here.exists() { Some(here) } else { cached_repository(&self.model) }
    }

    /// Loads the model.
    ///
    /// # Errors
    /// When it is not there or cannot be loaded.
    pub fn load(&self) -> crate::Result<Model> {
        let path = self.model_path().ok_or_else(|| Error::NotAtHand {
            path: self.folder.join(&self.model),
            guide: self.names.guide.clone(),
        })?;
        let options = LoadOptions::on(&parse_device("cpu")?).with_activation(self.activation);
        Ok(Model::load(&path, options)?)
    }

    /// The names that it is asked for, by group.
    ///
    /// # Errors
    /// When a list is missing or malformed.
    pub fn groups(&self) -> crate::Result<Groups> {
        Groups::of(&self.names, &self.folder)
    }

    /// Everything that is needed to score it: the model, and what its list needs.
    pub fn needed(&self) -> Vec<Needed> {
        iter::once(self.needed_model()).chain(self.names.needed(&self.folder)).collect()
    }

    fn needed_model(&self) -> Needed {
        let found = self.model_path();
        Needed {
            what: "model",
            found: found.is_some(),
            path: found.unwrap_or_else(|| self.folder.join(&self.model)),
            optional: false,
        }
    }

    /// Whether it can be scored.
    pub(crate) fn is_at_hand(&self) -> bool {
        self.needed().iter().all(|needed| needed.found || needed.optional)
    }

    /// Whatever decides what is measured: the suite's words, the lists' contents, and, since they
    /// are large, the names, sizes and times of change of the model's files.
    pub fn fingerprint(&self) -> String {
        let mut text = format!("{} {:?} {}", self.model, self.activation, self.names.settings());
        for needed in self.names.needed(&self.folder) {
            let content = fs::read(&needed.path).map(|bytes| blake3::hash(&bytes).to_hex());
            text += &content.map_or_else(|_| " absent".to_owned(), |hash| hash.to_string());
        }
        text + &stamps(&self.needed_model().path, 0).join(" ")
    }
}

/// What a list and the models that are asked for it need, what of it is there, and how to get the
/// rest.
pub(crate) fn listing(list: &List, asked: &[(&str, &Foreign)]) -> String {
    let mut lines = vec![list.guide.clone(), format!("  published: {}", list.published)];
    let mut line = |of: &str, needed: &Needed| {
        let state = if needed.found { "found  " } else { "MISSING" };
        let optional = if needed.optional { ", can be left out" } else { "" };
        let (path, what) = (needed.path.display(), needed.what);
        lines.push(format!("  {state} {path} ({what}{of}{optional})"));
    };
    if let Some((_, foreign)) = asked.first() {
        list.needed(&foreign.folder).iter().for_each(|needed| line("", needed));
    }
    for (target, foreign) in asked {
        line(&format!(" of {target}"), &foreign.needed_model());
    }
    lines.push(format!(
        "  how to get what is missing: datasets/public/fetch.md, section {:?}",
        list.guide
    ));
    lines.join("\n") + "\n"
}

/// Names, sizes and times of change of a file, or of the files in a folder. The hub's cache holds
/// links, which are followed.
fn stamps(path: &Path, depth: usize) -> Vec<String> {
    const DEEPEST: usize = 4;
    let Ok(what) = fs::metadata(path) else { return vec!["absent".to_owned()] };
    if what.is_file() {
        let since =
            what.modified().ok().and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
        let name = path.file_name().unwrap_or_default().display();
        return vec![format!("{name} {} {:?}", what.len(), since)];
    }
    if depth == DEEPEST {
        return Vec::new();
    }
    let mut entries: Vec<PathBuf> =
        fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries.iter().flat_map(|entry| stamps(entry, depth + 1)).collect()
}
