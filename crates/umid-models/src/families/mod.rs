//! The families of checkpoints, one file each.
//!
//! A family recognises a directory, reads its configuration into a [`ModelConfig`] and a
//! [`FrontEnd`], and says what its files call a tensor. Adding one is its file and one line in
//! [`FAMILIES`].

mod clap;
mod clip;
mod laion_clap;
mod open_clip;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::checkpoint::{Checkpoint, Naming, View, WEIGHTS, default_hint};
use crate::config::ModelConfig;
use crate::front_end::FrontEnd;
use crate::precision::Precision;
use crate::tokenizer::TokenizerFiles;
use crate::towers::within;
use crate::{ModelError, Result};

/// Every family, in the order in which they are asked: a directory with files of two layouts, as
/// the LAION repositories have, is read in the Hugging Face layout.
pub(crate) const FAMILIES: [&dyn Family; 4] =
    [&clip::Clip, &clap::Clap, &open_clip::OpenClip, &laion_clap::LaionClap];

/// What a family makes of a directory.
pub(crate) struct Opened {
    pub(crate) config: ModelConfig,
    pub(crate) front_end: FrontEnd,
    pub(crate) checkpoint: Checkpoint,
    /// Every file that was read, for the digest.
    pub(crate) files: Vec<PathBuf>,
}

/// A kind of checkpoint.
pub(crate) trait Family: Sync {
    /// Name of the layout.
    fn layout(&self) -> &'static str;

    /// Whether a directory is of this family.
    fn recognises(&self, directory: &Path) -> bool;

    /// Reads everything but the tokenizer and the towers.
    fn open(&self, directory: &Path) -> Result<Opened>;

    /// What the family's files call a tensor.
    fn naming(&self) -> Naming;

    /// Names of the logarithms of the factors on cosines. The first is the model's.
    fn logit_scales(&self) -> &'static [&'static str];

    /// Files of which the tokenizer can be made.
    fn tokenizer(&self) -> TokenizerFiles;

    /// Name of the file that a written model's weights are in.
    fn weights_file(&self) -> &'static str {
        WEIGHTS
    }

    /// Whether the family writes models of this shape.
    fn writes(&self, _: &ModelConfig) -> bool {
        false
    }

    /// Configuration files of a model that is written, with their contents; `None` if the shape
    /// and the front end do not fit each other.
    fn files(
        &self,
        _config: &ModelConfig,
        _front_end: &FrontEnd,
        _precision: Precision,
    ) -> Option<Vec<(&'static str, Value)>> {
        None
    }
}

/// The family of a directory.
pub(crate) fn recognise(directory: &Path) -> Result<&'static dyn Family> {
    if !directory.is_dir() {
        return Err(ModelError::NotADirectory { path: directory.to_owned() });
    }
    if let Some(family) = FAMILIES.iter().find(|family| family.recognises(directory)) {
        return Ok(*family);
    }
    // A configuration of a model that no family knows says best what is wrong.
    if directory.join(clip::CONFIG).is_file() {
        return Err(clip::unknown_model(directory));
    }
    Err(ModelError::UnknownLayout { path: directory.to_owned() })
}

/// A tensor is called what the tower calls it.
fn as_described(name: &str) -> (String, View) {
    (name.to_owned(), View::Whole)
}

/// Checks what no shape of a tensor would show. `defaulted` are the keys that took the format's
/// default.
fn check(config: &ModelConfig, path: &Path, defaulted: &[String]) -> Result<()> {
    let checks = [
        within("width of the joint embedding", config.embedding_dim),
        config.text.check(config.embedding_dim),
        config.input.check(),
    ];
    checks.into_iter().try_for_each(|checked| {
        checked.map_err(|invalid| ModelError::InvalidConfigValue {
            path: path.to_owned(),
            key: invalid.key,
            found: invalid.found + &default_hint(defaulted),
            expected: invalid.expected,
        })
    })
}
